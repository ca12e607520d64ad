"""The web server over a real runtime: from the trigger to the result, the log and the events."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import ClientSession

from tests.web.conftest import ADMIN, HASHES, SECRET
from tests.web.test_streams import Events
from tradewind import DAG, task
from tradewind.config import Config, load_config
from tradewind.host import Parts, Runtime
from tradewind.model.rows import UserRow
from tradewind.store.memory import MemoryStore
from tradewind.web.server import WebServer
from tradewind.web.settings import WebConfig


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A configuration whose home is a temporary folder."""
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    return load_config()


@pytest.fixture
def hello() -> DAG:
    """A DAG of one async task, paused as every new one."""
    with DAG("hello", schedule=None, is_paused_upon_creation=True) as dag:

        @task
        async def say() -> dict[str, int]:
            print("hi there")  # noqa: T201 - what a task prints is in its log
            await asyncio.sleep(0)
            return {"n": 3}

        say()
    return dag


@pytest.mark.blocks_the_loop  # the start of a runtime reads small files on the loop
async def test_from_trigger_to_result(config: Config, hello: DAG) -> None:
    store = MemoryStore()
    parts = Parts(store=store, watch_files=False, executor_settings={"capture_output": True})
    async with (
        Runtime(config, parts=parts, dags=[hello]) as runtime,
        WebServer(runtime.control, WebConfig(secret_key=SECRET, port=0)) as server,
        ClientSession(f"http://127.0.0.1:{server.port}/api/v1/", headers=ADMIN) as api,
    ):
        await store.user_set(UserRow("admin", HASHES["admin"], "Admin"))
        async with api.get("events", params={"dag_id": "hello"}) as answer:
            events = Events(answer)
            assert (await api.post("dags/hello/dagRuns", json={})).status == 409
            body = {"dag_run_id": "one", "unpause": True}
            assert (await api.post("dags/hello/dagRuns", json=body)).status == 200
            ended = await api.get("dags/hello/dagRuns/one/wait", params={"timeout": "20", "result": "say"})
            run = await ended.json()
            assert (ended.status, run["state"], run["results"]) == (200, "success", {"say": {"n": 3}})
            states: list[tuple[str, object]] = []
            while ("run", "success") not in states:
                kind, data = await events.next()
                shown = data["items"][0] if kind == "task" else data
                states.append((kind, shown.get("state")))
            assert states[0] == ("dag", None)
            assert ("task", "running") in states
        async with api.get("dags/hello/dagRuns/one/taskInstances/say/logs/1/stream") as answer:
            events = Events(answer)
            messages: list[str] = []
            while (event := await events.next())[0] == "record":
                messages.append(event[1]["message"])
            assert "hi there" in messages
            assert event == ("end", {"state": "success", "try_number": 1, "outcome": "success"})
        clear = {"dag_run_id": "one", "only_failed": False, "dry_run": False}
        assert (await api.post("dags/hello/clearTaskInstances", json=clear)).status == 200
        again = await api.get("dags/hello/dagRuns/one/wait", params={"timeout": "20"})
        assert (await again.json())["state"] == "success"
        tries = await (await api.get("dags/hello/dagRuns/one/taskInstances/say/tries")).json()
        assert [entry["state"] for entry in tries["task_instances"]] == ["success", "success"]
