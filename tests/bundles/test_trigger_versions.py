"""Waits outlive their runtime, and each goes on with the code of its run's own version; on a real database."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.bundles.test_git import Repository
from tests.bundles.test_git_runs import another_version
from tests.services.conftest import until
from tradewind.authoring.xcom import decode
from tradewind.config import Config, load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.keys import RunId
from tradewind.services.bundle_sources import repository_of, sources_of

TRIGGERS = """
from collections.abc import AsyncIterator

from tradewind import Trigger, TriggerEvent, trigger
from tradewind.standard.file_triggers import FileTrigger

@trigger(kind="tests.file")
class Named(Trigger):
    path: str
    async def run(self) -> AsyncIterator[TriggerEvent]:
        async for _ in FileTrigger(self.path).run():
            yield TriggerEvent("named {version}")

class Plain(Trigger):
    path: str
    async def run(self) -> AsyncIterator[TriggerEvent]:
        async for _ in FileTrigger(self.path).run():
            yield TriggerEvent("plain {version}")
"""
FLOW = """
from tradewind import DAG, BaseOperator, Trigger, TriggerEvent, defer, task
from waits import Named

class Wait(BaseOperator):
    def execute(self, context):
        from late import Plain
        self.defer(trigger=Plain({gate!r}), method_name="done")
    async def done(self, context, event=None):
        return [event, "done {version}"]

with DAG("flow", schedule=None, is_paused_upon_creation=False):
    @task
    async def function(event=None):
        if event is None:
            defer(Named({gate!r}))
        return [event, "function {version}"]
    function()
    Wait(task_id="operator")
"""


@asynccontextmanager
async def running(config: Config) -> AsyncGenerator[Runtime]:
    async with asyncio.timeout(60), Runtime(config) as runtime:
        await runtime.files_loaded()
        yield runtime


async def deferred(runtime: Runtime, run_id: RunId) -> None:
    async def all_wait() -> bool:
        return {row.state.value for row in await runtime.control.reads.instance_list(run_id)} == {"deferred"}

    await until(runtime, all_wait)


@pytest.mark.blocks_the_loop
async def test_waits_outlive_their_runtime_and_keep_their_version(tmp_path: Path) -> None:
    gate = tmp_path / "gate"

    def files(version: int) -> dict[str, str]:
        triggers = TRIGGERS.replace("{version}", f"v{version}")
        return {
            "waits": triggers,
            "late": triggers.replace("tests.file", "tests.late_file"),
            "flow": FLOW.replace("{gate!r}", repr(str(gate))).replace("{version}", f"v{version}"),
        }

    repository = Repository(tmp_path / "repository")
    repository.commit(**files(1))
    bundle = {"name": "team", "kind": "git", "url": str(repository.folder), "subdir": "dags"}
    overrides = {"dags.load_examples": False, "dags.bundles": json.dumps([bundle])}
    config = await asyncio.to_thread(load_config, tmp_path / "home", overrides, {})
    async with running(config) as runtime:
        old = await runtime.control.run_trigger(TriggerRequest("flow", {}))
        await deferred(runtime, old.run_id)
        async with another_version(runtime, old.version_hash):
            repository.commit(**files(2))
            repository_of(config, sources_of(config)[0]).refresh_file.touch()
        new = await runtime.control.run_trigger(TriggerRequest("flow", {}))
        await deferred(runtime, new.run_id)
    gate.touch()
    async with running(config) as runtime:
        for run, version in ((old, "v1"), (new, "v2")):
            ended = await runtime.control.run_wait(run.run_id)
            assert ended.state == "success"
            found = {task: await result(runtime, run.run_id, task) for task in ("function", "operator")}
            assert found == {
                "function": [f"named {version}", f"function {version}"],
                "operator": [f"plain {version}", f"done {version}"],
            }


async def result(runtime: Runtime, run_id: RunId, task: str) -> object:
    value = await runtime.control.reads.xcom_get(run_id, task, "return_value")
    return None if value is None else decode(value)
