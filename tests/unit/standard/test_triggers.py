"""The core's triggers, each run on a loop: what wakes them, what they yield, and that an equal one can be made."""

from __future__ import annotations

import asyncio
import functools
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tradewind.authoring.dag import DAG
from tradewind.authoring.deferral import TaskDeferred, trigger_of, wait_of
from tradewind.authoring.triggers import BaseTrigger, TaskSuccessEvent, TriggerEvent
from tradewind.model.errors import AuthoringError, TaskFailed
from tradewind.standard import file_triggers, folder_watch
from tradewind.standard.file_triggers import DirectoryFileDeleteTrigger, FileDeleteTrigger, FileTrigger, found_at
from tradewind.standard.folder_watch import FolderWatch, Place
from tradewind.standard.moment_triggers import DateTimeTrigger, TimeDeltaTrigger
from tradewind.standard.process_trigger import ProcessTrigger

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the kernel tells of changes on Linux")


async def first(trigger: BaseTrigger) -> TriggerEvent:
    async with asyncio.timeout(60):
        async for event in trigger.run():
            return event
    raise AssertionError("it yielded nothing")


def again(trigger: BaseTrigger) -> BaseTrigger:
    """The trigger as the runtime makes it from what is stored."""
    wait = wait_of(TaskDeferred(trigger=trigger, method_name="execute"), now=datetime.now(UTC))
    made = trigger_of(wait.kind, wait.args, DAG("d"))
    assert type(made) is type(trigger)
    assert made.serialize() == trigger.serialize()
    return made


# ------------------------------------------------------------------------------- moments


def test_a_moment_is_stored_as_a_moment_and_not_run() -> None:
    at = datetime(2030, 5, 1, 12, tzinfo=ZoneInfo("Europe/Berlin"))
    wait = wait_of(TaskDeferred(trigger=DateTimeTrigger(at), method_name="go"), now=datetime.now(UTC))
    assert (wait.kind, wait.due, wait.method) == ("tradewind.moment", datetime(2030, 5, 1, 10, tzinfo=UTC), "go")


def test_a_delay_is_stored_as_the_moment_that_it_leads_to() -> None:
    trigger = TimeDeltaTrigger(timedelta(hours=2))
    wait = wait_of(TaskDeferred(trigger=trigger, method_name="go"), now=datetime.now(UTC))
    assert (wait.kind, wait.due) == ("tradewind.moment", trigger.moment)
    assert trigger.serialize()[0] == "airflow.providers.standard.triggers.temporal.DateTimeTrigger"


async def test_a_moment_that_ends_its_task_is_run() -> None:
    trigger = again(DateTimeTrigger(datetime.now(UTC), end_from_trigger=True))
    assert await first(trigger) == TaskSuccessEvent()


async def test_a_moment_fires_with_itself() -> None:
    at = datetime.now(UTC) + timedelta(seconds=0.01)
    assert await first(DateTimeTrigger(at)) == TriggerEvent(at)
    assert datetime.now(UTC) >= at


async def test_a_subclass_that_waits_in_its_own_way_is_run() -> None:
    assert Later(datetime.now(UTC)).due() is None
    assert (await first(Later(datetime.now(UTC)))).payload == "later"


class Later(DateTimeTrigger):
    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent("later")


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        (datetime(2030, 1, 1), "You cannot pass naive datetimes"),  # noqa: DTZ001 - that is the point
        ("2030-01-01", "Expected datetime.datetime type for moment"),
    ],
)
def test_what_is_no_moment_is_refused(moment: Any, said: str) -> None:
    with pytest.raises(AuthoringError, match=said):
        DateTimeTrigger(moment)


# ------------------------------------------------------------------------------- files


@ON_LINUX
async def test_the_kernel_wakes_a_file_trigger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watch, "SWEEP", 600.0)
    waiting = asyncio.ensure_future(first(again(FileTrigger(str(tmp_path / "new/in-*.csv"), poke_interval=600))))
    await folders_watched(tmp_path)
    (tmp_path / "new").mkdir()
    await folders_watched(tmp_path / "new")
    (tmp_path / "new/other").touch()
    (tmp_path / "new/in-1.csv").touch()
    assert (await waiting).payload is True
    assert not folder_watch.open_watches, "nobody watches, nothing is open"


@ON_LINUX
async def test_triggers_of_one_loop_share_one_inotify(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watch, "SWEEP", 600.0)
    files = [tmp_path / f"{n % 10}" / f"{n}" for n in range(300)]
    for file in files:
        file.parent.mkdir(exist_ok=True)
    waiting = [asyncio.ensure_future(first(FileTrigger(str(file), poke_interval=600))) for file in files]
    for folder in {file.parent for file in files}:
        await folders_watched(folder, count=30)
    assert len(folder_watch.open_watches) == 1
    for file in files:
        file.touch()
    assert all(event.payload is True for event in await asyncio.gather(*waiting))


@ON_LINUX
async def test_files_of_other_names_wake_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watch, "SWEEP", 600.0)
    looks = list[str]()

    def look(pattern: str, *, recursive: bool) -> str | None:
        found = found_at(pattern, recursive=recursive)
        looks.append(pattern)
        return found

    monkeypatch.setattr(file_triggers, "found_at", look)
    waiting = asyncio.ensure_future(first(FileTrigger(str(tmp_path / "in-?.csv"), poke_interval=600)))
    await folders_watched(tmp_path)
    await until(lambda: bool(looks))
    before = len(looks)
    for n in range(50):
        (tmp_path / f"other-{n}").touch()
    (tmp_path / "in-1.csv").touch()
    assert (await waiting).payload is True
    assert len(looks) == before + 1


