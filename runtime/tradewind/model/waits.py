"""What a deferred task instance waits for, and how its attempt goes on afterwards.

A wait belongs to one try of one task instance. It has a key within it: ``""`` for the one wait of
`defer()`; a durable task has one for each place at which it waits. Once a wait has been answered it
stays, answered, until the try is over: an attempt that is lost and repeated finds it again.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tradewind.model.keys import UNMAPPED, AttemptId, RunId
from tradewind.model.outcomes import EncodedValue, Wait

SIGNAL_KIND: Final = "tradewind.signal"
INPUT_KIND: Final = "tradewind.input"
ANSWERED_FROM_OUTSIDE: Final = frozenset({SIGNAL_KIND, INPUT_KIND})
"""Kinds without a trigger: people and programs answer them. The key of such a wait is ``KIND:NAME:N``, for the n-th
wait of that name.
"""


class WaitAnswer(NamedTuple):
    """How a wait ended: with an event's payload, or an error for which the task is resumed to fail."""

    event: EncodedValue | None = None
    error: str | None = None
    timed_out: bool = False


class WaitKey(NamedTuple):
    """One wait. `origin` is the attempt that began it: a later wait under the same key is another one."""

    origin: AttemptId
    run_id: RunId
    task_id: str
    map_index: int = UNMAPPED
    key: str = ""


class WaitRow(NamedTuple):
    """A wait as stored with its task instance."""

    task_id: str
    map_index: int
    origin: AttemptId
    wait: Wait
    answer: WaitAnswer | None = None


class WaitGone(NamedTuple):
    """The wait under this key is no longer there."""

    task_id: str
    map_index: int
    key: str


class Resume(NamedTuple):
    """What a resumed attempt is told: what to call, with what, and how its waits ended."""

    method: str
    kwargs: EncodedValue | None
    answer: WaitAnswer
    answers: tuple[tuple[str, WaitAnswer], ...] = ()
    """The answered waits of a durable task, by key."""
    undoes: bool = False
    """The task is being ended: the attempt goes on only to where it waits, and is cancelled there."""


class Signal(NamedTuple):
    """An answer from outside for a task instance: `kind` is one of `ANSWERED_FROM_OUTSIDE`."""

    task_id: str
    map_index: int
    kind: str
    name: str
    value: EncodedValue
    asked: str = ""
    """The key of the one wait that it answers; without one it is the first of this name, or the next that will come."""
