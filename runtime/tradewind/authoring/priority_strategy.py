"""Weights that code decides: `weight_rule=MyStrategy()`.

The strategy is asked once, while the file is imported, for the weight of a first try: the scheduler runs no code of
DAG files.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from typing import Any, NamedTuple

from tradewind.model.errors import AuthoringError


class AskedFor(NamedTuple):
    """The task instance as a strategy sees it."""

    task: Any
    task_id: str
    priority_weight: int
    try_number: int = 1
    map_index: int = -1


class PriorityWeightStrategy(ABC):
    """Subclass it, define `get_weight(self, ti)`, and give an object of it, or its class, as `weight_rule`."""

    @abstractmethod
    def get_weight(self, ti: Any) -> int:
        """The weight; `ti` has task, task_id, priority_weight, try_number (1) and map_index."""

    def serialize(self) -> dict[str, Any]:
        """What an object is made of again; nothing here asks for it."""
        return {}

    @classmethod
    def deserialize(cls, data: dict[str, Any]) -> PriorityWeightStrategy:
        """An object from what `serialize` gave."""
        return cls(**data)


class StrategyRule(str):
    """A weight rule that is asked for the weight: to everyone else the rule `absolute`."""

    __slots__ = ("strategy",)
    strategy: PriorityWeightStrategy

    @staticmethod
    def of(strategy: PriorityWeightStrategy) -> StrategyRule:
        """The rule for this strategy."""
        rule = StrategyRule("absolute")
        rule.strategy = strategy
        return rule

    def weight(self, task: Any) -> int:
        """The weight of the task. Raises AuthoringError where the strategy gives none."""
        strategy: Any = self.strategy  # what it returns is the author's word alone
        found: object = strategy.get_weight(AskedFor(task, task.task_id, task.priority_weight))
        if isinstance(found, bool) or not isinstance(found, int):
            raise AuthoringError(
                f"task {task.task_id!r}: {type(self.strategy).__name__}.get_weight returned {found!r}, no whole number"
            )
        return found


def strategy_rule(value: object) -> StrategyRule | None:
    """The rule for a strategy, its class or the path of its class; None for anything else."""
    if isinstance(value, str) and "." in value:
        module, _, name = value.rpartition(".")
        try:
            value = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError):
            return None
    if isinstance(value, type) and issubclass(value, PriorityWeightStrategy):
        value = value()
    return StrategyRule.of(value) if isinstance(value, PriorityWeightStrategy) else None
