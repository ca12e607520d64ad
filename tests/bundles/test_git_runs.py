"""A run keeps the commit it began with: a whole runtime on a git bundle, and the commands."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bundles.test_git import Repository
from tests.outside import pipe
from tradewind.authoring.xcom import decode
from tradewind.cli.main import cli
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.services.bundle_sources import repository_of, sources_of

FLOW = """
import shared
from tradewind import DAG, task

with DAG("flow", schedule=None, is_paused_upon_creation=False):
    @task
    def first():
        with open({gate!r}, "rb", buffering=0) as gate:
            gate.read(1)
    @task
    def second():
        return shared.X
    first() >> second()
"""


@pytest.mark.blocks_the_loop
async def test_a_run_keeps_its_commit(tmp_path: Path) -> None:
    """It waits while a commit changes what its next task imports."""
    repository = Repository(tmp_path / "repository")
    repository.commit(shared="X = 1", flow=FLOW.format(gate=str(tmp_path / "gate")))
    bundle = {"name": "team", "kind": "git", "url": str(repository.folder), "subdir": "dags"}
    overrides = {"dags.load_examples": False, "dags.bundles": json.dumps([bundle])}
    config = await asyncio.to_thread(load_config, tmp_path / "home", overrides, {})
    with pipe(tmp_path / "gate") as gate:
        async with asyncio.timeout(60), Runtime(config) as runtime:
            await runtime.files_loaded()
            old = await runtime.control.run_trigger(TriggerRequest("flow", {}))
            async with another_version(runtime, old.version_hash):
                repository.commit(shared="X = 2")
                repository_of(config, sources_of(config)[0]).refresh_file.touch()
            new = await runtime.control.run_trigger(TriggerRequest("flow", {}))
            gate.say(b"..")  # one for each run
            for run, expected in ((old, 1), (new, 2)):
                ended = await runtime.control.run_wait(run.run_id)
                value = await runtime.control.reads.xcom_get(run.run_id, "second", "return_value")
                assert value is not None
                version = await runtime.control.reads.dag_version_get("flow", ended.version_hash)
                assert version is not None
                assert (ended.state, decode(value), version.number) == ("success", expected, expected)


@contextlib.asynccontextmanager
async def another_version(runtime: Runtime, version_hash: str) -> AsyncGenerator[None]:
    """Ends once what the block has begun has led to another version of the DAG than this one."""

    async def seen() -> None:
        async for event in events:
            if event.dag is not None and event.dag.version_hash != version_hash:
                return

    events = runtime.control.live_events("flow")
    async with asyncio.TaskGroup() as group:
        group.create_task(seen())
        await asyncio.sleep(0)  # it listens from its first step on
        yield


def test_the_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository(tmp_path / "repository")
    repository.commit(flow="1")
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path / "home"))
    bundles = [{"name": "team", "kind": "git", "url": str(repository.folder)}, {"name": "local"}]
    monkeypatch.setenv("TRADEWIND__DAGS__BUNDLES", json.dumps(bundles))
    config = load_config(tmp_path / "home")
    copy = repository_of(config, sources_of(config)[0])

    listed = CliRunner().invoke(cli, ["bundles", "list", "--output", "json"])
    assert [(row["bundle"], row["version"]) for row in json.loads(listed.output)][:2] == [
        ("team", "not fetched yet"),
        ("local", ""),
    ]
    assert CliRunner().invoke(cli, ["bundles", "refresh"]).exit_code == 0
    assert copy.refresh_file.exists()
    commit = asyncio.run(copy.refresh())
    assert commit in CliRunner().invoke(cli, ["bundles", "list"]).output
    for name, said in (("nothing", "There is no bundle 'nothing'"), ("local", "is a folder")):
        refused = CliRunner().invoke(cli, ["bundles", "refresh", name])
        assert refused.exit_code != 0
        assert said in refused.output
