"""The zygotes of an executor: started when first needed, shared by attempts of one file, gone when idle."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tradewind.model.outcomes import ErrorInfo
from tradewind_executors.local.settings import LocalSettings, worker_environment
from tradewind_executors.local.zygote_process import Attendant, Source, ZygoteProcess

_log = logging.getLogger(__name__)

ImportFailed = Callable[[Attendant, str, ErrorInfo | None], None]


class Zygotes:
    """Keeps at most `zygotes_max` idle ones, the least recently used go first.

    `import_failed(attendant, reason, error)` is told of each attempt whose file cannot be loaded.
    """

    def __init__(self, settings: LocalSettings, log_root: str, import_failed: ImportFailed) -> None:
        self._settings = settings
        self._output = Path(log_root, "imports.log")
        self._import_failed = import_failed
        self._loop = asyncio.get_running_loop()
        self._zygotes: dict[tuple[str, str], ZygoteProcess] = {}
        self._alive: set[ZygoteProcess] = set()
        self._spawner = ThreadPoolExecutor(1, thread_name_prefix="tradewind-spawner")
        self._deaths: dict[tuple[str, str], int] = {}
        self._announced: set[str] = set()
        self._environment = worker_environment()
        self._load = {"start_method": settings.start_method, "authoring_defaults": settings.authoring_defaults}
        self._closed = False

    def run(self, source: Source, attendant: Attendant) -> None:
        """Starts the attempt in its file's zygote, which is started where there is none."""
        self._take(source).run(attendant)

    @property
    def pids(self) -> list[int]:
        """Process ids of those that are alive."""
        return [zygote.pid for zygote in self._alive if zygote.pid is not None]

    def find(self, attendant: Attendant) -> ZygoteProcess | None:
        """The zygote that runs the attempt or that it waits for."""
        for zygote in self._alive:
            if attendant in zygote.waiting or attendant in zygote.children.values():
                return zygote
        return None

    async def close(self) -> None:
        """Ends all zygotes and what runs in them; returns when they have been reaped."""
        self._closed = True
        while self._alive:
            zygotes = list(self._alive)
            for zygote in zygotes:
                zygote.close()
            for zygote in zygotes:
                await zygote.wait()
        self._spawner.shutdown(wait=False)

    # -- what zygotes say

    def zygote_loaded(self, zygote: ZygoteProcess) -> None:
        """Its file is imported."""
        self._deaths.pop(_key(zygote.source), None)
        if zygote.mode_reason and zygote.source.fileloc not in self._announced:
            self._announced.add(zygote.source.fileloc)
            _log.warning(
                "%s cannot be forked: %s. Each of its attempts starts a new interpreter, which is slower; "
                "move this into the tasks to change it",
                zygote.source.fileloc,
                zygote.mode_reason,
            )

    def zygote_failed(self, zygote: ZygoteProcess, error: ErrorInfo) -> None:
        """The import raised."""
        self._deaths.pop(_key(zygote.source), None)
        self._forget(zygote)
        self._fail(zygote, f"{zygote.source.fileloc} could not be imported", error)

    def zygote_gone(self, zygote: ZygoteProcess, ending: str) -> None:
        """Its process has ended."""
        self._stop_timer(zygote)
        self._forget(zygote)
        self._alive.discard(zygote)
        if not zygote.waiting:
            return
        if self._closed or not zygote.had_process:
            for attendant in _emptied(zygote):
                attendant.not_started("the executor was stopped" if self._closed else f"its zygote {ending}")
            return
        key = _key(zygote.source)
        self._deaths[key] = deaths = self._deaths.get(key, 0) + 1
        if deaths >= self._settings.import_deaths_max:
            self._fail(
                zygote,
                f"{zygote.source.fileloc} ends the process that imports it: {deaths} times in a row it {ending}",
                None,
            )
            return
        _log.warning("while importing %s the process %s; trying again", zygote.source.fileloc, ending)
        for attendant in _emptied(zygote):
            self.run(zygote.source, attendant)

    def zygote_idle(self, zygote: ZygoteProcess) -> None:
        """Nothing runs in it and nothing waits for it."""
        if zygote.gone:
            return
        self._stop_timer(zygote)
        zygote.idle_timer = self._loop.call_later(self._settings.zygote_idle, self._let_go, zygote)
        self._trim()

    # -- within

    def _take(self, source: Source) -> ZygoteProcess:
        key = _key(source)
        zygote = self._zygotes.pop(key, None)
        if zygote is None or zygote.gone:
            zygote = ZygoteProcess(source, self, self._loop, self._load, load_within=self._settings.import_timeout)
            self._alive.add(zygote)
            zygote.start(self._spawner, self._output, self._environment)
        self._stop_timer(zygote)
        self._zygotes[key] = zygote  # last: the most recently used
        self._trim()
        return zygote

    def _trim(self) -> None:
        idle = [z for z in self._zygotes.values() if z.loaded and not z.busy]
        for zygote in idle[: max(len(self._zygotes) - self._settings.zygotes_max, 0)]:
            if zygote is not next(reversed(self._zygotes.values())):
                self._let_go(zygote)

    def _let_go(self, zygote: ZygoteProcess) -> None:
        if not zygote.busy:
            self._forget(zygote)
            zygote.close()

    def _fail(self, zygote: ZygoteProcess, reason: str, error: ErrorInfo | None) -> None:
        for attendant in _emptied(zygote):
            self._import_failed(attendant, reason, error)

    def _forget(self, zygote: ZygoteProcess) -> None:
        key = _key(zygote.source)
        if self._zygotes.get(key) is zygote:
            del self._zygotes[key]

    @staticmethod
    def _stop_timer(zygote: ZygoteProcess) -> None:
        if zygote.idle_timer is not None:
            zygote.idle_timer.cancel()
            zygote.idle_timer = None


def _key(source: Source) -> tuple[str, str]:
    return source.fileloc, source.bundle_version


def _emptied(zygote: ZygoteProcess) -> list[Attendant]:
    waiting = list(zygote.waiting)
    zygote.waiting.clear()
    return waiting
