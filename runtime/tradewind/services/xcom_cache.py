"""The values that tasks have stored lately: whoever reads its upstream's result rarely costs a query."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from tradewind.model.batch import Batch
from tradewind.model.keys import RunId
from tradewind.model.outcomes import EncodedValue

CACHE_BYTES: Final = 16 * 1024 * 1024
LARGEST_CACHED: Final = 4 * 1024 * 1024
BESIDE: Final = 500
"""Bytes that an entry takes beside its data: most results are a few bytes long."""

Instance = tuple[RunId, str, int]
"""A task instance: its run, task, and map index."""


class XComCache:
    """The committed values of the instances that were read or written last, at most `CACHE_BYTES` of them."""

    def __init__(self) -> None:
        self._values: OrderedDict[Instance, dict[str, EncodedValue]] = OrderedDict()
        self._bytes = 0
        self._asked: dict[tuple[Instance, str], object] = {}
        """What is being fetched from the store and has not been changed since; by whom."""

    def get(self, instance: Instance, key: str) -> EncodedValue | None:
        """The value, if it is here."""
        value = self._values.get(instance, {}).get(key)
        if value is not None:
            self._values.move_to_end(instance)
        return value

    async def fetch(
        self, instance: Instance, key: str, ask: Callable[[], Awaitable[EncodedValue | None]]
    ) -> EncodedValue | None:
        """The value from here, else as `ask` finds it, kept unless it has been changed meanwhile."""
        known = self.get(instance, key)
        if known is not None:
            return known
        mine = self._asked[instance, key] = object()
        try:
            found = await ask()
        finally:
            unchanged = self._asked.get((instance, key)) is mine
            if unchanged:
                del self._asked[instance, key]
        if unchanged and found is not None:
            self._set(instance, key, found)
        return found

    def learn(self, batch: Batch) -> None:
        """Takes in what a batch has just committed."""
        for segment in batch.segments:
            for row in segment.xcoms:
                instance = (segment.run_id, row.task_id, row.map_index)
                if row.key:
                    self._set(instance, row.key, row.value)
                else:
                    self._clear(instance)

    def _set(self, instance: Instance, key: str, value: EncodedValue) -> None:
        self._asked.pop((instance, key), None)
        own = self._values.setdefault(instance, {})
        self._values.move_to_end(instance)
        old = own.pop(key, None)
        if old is not None:
            self._bytes -= _size(old)
        if value.codec != 0 and len(value.data) <= LARGEST_CACHED:
            own[key] = value
            self._bytes += _size(value)
        elif not own:
            del self._values[instance]
        while self._bytes > CACHE_BYTES:
            self._drop(next(iter(self._values)))

    def _clear(self, instance: Instance) -> None:
        self._asked = {place: who for place, who in self._asked.items() if place[0] != instance}
        if instance in self._values:
            self._drop(instance)

    def _drop(self, instance: Instance) -> None:
        self._bytes -= sum(map(_size, self._values.pop(instance).values()))


def _size(value: EncodedValue) -> int:
    return len(value.data) + BESIDE
