"""Files of a folder as events of an asset."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.services.conftest import StartRuntime
from tests.services.fired import fired, payloads, watching
from tradewind import AuthoringError
from tradewind.services import watch_keeper
from tradewind.standard.file_triggers import FileDeleteTrigger
from tradewind.standard.folder_trigger import FolderTrigger, SeenFile


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_keeper, "FIRST_PAUSE", 0.01)


async def gone(path: Path) -> None:
    """Returns once the file is not there any more: that comes right after the event."""
    async with asyncio.timeout(60):
        while await asyncio.to_thread(path.exists):  # noqa: ASYNC110 - the kernel is not asked
            await asyncio.sleep(0.01)


async def test_files_are_moved_away_after_their_events(start: StartRuntime, tmp_path: Path) -> None:
    inbox, done = tmp_path / "in", tmp_path / "done"
    inbox.mkdir()
    (inbox / "a.csv").write_text("1")
    (inbox / "a.txt").write_text("no")
    runtime = await start(watching(FolderTrigger(str(inbox), "*.csv", move_to=str(done), settled=0)))
    await fired(runtime, 1)
    await gone(inbox / "a.csv")
    (tmp_path / "b.csv").write_text("22")
    (tmp_path / "b.csv").rename(inbox / "b.csv")
    found = await fired(runtime, 2)
    await gone(inbox / "b.csv")
    assert [(Path(one["path"]).name, one["size"]) for one in found] == [("a.csv", 1), ("b.csv", 2)]
    assert sorted(path.name for path in done.iterdir()) == ["a.csv", "b.csv"]
    assert (inbox / "a.txt").exists()


async def test_files_that_stay_are_remembered(start: StartRuntime, tmp_path: Path) -> None:
    """By two watchers of the same name, as after a restart."""
    (tmp_path / "a").write_text("1")
    trigger = FolderTrigger(str(tmp_path), settled=0)
    runtime = await start(watching(trigger))
    await fired(runtime, 1)
    another = await start(watching(trigger, "e"))
    (tmp_path / "b").write_text("2")
    found = await fired(another, 2)
    assert [Path(one["path"]).name for one in found] == ["a", "b"]
    assert len(await payloads(runtime)) == 2


async def test_a_flag_is_deleted_after_its_event_each_time(start: StartRuntime, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    runtime = await start(watching(FileDeleteTrigger(str(flag), poke_interval=0.01)))
    for count in (1, 2):
        flag.touch()
        assert await fired(runtime, count) == [True] * count
        await gone(flag)


def test_what_has_come_in_its_place_stays(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")
    seen = SeenFile.at(path)
    assert seen is not None
    (tmp_path / "new").write_text("newer")
    (tmp_path / "new").rename(path)
    seen.delete()
    seen.move_to(tmp_path / "done")
    assert path.read_text() == "newer"


async def test_a_file_that_is_being_written_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = asyncio.ensure_future(anext(aiter(FolderTrigger(str(tmp_path), settled=3600).run())))
    done, _ = await asyncio.wait({first}, timeout=0.1)
    assert not done
    first.cancel()
    await asyncio.wait({first})


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: FolderTrigger("/in", move_to="/out", delete=True), "either move_to"),
        (lambda: FolderTrigger("/in", move_to="/in"), "another folder"),
        (lambda: FolderTrigger(""), "directory: a path is needed, not ''"),
        (lambda: FolderTrigger("in"), "directory: an absolute path is needed, not 'in'"),
        (lambda: FolderTrigger("/in", move_to="out"), "move_to: an absolute path"),
        (lambda: FolderTrigger("/in", "new/*.csv"), "pattern: a file name"),
        (lambda: FolderTrigger("/in", settled=-1), "settled has to be a number of seconds, not -1"),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object], text: str) -> None:
    with pytest.raises(AuthoringError, match=text):
        make()
