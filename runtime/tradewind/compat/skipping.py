"""`SkipMixin`: operators that name, in the middle of `execute`, the tasks that are not to run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, cast

from tradewind.model.errors import TradewindError

_CHOICE: Final = "_tradewind_followed"
_MADE: Final = "_tradewind_skips"
"""Marks classes that are branches because of this base alone: what their `execute` returns is no choice."""


class SkipMixin:
    """Base of operators that skip tasks directly downstream by a call inside `execute`.

    Such an operator is a branch here: what it has named is skipped once it has ended, and the trigger rules decide
    about the rest. Its XCom is the list of the tasks that are followed. Sensors cannot skip others.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if getattr(cls, "outcome_kind", "") == "value" or hasattr(cls, _MADE):
            _make_branch(cls)

    def skip(self, *args: Any, tasks: Any = None, map_index: int = -1, **unused: Any) -> None:
        """Skips these tasks: `skip(dag_run, tasks)`, or with the logical date between, as in Airflow 2.

        Those further down follow by their trigger rules. Raises TradewindError for a task that is not downstream.
        """
        del map_index
        named = _ids_of(tasks if tasks is not None else _last_collection(args))
        below = self._below("skip")
        strangers = named - set(_relatives(self)) - below
        if strangers:
            raise TradewindError(
                f"{_name(self)} cannot skip {', '.join(sorted(strangers))}: only what is downstream of it can be "
                "skipped; raise AirflowSkipException in those tasks, or put them downstream"
            )
        self.__dict__[_CHOICE] = _followed(self) - named

    def skip_all_except(self, ti: Any, branch_task_ids: str | Iterable[str] | None, *unused: Any) -> None:
        """Skips all tasks directly downstream but these. Raises TradewindError, at the end, for unknown ids."""
        self._below("skip_all_except")
        del ti
        chosen = [branch_task_ids] if isinstance(branch_task_ids, str) else list(branch_task_ids or ())
        self.__dict__[_CHOICE] = set(chosen)

    def _below(self, call: str) -> set[str]:
        if getattr(self, "outcome_kind", "value") != "branch":
            raise TradewindError(
                f"{_name(self)}: {call}() works in operators; a sensor raises AirflowSkipException to skip itself"
            )
        return set(cast("Iterable[str]", getattr(self, "downstream_task_ids", ())))


class BranchMixIn(SkipMixin):
    """Adds the call with which operators choose a branch."""

    def do_branch(self, context: Mapping[str, Any], branches_to_execute: str | Iterable[str] | None) -> Any:
        """Skips all tasks directly downstream but these, and returns what it was given."""
        self.skip_all_except(context["ti"], branches_to_execute)
        return branches_to_execute


def _make_branch(cls: type[Any]) -> None:
    cls.outcome_kind = "branch"
    setattr(cls, _MADE, True)
    execute: Callable[..., Any] | None = cls.__dict__.get("execute")
    if execute is None:
        return

    @functools.wraps(execute)
    def choose(self: SkipMixin, context: Any) -> list[str]:
        execute(self, context)
        return _choice(self)

    @functools.wraps(execute)
    async def choose_async(self: SkipMixin, context: Any) -> list[str]:
        await execute(self, context)
        return _choice(self)

    cls.execute = choose_async if inspect.iscoroutinefunction(execute) else choose


def _followed(operator: SkipMixin) -> set[str]:
    """What the calls have left so far of the tasks directly downstream."""
    found: set[str] | None = operator.__dict__.get(_CHOICE)
    return found if found is not None else set(cast("Any", operator).downstream_task_ids)


def _choice(operator: SkipMixin) -> list[str]:
    return sorted(_followed(operator))


def _last_collection(args: tuple[Any, ...]) -> Any:
    for value in reversed(args):
        if isinstance(value, (list, tuple, set, frozenset)):
            return cast("Any", value)
    raise TradewindError("skip() needs the tasks to skip: skip(dag_run, tasks)")


def _ids_of(tasks: Any) -> set[str]:
    is_one = isinstance(tasks, str) or not hasattr(tasks, "__iter__")
    return {task if isinstance(task, str) else task.task_id for task in ([tasks] if is_one else tasks)}


def _relatives(operator: Any) -> set[str]:
    return {task.task_id for task in operator.get_flat_relatives(upstream=False)}


def _name(operator: Any) -> str:
    return f"{type(operator).__name__} {getattr(operator, 'task_id', '?')!r}"
