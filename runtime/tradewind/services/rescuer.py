"""Keeps this runtime's lease alive and takes over from runtimes that are dead.

One statement a beat says that we live, reads the peers and counts mail. Death is proved where it
can be: a peer on this machine whose process is gone, or one whose session lock is free while its
beat stands still for a second. Else the lease decides: a beat that has not moved for a full lease
on our own clock, while our own connection worked. No two machines' clocks are ever compared.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from tradewind.model.errors import StoreUnavailable
from tradewind.model.keys import RuntimeId
from tradewind.model.rows import Beat, BeatReport, Lease, PeerRow
from tradewind.ports import Clock, Store

log = logging.getLogger(__name__)

STANDSTILL: Final = 1.0
"""Seconds for which a peer's beat must stand still before a free session lock proves its death."""


def runtime_name() -> str:
    """This process, such that another process of the machine can tell whether it lives:
    host, boot, process-id namespace, process id and its start time.
    """
    return "/".join((socket.gethostname(), _boot_id(), _pid_namespace(), _process(os.getpid())))


def is_provably_gone(name: str) -> bool:
    """Whether `name` is of this machine and boot and its process no longer exists."""
    host, _, rest = name.partition("/")
    boot, _, rest = rest.partition("/")
    namespace, _, process = rest.partition("/")
    if (host, boot, namespace) != (socket.gethostname(), _boot_id(), _pid_namespace()):
        return False
    pid = process.partition("@")[0]
    return not boot or (pid.isdigit() and _process(int(pid)) != process)


def _boot_id() -> str:
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else ""


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid")  # noqa: PTH115  its text is the name
    except OSError:
        return ""


def _process(pid: int) -> str:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return f"{pid}@"
    return f"{pid}@{fields[19]}" if fields[0] not in "ZX" else f"{pid}@"


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
        self._latest: Beat | None = None
        self._news = asyncio.Event()
        self.last_beat: float | None = None
        self._unsure = False
        """Whether the database went away: what we did not see does not count, and DAGs may just have been claimed."""
        self.sweep_finds = 0
        """What beats found that an event should have told us; 0 in a healthy system."""

    async def beat(self, lease: Lease) -> None:
        """Beats for ever, whatever holds up this loop. Raises Fenced when the lease has been taken away."""
        self._latest = None
        self._seen.clear()
        await self._store.runtime_beats(lease, self._pace, self._told)

    async def run(self, lease: Lease) -> None:
        """Acts for ever on what the latest beat has seen; one that waited behind it is left out."""
        while True:
            await self._news.wait()
            self._news.clear()
            latest = self._latest
            if latest is None or latest.report is None:
                continue
            try:
                await self._look_at(lease, latest.report, latest.at)
            except StoreUnavailable:
                self._lost()
                await asyncio.sleep(min(1.0, self._times.beat))
                self._news.set()

    def _told(self, beat: Beat) -> None:
        self._latest = beat
        self._news.set()
        if beat.report is None:
            self._lost()
        else:
            self.last_beat = beat.at

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
