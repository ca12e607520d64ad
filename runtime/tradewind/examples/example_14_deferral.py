"""Waits that outlive their attempts: a trigger of one's own, a function that defers, sensors that hold nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any, TypedDict

from tradewind import DAG, BaseOperator, Context, DateTimeSensor, Trigger, TriggerEvent, defer, task, trigger


class Result(TypedDict):
    """What the kitchen says of an order."""

    order: str
    minutes: int


@trigger(kind="example.kitchen")
class OrderReady(Trigger):
    """Waits until the kitchen is done with an order: here it throws dice, as there is no kitchen to ask."""

    order: str
    ask_every: float = 0.2

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Runs in the runtime, beside many others: it awaits, and never blocks."""
        asked = 1
        while random.random() < 0.5:  # noqa: S311 - a game
            self.log.info("%s is not ready yet", self.order)
            await asyncio.sleep(self.ask_every)
            asked += 1
        yield TriggerEvent(Result(order=self.order, minutes=asked))


class Dish(BaseOperator):
    """Orders a dish, waits for it without slot or process, and serves it."""

    def __init__(self, *, order: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.order = order

    def execute(self, context: Context) -> None:
        """The first part; `defer` ends it."""
        self.log.info("ordering %s", self.order)
        self.defer(trigger=OrderReady(self.order), method_name="serve", timeout=timedelta(minutes=5))

    def serve(self, context: Context, event: Result) -> int:
        """The second part, in a process of its own."""
        self.log.info("%s took %s minutes", event["order"], event["minutes"])
        return event["minutes"]


with DAG(
    "example_14_deferral",
    "Waits that outlive their attempts",
    schedule=None,
    tags=["example"],
    is_paused_upon_creation=False,
    doc_md="""
### Deferral

A task that defers ends its attempt and names a *trigger*: a small coroutine in the runtime that waits for it, with
thousands of others. When the trigger fires, the task goes on. In between it holds no slot and no process, and
a restart of the runtime does not disturb it: what is waited for is in the database.
""",
):

    @task
    async def dessert(order: str, event: Result | None = None) -> int:
        """A function defers too: it is called again from its top, with the event."""
        if event is None:
            defer(OrderReady(order), timeout=timedelta(minutes=5))
        return event["minutes"]

    @task
    async def bill(minutes: list[int]) -> int:
        """All that was waited."""
        return sum(minutes)

    opening = DateTimeSensor(
        task_id="opening", target_time="{{ dag_run.start_date + macros.timedelta(seconds=1) }}", deferrable=True
    )
    soup = Dish(task_id="soup", order="soup")
    sweet = dessert("cake")
    opening >> [soup, sweet]
    bill([soup.output, sweet])
