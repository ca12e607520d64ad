"""What a durable task has done: its steps, kept until its task instance is cleared."""

from __future__ import annotations

from typing import NamedTuple

from tradewind.model.outcomes import EncodedValue


class Step(NamedTuple):
    """One step of a task. `digest` tells its arguments apart; without a `value` it was begun and is not known to have
    ended.
    """

    key: str
    digest: bytes
    value: EncodedValue | None


class StepRow(NamedTuple):
    """A step as stored with its task instance. Without a step: all of the instance's steps go."""

    task_id: str
    map_index: int
    step: Step | None
