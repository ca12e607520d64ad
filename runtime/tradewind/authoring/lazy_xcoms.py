"""Sequences over what other tasks stored: a value is fetched, or computed, when it is looked at.

What is read once is kept, so going over a sequence twice costs one fetch a value.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any, Final, cast, overload

CHUNK: Final = 64
"""Values that are fetched together when a sequence is gone through."""


class LazySequence(Sequence[Any]):
    """A sequence whose values come one at a time. Slices are lists; it equals any sequence of the same values."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have no hash either

    @abstractmethod
    def at(self, index: int) -> Any:
        """The value at a place from 0 to the length."""

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> list[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return [self.at(place) for place in range(*index.indices(len(self)))]
        length = len(self)
        place = index + length if index < 0 else index
        if not 0 <= place < length:
            raise IndexError(f"index {index} is out of range: there are {length} values")
        return self.at(place)

    def __iter__(self) -> Iterator[Any]:
        return (self.at(place) for place in range(len(self)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, (str, bytes)):
            return NotImplemented
        nothing, values = object(), _untyped(other)
        pairs = zip_longest(self, values, fillvalue=nothing)
        return all(mine == theirs for mine, theirs in pairs)

    def __reduce__(self) -> tuple[type[list[Any]], tuple[list[Any]]]:
        """Where it is sent to another process, as a list."""
        return list, (list(self),)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({len(self)} values)"

    def __str__(self) -> str:
        return str(list(self))


class LazyXComs(LazySequence):
    """What the instances of a mapped task stored under one key, by map index; those that stored nothing are left out.

    `fetch` gives the values of some map indexes, in their order.
    """

    __slots__ = ("_fetch", "_known", "indexes")

    def __init__(self, indexes: Sequence[int], fetch: Callable[[Sequence[int]], Sequence[Any]]) -> None:
        self.indexes = tuple(indexes)
        self._fetch = fetch
        self._known: dict[int, Any] = {}

    def __len__(self) -> int:
        return len(self.indexes)

    def at(self, index: int) -> Any:
        """The value at a place, which is not its map index where instances before it stored nothing."""
        if index not in self._known:
            self._get(range(index, index + 1))
        return self._known[index]

    def __iter__(self) -> Iterator[Any]:
        for start in range(0, len(self.indexes), CHUNK):
            places = range(start, min(start + CHUNK, len(self.indexes)))
            self._get([place for place in places if place not in self._known])
            for place in places:
                yield self._known[place]

    def load(self) -> LazyXComs:
        """Fetches all that is not here yet. Returns itself."""
        self._get([place for place in range(len(self.indexes)) if place not in self._known])
        return self

    def _get(self, places: Sequence[int]) -> None:
        if places:
            values = self._fetch([self.indexes[place] for place in places])
            self._known.update(zip(places, values, strict=True))


class MappedValues(LazySequence):
    """`values` with functions applied to each, when it is looked at."""

    __slots__ = ("_functions", "_values")

    def __init__(self, values: Sequence[Any], functions: Sequence[Callable[[Any], Any]]) -> None:
        self._values = values
        self._functions = functions

    def __len__(self) -> int:
        return len(self._values)

    def at(self, index: int) -> Any:
        """The value at a place, after the functions."""
        value = self._values[index]
        for function in self._functions:
            value = function(value)
        return value


class ZippedValues(LazySequence):
    """Tuples of the values at the same place: as many as the shortest has, or, with a fill value, the longest."""

    __slots__ = ("_columns", "_fill")

    def __init__(self, columns: Sequence[Sequence[Any]], fill: tuple[Any] | None) -> None:
        self._columns = columns
        self._fill = fill

    def __len__(self) -> int:
        return (min if self._fill is None else max)(len(column) for column in self._columns)

    def at(self, index: int) -> Any:
        """The tuple at a place."""
        fill: Any = None if self._fill is None else self._fill[0]
        return tuple(column[index] if index < len(column) else fill for column in self._columns)


class ConcatenatedValues(LazySequence):
    """The values of several sequences one after the other."""

    __slots__ = ("_parts",)

    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return sum(len(part) for part in self._parts)

    def at(self, index: int) -> Any:
        """The value at a place."""
        for part in self._parts:
            if index < len(part):
                return part[index]
            index -= len(part)
        raise IndexError(f"index is {index} past the end")


def _untyped(value: Any) -> Any:
    return value


def is_mappable(value: object) -> bool:
    """Whether there is an order to map over: lists, tuples, other sequences and dicts; texts and bytes are none."""
    return isinstance(value, (Sequence, dict)) and not isinstance(value, (str, bytes, bytearray))


def mappable(value: object, what: str) -> Sequence[Any]:
    """The values to map over; of a dict its (key, value) pairs. Raises TypeError, opening with `what`."""
    if not is_mappable(value):
        raise TypeError(f"{what} needs a list or a dict, not {type(value).__name__}")
    if isinstance(value, dict):
        return list(cast("Mapping[Any, Any]", value).items())
    return cast("Sequence[Any]", value)
