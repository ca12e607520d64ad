"""When events from outside start a run, and how many of them go into it: the stated policy of a DAG, without any I/O.

::

    {"batch": 100, "max_wait": 10.0}     a run for every hundred, or for what came within ten seconds of the first
    {"debounce": 5.0, "max_wait": 60.0}  a run when nothing has come for five seconds, after a minute at the latest
    {"throttle": 60.0}                   a run a minute at most; what comes in between goes together
    {"debounce": 5.0, "key": "user.id"}  the same for each user: what its events have in this field keeps them apart
    {}                                   a run for each event
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from tradewind.model.assets import QueueSummary
from tradewind.model.errors import AuthoringError
from tradewind.model.moments import moment_after
from tradewind.model.specs import Json

EVENT_KIND = "outside_events"
"""The kind of timetable that has such a policy."""


@dataclass(frozen=True, slots=True)
class EventPolicy:
    """Times in seconds. Raises AuthoringError for what cannot be."""

    batch: int | None = None
    """The most events of one run. Without it: 1, or all that there are where `debounce` or `throttle` is given."""
    max_wait: float | None = None
    """How long the first event waits at most for others to fill a batch, or for silence."""
    debounce: float | None = None
    """How long no event must have come."""
    throttle: float | None = None
    """How long after the creation of a run the next one is created at the earliest."""
    key: str | None = None
    """The field of the payload, with dots into objects, whose value keeps events apart: each value has silence, batches
    and runs of its own.
    """

    def __post_init__(self) -> None:
        if self.batch is not None and (isinstance(self.batch, bool) or self.batch < 1):
            raise AuthoringError(f"batch has to be a number from 1, not {self.batch!r}")
        for name in ("max_wait", "debounce", "throttle"):
            value: float | None = getattr(self, name)
            if value is not None and not 0 < value < 366 * 86_400:
                raise AuthoringError(f"{name} has to be longer than zero and at most a year, not {value:g} s")
        if self.max_wait is not None and self.debounce is None and self.most in (1, None):
            raise AuthoringError("max_wait goes with debounce, or with a batch of more than 1: else nothing waits")
        if self.max_wait is not None and self.debounce is not None and self.max_wait < self.debounce:
            raise AuthoringError("max_wait must not be shorter than debounce")
        if self.key is not None:
            self._check_key(self.key)

    def _check_key(self, key: str) -> None:
        if not all(key.split(".")):
            raise AuthoringError(f"key has to name a field of the payload, as in 'user' or 'user.id', not {key!r}")
        if self.throttle is not None:
            raise AuthoringError("a throttle holds for all runs of the DAG, so it cannot go with a key")
        if self.most == 1:
            raise AuthoringError("key goes with debounce or a batch: without them each event is a run of its own")

    @property
    def most(self) -> int | None:
        """The most events of one run; None: all that there are."""
        if self.batch is None and self.debounce is None and self.throttle is None:
            return 1
        return self.batch

    @staticmethod
    def of(args: Mapping[str, Json]) -> EventPolicy:
        """Reads the arguments of a timetable."""
        names = ("batch", "max_wait", "debounce", "throttle", "key")
        return EventPolicy(*(args.get(name) for name in names))

    def to_json(self) -> dict[str, Json]:
        """What is said, and nothing else."""
        said: dict[str, Json] = {"batch": self.batch, "max_wait": self.max_wait, "debounce": self.debounce}
        said |= {"throttle": self.throttle, "key": self.key}
        return {name: value for name, value in said.items() if value is not None}

    def summary(self) -> str:
        """A few words for lists."""
        parts = [f"{name} {value:g} s" for name, value in self.to_json().items() if name not in ("batch", "key")]
        if self.most != 1:
            parts.insert(0, "all together" if self.most is None else f"up to {self.most} together")
        if self.key is not None:
            parts.append(f"for each {self.key}")
        return ", ".join(parts) or "one by one"


class Verdict(NamedTuple):
    """What follows. `take`: how many events go into a run now; else `at` is when to look again, and `reason` why."""

    take: int = 0
    at: datetime | None = None
    reason: str = ""


def verdict(policy: EventPolicy, waiting: QueueSummary, now: datetime) -> Verdict:
    """Whether the events that wait start a run. `waiting.last_run_at` matters for a throttle alone."""
    if not waiting.size or waiting.first_at is None or waiting.last_at is None:
        return Verdict(reason="no event waits")
    most = policy.most
    at, reason = waiting.first_at, ""
    if most is not None and waiting.size >= most:
        pass  # a full batch waits for nothing but the throttle
    elif policy.debounce is not None:
        at, reason = moment_after(waiting.last_at, policy.debounce), "debounce"
        if policy.max_wait is not None:
            at = min(at, moment_after(waiting.first_at, policy.max_wait))
    elif policy.max_wait is not None:
        at, reason = moment_after(waiting.first_at, policy.max_wait), "batch"
    if policy.throttle is not None and waiting.last_run_at is not None:
        free = moment_after(waiting.last_run_at, policy.throttle)
        if free > max(at, now):
            at, reason = free, "throttle"
    if at > now:
        return Verdict(at=at, reason=reason)
    return Verdict(take=waiting.size if most is None else min(most, waiting.size))


class KeysVerdict(NamedTuple):
    """What follows where a key keeps events apart: so many of these keys' events go into a run each; else when to look
    again, and why.
    """

    take: tuple[tuple[str | None, int], ...] = ()
    at: datetime | None = None
    reason: str = ""


def verdict_by_key(policy: EventPolicy, waiting: Mapping[str | None, QueueSummary], now: datetime) -> KeysVerdict:
    """As `verdict`, for each key on its own."""
    said = {key: verdict(policy, summary, now) for key, summary in waiting.items()}
    take = tuple((key, one.take) for key, one in said.items() if one.take)
    later = [(one.at, one.reason) for one in said.values() if one.at is not None]
    if take or not later:
        return KeysVerdict(take, None, "" if take else "no event waits")
    return KeysVerdict((), *min(later))
