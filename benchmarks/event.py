"""How long from an event posted over HTTP to the start of the first task of the run that it causes?"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
from aiohttp import ClientSession, web

from benchmarks.samples import percentiles
from benchmarks.stage import Stage, run, stage
from tradewind.model.rows import UserRow
from tradewind.model.states import RunState
from tradewind.ports import RunFilter
from tradewind.web.auth.passwords import hash_password
from tradewind.web.server import WebServer
from tradewind.web.settings import WebConfig

SOURCE = """
import sys
from time import perf_counter_ns
from tradewind import DAG, EventSchedule, task

with DAG("orders", schedule=EventSchedule("orders"), is_paused_upon_creation=False):
    @task
    async def look(dag_run=None):
        began = perf_counter_ns()
        sys.modules["benchmarks.event"].STARTED[dag_run.conf["n"]].set_result(began)
    look()
"""

STARTED: dict[int, asyncio.Future[int]] = {}
"""When the body of the task of each event began; it runs on this loop."""

WARM_UP = 20
PASSWORD = "for the benchmark"
AS_ADMIN = {"Authorization": "Basic " + b64encode(f"admin:{PASSWORD}".encode()).decode()}


async def _post(api: ClientSession, n: int) -> int:
    """The moment before the event was sent, in nanoseconds; it is durable when this returns."""
    STARTED[n] = asyncio.get_running_loop().create_future()
    began = time.perf_counter_ns()
    async with api.post("events", json={"name": "orders", "key": str(n), "payload": {"n": n}}) as answer:
        if answer.status != 202:
            raise SystemExit(f"event {n}: {answer.status} {await answer.text()}")
    return began


@asynccontextmanager
async def _served(st: Stage) -> AsyncGenerator[ClientSession]:
    store = st.runtime.services.store
    await store.user_set(UserRow("admin", await hash_password(PASSWORD), "Admin"))
    config = WebConfig(secret_key=b"sixteen bytes or more", port=0)
    async with (
        WebServer(st.runtime.control, config) as server,
        ClientSession(f"http://127.0.0.1:{server.port}/api/v1/", headers=AS_ADMIN) as api,
    ):
        yield api


async def _floor(database: str, count: int) -> list[float]:
    """The same over HTTP without an engine: a commit before the answer, two more before the start. Milliseconds."""
    connection = await asyncpg.connect(database)
    await connection.execute("create table bench_floor (n bigint)")
    insert = await connection.prepare("insert into bench_floor values ($1)")
    started: dict[int, asyncio.Future[int]] = {}

    async def go_on(n: int) -> None:
        await insert.fetch(n)
        await insert.fetch(n)
        started[n].set_result(time.perf_counter_ns())

    going: set[asyncio.Task[None]] = set()

    async def take(request: web.Request) -> web.Response:
        n = (await request.json())["n"]
        await insert.fetch(n)
        task = asyncio.create_task(go_on(n))
        going.add(task)
        task.add_done_callback(going.discard)
        return web.json_response({}, status=202)

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    address: tuple[str, int] = runner.addresses[0]
    times: list[float] = []
    async with ClientSession(f"http://127.0.0.1:{address[1]}") as client:
        for n in range(count):
            started[n] = asyncio.get_running_loop().create_future()
            began = time.perf_counter_ns()
            async with client.post("/", json={"n": n}):
                pass
            times.append((await started[n] - began) / 1e6)
    await runner.cleanup()
    await connection.execute("drop table bench_floor")
    await connection.close()
    return times[WARM_UP:]


async def _measure(events: int, samples: Path | None) -> dict[str, object]:
    async with stage({"orders.py": SOURCE}) as st, _served(st) as api:
        latencies: list[float] = []
        for n in range(WARM_UP + events):
            began = await _post(api, n)
            async with asyncio.timeout(30):
                latencies.append((await STARTED[n] - began) / 1e6)
        latencies = latencies[WARM_UP:]
        if samples is not None:
            text = "".join(f"{one:.4f}\n" for one in latencies)
            await asyncio.to_thread(samples.write_text, text)
        floor = percentiles(await _floor(st.database, WARM_UP + events))
        runs = (await st.runtime.control.reads.run_list(RunFilter("orders", limit=1)))[1]
        failed = (await st.runtime.control.reads.run_list(RunFilter("orders", (RunState.FAILED,), limit=1)))[1]
        figures = percentiles(latencies)
        return {
            **figures,
            "events": events,
            "runs": runs,
            "floor_ms": floor["p50_ms"],
            "ratio_to_floor": round(floor["p50_ms"] / figures["p50_ms"], 3),
            "sweep_finds": st.sweep_finds,
            "valid": runs == WARM_UP + events and not failed,
        }


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """p50_ms, p99_ms: before the POST to the start of the task's body; the event durable in between, the run and its
    start as well. floor_ms: one commit before the answer to a POST and two after it, without an engine.
    """
    return run(_measure(size or 300, samples))
