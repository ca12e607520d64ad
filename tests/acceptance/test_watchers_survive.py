"""A file that a watcher has told of is in one run, though the daemon dies between the event and its acknowledgement."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.acceptance.standalone import SECONDS, Standalone, standalone
from tests.web.conftest import basic

DAGS = """
import os
import signal
from pathlib import Path

from tradewind import DAG, Asset, AssetWatcher, EventSchedule, TriggerEvent, task
from tradewind.standard.file_triggers import FileTrigger
from tradewind.standard.folder_trigger import FolderTrigger


class Deadly(FolderTrigger):
    '''Its first, third and fifth acknowledgement end the process: before, and right after they are done.'''

    async def run(self):
        async for _ in FileTrigger(FOLDER + "/go").run():
            pass
        async for event in super().run():
            yield TriggerEvent(event.payload, key=event.key, ack=self.deadly(event.ack))

    def deadly(self, ack):
        async def acknowledge():
            deaths = Path(self.move_to + ".deaths")
            with deaths.open("a") as file:
                file.write(".")
            count = deaths.stat().st_size
            if count == 5:
                await ack()
            if count in (1, 3, 5):
                os.kill(os.getpid(), signal.SIGKILL)
            await ack()

        return acknowledge


inbox = FOLDER + "/in"
files = Asset("files", watchers=[AssetWatcher("inbox", Deadly(inbox, move_to=FOLDER + "/done", settled=0))])
with DAG("each", schedule=EventSchedule(files), is_paused_upon_creation=False):
    @task
    async def look(params=None):
        return params["path"]
    look()
"""
FILES = 6


async def all_of(api: ClientSession, path: str) -> Any:
    async with api.get(path) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def runs_of(api: ClientSession) -> list[dict[str, Any]]:
    """All runs, once each file is in one that has ended and nothing waits."""
    async with asyncio.timeout(SECONDS), api.get("events") as changes:
        while True:
            runs: list[dict[str, Any]] = (await all_of(api, "dags/each/dagRuns"))["dag_runs"]
            if len(runs) >= FILES and all(run["state"] == "success" for run in runs):
                waiting = await all_of(api, "dags/each/eventSchedule")
                if waiting["waiting"] == 0:
                    return runs
            assert await changes.content.readline()


def api_of(system: Standalone, login: tuple[str, str]) -> ClientSession:
    return ClientSession(f"{system.url.rstrip('/')}/api/v1/", headers=basic(*login))


@pytest.mark.slow
async def test_files_survive_kills(own_home: Path) -> None:
    def prepare() -> None:
        (own_home / "dags").mkdir()
        (own_home / "in").mkdir()
        for n in range(FILES):
            (own_home / "in" / str(n)).write_text("")
        (own_home / "dags" / "each.py").write_text(f"FOLDER = {str(own_home)!r}\n{DAGS}")

    await asyncio.to_thread(prepare)
    login = ("", "")
    for _ in range(3):
        async with standalone(own_home, TRADEWIND__DAGS__LOAD_EXAMPLES="false") as system:
            login = login if login[0] else system.login
            await asyncio.to_thread((own_home / "go").touch)
            async with asyncio.timeout(SECONDS):
                assert await system.process.wait() == -9
            await asyncio.to_thread((own_home / "go").unlink)
    async with standalone(own_home, TRADEWIND__DAGS__LOAD_EXAMPLES="false") as system, api_of(system, login) as api:
        await asyncio.to_thread((own_home / "go").touch)
        runs = await runs_of(api)
        assert Counter(Path(run["conf"]["path"]).name for run in runs) == Counter(str(n) for n in range(FILES))
        moved = await asyncio.to_thread(lambda: sorted(path.name for path in (own_home / "done").iterdir()))
        assert moved == [str(n) for n in range(FILES)]
        events = await all_of(api, "assets/events")
        assert events["total_entries"] == FILES
