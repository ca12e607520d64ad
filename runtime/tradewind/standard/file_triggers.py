"""Triggers for files: they look when something in the folder changes, and now and then."""

from __future__ import annotations

import glob
import os
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from tradewind.authoring.triggers import Ack, BaseEventTrigger, BaseTrigger, TriggerEvent
from tradewind.model.errors import AuthoringError
from tradewind.standard.folder_trigger import SeenFile

MOST_FOLDERS: Final = 1_000
"""Folders that one trigger watches; where there are more it looks at its own pace."""

_MODULE: Final = "airflow.providers.standard.triggers.file"


class FileTrigger(BaseTrigger, kind="tradewind.file"):
    """Fires once there is a file at `filepath`, which may be a pattern; a folder counts once there is a file in it.

    `recursive` lets `**` cross folders. It looks when something in the folders changes; where the kernel does not
    tell that (network file systems, other systems than Linux), every `poke_interval` seconds.
    """

    def __init__(self, filepath: str, recursive: bool = False, poke_interval: float = 5.0, **kwargs: Any) -> None:
        super().__init__()
        self.filepath = _path(filepath, "FileTrigger: filepath")
        self.recursive = recursive
        self.poke_interval = _pace(poke_interval, "FileTrigger")

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow has it."""
        said = {"filepath": self.filepath, "recursive": self.recursive, "poke_interval": self.poke_interval}
        return f"{_MODULE}.FileTrigger", said

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Waits for the file and yields True."""
        import asyncio  # DAG files that only define sensors need no loop

        found = await _until(lambda: found_at(self.filepath, recursive=self.recursive), self._places, self)
        self.log.info("Found File %s last modified: %s", found, await asyncio.to_thread(_changed_at, found))
        yield TriggerEvent(True)

    def _places(self) -> Iterator[tuple[Path, str | None]]:
        return places_of(self.filepath, recursive=self.recursive)


class FileDeleteTrigger(BaseEventTrigger, kind="tradewind.file_delete"):
    """Fires once there is a file at `filepath`, which is deleted when the event is committed."""

    def __init__(self, filepath: str, poke_interval: float = 5.0, **kwargs: Any) -> None:
        super().__init__()
        self.filepath = _path(filepath, "FileDeleteTrigger: filepath")
        self.poke_interval = _pace(poke_interval, "FileDeleteTrigger")

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow has it."""
        return f"{_MODULE}.FileDeleteTrigger", {"filepath": self.filepath, "poke_interval": self.poke_interval}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Waits for the file and yields True."""
        file = await _until_at(Path(self.filepath), self)
        self.log.info("Found file %s", file.path)
        yield TriggerEvent(True, ack=_deleting(file), key=file.key)


class DirectoryFileDeleteTrigger(BaseEventTrigger, kind="tradewind.folder_file_delete"):
    """Fires once there is a file `filename` in `directory`, which is deleted when the event is committed."""

    def __init__(self, *, directory: str, filename: str, poke_interval: float = 5.0) -> None:
        super().__init__()
        self.directory = _path(directory, "DirectoryFileDeleteTrigger: directory")
        self.filename = _path(filename, "DirectoryFileDeleteTrigger: filename")
        self.poke_interval = _pace(poke_interval, "DirectoryFileDeleteTrigger")

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow has it."""
        said = {"directory": self.directory, "filename": self.filename, "poke_interval": self.poke_interval}
        return f"{_MODULE}.DirectoryFileDeleteTrigger", said

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Waits for the file and yields its path."""
        file = await _until_at(Path(self.directory, self.filename), self)
        yield TriggerEvent(str(file.path), ack=_deleting(file), key=file.key)


def _deleting(file: SeenFile) -> Ack:
    async def ack() -> None:
        import asyncio

        await asyncio.to_thread(file.delete)

    return ack


T = TypeVar("T")


async def _until_at(path: Path, trigger: Any) -> SeenFile:
    return await _until(lambda: SeenFile.at(path), lambda: iter(((path.parent, glob.escape(path.name)),)), trigger)


async def _until(
    look: Callable[[], T | None], places: Callable[[], Iterator[tuple[Path, str | None]]], trigger: Any
) -> T:
    """What `look` finds, in a thread; first of all the places are followed, so that nothing falls between."""
    import asyncio

    from tradewind.standard.folder_watch import FolderWatch, Place

    async with FolderWatch(trigger.poke_interval, most=MOST_FOLDERS) as watch:
        while True:
            await asyncio.to_thread(lambda: watch.follow(Place(*place) for place in places()))
            found = await asyncio.to_thread(look)
            if found is not None:
                return found
            await watch.wait()


def found_at(pattern: str, *, recursive: bool) -> str | None:
    """The first file that there is for this path or pattern, or in a folder for it; None: there is none."""
    for found in glob.iglob(pattern, recursive=recursive):  # noqa: PTH207 - absolute patterns
        if Path(found).is_file():
            return found
        for folder, _, files in os.walk(found):
            if files:
                return str(Path(folder, files[0]))
    return None


def places_of(pattern: str, *, recursive: bool) -> Iterator[tuple[Path, str | None]]:
    """The folders in which a change may make the pattern match, with the names that count there (None: all of them).

    A few more than can be watched at most.
    """
    parts = Path(pattern).absolute().parts
    fixed = next((n for n, part in enumerate(parts) if glob.has_magic(part)), len(parts) - 1)
    base = Path(*parts[:fixed])
    yield base, parts[fixed] if "**" not in parts[fixed] else None
    below = parts[fixed:-1]
    deep = len(parts) if recursive and "**" in parts[fixed:] else len(below)
    count = 1
    for folder in _below(base, deep):
        yield folder, None
        count += 1
        if count > MOST_FOLDERS:
            return
    for match in glob.iglob(pattern, recursive=recursive):  # noqa: PTH207 - absolute patterns
        for inside, _, _ in os.walk(match):
            yield Path(inside), None
            count += 1
            if count > MOST_FOLDERS:
                return


def _below(base: Path, depth: int) -> Iterator[Path]:
    if depth <= 0:
        return
    try:
        with os.scandir(base) as entries:
            folders = [Path(entry.path) for entry in entries if entry.is_dir()]
    except OSError:
        return
    for folder in folders:
        yield folder
        yield from _below(folder, depth - 1)


def _changed_at(path: str) -> str:
    try:
        return datetime.fromtimestamp(Path(path).stat().st_mtime, UTC).strftime("%Y%m%d%H%M%S")
    except OSError:
        return "unknown"


def _path(given: object, where: str) -> str:
    if not isinstance(given, (str, Path)) or not str(given):
        raise AuthoringError(f"{where}: a path is needed, not {given!r}")
    return str(given)


def _pace(given: object, name: str) -> float:
    if not isinstance(given, (int, float)) or isinstance(given, bool) or given < 0:
        raise AuthoringError(f"{name}: poke_interval has to be a number of seconds that is not negative, not {given!r}")
    return float(given)
