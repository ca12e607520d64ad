"""Keeps this runtime's lease alive and takes over from runtimes that are dead.

One statement a beat says that we live, reads the peers and counts mail. Death is proved where it
can be: a peer on this machine whose process is gone (the operating system tells when), or one
whose session lock is free while its beat stands still for a second. Else the lease decides: a beat
that has not moved for a full lease on our own clock, while our own connection worked. No two
machines' clocks are ever compared.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, NamedTuple

from tradewind.model.errors import StoreUnavailable
from tradewind.model.keys import RuntimeId
from tradewind.model.rows import Beat, BeatReport, Lease, PeerRow
from tradewind.ports import Clock, Store
from tradewind.services.runtime_names import is_provably_gone, open_process

log = logging.getLogger(__name__)

STANDSTILL: Final = 1.0
"""Seconds for which a peer's beat must stand still before a free session lock proves its death."""

OUTAGE: Final = 2
"""Unanswered beats in a row that are told: a server that is back at once is nothing to tell."""


class BeatTimes(NamedTuple):
    """How long a lease lasts and how often a runtime beats, with peers and alone, in seconds."""

    lease: float
    beat: float
    beat_alone: float


@dataclass(slots=True)
class _Seen:
    epoch: int
    beat: int
    since: float
    """Our own monotonic seconds from which on this beat has stood still."""
    knows_us: float
    """When, if it lives, it must have seen us and beats as one does with peers."""


class Rescuer:
    """Beats, watches peers, buries the dead and has their DAGs taken over."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        times: BeatTimes,
        take_over: Callable[[], Awaitable[None]],
        on_mail: Callable[[], None],
        on_peers: Callable[[int], None],
    ) -> None:
        self._store = store
        self._clock = clock
        self._times = times
        self._take_over = take_over
        self._on_mail = on_mail
        self._on_peers = on_peers
        self._seen: dict[RuntimeId, _Seen] = {}
        self._processes: dict[RuntimeId, int] = {}
        """Descriptors of peers' processes on this machine."""
        self._process_ended = False
        self._latest: Beat | None = None
        self._news = asyncio.Event()
        self.last_beat: float | None = None
        self._unsure = False
        """Whether the database went away: what we did not see does not count, and DAGs may just have been claimed."""
        self._unanswered = 0
        """Beats in a row."""
        self.sweep_finds = 0
        """What beats found that an event should have told us; 0 in a healthy system."""

    async def beat(self, lease: Lease) -> None:
        """Beats for ever, whatever holds up this loop. Raises Fenced when the lease has been taken away."""
        self._latest = None
        self._seen.clear()
        await self._store.runtime_beats(lease, self._pace, self._told)

    async def run(self, lease: Lease) -> None:
        """Acts for ever on what the latest beat has seen; one that waited behind it is left out."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                try:
                    await self._act(lease)
                except StoreUnavailable:
                    self._lost()
                    await asyncio.sleep(min(1.0, self._times.beat))
                    self._news.set()
        finally:
            self._forget_processes(set(self._processes))

    async def _act(self, lease: Lease) -> None:
        if self._process_ended:
            self._process_ended = False
            report = await self._store.runtime_beat(lease)
            await self._look_at(lease, report, self._clock.monotonic())
        elif self._latest is not None and self._latest.report is not None:
            await self._look_at(lease, self._latest.report, self._latest.at)

    def _told(self, beat: Beat) -> None:
        self._latest = beat
        self._news.set()
        if beat.report is None:
            self._lost()
            self._unanswered += 1
            if self._unanswered == OUTAGE:
                log.warning("The database does not answer. What runs goes on; its results are kept until it is back.")
        else:
            self.last_beat = beat.at
            if self._unanswered >= OUTAGE:
                log.warning("The database answers again.")
            self._unanswered = 0

    def _lost(self) -> None:
        self._seen.clear()
        self._unsure = True

    def _pace(self, report: BeatReport | None) -> float:
        """Seconds until the next beat. Asked in another thread."""
        if report is None:
            return min(1.0, self._times.beat)
        return self._times.beat if report.peers else self._times.beat_alone

    async def _look_at(self, lease: Lease, report: BeatReport, at: float) -> None:
        """Buries who is dead, takes what nobody owns."""
        living = [p for p in report.peers if p.alive and p.runtime_id != lease.runtime_id]
        buried = [peer for peer in living if await self._bury(peer, at)]
        unsure, self._unsure = self._unsure, False
        if buried or report.unowned_dags or unsure:
            await self._take_over()
        if report.mail_waiting:
            self._on_mail()
        self._on_peers(len(living) - len(buried))
        await self._watch_processes([peer for peer in living if peer not in buried])

    async def bury_the_gone(self, lease: Lease) -> None:
        """At start: buries at once the peers whose death this machine can prove."""
        report = await self._store.runtime_beat(lease)
        for peer in report.peers:
            if not peer.alive or peer.runtime_id == lease.runtime_id:
                continue
            if await asyncio.to_thread(is_provably_gone, peer.name):
                await self._store.runtime_bury(peer.runtime_id, peer.beat)

    async def _bury(self, peer: PeerRow, now: float) -> bool:
        seen = self._seen.get(peer.runtime_id)
        if seen is None:
            seen = self._seen[peer.runtime_id] = _Seen(peer.epoch, peer.beat, now, now + self._times.beat_alone)
        elif (seen.epoch, seen.beat) != (peer.epoch, peer.beat):
            seen.epoch, seen.beat, seen.since = peer.epoch, peer.beat, now
        over = now - max(seen.since, seen.knows_us) >= self._times.lease
        dead = await asyncio.to_thread(is_provably_gone, peer.name) or over
        if not dead and now - seen.since >= STANDSTILL:
            dead = await self._store.runtime_is_provably_dead(peer.runtime_id)
        if not dead or not await self._store.runtime_bury(peer.runtime_id, peer.beat):
            return False
        log.warning("runtime %s is dead: its DAGs are taken over", peer.name)
        self._seen.pop(peer.runtime_id, None)
        return True

    async def _watch_processes(self, peers: list[PeerRow]) -> None:
        """Has the system tell when the process of a peer on this machine ends."""
        self._forget_processes(self._processes.keys() - {peer.runtime_id for peer in peers})
        for peer in peers:
            if peer.runtime_id not in self._processes:
                fd = await asyncio.to_thread(open_process, peer.name)
                if fd is not None:
                    self._processes[peer.runtime_id] = fd
                    asyncio.get_running_loop().add_reader(fd, self._on_process_end, peer.runtime_id)

    def _on_process_end(self, peer: RuntimeId) -> None:
        self._forget_processes({peer})
        self._process_ended = True
        self._news.set()

    def _forget_processes(self, peers: AbstractSet[RuntimeId]) -> None:
        for peer in peers:
            fd = self._processes.pop(peer)
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)
