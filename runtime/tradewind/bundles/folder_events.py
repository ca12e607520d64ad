"""Changes in a folder as they happen."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
from watchfiles._rust_notify import RustNotify

from tradewind.bundles.folder import is_skipped

DEBOUNCE_MS: Final = 200
STEP_MS: Final = 50
"""A burst of changes ends when nothing more comes for a step, after `DEBOUNCE_MS` at the latest."""


class FolderEvents:
    """Bursts of changed paths, without those that `is_noise` leaves out. Ends when it is closed."""

    def __init__(self, root: Path, notify: RustNotify) -> None:
        self._root = root
        self._notify = notify
        self._loop = asyncio.get_running_loop()
        self._bursts: asyncio.Queue[set[str]] = asyncio.Queue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="tradewind-folder-events", daemon=True)
        self._thread.start()

    async def next_burst(self) -> set[str]:
        """Waits for the next change and returns the absolute paths that it is about."""
        return await self._bursts.get()

    async def close(self) -> None:
        """Stops watching; takes up to one step."""
        self._stop.set()
        await asyncio.to_thread(self._thread.join)
        self._notify.close()

    def _watch(self) -> None:
        while not self._stop.is_set():
            found = self._notify.watch(DEBOUNCE_MS, STEP_MS, 0, self._stop)
            if isinstance(found, str):
                continue
            paths = {path for _, path in found if not is_noise(self._root, path)}
            if paths:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
                    self._loop.call_soon_threadsafe(self._bursts.put_nowait, paths)


@asynccontextmanager
async def watching(root: Path, *, recursive: bool = True) -> AsyncGenerator[FolderEvents, None]:
    """Watches the folder inside the block; whatever changes after it was entered is told.

    Raises:
        FileNotFoundError: there is no such folder.
    """
    notify = await asyncio.to_thread(RustNotify, [str(root)], False, False, 0, recursive, True)
    events = FolderEvents(root, notify)
    try:
        yield events
    finally:
        with anyio.CancelScope(shield=True):
            await events.close()


def is_noise(root: Path, path: str) -> bool:
    """Bytecode, hidden folders, and what editors write beside a file while they save it."""
    name = path.rpartition("/")[2]
    if name.endswith((".pyc", "~", ".swp", ".swx", ".tmp")) or name.startswith(".#") or name == "4913":
        return True
    inner = path.removeprefix(str(root)).split("/")[:-1]
    return any(is_skipped(part) for part in inner)
