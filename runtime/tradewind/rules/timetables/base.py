"""What every timetable answers, and the values that it answers with. All instants are aware and in UTC."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime
from typing import NamedTuple


class DataInterval(NamedTuple):
    """The span of time that a run is about: from `start` up to, but without, `end`."""

    start: datetime
    end: datetime

    @classmethod
    def exact(cls, at: datetime) -> DataInterval:
        """An interval without length: a moment."""
        return cls(at, at)


class TimeRestriction(NamedTuple):
    """The bounds within which a DAG may be scheduled.

    `earliest` and `latest` are the least start date and the greatest end date of the DAG and its
    tasks; None is open. Without `catchup` what lies in the past is left out but for its newest.
    """

    earliest: datetime | None
    latest: datetime | None
    catchup: bool


class RunInfo(NamedTuple):
    """A run that is to be: not before `run_after`, about `interval`."""

    run_after: datetime
    logical_date: datetime
    interval: DataInterval

    @classmethod
    def of(cls, start: datetime, end: datetime) -> RunInfo:
        """A run about `start` to `end`, as soon as that is over."""
        return cls(end, start, DataInterval(start, end))


class Timetable(ABC):
    """When a DAG runs. Immutable and pure: the clock's reading is always an argument.

    `summary` is the short text of lists; `description` a sentence, or empty.
    """

    summary: str = "None"
    description: str = ""
    can_be_scheduled: bool = True
    periodic: bool = True
    """Whether its runs divide time up (False: once, continuous, events, none)."""

    @abstractmethod
    def next_run(self, last: DataInterval | None, restriction: TimeRestriction, now: datetime) -> RunInfo | None:
        """The run that follows the one about `last` (None: the first). None: there is no further run.

        `now` matters only where `restriction.catchup` is off and for the continuous timetable.
        Successive calls, each given the interval of the answer before, move strictly forward.
        """

    @abstractmethod
    def manual_interval(self, run_after: datetime) -> DataInterval:
        """What a run that is triggered by hand at `run_after` is about."""

    def previous_schedule(self, moment: datetime) -> datetime | None:
        """Where the interval before the one that starts at `moment` starts; None where runs do not divide time up."""
        del moment
        return None

    def following_schedule(self, moment: datetime) -> datetime | None:
        """Where the interval after the one that holds `moment` starts; None where there is none."""
        del moment
        return None
