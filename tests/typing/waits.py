# pyright: strict
"""Triggers and deferral that must type-check under strict rules, without casts. A test imports it, too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, assert_type

from tradewind import (
    DAG,
    BaseOperator,
    BaseTrigger,
    Context,
    DateTimeSensor,
    FileSensor,
    StartTriggerArgs,
    TaskDeferred,
    TaskSuccessEvent,
    Trigger,
    TriggerEvent,
    chain,
    defer,
    task,
    trigger,
)


@trigger(kind="typing.queue")
class QueueMessage(Trigger):
    queue: str
    words: list[str] = field(default_factory=list[str])
    pause: timedelta = timedelta(seconds=1)
    limit: ClassVar[int] = 3

    async def run(self) -> AsyncIterator[TriggerEvent]:
        assert_type(self.queue, str)

        async def ack() -> None:
            self.log.info("acknowledged")

        yield TriggerEvent(payload={"queue": self.queue}, ack=ack)


class Named(Trigger, kind="typing.named"):
    n: int = 1

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TaskSuccessEvent(xcoms={"n": self.n})

    async def on_kill(self) -> None:
        await self.cleanup()


class Old(BaseTrigger):
    def __init__(self, x: int) -> None:
        super().__init__()
        self.x = x

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{__name__}.Old", {"x": self.x}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent(self.x)


assert_type(QueueMessage("a"), QueueMessage)
assert_type(QueueMessage(queue="a", pause=timedelta(0)).words, list[str])


class Job(BaseOperator):
    start_trigger_args = StartTriggerArgs(trigger_cls="typing.named", next_method="done", trigger_kwargs={"n": 2})

    def execute(self, context: Context) -> int:
        self.defer(trigger=QueueMessage("a"), method_name="done", kwargs={"n": 1}, timeout=timedelta(hours=1))

    async def done(self, context: Context, event: dict[str, str], n: int = 0) -> int:
        return n


with DAG("waits", schedule=None) as waits:

    @task
    async def function(name: str, event: dict[str, str] | None = None) -> str:
        if event is None:
            defer(QueueMessage(name), timeout=60)
        return event["queue"]

    @task
    def other(event: int | None = None) -> int:
        if event is None:
            raise TaskDeferred(trigger=Old(3), method_name="execute")
        return event

    moment = DateTimeSensor(task_id="moment", target_time=datetime(2026, 1, 1, tzinfo=UTC), deferrable=True)
    chain(
        moment, [function("a"), other(), Job(task_id="job"), FileSensor(task_id="file", filepath="/f", deferrable=True)]
    )
