"""Assets with watchers and access rules in Airflow's spelling: they load, and the triggers are whole."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.served_airflow import served_airflow
from tradewind.authoring.triggers import BaseTrigger
from tradewind.standard.file_triggers import DirectoryFileDeleteTrigger, FileDeleteTrigger, FileTrigger


@pytest.fixture(autouse=True)
def served() -> Generator[None, None, None]:
    with served_airflow():
        yield


def test_a_file_with_watchers_and_access_rules() -> None:
    names: dict[str, Any] = {}
    exec(
        """
from airflow.providers.standard.triggers.file import FileDeleteTrigger
from airflow.sdk import DAG, Asset, AssetAccessControl, AssetWatcher

flag = Asset("flag", watchers=[AssetWatcher(name="w", trigger=FileDeleteTrigger(filepath="/in/flag"))])
shared = Asset("shared", access_control=AssetAccessControl(producer_teams=["a"], allow_global=False))
dag = DAG("watching", schedule=[flag, shared], catchup=False)
""",
        names,
    )
    assert names["flag"].watchers[0].trigger.filepath == "/in/flag"
    assert names["shared"].access_control.producer_teams == ["a"]
    names["dag"].to_spec()


@pytest.mark.parametrize("kind", ["file", "delete", "directory"])
async def test_triggers_end_when_the_file_comes(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "flag"
    made: dict[str, BaseTrigger] = {
        "file": FileTrigger(str(tmp_path / "fl*"), poke_interval=0.001),
        "delete": FileDeleteTrigger(str(path), poke_interval=0.001),
        "directory": DirectoryFileDeleteTrigger(directory=str(tmp_path), filename="flag", poke_interval=0.001),
    }
    home, arguments = made[kind].serialize()
    module, _, name = home.rpartition(".")
    again: BaseTrigger = getattr(importlib.import_module(module), name)(**arguments)
    assert again.serialize() == (home, arguments)

    async def first() -> object:
        async for event in again.run():
            if event.ack is not None:
                assert path.exists()
                await event.ack()
            return event.payload
        return None

    waiting = asyncio.create_task(first())
    await asyncio.sleep(0)
    assert not waiting.done()
    path.touch()
    payload = await asyncio.wait_for(waiting, 60)
    assert payload == (str(path) if kind == "directory" else True)
    assert path.exists() is (kind == "file")
