"""Clients in tasks that run in processes: each attempt has its own, and leaves nothing open."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.providers.conftest import Service
from tradewind.authoring.xcom import decode
from tradewind.bundles.loader import load_file
from tradewind.model.states import OutcomeKind
from tradewind.testing.executor_host import AttemptMaker, MemoryHost
from tradewind_executors.local import LocalExecutor

DAG_FILE = """
import asyncio
import json
import os

from tradewind import DAG, resource, task
from tradewind.authoring.loop_clients import clients_here
from tradewind_providers.http import HttpHook, HttpOperator, http


@resource
async def place(name):
    yield {"name": name, "pid": os.getpid()}
    print(f"closed {name} in {os.getpid()}")


with DAG("d", schedule=None):

    @task(executor="local")
    async def many() -> dict:
        async def one(n):
            async with http("api") as session, session.get("echo", params={"n": n}) as answer:
                return id(session), int((await answer.json())["query"]["n"])

        found = await asyncio.gather(*(one(n) for n in range(20)))
        async with place("here") as mine:
            pass
        return {"sessions": len({session for session, _ in found}), "sum": sum(n for _, n in found), **mine}

    @task
    def plain() -> str:
        return HttpHook("GET", "api").run("echo", {"a": 1}).json()["query"]["a"]

    @task(executor="local")
    async def fails() -> None:
        async with place("there"):
            raise ValueError("in the block")

    class Own(HttpOperator):
        def execute(self, context):
            return json.loads(super().execute(context))["method"]

    many(), plain(), fails(), Own(task_id="own", http_conn_id="api", endpoint="echo")
"""


@pytest.mark.blocks_the_loop
async def test_each_attempt_has_its_own(tmp_path: Path, service: Service) -> None:
    file = tmp_path / "d.py"
    file.write_text(DAG_FILE)
    spec = load_file(file).dags["d"].to_spec()
    host = MemoryHost(str(tmp_path / "logs"), {"slots": 4})
    host.services.connections["api"] = f'{{"conn_type": "http", "host": "{service.url}"}}'
    executor = LocalExecutor()
    maker = AttemptMaker(spec, str(file), executor=executor.kind)
    await executor.start(host)
    try:

        async def value(task_id: str) -> Any:
            attempt = maker.attempt(task_id)
            await executor.submit([attempt])
            outcome = (await host.end_of(attempt)).outcome
            assert outcome.kind is OutcomeKind.SUCCESS, outcome
            return decode(next(xcom.value for xcom in outcome.xcoms if xcom.key == "return_value"))

        first, second = await value("many"), await value("many")
        assert (first["sessions"], first["sum"], first["name"]) == (1, 190, "here")
        assert first["pid"] != second["pid"]
        assert (await value("plain"), await value("own")) == ("1", "POST")
        attempt = maker.attempt("fails")
        await executor.submit([attempt])
        assert (await host.end_of(attempt)).outcome.kind is OutcomeKind.FAILED
    finally:
        await executor.stop(drain=timedelta(seconds=0))
    logs = await asyncio.to_thread(lambda: "".join(p.read_text() for p in tmp_path.rglob("logs/**/*") if p.is_file()))
    for closed in (f"closed here in {first['pid']}", f"closed here in {second['pid']}", "closed there in"):
        assert closed in logs
    assert "Unclosed" not in logs
    assert "never retrieved" not in logs
