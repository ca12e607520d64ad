"""Both sources of folder events tell the same."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tradewind.bundles.folder_events import FolderEvents, FolderSource, WatchfilesFolder, is_noise

SOURCES = ["watchfiles", *(["inotify"] if sys.platform == "linux" else [])]


@pytest.fixture(params=SOURCES)
async def events(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[FolderEvents]:
    source: FolderSource
    if request.param == "inotify":
        from tradewind.bundles.inotify_folder import InotifyFolder

        source = InotifyFolder(tmp_path, recursive=True)
        await source.open()
    else:
        source = await WatchfilesFolder.open(tmp_path, recursive=True)
    yield FolderEvents(tmp_path, source)
    await source.close()


async def until_told(events: FolderEvents, path: Path) -> None:
    async with asyncio.timeout(60):
        while str(path) not in await events.next_burst():
            pass


async def test_files_and_folders(events: FolderEvents, tmp_path: Path) -> None:
    file = tmp_path / "a.py"
    file.write_text("1")
    await until_told(events, file)
    file.write_text("2")
    await until_told(events, file)
    file.rename(tmp_path / "b.py")
    await until_told(events, tmp_path / "b.py")
    (tmp_path / "b.py").unlink()
    await until_told(events, tmp_path / "b.py")
    folder = tmp_path / "deep"
    folder.mkdir()
    await until_told(events, folder)
    (folder / "c.py").write_text("1")
    await until_told(events, folder / "c.py")


async def test_noise_is_left_out(events: FolderEvents, tmp_path: Path) -> None:
    for name in (".git/x", "__pycache__/a.pyc", "a.py~", ".a.py.swp"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("1")
    (tmp_path / "a.py").write_text("1")
    async with asyncio.timeout(60):
        told: set[str] = set()
        while str(tmp_path / "a.py") not in told:
            told |= await events.next_burst()
    assert not {path for path in told if is_noise(tmp_path, path)}


async def test_waiting_can_be_given_up(events: FolderEvents, tmp_path: Path) -> None:
    waiting = asyncio.create_task(events.next_burst())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting], timeout=60)
    assert waiting.cancelled()
