"""Windows of partitions: which smaller parts make up a larger one, and how many of them a run waits for.

A window is JSON: ``{"kind": "week", "direction": "forward"}`` (hour, day, week, month, quarter, year), ``{"kind":
"segments", "keys": […]}``, or ``{"kind": "own", "class": name}``: code of a DAG file, which has to be asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Final, cast

from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json


class Direction(StrEnum):
    """Whether a window begins at its anchor or ends there."""

    BACKWARD = "backward"
    FORWARD = "forward"


class Window:
    """Which smaller parts make up a larger one. A class of your own defines `to_upstream`."""

    Direction: ClassVar = Direction

    expected_decoded_type: ClassVar[type] = str
    """What `to_upstream` takes and gives: texts, or datetimes without a zone."""

    def __init__(self, *, direction: str = Direction.FORWARD) -> None:
        """`direction`: the parts from the anchor on, or those that end with it. Raises AuthoringError."""
        try:
            self.direction = Direction(direction)
        except ValueError as error:
            raise AuthoringError(
                f"{type(self).__qualname__}: direction is Window.Direction.FORWARD or BACKWARD, not {direction!r}"
            ) from error

    def to_upstream(self, decoded_downstream: Any) -> Iterable[Any]:
        """The parts of the larger one that begins at `decoded_downstream`."""
        raise AuthoringError(f"{type(self).__qualname__} is a window without to_upstream(self, start): define it")

    def serialize(self) -> dict[str, Any]:
        """What tells windows of one class of your own apart, as plain data."""
        return {"direction": self.direction.value}

    def to_json(self) -> dict[str, Json]:
        """The window as data; see the module."""
        return {"kind": KINDS[type(self)], "direction": self.direction.value}


class _Steps(Window):
    """Windows of so many equal steps."""

    expected_decoded_type: ClassVar[type] = datetime
    count: ClassVar[int] = 0

    def to_upstream(self, decoded_downstream: datetime) -> Iterable[datetime]:
        """See Window."""
        first = -(self.count - 1) if self.direction is Direction.BACKWARD else 0
        return [self.step(decoded_downstream, first + n) for n in range(self.count)]

    def step(self, start: datetime, count: int) -> datetime:
        """So many steps after a moment."""
        raise NotImplementedError


class HourWindow(_Steps):
    """The sixty minutes of an hour."""

    count: ClassVar[int] = 60

    def step(self, start: datetime, count: int) -> datetime:
        """See the base."""
        return start + timedelta(minutes=count)


class DayWindow(_Steps):
    """Twenty-four hours by the wall clock, on every day: where clocks change, let keys be in UTC."""

    count: ClassVar[int] = 24

    def step(self, start: datetime, count: int) -> datetime:
        """See the base."""
        return start + timedelta(hours=count)


class WeekWindow(_Steps):
    """Seven days."""

    count: ClassVar[int] = 7

    def step(self, start: datetime, count: int) -> datetime:
        """See the base."""
        return start + timedelta(days=count)


class MonthWindow(Window):
    """The days of a month; backward, the days after the first of the month before up to the anchor."""

    expected_decoded_type: ClassVar[type] = datetime

    def to_upstream(self, decoded_downstream: datetime) -> Iterable[datetime]:
        """See Window."""
        start = _first_day(self, decoded_downstream)
        if self.direction is Direction.BACKWARD:
            before = _months_later(start, -1)
            return [before + timedelta(days=n + 1) for n in range((start - before).days)]
        return [start + timedelta(days=n) for n in range((_months_later(start, 1) - start).days)]


class _Months(_Steps):
    def step(self, start: datetime, count: int) -> datetime:
        """See the base."""
        return _months_later(_first_day(self, start), count)


class QuarterWindow(_Months):
    """The three months of a quarter."""

    count: ClassVar[int] = 3


class YearWindow(_Months):
    """The twelve months of a year."""

    count: ClassVar[int] = 12


class SegmentWindow(Window):
    """These keys, whatever the larger part is: regions, customers, shards."""

    def __init__(self, segments: Iterable[str]) -> None:
        """Raises AuthoringError for what are no texts, and for none at all."""
        super().__init__()
        given = [segments] if isinstance(segments, str) else list(segments)
        for key in given:
            if not isinstance(key, str) or not key:  # pyright: ignore[reportUnnecessaryIsInstance] - authors are not typed
                raise AuthoringError(f"SegmentWindow: keys are texts that are not empty, not {key!r}")
        if not given:
            raise AuthoringError("SegmentWindow: at least one key is needed")
        self.segments = tuple(sorted(set(given)))

    def to_upstream(self, decoded_downstream: Any) -> Iterable[str]:
        """See Window."""
        return self.segments

    def to_json(self) -> dict[str, Json]:
        """See Window."""
        return {"kind": "segments", "keys": list(self.segments)}


KINDS: Final[Mapping[type[Window], str]] = {
    HourWindow: "hour",
    DayWindow: "day",
    WeekWindow: "week",
    MonthWindow: "month",
    QuarterWindow: "quarter",
    YearWindow: "year",
    SegmentWindow: "segments",
}


def window_of(data: Mapping[str, Json]) -> Window:
    """The window that `to_json` described."""
    kind = str(data["kind"])
    if kind == "segments":
        return SegmentWindow(cast("Sequence[str]", data["keys"]))
    made: Callable[..., Window] = next(made for made, name in KINDS.items() if name == kind)
    return made(direction=str(data["direction"]))


class WaitPolicy:
    """How many parts of a window have to be there before a run starts: WaitForAll or MinimumCount."""

    def least(self, expected: int) -> int:
        """How many of so many."""
        raise NotImplementedError

    def count(self) -> int | None:
        """The policy as data: the number of MinimumCount, None for all."""
        raise NotImplementedError


class WaitForAll(WaitPolicy):
    """Every one."""

    def least(self, expected: int) -> int:
        """See WaitPolicy."""
        return expected

    def count(self) -> int | None:
        """See WaitPolicy."""
        return None

    def __repr__(self) -> str:
        return "WaitForAll()"


class MinimumCount(WaitPolicy):
    """At least `n`; with a negative `n`, all but so many."""

    def __init__(self, n: int) -> None:
        """Raises AuthoringError for 0."""
        if not isinstance(n, int) or isinstance(n, bool) or n == 0:  # pyright: ignore[reportUnnecessaryIsInstance] - authors are not typed
            raise AuthoringError(
                f"MinimumCount: a number that is not 0 is needed, not {n!r}: so many keys, or all but so many where "
                "it is negative; WaitForAll() waits for every key"
            )
        self.n = n

    def least(self, expected: int) -> int:
        """See WaitPolicy. More than there are: never."""
        return self.n if self.n > 0 else max(0, expected + self.n)

    def count(self) -> int | None:
        """See WaitPolicy."""
        return self.n

    def __repr__(self) -> str:
        return f"MinimumCount({self.n})"


def policy_of(count: int | None) -> WaitPolicy:
    """The policy that `count` described."""
    return WaitForAll() if count is None else MinimumCount(count)


def _first_day(window: Window, at: datetime) -> datetime:
    if at.day != 1:
        raise AuthoringError(
            f"{type(window).__qualname__}: a window of months begins on the first of a month, not at {at.isoformat()}; "
            "its upstream mapper has to give such days"
        )
    return at


def _months_later(at: datetime, months: int) -> datetime:
    """`at` is the first of a month."""
    years, month = divmod(at.month - 1 + months, 12)
    return at.replace(year=at.year + years, month=month + 1)
