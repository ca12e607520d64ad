"""Triggers that wait for files, as watchers of assets name them: files that use them load; nothing here runs them."""

from __future__ import annotations

import asyncio
import glob
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Final

from tradewind.compat.helping import BaseTrigger, TriggerEvent

_MODULE: Final = "airflow.providers.standard.triggers.file"


class FileTrigger(BaseTrigger):
    """Ends once there is something at `filepath`, which may be a pattern. Looks every `poke_interval` seconds."""

    def __init__(self, filepath: str, recursive: bool = False, poke_interval: float = 5.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filepath = filepath
        self.recursive = recursive
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of the class and the arguments of an equal trigger."""
        said = {"filepath": self.filepath, "recursive": self.recursive, "poke_interval": self.poke_interval}
        return f"{_MODULE}.FileTrigger", said

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Waits for the file and yields True."""
        await _until(self._is_there, self.poke_interval)
        yield TriggerEvent(True)

    def _is_there(self) -> bool:
        return any(glob.iglob(self.filepath, recursive=self.recursive))  # noqa: PTH207 - absolute patterns


class FileDeleteTrigger(BaseTrigger):
    """Ends once there is a file at `filepath`, and deletes it."""

    def __init__(self, filepath: str, poke_interval: float = 5.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filepath = filepath
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of the class and the arguments of an equal trigger."""
        said = {"filepath": self.filepath, "poke_interval": self.poke_interval}
        return f"{_MODULE}.FileDeleteTrigger", said

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Waits for the file, deletes it and yields its path."""
        await _until(lambda: _taken(Path(self.filepath)), self.poke_interval)
        yield TriggerEvent(self.filepath)


class DirectoryFileDeleteTrigger(BaseTrigger):
    """Ends once there is a file `filename` in `directory`, and deletes it."""

    def __init__(self, *, directory: str, filename: str, poke_interval: float = 5.0) -> None:
        super().__init__()
        self.directory = directory
        self.filename = filename
        self.poke_interval = poke_interval

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The path of the class and the arguments of an equal trigger."""
        said = {"directory": self.directory, "filename": self.filename, "poke_interval": self.poke_interval}
        return f"{_MODULE}.DirectoryFileDeleteTrigger", said

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Waits for the file, deletes it and yields its path."""
        path = Path(self.directory, self.filename)
        await _until(lambda: _taken(path), self.poke_interval)
        yield TriggerEvent(str(path))


async def _until(looks: Callable[[], bool], pause: float) -> None:
    while not await asyncio.to_thread(looks):  # noqa: ASYNC110 - nobody tells of the file
        await asyncio.sleep(pause)


def _taken(path: Path) -> bool:
    """Whether the file was there; it is deleted."""
    if not path.is_file():
        return False
    path.unlink(missing_ok=True)
    return True
