"""Events for the files of a folder: for the watchers of assets."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from time import time
from typing import NamedTuple, cast

from tradewind.authoring.triggers import BaseEventTrigger, Trigger, TriggerEvent, trigger
from tradewind.model.errors import AuthoringError


class SeenFile(NamedTuple):
    """A file as it was when it was looked at. Another one under its path, or other content, is another value."""

    path: Path
    inode: int
    size: int
    changed_ns: int

    @staticmethod
    def at(path: Path) -> SeenFile | None:
        """None where there is no file. Blocking."""
        try:
            found = path.stat()
        except OSError:
            return None
        return SeenFile(path, found.st_ino, found.st_size, found.st_mtime_ns) if path.is_file() else None

    @property
    def key(self) -> str:
        """The same for the same file with the same content."""
        return f"{self.path}:{self.inode}:{self.size}:{self.changed_ns}"

    def delete(self) -> None:
        """Unless another one has come in its place. Blocking."""
        if SeenFile.at(self.path) == self:
            self.path.unlink(missing_ok=True)

    def move_to(self, folder: Path) -> None:
        """As `delete`, but it is kept there; one of the same name there is replaced. Blocking."""
        if SeenFile.at(self.path) == self:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.move(self.path, folder / self.path.name)


def _folder(given: object, name: str) -> str:
    if not isinstance(given, str | Path) or not str(given):
        raise AuthoringError(f"FolderTrigger: {name}: a path is needed, not {given!r}")
    if not Path(given).is_absolute():
        raise AuthoringError(
            f"FolderTrigger: {name}: an absolute path is needed, not {str(given)!r}: a relative one would depend on "
            "where the runtime was started"
        )
    return str(given)


@trigger(kind="tradewind.folder")
class FolderTrigger(Trigger, BaseEventTrigger):
    """Fires for each file in `directory` that fits `pattern` (not in folders below it), the oldest first.

    A file counts once nothing has been written to it for `settled` seconds. Once its event is committed it is moved
    to the folder `move_to`, or deleted where `delete` says so; else it stays, and fires again when it is changed.
    The payload is `{"path", "size", "modified"}`. It looks when something in the folder changes, or every
    `poke_interval` seconds where the kernel does not tell that.
    """

    directory: str
    pattern: str = "*"
    move_to: str | None = None
    delete: bool = False
    settled: float = 1.0
    poke_interval: float = 5.0

    def __post_init__(self) -> None:
        self.directory = _folder(self.directory, "directory")
        self.move_to = None if self.move_to is None else _folder(self.move_to, "move_to")
        if not isinstance(cast("object", self.pattern), str) or not self.pattern or "/" in self.pattern:
            raise AuthoringError(f"FolderTrigger: pattern: a file name such as '*.csv' is needed, not {self.pattern!r}")
        if self.delete and self.move_to is not None:
            raise AuthoringError("FolderTrigger: either move_to= or delete=True, not both")
        if self.move_to is not None and Path(self.move_to) == Path(self.directory):
            raise AuthoringError("FolderTrigger: move_to has to be another folder than directory")
        for name in ("settled", "poke_interval"):
            given = getattr(self, name)
            if not isinstance(given, int | float) or given < 0:
                raise AuthoringError(f"FolderTrigger: {name} has to be a number of seconds, not {given!r}")

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fires for the files that are there, and for those that come."""
        import asyncio

        from tradewind.standard.folder_watch import FolderWatch, Place

        given: set[SeenFile] = set()
        async with FolderWatch(self.poke_interval, most=1) as watch:
            while True:
                await asyncio.to_thread(lambda: watch.follow([Place(Path(self.directory))]))
                files = await asyncio.to_thread(self._files)
                given &= set(files)
                now, waits = time(), 0.0
                for file in files:
                    rest = self.settled - (now - file.changed_ns / 1e9)
                    if file in given:
                        continue
                    if self.settled and 0 < rest <= self.settled:
                        waits = max(waits, rest)
                        continue
                    given.add(file)
                    yield self._event(file)
                if waits:
                    await asyncio.sleep(waits)
                else:
                    await watch.wait()

    def _event(self, file: SeenFile) -> TriggerEvent:
        async def ack() -> None:
            import asyncio

            if self.move_to is not None:
                await asyncio.to_thread(file.move_to, Path(self.move_to))
            elif self.delete:
                await asyncio.to_thread(file.delete)

        modified = datetime.fromtimestamp(file.changed_ns / 1e9, UTC).isoformat()
        payload = {"path": str(file.path), "size": file.size, "modified": modified}
        return TriggerEvent(payload, ack=ack, key=file.key)

    def _files(self) -> list[SeenFile]:
        try:
            found = [SeenFile.at(path) for path in Path(self.directory).glob(self.pattern)]
        except OSError:
            return []
        return sorted((file for file in found if file is not None), key=lambda file: (file.changed_ns, file.path))
