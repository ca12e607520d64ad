"""Clients that tasks of a runtime share: who is told what, and how they end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tests.services.conftest import StartRuntime
from tradewind import DAG, AsyncHook, Connection, resource, task
from tradewind.authoring.loop_clients import Wanted, clients_here
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.rows import RunRow
from tradewind.worker.client_watch import clients_of_loop

say = logging.getLogger("tradewind.task.of_users")


async def ended(runtime: Runtime, dag_id: str) -> RunRow:
    run = await runtime.control.run_trigger(TriggerRequest(dag_id, unpause=True))
    return await runtime.control.run_wait(run.run_id, 60)


async def log_of(runtime: Runtime, text: str) -> str:
    """The logs of all attempts, once they say `text`."""
    root = Path(runtime.config.logging.folder)

    def read() -> str:
        return "".join(file.read_text() for file in root.rglob("*") if file.is_file())

    async with asyncio.timeout(60):
        while text not in (log := await asyncio.to_thread(read)):
            pass  # another look
    return log


@pytest.mark.blocks_the_loop
async def test_code_that_opens_a_client_is_watched(start: StartRuntime, caplog: pytest.LogCaptureFixture) -> None:
    @resource
    async def slow() -> AsyncIterator[int]:
        time.sleep(0.3)  # noqa: ASYNC251 - that is what is to be found
        yield 1

    with DAG("d", schedule=None) as dag:

        @task
        async def use() -> None:
            async with slow():
                pass

        use()
    runtime = await start(dag)
    with caplog.at_level(logging.WARNING):
        assert (await ended(runtime, "d")).state == "success"
    assert "client use of DAG d" in caplog.text
    log = await log_of(runtime, "held the event loop")
    assert "test_shared_clients.py" in log


async def test_a_client_outlives_the_task_that_opened_it(start: StartRuntime) -> None:
    """With what runs in it, and in the log of the first only while it opens."""
    beats: list[asyncio.Task[None]] = []

    class BeatingHook(AsyncHook[asyncio.Task[None]]):
        @asynccontextmanager
        async def connect(self, conn: Connection) -> AsyncGenerator[asyncio.Task[None]]:
            say.info("opening %s", conn.host)

            async def beat() -> None:
                await asyncio.Event().wait()

            beating = asyncio.create_task(beat())
            beats.append(beating)
            yield beating
            say.info("never in the log of a task")
            beating.cancel()

    with DAG("d", schedule=None) as dag:

        @task
        async def use() -> bool:
            async with BeatingHook("it") as beating:
                return not beating.done()

        use()
    runtime = await start(dag)
    await runtime.services.store.connection_set("it", '{"host": "there"}')
    for _ in range(2):
        assert (await ended(runtime, "d")).state == "success"
    assert len(beats) == 1
    assert not beats[0].done()
    await clients_here().close()
    await asyncio.wait(beats)
    log = await log_of(runtime, "opening there")
    assert log.count("opening there") == 1
    assert "never in the log" not in log
    assert "left behind" not in log


async def test_a_cancelled_runtime_still_closes_its_clients_in_good_order() -> None:
    said: list[str] = []

    @asynccontextmanager
    async def polite() -> AsyncGenerator[None]:
        yield
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        said.append("good-bye")

    with anyio.CancelScope() as scope:
        async with clients_of_loop() as clients:
            async with clients.use(Wanted("a polite one", "k", "k", polite)):
                pass
            scope.cancel()
            await asyncio.sleep(0)
    assert scope.cancelled_caught
    assert said == ["good-bye"]


async def test_what_is_cancelled_leaves_its_client_to_others(start: StartRuntime) -> None:
    let_in = asyncio.Event()
    opening = asyncio.Event()

    @resource
    async def gate() -> AsyncIterator[str]:
        opening.set()
        await let_in.wait()
        yield "open"

    with DAG("d", schedule=None) as dag:

        @task(execution_timeout=0.05)
        async def impatient() -> None:
            async with gate():
                pass

        @task
        async def patient() -> str:
            async with gate() as found:
                return found

        impatient()
        patient()
    runtime = await start(dag)
    running = asyncio.create_task(ended(runtime, "d"))
    async with asyncio.timeout(60):
        await opening.wait()
        await log_of(runtime, "execution_timeout of 0.05 s has passed")
        let_in.set()
        run = await running
    states = {row.task_id: row.state for row in await runtime.control.reads.instance_list(run.run_id)}
    assert states == {"impatient": "failed", "patient": "success"}
