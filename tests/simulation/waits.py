"""Random waits: of attempts that defer, of tasks that begin with one, and how they are answered."""

from __future__ import annotations

import dataclasses
import random
from datetime import datetime, timedelta
from typing import Final

from tests.simulation.durable_journal import number
from tradewind.model.outcomes import EncodedValue, Outcome, Wait
from tradewind.model.specs import Json, TaskSpec
from tradewind.model.states import OutcomeKind
from tradewind.model.waits import SIGNAL_KIND, Resume, WaitAnswer

SIGNAL: Final = "go"
_GO: Final = f"{SIGNAL_KIND}:{SIGNAL}:"
_ENDS = (OutcomeKind.SUCCESS, OutcomeKind.SUCCESS, OutcomeKind.SKIPPED, OutcomeKind.FAILED, OutcomeKind.TIMED_OUT)


def some_waits(dice: random.Random, now: datetime) -> Outcome:
    """The end of an attempt that defers."""
    draw = dice.random()
    keys = [""] if draw < 0.5 else dice.sample(["x", "y"], dice.randint(1, 2)) if draw < 0.9 else ["", "x"]
    return Outcome(OutcomeKind.DEFERRED, waits=tuple(_wait(dice, now, key) for key in keys))


def _wait(dice: random.Random, now: datetime, key: str) -> Wait:
    kind = dice.choice(("acme.queue", "acme.topic"))
    args = EncodedValue(1, str(dice.randint(1, 2)).encode())
    kwargs = EncodedValue(1, str(dice.randint(1, 1000)).encode())
    wait = Wait(kind, args, "" if key else "go_on", None if key else kwargs, key=key)
    draw = dice.random()
    if draw < 0.25:
        wait = wait._replace(due=now + timedelta(seconds=dice.choice((0, 1, 30, 300))))
    if draw > 0.6 or (draw < 0.1 and key):
        wait = wait._replace(deadline=now + timedelta(seconds=dice.choice((0, 2, 60, 600))))
    return wait


def durable_waits(dice: random.Random, now: datetime, resume: Resume | None, *, undo: bool) -> Outcome:
    """The end of a durable attempt, which comes to its next signal, or to one of these and something else. `undo`:
    ended from outside it has something to undo.
    """
    seen = {number(key) for key, _ in (resume.answers if resume is not None else ()) if key.startswith(_GO)}
    wait = Wait(SIGNAL_KIND, key=f"{_GO}{next(n for n in range(100) if n not in seen)}")
    if dice.random() < 0.2:
        wait = wait._replace(deadline=now + timedelta(seconds=dice.choice((0, 30, 600))))
    more = (_wait(dice, now, "x"),) if dice.random() < 0.3 else ()
    return Outcome(OutcomeKind.DEFERRED, waits=tuple(one._replace(undo=undo) for one in (wait, *more)))


def some_durable(dice: random.Random, tasks: list[TaskSpec]) -> list[TaskSpec]:
    """The tasks, some of which are durable."""
    return [
        dataclasses.replace(task, is_async=True, starts_deferred=None)
        if dice.random() < 0.6 and not task.is_empty
        else task
        for task in tasks
    ]


def begin_some_with_a_wait(dice: random.Random, tasks: list[TaskSpec]) -> list[TaskSpec]:
    """The tasks, some of which begin with a trigger in place of an attempt."""
    return [
        dataclasses.replace(task, starts_deferred=_start(dice)) if dice.random() < 0.25 and not task.is_empty else task
        for task in tasks
    ]


def _start(dice: random.Random) -> dict[str, Json]:
    start: dict[str, Json] = {"kind": "acme.start", "args": [1, "MQ=="], "method": "go_on", "kwargs": None}
    if dice.random() < 0.3:
        start["after"] = float(dice.choice((0, 5, 90)))
    if dice.random() < 0.3:
        start["timeout"] = float(dice.choice((1, 60)))
    return start


def some_answer(dice: random.Random) -> WaitAnswer:
    """What a trigger says; hardly any two are the same."""
    if dice.random() < 0.1:
        return WaitAnswer(error=f"error {dice.randint(1, 10**9)}")
    return WaitAnswer(EncodedValue(1, str(dice.randint(1, 10**9)).encode()))


def some_end(dice: random.Random, wait: Wait) -> Outcome | None:
    """Some triggers end their task as well."""
    return Outcome(dice.choice(_ENDS)) if not wait.key and dice.random() < 0.2 else None
