"""A runtime whose coroutines are in async hosts: the whole way, from a DAG file to what its run leaves."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from tests.services.in_hosts import begun, host_at_work, running, value_of
from tradewind.host import Runtime
from tradewind.model.loop import CoroutineKind, OffenceKind
from tradewind.model.states import OutcomeKind, RunState

FLOW = """
import asyncio, os
from datetime import datetime
from pathlib import Path
from tradewind import DAG, Variable, task

GATE = Path({gate!r})

with DAG("flow", schedule=None, is_paused_upon_creation=False, start_date=datetime(2026, 1, 1)):
    @task
    async def numbers() -> list[int]:
        return [1, 2, 3]

    @task
    async def waits(n: int) -> list[int]:
        print(f"waits {{n}} in {{os.getpid()}}")
        while not await asyncio.to_thread(GATE.exists):
            await asyncio.sleep(0.01)
        return [n * int(await Variable.aget("factor")), os.getpid()]

    @task(retries=0)
    async def gathered(found) -> list[int]:
        return [value for value, _ in found]

    gathered(waits.expand(n=numbers()))
"""

MOVED = """
import os, time
from datetime import datetime
from tradewind import DAG, task

with DAG("moved", schedule=None, is_paused_upon_creation=False, start_date=datetime(2026, 1, 1)):
    @task
    async def blocks() -> int:
        time.sleep(0.2)
        return os.getpid()

    blocks()
"""

SLOW_CLIENT = """
import os, time
from collections.abc import AsyncIterator
from datetime import datetime
from tradewind import DAG, resource, task

@resource
async def slow(run_id: str) -> AsyncIterator[int]:
    time.sleep(0.2)
    yield os.getpid()

with DAG("opens", schedule=None, is_paused_upon_creation=False, start_date=datetime(2026, 1, 1)):
    @task
    async def uses(run_id=None) -> int:
        async with slow(run_id) as client:
            return client

    uses()
"""


DEFERS = """
import asyncio, os
from collections.abc import AsyncIterator
from datetime import datetime
from tradewind import DAG, Trigger, TriggerEvent, defer, task, trigger

async def forgotten():
    await asyncio.sleep(600)

@trigger(kind="tests.leaky")
class Leaky(Trigger):
    note: str
    async def run(self) -> AsyncIterator[TriggerEvent]:
        self.kept = asyncio.create_task(forgotten(), name="left by the trigger")
        await asyncio.sleep(0)
        yield TriggerEvent([self.note, os.getpid()])

with DAG("defers", schedule=None, is_paused_upon_creation=False, start_date=datetime(2026, 1, 1)):
    @task
    async def waits(event=None):
        if event is None:
            defer(Leaky("noted"))
        return [event, os.getpid()]

    waits()
"""


async def test_a_run_survives_the_death_of_its_host(tmp_path: Path) -> None:
    """Its attempts are lost, the same tries are queued again, and nothing is retried."""
    gate = tmp_path / "gate"
    async with running(tmp_path, FLOW.format(gate=str(gate)), "host") as runtime:
        await runtime.services.store.variable_set("factor", "10")
        run = await begun(runtime, "flow")
        first = await host_at_work(runtime, 3)
        os.kill(first, signal.SIGKILL)
        second = await host_at_work(runtime, 3, but=first)
        await asyncio.to_thread(gate.touch)
        ended = await runtime.control.run_wait(run.run_id)
        assert ended.state is RunState.SUCCESS
        assert await value_of(runtime, run, "gathered") == [10, 20, 30]
        assert await value_of(runtime, run, "waits", 1) == [20, second]
        attempts = await runtime.control.reads.attempt_list(run.run_id, "waits")
        assert sorted(str(attempt.kind) for attempt in attempts) == ["lost"] * 3 + ["success"] * 3
        assert {attempt.try_number for attempt in attempts} == {1}
        assert {attempt.pid for attempt in attempts if attempt.kind is OutcomeKind.SUCCESS} == {second}
        report = runtime.control.loop_report()
        assert (report.counters["hosts_died"], report.counters["hosts_started"]) == (1, 2)


async def is_moved_by_its_fourth_run(runtime: Runtime, dag_id: str, task_id: str) -> None:
    """The task returns the process that it ran in."""
    places: list[object] = []
    for _ in range(4):
        run = await begun(runtime, dag_id)
        assert (await runtime.control.run_wait(run.run_id)).state is RunState.SUCCESS
        places.append(await value_of(runtime, run, task_id))
    assert places[:3] == [os.getpid()] * 3
    assert places[3] != os.getpid()


@pytest.mark.blocks_the_loop
async def test_who_blocks_the_loop_again_and_again_is_moved(tmp_path: Path) -> None:
    async with running(tmp_path, MOVED, "loop") as runtime:
        await is_moved_by_its_fourth_run(runtime, "moved", "blocks")
        report = runtime.control.loop_report()
        kind = CoroutineKind("moved", "blocks")
        assert report.isolated == (kind,)
        assert [use.place for use in report.kinds if use.kind == kind] == ["loop", "hosts"]
        assert len(report.offences) >= 3
        assert {offence.kind for offence in report.offences} == {kind}


@pytest.mark.blocks_the_loop
async def test_whose_clients_block_the_loop_is_moved_with_them(tmp_path: Path) -> None:
    async with running(tmp_path, SLOW_CLIENT, "loop") as runtime:
        await is_moved_by_its_fourth_run(runtime, "opens", "uses")
        report = runtime.control.loop_report()
        assert report.isolated == (CoroutineKind("opens", "uses"),)
        assert {offence.kind.what for offence in report.offences} == {"client"}


async def test_tasks_in_hosts_defer(tmp_path: Path) -> None:
    """The trigger waits in the host of its task, what it leaves behind is ended, and the task goes on there."""
    async with running(tmp_path, DEFERS, "host") as runtime:
        run = await begun(runtime, "defers")
        assert (await runtime.control.run_wait(run.run_id)).state is RunState.SUCCESS
        value = await value_of(runtime, run, "waits")
        [facts] = runtime.control.loop_report().hosts
        assert value == [["noted", facts.pid], facts.pid]
        async with asyncio.timeout(60):
            while True:
                report = runtime.control.loop_report()
                if report.offences:
                    break
                await asyncio.sleep(0.01)
        [leak] = report.offences
        assert (leak.offence, leak.kind) == (OffenceKind.LEAKED, CoroutineKind("defers", "waits", "trigger"))
        assert leak.tasks == ("left by the trigger (forgotten)",)
        assert {(use.kind.what, use.place) for use in report.kinds} == {("task", "hosts"), ("trigger", "hosts")}
