"""Watchers of DAG files in a server of their own, seen from the command line."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_standalone import SECONDS, each_change, own_home, standalone, tradewind
from tests.web.conftest import basic

__all__ = ["own_home"]
pytestmark = [pytest.mark.slow, pytest.mark.blocks_the_loop]

AIRFLOW = """
from airflow.providers.standard.triggers.file import FileDeleteTrigger
from airflow.sdk import DAG, Asset, AssetWatcher, chain, task

file_path = {flag!r}
trigger = FileDeleteTrigger(filepath=file_path)
asset = Asset("example_asset", watchers=[AssetWatcher(name="test_asset_watcher", trigger=trigger)])

with DAG(dag_id="example_asset_with_watchers", schedule=[asset], catchup=False, is_paused_upon_creation=False):

    @task
    def test_task():
        print("Hello world")

    chain(test_task())
"""

OWN = """
import asyncio
from pathlib import Path

from tradewind import DAG, Asset, AssetWatcher, BaseEventTrigger, EventSchedule, Trigger, TriggerEvent, task


class Lines(Trigger, BaseEventTrigger):
    path: str

    async def run(self):
        told = await asyncio.to_thread(Path(self.path).read_text)
        for line in told.split():
            yield TriggerEvent({{"line": line, "version": {version}}}, key=f"{version}-{{line}}")
        await asyncio.Event().wait()


lines = Asset("lines", watchers=[AssetWatcher("w", Lines({path!r}))])
with DAG("lines", schedule=EventSchedule(lines), is_paused_upon_creation=False, params={{"line": "", "version": 0}}):

    @task
    async def look(params=None):
        return params

    look()
"""


Is = Callable[[dict[str, Any]], bool]


def seen(home: Path, where: Mapping[str, str], asset: str, what: Is) -> dict[str, Any]:
    """The asset's watcher as the command line shows it, once it is as it should be."""
    for found in shown(home, where, asset):
        if found and what(found[0]):
            return found[0]
    raise AssertionError("the server has ended")


def shown(home: Path, where: Mapping[str, str], asset: str) -> Iterator[list[dict[str, Any]]]:
    """The asset's watchers as the command line shows them, again and again as something changes."""
    for _ in each_change(where["Pages"], basic(*where["Login"].split(" / ")), "watchers", "dag"):
        told = tradewind(home, "assets", "watchers", "--url", where["Pages"], "-o", "json")
        assert told.returncode == 0, told.stdout + told.stderr
        yield [row for row in json.loads(told.stdout) if row["asset_uri"] == asset]


def test_watchers_of_dag_files(own_home: Path, tmp_path: Path) -> None:
    """Airflow's example runs as it is; a class of a file's own is that of the file as it is now."""
    flag, lines = tmp_path / "flag", tmp_path / "lines"
    lines.write_text("a b")
    (own_home / "dags" / "airflow_example.py").write_text(AIRFLOW.format(flag=str(flag)))
    (own_home / "dags" / "own.py").write_text(OWN.format(path=str(lines), version=1))
    with standalone(own_home) as (process, where):
        flag.touch()
        row = seen(own_home, where, "example_asset", lambda row: row["events"] == 1)
        assert (row["name"], row["state"], row["failures"]) == ("test_asset_watcher", "running", 0)
        assert row["dag_ids"] == ["example_asset_with_watchers"]
        assert seen(own_home, where, "lines", lambda row: row["events"] == 2)["failures"] == 0
        (own_home / "dags" / "own.py").write_text(OWN.format(path=str(lines), version=2))
        seen(own_home, where, "lines", lambda row: row["events"] == 4)
        (own_home / "dags" / "own.py").unlink()
        assert [] in shown(own_home, where, "lines")
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
    assert not flag.exists()
