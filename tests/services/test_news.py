"""What is told to viewers besides runs and tasks: that there is something new to fetch."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from tests.services.conftest import StartRuntime
from tradewind import DAG, task
from tradewind.authoring.deadlines import AsyncCallback, DeadlineAlert, DeadlineReference
from tradewind.control_ports import LiveEvent, TriggerRequest
from tradewind.services.live import LiveHub


async def called(**_: object) -> None: ...


@pytest.mark.blocks_the_loop  # making a DAG looks into this file
async def test_a_missed_deadline_and_a_report_of_the_loop_are_told(start: StartRuntime) -> None:
    both = asyncio.Event()
    at_once = DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, timedelta(0), AsyncCallback(called), name="at once")
    with DAG("d", schedule=None, deadline=at_once) as dag:

        @task
        async def leaves_behind() -> None:
            left = asyncio.create_task(asyncio.Event().wait(), name="forgotten")
            left.set_name("forgotten")

        @task
        async def waits() -> None:
            await both.wait()

        leaves_behind()
        waits()

    runtime = await start(dag)
    events = runtime.control.live_events("d")
    first = asyncio.ensure_future(anext(aiter(events)))
    await asyncio.sleep(0)  # the subscription is in place
    run = await runtime.control.run_trigger(TriggerRequest("d", unpause=True))
    kinds, left = {(await first).kind}, list[tuple[str, ...]]()
    async with asyncio.timeout(60):
        async for event in events:
            kinds.add(event.kind)
            left = [found.tasks for found in runtime.control.loop_report().offences if found.tasks]
            if kinds >= {"loop", "deadlines"} and left:
                break
    assert left == [("forgotten (Event.wait)",)]
    both.set()
    await runtime.control.run_wait(run.run_id, 60)


async def test_equal_news_are_told_once_and_push_nothing_out() -> None:
    hub = LiveHub()
    events = aiter(hub.subscribe("a"))
    first = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    for _ in range(5_000):
        hub.hint(LiveEvent("queries", "a", "r"))
        hub.hint(LiveEvent("queries", "b", "r"))
    hub.publish(LiveEvent("run", "a", "r"))
    assert await first == LiveEvent("run", "a", "r")
    assert await anext(events) == LiveEvent("queries", "a", "r")
    hub.hint(LiveEvent("watchers"))
    assert await anext(events) == LiveEvent("watchers")
    hub.hint(LiveEvent("queries", "a", "r"))
    assert await anext(events) == LiveEvent("queries", "a", "r"), "what is new after it was told is told again"