@ON_LINUX
async def test_a_folder_counts_once_a_file_is_in_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watch, "SWEEP", 600.0)
    (tmp_path / "box/inner").mkdir(parents=True)
    waiting = asyncio.ensure_future(first(FileTrigger(str(tmp_path / "box"), poke_interval=600)))
    await folders_watched(tmp_path / "box/inner")
    (tmp_path / "box/inner/file").touch()
    assert (await waiting).payload is True


@ON_LINUX
async def test_patterns_over_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watch, "SWEEP", 600.0)
    pattern = str(tmp_path / "**" / "done-?")
    waiting = asyncio.ensure_future(first(FileTrigger(pattern, recursive=True, poke_interval=600)))
    await folders_watched(tmp_path)
    (tmp_path / "a/b").mkdir(parents=True)
    await folders_watched(tmp_path / "a/b")
    (tmp_path / "a/b/done-1").touch()
    assert (await waiting).payload is True


@ON_LINUX
async def test_a_folder_made_anew_is_watched_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_watch, "SWEEP", 600.0)
    box = tmp_path / "box"
    box.mkdir()
    waiting = asyncio.ensure_future(first(FileTrigger(str(box / "file"), poke_interval=600)))
    await folders_watched(box)
    shutil.rmtree(box)
    await folders_watched(tmp_path)
    box.mkdir()
    await folders_watched(box)
    (box / "file").touch()
    assert (await waiting).payload is True


async def test_without_the_kernel_it_looks_at_its_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def follow(watch: FolderWatch, places: Iterable[Place]) -> None:
        del watch, places

    monkeypatch.setattr(FolderWatch, "follow", follow)
    waiting = asyncio.ensure_future(first(FileTrigger(str(tmp_path / "file"), poke_interval=0.001)))
    await asyncio.sleep(0)
    (tmp_path / "file").touch()
    assert (await waiting).payload is True


@pytest.mark.parametrize("kind", ["file", "folder"])
async def test_files_that_are_taken(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "flag"
    made: dict[str, Callable[[], BaseTrigger]] = {
        "file": lambda: FileDeleteTrigger(str(path), poke_interval=0.01),
        "folder": lambda: DirectoryFileDeleteTrigger(directory=str(tmp_path), filename="flag", poke_interval=0.01),
    }
    waiting = asyncio.ensure_future(first(again(made[kind]())))
    await asyncio.sleep(0)
    path.touch()
    event = await waiting
    assert event.payload == (True if kind == "file" else str(path))
    assert path.exists()
    assert event.key is not None
    assert event.ack is not None
    await event.ack()
    assert not path.exists()


@pytest.mark.parametrize("bad", [{"filepath": ""}, {"filepath": None}, {"filepath": "/x", "poke_interval": -1}])
def test_bad_arguments_of_file_triggers(bad: dict[str, Any]) -> None:
    with pytest.raises(AuthoringError, match="FileTrigger"):
        FileTrigger(**bad)


async def folders_watched(folder: Path, count: int = 1) -> None:
    """Waits until so many wait for changes of that folder."""
    async with asyncio.timeout(60):
        while True:
            for shared in list(folder_watch.open_watches.values()):
                if await asyncio.to_thread(is_watched, shared, folder, count):
                    return
            await asyncio.sleep(0)


def is_watched(shared: Any, folder: Path, count: int) -> bool:
    if not folder.is_dir():
        return False
    with shared._changing:
        number = shared._kernel.watch(folder, folder_watch.MASK)
        if number not in shared._waking:
            shared._kernel.unwatch(number)
        return len(shared._waking.get(number, ())) >= count


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not await asyncio.to_thread(look):
            pass


# ------------------------------------------------------------------------------- processes


async def test_the_end_of_a_command(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    start = functools.partial(ProcessTrigger.start, folder=tmp_path / "out")
    trigger = await asyncio.to_thread(start, f"cat '{gate}'; echo done; exit 3")
    waiting = asyncio.ensure_future(first(again(trigger)))
    await asyncio.sleep(0)
    assert not waiting.done()
    await asyncio.to_thread(gate.write_text, "go\n")
    payload = (await waiting).payload
    assert payload == {"pid": trigger.pid, "exit_code": 3, "folder": str(tmp_path / "out")}
    assert await asyncio.to_thread((tmp_path / "out/output").read_text) == "go\ndone\n"


async def test_a_command_that_ended_while_nobody_looked(tmp_path: Path) -> None:
    start = functools.partial(ProcessTrigger.start, folder=tmp_path, env={"PATH": os.environ["PATH"]})
    trigger = await asyncio.to_thread(start, ["true"])
    await first(trigger)
    assert (await first(again(trigger))).payload["exit_code"] == 0


async def test_killing_ends_all_that_the_command_started(tmp_path: Path) -> None:
    start = functools.partial(ProcessTrigger.start, folder=tmp_path / "out")
    trigger = await asyncio.to_thread(start, f"sleep 600 & echo $! > '{tmp_path}'/child; wait")
    number = tmp_path / "child"
    await until(lambda: number.exists() and bool(number.read_text().strip()))
    child = ProcessTrigger(int(await asyncio.to_thread(number.read_text)))
    await trigger.on_kill()
    await until(lambda: not trigger.is_running)
    await until(lambda: not child.is_running)
    assert (await first(trigger)).payload["exit_code"] is None


def test_bad_commands(tmp_path: Path) -> None:
    with pytest.raises(AuthoringError, match="a command is needed"):
        ProcessTrigger.start([])
    with pytest.raises(AuthoringError, match="the number of a process"):
        ProcessTrigger(0)
    (tmp_path / "file").touch()
    with pytest.raises(TaskFailed, match="cannot be started"):
        ProcessTrigger.start("true", folder=tmp_path / "file")
