"""What tasks publish while they run and wait, read through the API, over a real runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiohttp import ClientSession

from tests.web.conftest import ADMIN, HASHES, SECRET
from tradewind import DAG, Context, signal, task
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Parts, Runtime
from tradewind.model.errors import XComError
from tradewind.model.rows import UserRow
from tradewind.services.answering import Place, send_signal
from tradewind.store.memory import MemoryStore
from tradewind.web.server import WebServer
from tradewind.web.settings import WebConfig

pytestmark = pytest.mark.blocks_the_loop  # the start of a runtime reads small files on the loop


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))


class Served(NamedTuple):
    """A runtime with its API."""

    runtime: Runtime
    client: ClientSession

    async def get(self, path: str, status: int = 200) -> Any:
        async with self.client.get(path) as answer:
            assert answer.status == status, await answer.text()
            return await answer.json()


@asynccontextmanager
async def served(dag: DAG) -> AsyncGenerator[Served]:
    store = MemoryStore()
    async with (
        Runtime(load_config(), parts=Parts(store=store, watch_files=False), dags=[dag]) as runtime,
        WebServer(runtime.control, WebConfig(secret_key=SECRET, port=0)) as server,
        ClientSession(f"http://127.0.0.1:{server.port}/api/v1/", headers=ADMIN) as client,
    ):
        await store.user_set(UserRow("admin", HASHES["admin"], "Admin"))
        yield Served(runtime, client)


async def test_a_task_is_asked_while_it_runs_waits_and_has_ended() -> None:
    halfway, on = asyncio.Event(), asyncio.Event()
    with DAG("d", schedule=None) as dag:

        @task(durable=True)
        async def train(ctx: Context) -> str:
            await ctx.publish("progress", 0.1)
            await ctx.wait_for(signal("go"))
            await ctx.publish("progress", {"done": 0.5, "parts": ["a"]})
            await ctx.publish("phase", "second")
            halfway.set()
            await on.wait()
            return "done"

        @task
        async def last(ctx: Context) -> Any:
            return await ctx["ti"].pull("train", key=None)

        train() >> last()  # pyright: ignore[reportUnusedExpression]

    async with served(dag) as site, asyncio.timeout(60):
        control = site.runtime.control
        changes = control.live_events("d")
        first = asyncio.ensure_future(anext(aiter(changes)))
        await asyncio.sleep(0)
        run = await control.run_trigger(TriggerRequest("d", dag_run_id="one", unpause=True))
        at = "dags/d/dagRuns/one/taskInstances/train/queries"
        told = {(await first).kind}
        async for event in changes:
            told.add(event.kind)
            if any(row.state == "deferred" for row in event.items):
                break
        assert "queries" in told
        shown = await site.get(at)
        assert shown["total_entries"] == 1
        assert (shown["queries"][0]["name"], shown["queries"][0]["value"]) == ("progress", 0.1)
        assert (await site.get(f"{at}/phase", 404))["detail"] == (
            "task 'train' of run 'one' publishes nothing under the name 'phase'; it publishes 'progress'"
        )
        await send_signal(control, Place(run, "train"), "go", None)
        await halfway.wait()
        assert (await site.get(f"{at}/progress"))["value"] == {"done": 0.5, "parts": ["a"]}
        assert [one["name"] for one in (await site.get(at))["queries"]] == ["phase", "progress"]
        on.set()
        await control.run_wait(run.run_id)
        assert (await site.get(f"{at}/phase"))["value"] == "second"
        pulled = await site.get("dags/d/dagRuns/one/taskInstances/last/xcomEntries/return_value?stringify=false")
        assert pulled["value"] == "done", "what is published is no result"
        await site.get(f"{at.replace('train', 'nothing')}", 404)


async def test_a_plain_function_publishes_and_a_new_try_forgets() -> None:
    seen: list[str] = []
    with DAG("d", schedule=None) as dag:

        @task(retries=1, retry_delay=0, executor="inline")
        async def work(ctx: Context) -> None:
            if not seen:
                for name in ("", "a/b"):
                    with pytest.raises(XComError, match=r"publishes under the name .* without '/'"):
                        await ctx.publish(name, 1)
                with pytest.raises(XComError, match="what task 'work' publishes as 'x'"):
                    await ctx.publish("x", object())
                await ctx.publish("first", 1)
                seen.append("tried")
                raise ValueError("not yet")
            await ctx.publish("second", 2)

        @task
        def plain(ti: Any = None) -> None:
            ti.publish("rows", 3)

        work()
        plain()

    async with served(dag) as site, asyncio.timeout(60):
        control = site.runtime.control
        run = await control.run_trigger(TriggerRequest("d", dag_run_id="one", unpause=True))
        await control.run_wait(run.run_id)
        at = "dags/d/dagRuns/one/taskInstances"
        assert [one["name"] for one in (await site.get(f"{at}/work/queries"))["queries"]] == ["second"]
        assert (await site.get(f"{at}/plain/queries/rows"))["value"] == 3
