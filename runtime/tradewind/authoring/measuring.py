"""Lengths of XComs that tasks are mapped over: which ones, and what an attempt reports of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from typing import Any, cast

from tradewind.authoring.defaults import current_defaults
from tradewind.authoring.expand_input import ExpandInput
from tradewind.authoring.lazy_xcoms import is_mappable
from tradewind.authoring.mapped import MappedOperator
from tradewind.authoring.mapped_group import MappedTaskGroup, mapped_group_of
from tradewind.authoring.nodes import TaskNode
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.task_group import TaskGroup
from tradewind.model.errors import UnmappableXComLengthPushed, UnmappableXComTypePushed, XComForMappingNotPushed
from tradewind.model.outcomes import RETURN_KEY
from tradewind.rules.lengths import sources


def measured_keys(tasks: Sequence[BaseOperator], root: TaskGroup) -> dict[str, tuple[str, ...]]:
    """Task id to the XCom keys whose length decides how often others are run.

    Of mapped tasks nothing is measured: their instances are counted. In mapped groups each value has to be one that can
    be mapped over, as in Airflow, although from outside the group nobody learns a length from it.
    """
    found: dict[str, set[str]] = {}
    inputs = list(_inputs(tasks, root))
    known = {task.task_id: task for task in tasks} if inputs else {}
    for value in (value for source in inputs for value in sources(source.length())):
        if not isinstance(known[value.task_id], MappedOperator):
            found.setdefault(value.task_id, set()).add(value.key)
    return {task_id: tuple(sorted(keys)) for task_id, keys in found.items()}


def has_instances(task: TaskNode) -> bool:
    """Whether the task is mapped, by itself or by a group around it."""
    return isinstance(task, MappedOperator) or mapped_group_of(task) is not None


def _inputs(tasks: Iterable[BaseOperator], root: TaskGroup) -> Iterator[ExpandInput]:
    yield from (task.expand_input for task in tasks if isinstance(task, MappedOperator))
    yield from (group.expand_input for group in root.groups() if isinstance(group, MappedTaskGroup))


def measured_length(value: object) -> int:
    """The length of a value that a task is mapped over.

    Raises UnmappableXComTypePushed for what has no order, UnmappableXComLengthPushed for more than `max_map_length`.
    """
    if not is_mappable(value):
        raise UnmappableXComTypePushed(f"unmappable return type {type(value).__qualname__!r}")
    length = len(cast("Sized", value))
    limit = current_defaults().max_map_length
    if length > limit:
        raise UnmappableXComLengthPushed(f"unmappable return value length: {length} > {limit} (core.max_map_length)")
    return length


def lengths_of(
    operator: BaseOperator, measured: Sequence[str], value: object, pushed: Mapping[str, int]
) -> tuple[tuple[str, int], ...]:
    """What an attempt that returned `value` reports, as (key, length). `pushed`: lengths of what it pushed itself.

    Raises XComForMappingNotPushed where there is nothing under a key, and what `measured_length` raises.
    """
    found: list[tuple[str, int]] = []
    for key in measured:
        kept = _kept(operator, key, value)
        if kept is not None:
            found.append((key, measured_length(kept)))
        elif key in pushed:
            found.append((key, pushed[key]))
        else:
            what = "" if key == RETURN_KEY else f" under the key {key!r}"
            raise XComForMappingNotPushed(
                f"task {operator.task_id!r} did not push XCom for task mapping{what}; return an empty list for no tasks"
            )
    return tuple(found)


def _kept(operator: BaseOperator, key: str, value: object) -> Any:
    """What the result leaves under a key, if anything."""
    if value is None or not operator.do_xcom_push:
        return None
    if key == RETURN_KEY:
        return value
    return cast("Mapping[str, Any]", value).get(key) if operator.multiple_outputs else None
