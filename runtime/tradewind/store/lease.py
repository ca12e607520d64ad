"""The session that is a runtime's life: its lock, its beats and what it listens to.

All of it happens on a loop and in a thread of its own: user code that holds up the runtime's loop
for longer than a lease must not make it look dead. Results, and news of mail, are handed to the
loop that joined.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

from tradewind.model.errors import Fenced
from tradewind.model.keys import RuntimeId
from tradewind.model.rows import Beat, BeatReport, Lease, PeerRow
from tradewind.store.beating import beat_for_ever
from tradewind.store.connection import Line, LineSettings, Session
from tradewind.store.own_loop import OwnLoop
from tradewind.store.statements import statement

THREAD: Final = "tradewind lease"


class Channels(NamedTuple):
    """What is listened to."""

    mail: str
    """Mail for a runtime: followed by its number."""
    replies: str
    """Replies to mail that this process has sent."""
    runtimes: str
    """A runtime has come or gone."""
    pools: str
    """A pool has been changed."""


class LeaseSession:
    """One runtime at a time. To be called on the runtime's loop."""

    def __init__(self, settings: LineSettings, channels: Channels) -> None:
        self._channels = channels
        self._own = OwnLoop(THREAD)
        self._line = Line(settings, self._greet)
        self._lease: Lease | None = None
        self._server_pid = 0
        self._hurry = asyncio.Event()
        self._is_lost = False
        """Whether a session has ended since the last beat of a series."""
        self._home: asyncio.AbstractEventLoop | None = None
        self.on_mail: Callable[[], None] = _nothing
        """Called on the loop that joined."""
        self.on_reply: Callable[[int], None] = _no_reply
        """Called on the loop that joined."""
        self.on_pools: Callable[[], None] = _nothing
        """Called on the loop that joined."""

    async def join(self, name: str) -> Lease:
        """A new runtime, in place of the one that this session was. Its peers look at once."""
        self._home = asyncio.get_running_loop()
        return await self._own.call(partial(self._join, name))

    async def beat(self, lease: Lease) -> BeatReport:
        """One beat. Raises Fenced, StoreUnavailable."""
        return await self._own.call(partial(self._beat, lease))

    async def beats(
        self, lease: Lease, pace: Callable[[BeatReport | None], float], tell: Callable[[Beat], None]
    ) -> None:
        """As `Store.runtime_beats`: `pace` is asked in the thread, `tell` is called on the caller's loop."""
        caller = asyncio.get_running_loop()

        def hand_over(beat: Beat) -> None:
            with suppress(RuntimeError):  # the caller's loop is closed: it will not ask again
                caller.call_soon_threadsafe(tell, beat)

        async def beat() -> BeatReport:
            if self._is_lost:
                self._is_lost = False
                hand_over(Beat(asyncio.get_running_loop().time(), None))
            return await self._beat(lease)

        await self._own.call(lambda: beat_for_ever(beat, pace, hand_over, self._hurry))

    async def leave(self, lease: Lease) -> None:
        """Gives up all DAGs and the lease; the peers take them at once."""
        await self._own.call(partial(self._leave, lease))

    async def close(self) -> None:
        """Ends the session and its thread; the runtime's lock goes with it."""
        if self._own.is_running:
            await self._own.call(self._close)
            await self._own.close()

    # ------------------------------------------------------------------------- in the thread

    async def _join(self, name: str) -> Lease:
        async with self._line.session() as session:
            if self._lease is not None:
                await self._let_go(session, self._lease)
            row = await session.fetchrow(statement("runtime", "runtime_insert").text, name)
            if row is None:
                raise Fenced("the runtime's row was not made")
            lease = Lease(RuntimeId(row["runtime_id"]), row["epoch"])
            await session.fetch(statement("runtime", "runtime_lock").text, lease.runtime_id)
            await session.add_listener(f"{self._channels.mail}{lease.runtime_id}", self._on_notice)
            await self._tell_peers(session)
            self._lease = lease
        return lease

    async def _beat(self, lease: Lease) -> BeatReport:
        row = await self._line.fetchrow(statement("runtime", "runtime_beat"), lease.runtime_id, lease.epoch)
        if row is None:
            raise Fenced
        peers = tuple(
            PeerRow(RuntimeId(int(i)), int(epoch), int(beat), True, name) for i, epoch, beat, name in row["peers"]
        )
        return BeatReport(row["seq"], peers, row["mail_waiting"], tuple(row["unowned"]))

    async def _leave(self, lease: Lease) -> None:
        async with self._line.session() as session:
            await session.fetch(statement("runtime", "runtime_leave").text, lease.runtime_id, lease.epoch)
            await self._tell_peers(session)
            if self._lease is not None and self._lease.runtime_id == lease.runtime_id:
                await self._let_go(session, self._lease)

    async def _close(self) -> None:
        self._lease = None
        await self._line.close()

    async def _greet(self, session: Session) -> None:
        """A new session: listens, and takes the runtime's lock back from the one that was lost."""
        self._server_pid = session.get_server_pid()
        session.add_termination_listener(self._on_loss)
        await session.add_listener(self._channels.replies, self._on_notice)
        await session.add_listener(self._channels.runtimes, self._on_notice)
        await session.add_listener(self._channels.pools, self._on_notice)
        lease = self._lease
        if lease is None:
            return
        await session.add_listener(f"{self._channels.mail}{lease.runtime_id}", self._on_notice)
        back = statement("runtime", "runtime_return")
        given = {"runtime_id": lease.runtime_id, "epoch": lease.epoch, "application": "tradewind lease"}
        if await session.fetchrow(back.text, *back.values(given)):
            await session.fetch(statement("runtime", "runtime_lock").text, lease.runtime_id)
        self._at_home(self._mail_arrived)
        self._at_home(self._pools_changed)

    async def _let_go(self, session: Session, lease: Lease) -> None:
        """This session is no longer that runtime's."""
        self._lease = None
        await session.remove_listener(f"{self._channels.mail}{lease.runtime_id}", self._on_notice)
        await session.fetch(statement("runtime", "runtime_unlock").text, lease.runtime_id)

    async def _tell_peers(self, session: Session) -> None:
        """A runtime has come or gone: the others look now, not at their next beat."""
        await session.fetch(statement("runtime", "runtime_tell").text, self._channels.runtimes)

    def _on_notice(self, _session: object, pid: int, channel: str, payload: object) -> None:
        if channel == self._channels.replies:
            self._at_home(self._reply_arrived, int(str(payload)))
        elif channel == self._channels.pools:
            self._at_home(self._pools_changed)
        elif channel != self._channels.runtimes:
            self._at_home(self._mail_arrived)
        elif pid != self._server_pid:
            self._hurry.set()

    def _on_loss(self, _session: object) -> None:
        """With the session went the lock, which peers must not find free for long."""
        self._is_lost = True
        self._hurry.set()

    def _at_home(self, call: Callable[..., None], *values: object) -> None:
        if self._home is not None:
            with suppress(RuntimeError):  # that loop is closed: nobody is there to be told
                self._home.call_soon_threadsafe(call, *values)

    # ------------------------------------------------------------------ on the loop that joined

    def _mail_arrived(self) -> None:
        self.on_mail()

    def _pools_changed(self) -> None:
        self.on_pools()

    def _reply_arrived(self, mail_id: int) -> None:
        self.on_reply(mail_id)


def _nothing() -> None:
    """Nobody watches."""


def _no_reply(_mail_id: int) -> None:
    """Nobody watches for replies."""
