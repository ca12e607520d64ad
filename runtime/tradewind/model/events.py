"""What can happen to a run: the events that the run machine takes in.

Every event carries a `Stamp`: its moment, the number of its cause and a random draw, so that the
machine needs neither clock nor chance and every decision can be replayed.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from tradewind.model.durable import Step
from tradewind.model.keys import AttemptId
from tradewind.model.outcomes import EncodedValue, Outcome
from tradewind.model.waits import WaitAnswer, WaitKey


class Stamp(NamedTuple):
    """When, why and with which luck. `draw` is in [0, 1)."""

    at: datetime
    cause: int
    draw: float = 0.0


class RunActivated(NamedTuple):
    """A queued run may start. `past` says for tasks that depend on it whether the past is settled."""

    stamp: Stamp
    past: Mapping[str, bool]


class Admitted(NamedTuple):
    """The limits let this task instance start, as this attempt."""

    stamp: Stamp
    node: int
    attempt: AttemptId
    starts_at_once: bool


class AttemptBegan(NamedTuple):
    """The executor says where the attempt's body runs."""

    stamp: Stamp
    attempt: AttemptId
    hostname: str
    pid: int | None


class AttemptEnded(NamedTuple):
    """The attempt has come to its end."""

    stamp: Stamp
    attempt: AttemptId
    outcome: Outcome
    started_at: datetime | None
    ended_at: datetime
    hostname: str | None = None
    pid: int | None = None


class XComStored(NamedTuple):
    """A running attempt stores a value before its end."""

    stamp: Stamp
    attempt: AttemptId
    key: str
    value: EncodedValue


class StepStored(NamedTuple):
    """A running attempt has taken a step, or is about to."""

    stamp: Stamp
    attempt: AttemptId
    step: Step


class SignalSent(NamedTuple):
    """Somebody answers a wait that has no trigger, or will have: the next one of this kind and name."""

    stamp: Stamp
    node: int
    kind: str
    name: str
    value: EncodedValue


class WaitAnswered(NamedTuple):
    """A trigger has fired or failed. With an `outcome` it ends the task instance as well."""

    stamp: Stamp
    wait: WaitKey
    answer: WaitAnswer
    outcome: Outcome | None = None


class WaitEnded(NamedTuple):
    """A trigger that was to be ended is gone, its clean-up included."""

    stamp: Stamp
    wait: WaitKey


class TimerDue(NamedTuple):
    """The moment that a waiting instance named has come. Outdated if its `due_at` differs."""

    stamp: Stamp
    node: int
    due_at: datetime


class PastSettled(NamedTuple):
    """The previous run's instance of a task has ended in a way that lets this run's one start."""

    stamp: Stamp
    task_id: str


class TasksCleared(NamedTuple):
    """People want these task instances to run again."""

    stamp: Stamp
    nodes: tuple[int, ...]


class SpreadOn(NamedTuple):
    """The last part of a large expansion is committed: the next one, please."""

    stamp: Stamp
    node: int


class RunCancelled(NamedTuple):
    """The run is to end as failed now. `reason` is one sentence."""

    stamp: Stamp
    reason: str


RunEvent = (
    RunActivated
    | Admitted
    | AttemptBegan
    | AttemptEnded
    | XComStored
    | StepStored
    | SignalSent
    | WaitAnswered
    | WaitEnded
    | TimerDue
    | PastSettled
    | TasksCleared
    | SpreadOn
    | RunCancelled
)
