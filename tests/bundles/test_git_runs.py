"""A run keeps the commit it began with: a whole runtime on a git bundle, and the commands."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.bundles.test_git import Repository
from tradewind.authoring.xcom import decode
from tradewind.cli.main import cli
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.services.bundle_sources import repository_of, sources_of

FLOW = """
import os
import time
import shared
from tradewind import DAG, task

with DAG("flow", schedule=None, is_paused_upon_creation=False):
    @task
    def first():
        while not os.path.exists({gate!r}):
            time.sleep(0.01)
    @task
    def second():
        return shared.X
    first() >> second()
"""


@pytest.mark.blocks_the_loop
async def test_a_run_keeps_its_commit(tmp_path: Path) -> None:
    """It waits while a commit changes what its next task imports."""
    repository, gate = Repository(tmp_path / "repository"), tmp_path / "gate"
    repository.commit(shared="X = 1", flow=FLOW.format(gate=str(gate)))
    bundle = {"name": "team", "kind": "git", "url": str(repository.folder), "subdir": "dags"}
    overrides = {"dags.load_examples": False, "dags.bundles": json.dumps([bundle])}
    config = await asyncio.to_thread(load_config, tmp_path / "home", overrides, {})
    async with asyncio.timeout(60), Runtime(config) as runtime:
        await runtime.files_loaded()
        old = await runtime.control.run_trigger(TriggerRequest("flow", {}))
        repository.commit(shared="X = 2")
        repository_of(config, sources_of(config)[0]).refresh_file.touch()
        await _another_version(runtime, old.version_hash)
        new = await runtime.control.run_trigger(TriggerRequest("flow", {}))
        await asyncio.to_thread(gate.touch)
        for run, expected in ((old, 1), (new, 2)):
            ended = await runtime.control.run_wait(run.run_id)
            value = await runtime.control.reads.xcom_get(run.run_id, "second", "return_value")
            assert value is not None
            version = await runtime.control.reads.dag_version_get("flow", ended.version_hash)
            assert version is not None
            assert (ended.state, decode(value), version.number) == ("success", expected, expected)


async def _another_version(runtime: Runtime, version_hash: str) -> None:
    while True:
        owned = runtime.services.scheduler.book.dags.get("flow")
        if owned is not None and owned.row.version_hash != version_hash:
            return
        await asyncio.sleep(0.01)


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
