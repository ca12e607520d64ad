"""What an attempt gets of other tasks: the values behind its references, and the part of a mapped instance.

A task in a mapped group gets, of the others in the group, the value of the same map index. Of any
other mapped task it gets all values, as a sequence that fetches them when they are looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Final, cast

from tradewind.authoring.access import BlockingServices, TaskServices
from tradewind.authoring.expand_input import Element, ExpandInput, MappedArgument
from tradewind.authoring.lazy_xcoms import LazyXComs
from tradewind.authoring.mapped_group import mapped_group_of
from tradewind.authoring.measuring import has_instances
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.xcom import decode
from tradewind.authoring.xcom_arg import MapXComArg, XComArg
from tradewind.model.attempts import Attempt
from tradewind.model.errors import XComError
from tradewind.model.keys import UNMAPPED
from tradewind.model.outcomes import EncodedValue

ALL: Final = -2
"""In the place of a map index: the values of all instances."""

SHARED_FROM: Final = 4096
"""Bytes from which on a value is worth decoding once for all instances."""

SHARED_AT_MOST: Final = 4
"""Values that are kept decoded."""


class Inputs:
    """Looks up references for one attempt of `task`, each once, by calls that block."""

    def __init__(self, attempt: Attempt, task: BaseOperator, blocking: BlockingServices) -> None:
        self._attempt = attempt
        self._task = task
        self._blocking = blocking
        self._values: dict[XComArg, object] = {}
        self._elements: dict[int, Element] = {}

    def lookup(self, ref: XComArg) -> object:
        """The value that a reference stands for here. None where nothing was stored."""
        if ref not in self._values:
            self._values[ref] = self._argument(ref) if isinstance(ref, MappedArgument) else self._fetched(ref)
        return self._values[ref]

    def _argument(self, ref: MappedArgument) -> object:
        element = self._elements.get(id(ref.source))
        if element is None:
            element = ref.element(self._attempt.key.map_index, self.lookup)
            self._elements[id(ref.source)] = element
        return ref.of(element)

    def _fetched(self, ref: XComArg) -> object:
        run_id, task_id = self._attempt.run.run_id, ref.operator.task_id
        index = index_for(self._task, ref, self._attempt.key.map_index)
        if index != ALL:
            value = self._blocking.xcom_get(run_id, task_id, ref.key, index)
            return None if value is None else decode(value)
        indexes = self._blocking.xcom_indexes(run_id, task_id, ref.key)

        def fetch(wanted: Sequence[int]) -> list[Any]:
            return decoded(ref, wanted, self._blocking.xcom_many(run_id, task_id, ref.key, wanted))

        return LazyXComs(indexes, fetch) if indexes else None


def index_for(task: BaseOperator, ref: XComArg, map_index: int) -> int:
    """The map index whose value the task gets of a reference, or `ALL`."""
    group = mapped_group_of(ref.operator)
    if group is not None and group is mapped_group_of(task):
        return map_index
    return ALL if has_instances(ref.operator) else UNMAPPED


def decoded(ref: XComArg, indexes: Sequence[int], values: Sequence[EncodedValue | None]) -> list[Any]:
    """The values. Raises XComError for one that has gone since it was counted."""
    found: list[Any] = []
    for index, value in zip(indexes, values, strict=True):
        if value is None:
            raise XComError(
                f"the value of {ref.operator.task_id!r}[{index}] under {ref.key!r} is gone: was it cleared?"
            )
        found.append(decode(value))
    return found


class SharedValues:
    """Large values that many instances take one element of, decoded once. Whoever takes an element copies it.

    A value is known again by its bytes being the very same object, which the services keep until it changes.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[int, tuple[EncodedValue, object]] = OrderedDict()

    def decode(self, value: EncodedValue) -> object:
        """The value; not to be changed by anyone."""
        if len(value.data) < SHARED_FROM:
            return decode(value)
        known = self._known.get(id(value.data))
        if known is None:
            known = self._known[id(value.data)] = (value, decode(value))
            if len(self._known) > SHARED_AT_MOST:
                self._known.popitem(last=False)
        return known[1]


_shared: Final = SharedValues()


async def fetch_on_loop(
    services: TaskServices, attempt: Attempt, task: BaseOperator, ref: XComArg, *, shared: bool = False
) -> object:
    """The value of a plain reference, awaited; of a mapped task all values, loaded. `shared`: others may hold the
    same object, so nobody may change it.
    """
    run_id, task_id = attempt.run.run_id, ref.operator.task_id
    index = index_for(task, ref, attempt.key.map_index)
    if index != ALL:
        value = await services.xcom_get(run_id, task_id, ref.key, index)
        if value is None:
            return None
        return _shared.decode(value) if shared else decode(value)
    indexes = await services.xcom_indexes(run_id, task_id, ref.key)
    if not indexes:
        return None
    values = decoded(ref, indexes, await services.xcom_many(run_id, task_id, ref.key, indexes))
    place = {index: number for number, index in enumerate(indexes)}
    return LazyXComs(indexes, lambda wanted: [values[place[index]] for index in wanted]).load()


def awaitable_refs(source: ExpandInput, task: BaseOperator) -> list[XComArg] | None:
    """The references of an input, if its element can be found on a loop after awaiting their values.

    None where that would call code of the author, or fetch all values of a mapped task for one.
    """
    refs: list[XComArg] = []
    for arg in source.args():
        if _calls(arg):
            return None
        refs.extend(arg.pulled())
    plain = all(not isinstance(ref, MappedArgument) and index_for(task, ref, 0) is not ALL for ref in refs)
    return refs if plain else None


def _calls(arg: XComArg) -> bool:
    parts = cast("Sequence[XComArg]", getattr(arg, "parts", ()))
    return isinstance(arg, MapXComArg) or any(_calls(part) for part in parts)
