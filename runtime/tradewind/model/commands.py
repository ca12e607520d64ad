"""What the run machine asks the runtime to do once its changes are committed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from tradewind.model.attempts import Attempt, AttemptKey, WaitStart
from tradewind.model.keys import RunId
from tradewind.model.states import RunState, TaskState


class Ready(NamedTuple):
    """A task instance may start as far as its run is concerned; the limits decide when."""

    run_id: RunId
    node: int


class Freed(NamedTuple):
    """A task instance no longer takes part in the limits."""

    run_id: RunId
    node: int


class Timer(NamedTuple):
    """Send `TimerDue` at this moment."""

    at: datetime
    run_id: RunId
    node: int


class GoOn(NamedTuple):
    """Send `SpreadOn` once this is committed."""

    run_id: RunId
    node: int


class Settled(NamedTuple):
    """A task that later runs may depend on has ended (or was cleared) in this run."""

    run_id: RunId
    task_id: str
    state: TaskState


@dataclass(slots=True)
class Decision:
    """The commands that follow from the events of one turn, in order of their making.

    `ready` and `freed` go to admission at once (they are about limits, not about effects); all
    others are effects and wait for the commit.
    """

    ready: list[Ready] = field(default_factory=list[Ready])
    freed: list[Freed] = field(default_factory=list[Freed])
    start: list[Attempt] = field(default_factory=list[Attempt])
    cancel: list[AttemptKey] = field(default_factory=list[AttemptKey])
    wait: list[WaitStart] = field(default_factory=list[WaitStart])
    unwait: list[WaitStart] = field(default_factory=list[WaitStart])
    """Waits to be ended: each is answered with `WaitEnded` once its trigger's clean-up is over."""
    timers: list[Timer] = field(default_factory=list[Timer])
    go_on: list[GoOn] = field(default_factory=list[GoOn])
    settled: list[Settled] = field(default_factory=list[Settled])
    ended: list[tuple[RunId, RunState]] = field(default_factory=list[tuple[RunId, RunState]])
