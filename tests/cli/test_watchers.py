"""Watchers of DAG files in a server of their own, seen from the command line."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from tests.cli.test_standalone import SECONDS, own_home, standalone, tradewind

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


def seen(home: Path, url: str, asset: str, what: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The asset's watcher as the command line shows it, once it is as it should be."""
    until = monotonic() + SECONDS
    while True:
        told = tradewind(home, "assets", "watchers", "--url", url, "-o", "json")
        rows: list[dict[str, Any]] = json.loads(told.stdout) if told.returncode == 0 else []
        found = [row for row in rows if row["asset_uri"] == asset and what(row)]
        if found:
            return found[0]
        assert monotonic() < until, told.stdout + told.stderr
        sleep(0.1)


def test_watchers_of_dag_files(own_home: Path, tmp_path: Path) -> None:
    """Airflow's example runs as it is; a class of a file's own is that of the file as it is now."""
    flag, lines = tmp_path / "flag", tmp_path / "lines"
    lines.write_text("a b")
    (own_home / "dags" / "airflow_example.py").write_text(AIRFLOW.format(flag=str(flag)))
    (own_home / "dags" / "own.py").write_text(OWN.format(path=str(lines), version=1))
    with standalone(own_home) as (process, where):
        flag.touch()
        row = seen(own_home, where["Pages"], "example_asset", lambda row: row["events"] == 1)
        assert (row["name"], row["state"], row["failures"]) == ("test_asset_watcher", "running", 0)
        assert row["dag_ids"] == ["example_asset_with_watchers"]
        assert seen(own_home, where["Pages"], "lines", lambda row: row["events"] == 2)["failures"] == 0
        (own_home / "dags" / "own.py").write_text(OWN.format(path=str(lines), version=2))
        seen(own_home, where["Pages"], "lines", lambda row: row["events"] == 4)
        (own_home / "dags" / "own.py").unlink()
        until = monotonic() + SECONDS
        while "lines" in tradewind(own_home, "assets", "watchers", "--url", where["Pages"]).stdout:
            assert monotonic() < until
        process.send_signal(signal.SIGINT)
        assert process.wait(SECONDS) == 0
    assert not flag.exists()
