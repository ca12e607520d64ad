"""The local executor's port: takes attempts, keeps its slots, and stops cleanly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from datetime import timedelta
from typing import Any, cast

from tradewind.executor_ports import ExecutorHost
from tradewind.model.attempts import Attempt, AttemptKey
from tradewind.model.errors import ConfigError
from tradewind.model.outcomes import ErrorInfo, Outcome
from tradewind.model.specs import DagSource
from tradewind.model.states import OutcomeKind
from tradewind.worker.dag_missing import bundle_root
from tradewind.worker.endings import lost
from tradewind_executors.local.flight import Flight, Flying
from tradewind_executors.local.settings import LocalSettings
from tradewind_executors.local.zygote_process import Attendant, Source
from tradewind_executors.local.zygotes import Zygotes


class LocalExecutor:
    """Carries each attempt out in a process of its own on this machine."""

    kind: str = "local"
    starts_at_once: bool = True

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight] = {}
        self._settings = LocalSettings()
        self._zygotes: Zygotes | None = None
        self._shared: Flying | None = None
        self._stopping = False
        self._empty = asyncio.Event()
        self._endings: set[asyncio.Task[None]] = set()

    async def start(self, host: ExecutorHost) -> None:
        """Takes its settings; starts no process. Raises ConfigError."""
        settings = self._settings = LocalSettings.of(host.settings)
        if settings.log_level not in logging.getLevelNamesMapping():
            raise ConfigError(f"executors.local.log_level: no level is called {settings.log_level!r}")
        self._zygotes = Zygotes(settings, host.log_root, self._import_failed)
        self._shared = Flying(
            host,
            asyncio.get_running_loop(),
            settings.kill_grace,
            {"log_level": settings.log_level},
            self._signal,
            self._landed,
            self._write_end,
        )

    @property
    def free_slots(self) -> int | None:
        """How many attempts it would accept now."""
        return 0 if self._stopping else max(self._settings.slots - len(self._flights), 0)

    @property
    def zygote_pids(self) -> list[int]:
        """Process ids of the zygotes that are alive."""
        return self._zygotes.pids if self._zygotes is not None else []

    async def submit(self, attempts: Sequence[Attempt]) -> None:
        """Hands each to the zygote of its file."""
        if self._zygotes is None or self._shared is None:
            raise ConfigError("the local executor has not been started")
        for attempt in attempts:
            if attempt.key.attempt in self._flights:
                continue
            flight = Flight(attempt, self._shared)
            self._flights[attempt.key.attempt] = flight
            if self._stopping:
                flight.refuse(lost("the executor is stopping"))
            else:
                self._zygotes.run(_source_of(attempt.run.source), flight)

    async def cancel(self, key: AttemptKey, *, grace: timedelta) -> None:
        """SIGTERM to the attempt's process group, SIGKILL after `grace`; returns at once."""
        flight = self._flights.get(key.attempt)
        if flight is not None:
            self._end(flight, Outcome(OutcomeKind.CANCELLED, reason="ended from outside"), grace.total_seconds())

    async def adopt(self, keys: Sequence[AttemptKey]) -> set[AttemptKey]:
        """Local processes die with their runtime: only what this one runs is found."""
        return {key for key in keys if key.attempt in self._flights}

    async def stop(self, *, drain: timedelta | None) -> None:
        """Lets attempts end for `drain`, then ends them as lost, and all zygotes. Twice is allowed."""
        if self._zygotes is None or self._stopping:
            return
        self._stopping = True
        if drain is not None:
            await self._until_empty(drain.total_seconds())
        for flight in list(self._flights.values()):
            self._end(flight, lost("the runtime was stopped"), 2.0)
        await self._until_empty(4.0)
        await self._zygotes.close()
        while self._endings:
            await asyncio.wait(self._endings)

    async def _until_empty(self, seconds: float) -> None:
        self._empty.clear()
        if self._flights:
            try:
                async with asyncio.timeout(seconds):
                    await self._empty.wait()
            except TimeoutError:
                return

    def _end(self, flight: Flight, outcome: Outcome, grace: float) -> None:
        zygote = self._zygotes.find(flight) if self._zygotes is not None else None
        if zygote is None or zygote.forget(flight):
            flight.refuse(outcome)
        else:
            flight.stop(outcome, grace)

    # -- what flights and zygotes say

    def _signal(self, flight: Flight, signum: int) -> None:
        zygote = self._zygotes.find(flight) if self._zygotes is not None else None
        if zygote is not None:
            zygote.kill(flight, signum)

    def _write_end(self, ending: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(ending)
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    def _landed(self, flight: Flight) -> None:
        self._flights.pop(flight.attempt.key.attempt, None)
        if not self._flights:
            self._empty.set()
        if self._shared is not None:
            self._shared.host.slots_changed()

    def _import_failed(self, attendant: Attendant, reason: str, error: ErrorInfo | None) -> None:
        cast("Flight", attendant).refuse(Outcome(OutcomeKind.FAILED, error=error, reason=reason))


def _source_of(source: DagSource) -> Source:
    return Source(source.fileloc, source.bundle_version, bundle_root(source))
