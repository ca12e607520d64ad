"""Signals and answers of people through the API, over a real runtime."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.web.conftest import ADMIN, HASHES, SECRET, basic
from tradewind import DAG, Context, signal, task
from tradewind.config import load_config
from tradewind.host import Parts, Runtime
from tradewind.model.rows import UserRow
from tradewind.store.memory import MemoryStore
from tradewind.web.server import WebServer
from tradewind.web.settings import WebConfig

pytestmark = pytest.mark.blocks_the_loop  # the start of a runtime reads small files on the loop

RUN = "dags/asks/dagRuns/one"
VIEWER = basic("vic", "vic-password")


@dataclass
class Approve:
    ok: bool
    note: str = ""


@dataclass(slots=True)
class Api:
    """The API below a runtime, in which one run of the DAG `asks` waits."""

    client: ClientSession
    runtime: Runtime
    url: str
    """Of the pages."""

    async def ask(self, method: str, path: str, status: int = 200, body: Any = None, **options: Any) -> Any:
        """Fails if the status is another."""
        async with self.client.request(method, path, json=body, **options) as answer:
            assert answer.status == status, f"{answer.status}: {await answer.text()}"
            return await answer.json()

    async def deferred(self, task_id: str) -> None:
        """Returns when the task waits."""
        run = await self.runtime.control.reads.run_get("asks", "one")
        assert run is not None
        async with asyncio.timeout(60):
            while True:
                row = await self.runtime.control.reads.instance_get(run.run_id, task_id)
                if row is not None and row.state == "deferred":
                    return
                await asyncio.sleep(0)

    async def results(self) -> dict[str, Any]:
        """What the tasks have returned, once the run has ended."""
        ended = await self.ask("GET", f"{RUN}/wait", params={"timeout": "20", "result": "work,plain"})
        assert ended["state"] == "success"
        results: dict[str, Any] = ended["results"]
        return results


def asking() -> DAG:
    with DAG("asks", schedule=None, is_paused_upon_creation=False) as dag:

        @task(durable=True)
        async def work(ctx: Context) -> list[Any]:
            first = await ctx.wait_for(signal("go"))
            await ctx["ti"].push("stage", {"asking": "team"})
            answer = await ctx.ask(Approve, to="team", subject="Is it good?", timeout=600)
            last = await ctx.wait_for(signal("go"))
            return [first, answer.ok, answer.note, last]

        @task
        async def plain() -> int:
            return 1

        work()
        plain()
    return dag


@asynccontextmanager
async def waiting(dag: DAG) -> AsyncGenerator[Api]:
    store = MemoryStore()
    async with (
        Runtime(load_config(), parts=Parts(store=store, watch_files=False), dags=[dag]) as runtime,
        WebServer(runtime.control, WebConfig(secret_key=SECRET, port=0)) as server,
        ClientSession(f"http://127.0.0.1:{server.port}/api/v1/", headers=ADMIN) as client,
    ):
        for name, role in (("admin", "Admin"), ("vic", "Viewer")):
            await store.user_set(UserRow(name, HASHES[name], role))
        api = Api(client, runtime, f"http://127.0.0.1:{server.port}")
        await api.ask("POST", "dags/asks/dagRuns", body={"dag_run_id": "one"})
        yield api


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))


async def test_signals_and_an_answer() -> None:
    """A signal that comes too early is kept; what is asked is listed with its form until it is answered."""
    async with waiting(asking()) as api:
        await api.deferred("work")
        go = f"{RUN}/taskInstances/work/signals/go"
        assert await api.ask("POST", go, body={"value": {"n": [1, None]}}) == {"resumed": True}
        await api.deferred("work")
        assert await api.ask("POST", go, body={"value": "early"}) == {"resumed": False}
        listed = await api.ask("GET", "humanInputs", params={"dag_id": "asks"})
        assert listed["total_entries"] == 1
        [asked] = listed["human_inputs"]
        one = f"{RUN}/taskInstances/work/humanInputs/Approve"
        assert await api.ask("GET", one) == asked
        assert (asked["name"], asked["subject"], asked["to"]) == ("Approve", "Is it good?", "team")
        assert asked["schema"]["properties"] == {"ok": {"type": "boolean"}, "note": {"type": "string", "default": ""}}
        assert asked["deadline"] is not None
        stage = await api.ask("GET", f"{RUN}/taskInstances/work/xcomEntries/stage", params={"stringify": "false"})
        assert stage["value"] == {"asking": "team"}
        assert await api.ask("PATCH", one, body={"value": {"ok": True, "note": "fine"}}) == {"resumed": True}
        assert await api.results() == {"work": [{"n": [1, None]}, True, "fine", "early"], "plain": 1}
        assert (await api.ask("GET", "humanInputs"))["human_inputs"] == []


async def test_what_cannot_be_answered() -> None:
    """Each refusal says what is wrong, and the question stays open."""
    async with waiting(asking()) as api:
        await api.deferred("work")
        task = f"{RUN}/taskInstances/work"
        signals, one = f"{task}/signals/go", f"{task}/humanInputs/Approve"
        refused = await api.ask("PATCH", one, 404, {"value": {}})
        assert "asks nothing under the name 'Approve'" in refused["detail"]
        await api.ask("POST", signals, body={"value": 1})
        await api.deferred("work")
        wrong: list[tuple[str, str, int, Any, str]] = [
            ("PATCH", one, 400, {"value": {"ok": "perhaps"}}, "ok: 'perhaps' is not of type 'boolean'"),
            ("PATCH", one, 400, {"value": {"note": "x"}}, "'ok' is a required property"),
            ("PATCH", one, 400, {"answer": 1}, "'answer'"),
            ("PATCH", one.replace("Approve", "Other"), 404, {"value": {}}, "nothing under the name 'Other'"),
            ("PATCH", one.replace("work", "nobody"), 404, {"value": {}}, "no task 'nobody'"),
            ("PATCH", one, 404, {"value": {}, "map_index": 3}, "no task 'work' with map index 3"),
            ("PATCH", one.replace("work", "plain"), 409, {"value": {}}, "it has ended: success"),
            ("POST", signals.replace("work", "plain"), 409, {"value": 1}, "it has ended: success"),
            ("POST", signals.replace("work", "nobody"), 404, {"value": 1}, "nobody"),
            ("POST", signals.replace("/go", "/a:b"), 400, {"value": 1}, "without ':'"),
            ("POST", signals.replace("one", "two"), 404, {"value": 1}, "two"),
        ]
        for method, path, status, body, said in wrong:
            problem = await api.ask(method, path, status, body)
            assert said in problem["detail"], problem
        await api.ask("PATCH", one, 403, {"value": {"ok": True}}, headers=VIEWER)
        await api.ask("POST", signals, 403, {"value": 1}, headers=VIEWER)
        assert (await api.ask("GET", one, headers=VIEWER))["is_answered"] is False
        await api.ask("PATCH", one, body={"value": {"ok": False}})
        await api.deferred("work")
        assert "has been answered already" in (await api.ask("PATCH", one, 409, {"value": {"ok": True}}))["detail"]
        assert (await api.ask("GET", one))["is_answered"] is True
        assert (await api.ask("GET", "humanInputs", params={"answered": "true"}))["total_entries"] == 1
        await api.ask("POST", signals, body={"value": 2})
        assert (await api.results())["work"] == [1, False, "", 2]


async def test_of_two_answers_at_once_one_counts() -> None:
    async with waiting(asking()) as api:
        await api.deferred("work")
        await api.ask("POST", f"{RUN}/taskInstances/work/signals/go", body={"value": 1})
        await api.deferred("work")
        one = f"{RUN}/taskInstances/work/humanInputs/Approve"

        async def answered(note: str) -> int:
            async with api.client.patch(one, json={"value": {"ok": True, "note": note}}) as told:
                return told.status

        assert sorted(await asyncio.gather(*(answered(str(n)) for n in range(4)))) == [200, 409, 409, 409]
        await api.ask("POST", f"{RUN}/taskInstances/work/signals/go", body={})
        assert (await api.results())["work"][3] is None
