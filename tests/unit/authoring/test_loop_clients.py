"""Clients that share a loop: one for a key, opened once, closed when it may."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Coroutine, Hashable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tradewind.authoring.loop_clients import Wanted, clients_here, hold_clients, run_alone
from tradewind.model.errors import ClientError, SkipTask


class Door:
    """What clients are opened through: each waits until it is let in, or told why not."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[None]] = []
        self.open: list[object] = []
        self.closed: list[object] = []
        self.closes = asyncio.Event()

    @asynccontextmanager
    async def through(self) -> AsyncGenerator[object]:
        let_in: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.asked.append(let_in)
        await let_in
        client = object()
        self.open.append(client)
        try:
            yield client
        finally:
            self.open.remove(client)
            self.closed.append(client)
            self.closes.set()

    def wanted(self, key: Hashable = "k", *, line: Hashable = "line", idle: float | None = None) -> Wanted[object]:
        return Wanted(f"client {key!r}", (line, key), line, self.through, idle=idle)


async def turns(count: int = 10) -> None:
    """Lets all that can go on do so."""
    for _ in range(count):
        await asyncio.sleep(0)


class User:
    """Somebody who uses a client until told to leave."""

    def __init__(self, wanted: Wanted[object]) -> None:
        self.leave = asyncio.Event()
        self.client: object | None = None
        self.task = asyncio.get_running_loop().create_task(self._use(wanted))

    async def _use(self, wanted: Wanted[object]) -> None:
        async with clients_here().use(wanted) as self.client:
            await self.leave.wait()
        self.client = None


async def left(*users: User) -> None:
    for user in users:
        user.leave.set()
    await asyncio.gather(*(user.task for user in users))
    await turns()


async def test_a_hundred_at_once_open_one() -> None:
    door = Door()
    async with hold_clients() as clients:
        users = [User(door.wanted()) for _ in range(100)]
        await turns()
        assert len(door.asked) == 1
        door.asked[0].set_result(None)
        await turns()
        assert len({id(user.client) for user in users}) == 1
        await left(*users)
        assert (len(door.open), clients.names()) == (1, ["client 'k'"]), "it stays for the next"
    assert (len(door.open), len(door.closed)) == (0, 1)


async def test_a_failed_opening_is_told_to_each_and_not_kept() -> None:
    door = Door()
    async with hold_clients() as clients:
        users = [User(door.wanted()) for _ in range(3)]
        await turns()
        door.asked[0].set_exception(OSError("nobody listens"))
        ends = await asyncio.gather(*(user.task for user in users), return_exceptions=True)
        assert all(isinstance(end, ClientError) for end in ends)
        assert str(ends[0]) == "client 'k' could not be opened: OSError: nobody listens"
        assert len({id(end) for end in ends}) == 3, "each has an error with a traceback of its own"
        again = User(door.wanted())
        await turns()
        door.asked[1].set_result(None)
        await turns()
        assert again.client is not None
        await left(again)
        assert len(clients) == 1


async def test_who_hears_of_a_failure_may_try_again_at_once() -> None:
    door = Door()

    async def twice() -> object:
        try:
            async with clients_here().use(door.wanted()) as client:
                return client
        except ClientError:
            async with clients_here().use(door.wanted()) as client:
                return client

    async with hold_clients():
        trying = [asyncio.get_running_loop().create_task(twice()) for _ in range(3)]
        await turns()
        door.asked[0].set_exception(OSError("not yet"))
        await turns()
        door.asked[1].set_result(None)
        assert set(await asyncio.gather(*trying)) == {door.open[0]}


async def test_what_a_task_says_about_its_end_is_kept() -> None:
    door = Door()
    async with hold_clients():
        user = User(door.wanted())
        await turns()
        door.asked[0].set_exception(SkipTask("nothing to do today"))
        with pytest.raises(SkipTask, match="nothing to do today"):
            await user.task


async def test_who_stops_waiting_does_not_stop_the_opening() -> None:
    door = Door()
    async with hold_clients():
        first, second = User(door.wanted()), User(door.wanted())
        await turns()
        first.task.cancel()
        await turns()
        assert not door.asked[0].cancelled()
        door.asked[0].set_result(None)
        await turns()
        assert second.client is not None
        second.task.cancel()
        await turns()
        assert len(door.open) == 1
        third = User(door.wanted())
        await turns()
        assert third.client is door.open[0], "though nobody was left"
        await left(third)


async def test_all_stop_waiting_and_it_is_there_for_the_next() -> None:
    door = Door()
    async with hold_clients():
        user = User(door.wanted())
        await turns()
        user.task.cancel()
        await turns()
        door.asked[0].set_result(None)
        await turns()
        later = User(door.wanted())
        await turns()
        assert (later.client is door.open[0], len(door.asked)) == (True, 1)
        await left(later)


async def test_what_replaces_it_waits_for_its_users() -> None:
    door = Door()
    async with hold_clients():
        old = User(door.wanted("before"))
        await turns()
        door.asked[0].set_result(None)
        await turns()
        new = User(door.wanted("after"))
        await turns()
        door.asked[1].set_result(None)
        await turns()
        assert len(door.open) == 2, "the old one still has a user"
        assert old.client is not new.client
        await left(old)
        assert door.open == [new.client]
        await left(new)
        assert len(door.open) == 1
        other = User(door.wanted("other", line="another line"))
        await turns()
        door.asked[2].set_result(None)
        await turns()
        assert len(door.open) == 2, "lines do not replace each other"
        await left(other)


async def test_it_closes_after_a_while_without_users() -> None:
    door = Door()
    async with hold_clients() as clients:
        user = User(door.wanted(idle=0.01))
        await turns()
        door.asked[0].set_result(None)
        await turns()
        await left(user)
        await asyncio.wait_for(door.closes.wait(), 60)
        await turns()
        assert not len(clients)
        at_once = User(door.wanted(idle=0))
        await turns()
        door.asked[1].set_result(None)
        await turns()
        await left(at_once)
        assert not door.open


async def test_who_comes_back_in_time_keeps_it_open() -> None:
    door = Door()
    async with hold_clients():
        first = User(door.wanted(idle=0.5))
        await turns()
        door.asked[0].set_result(None)
        await turns()
        await left(first)
        second = User(door.wanted(idle=0.5))
        await turns()
        await asyncio.wait([second.task], timeout=0.6)  # longer than it stays without users
        third = User(door.wanted(idle=0.5))
        await turns()
        assert (len(door.asked), third.client is second.client) == (1, True)
        await left(second, third)


async def test_one_that_is_broken_makes_room() -> None:
    door = Door()
    broken: list[object] = []

    def usable(client: object) -> bool:
        return client not in broken

    wanted = replace(door.wanted(), is_usable=usable)
    async with hold_clients():
        first = User(wanted)
        await turns()
        door.asked[0].set_result(None)
        await turns()
        broken.append(first.client)
        second = User(wanted)
        await turns()
        door.asked[1].set_result(None)
        await turns()
        assert second.client is not first.client
        await left(first, second)
        assert len(door.open) == 1


async def test_opening_has_a_limit_of_time() -> None:
    door = Door()
    async with hold_clients():
        with pytest.raises(ClientError, match=r"client 'k' was not open within 0.01 s"):
            async with clients_here().use(replace(door.wanted(), open_timeout=0.01)):
                pass


async def test_one_that_does_not_close_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    ended = asyncio.Event()

    @asynccontextmanager
    async def stubborn() -> AsyncGenerator[str]:
        yield "client"
        while not ended.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await ended.wait()

    clients = clients_here()
    async with clients.use(Wanted("stubborn one", "k", "k", stubborn)):
        pass
    with caplog.at_level(logging.WARNING):
        await clients.close(within=0.01)
    assert "stubborn one did not close within 0.01 s and is left behind" in caplog.text
    ended.set()
    await turns()
    assert not len(clients)


async def test_errors_while_closing_are_told(caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def rude() -> AsyncGenerator[str]:
        yield "client"
        raise SystemExit(3)

    with caplog.at_level(logging.WARNING):
        async with hold_clients() as clients, clients.use(Wanted("rude one", "k", "k", rude)):
            pass
    assert "rude one broke: SystemExit: 3" in caplog.text


async def test_one_that_breaks_by_itself_is_opened_anew() -> None:
    opened: list[asyncio.Event] = []

    @asynccontextmanager
    async def fragile() -> AsyncGenerator[asyncio.Event]:
        fails = asyncio.Event()
        opened.append(fails)

        async def watch() -> None:
            await fails.wait()
            raise OSError("cut")

        async with asyncio.TaskGroup() as tasks:
            watching = tasks.create_task(watch())
            yield fails
            watching.cancel()

    wanted = Wanted("fragile one", "k", "k", fragile)
    async with hold_clients() as clients:
        async with clients.use(wanted) as client:
            client.set()
            await turns()
        assert not len(clients)
        async with clients.use(wanted) as other:
            assert other is opened[1]


async def test_the_last_holder_closes() -> None:
    door = Door()
    async with hold_clients() as clients:
        async with hold_clients() as same:
            assert same is clients
            user = User(door.wanted())
            await turns()
            door.asked[0].set_result(None)
            await turns()
            await left(user)
        assert len(door.open) == 1
    assert not door.open


def test_a_loop_that_ends_closes_what_it_has() -> None:
    closed: list[str] = []

    @asynccontextmanager
    async def opened() -> AsyncGenerator[str]:
        yield "client"
        closed.append("in the usual way")

    async def main() -> None:
        async with clients_here().use(Wanted("one", "k", "k", opened)):
            pass

    asyncio.run(main())
    run_alone(main, "it")
    assert closed == ["in the usual way"] * 2


async def test_alone_is_not_for_loops() -> None:
    with pytest.raises(RuntimeError, match=r"await hook\.fetch\(…\) here"):
        run_alone(turns, "hook.fetch(…)")


async def test_a_client_belongs_to_no_task() -> None:
    """It has its first user's context while it opens, and not after that."""
    who: ContextVar[str] = ContextVar("who")
    seen: list[str | None] = []

    @asynccontextmanager
    async def opened() -> AsyncGenerator[None]:
        seen.append(who.get(None))
        yield
        seen.append(who.get(None))

    async def first() -> None:
        who.set("the first")
        async with clients_here().use(Wanted("one", "k", "k", opened)):
            pass

    async with hold_clients(who):
        await asyncio.get_running_loop().create_task(first())
    assert seen == ["the first", None]


class Machine(RuleBasedStateMachine):
    """Any order of coming, opening, failing, cancelling and leaving."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.door = Door()
        self.users: list[User] = []
        self.do(self._begin())

    def do(self, work: Coroutine[Any, Any, None]) -> None:
        self.loop.run_until_complete(work)

    async def _begin(self) -> None:
        self.hold = hold_clients()
        self.clients = await self.hold.__aenter__()

    @rule(key=st.sampled_from("ab"), line=st.sampled_from((1, 2)), idle=st.sampled_from((None, 0.0)))
    def come(self, key: str, line: int, idle: float | None) -> None:
        async def act() -> None:
            self.users.append(User(self.door.wanted(key, line=line, idle=idle)))
            await turns()

        self.do(act())

    @precondition(lambda self: any(not asked.done() for asked in self.door.asked))
    @rule(works=st.booleans(), data=st.data())
    def answer(self, works: bool, data: st.DataObject) -> None:
        asked = data.draw(st.sampled_from([asked for asked in self.door.asked if not asked.done()]))

        async def act() -> None:
            if works:
                asked.set_result(None)
            else:
                asked.set_exception(OSError("no"))
            await turns()

        self.do(act())

    @precondition(lambda self: any(not user.task.done() for user in self.users))
    @rule(cancel=st.booleans(), data=st.data())
    def go(self, cancel: bool, data: st.DataObject) -> None:
        user = data.draw(st.sampled_from([user for user in self.users if not user.task.done()]))

        async def act() -> None:
            if cancel:
                user.task.cancel()
            user.leave.set()
            await turns()

        self.do(act())

    @invariant()
    def nobody_holds_a_closed_client(self) -> None:
        for user in self.users:
            if user.client is not None and not user.task.done():
                assert user.client in self.door.open

    @invariant()
    def nothing_is_open_that_nobody_keeps(self) -> None:
        opening = sum(not asked.done() for asked in self.door.asked)
        assert len(self.clients) == len(self.door.open) + opening
        used = {id(user.client) for user in self.users if not user.task.done() and user.client is not None}
        idle = [client for client in self.door.open if id(client) not in used]
        assert len(idle) <= 2, "at most one of each line stays without users"

    @invariant()
    def errors_are_of_the_opening(self) -> None:
        for user in self.users:
            if user.task.done() and not user.task.cancelled():
                error = user.task.exception()
                assert error is None or isinstance(error, ClientError)

    def teardown(self) -> None:
        async def end() -> None:
            await self.hold.__aexit__(None, None, None)
            for user in self.users:
                user.leave.set()
            await asyncio.gather(*(user.task for user in self.users), return_exceptions=True)

        self.do(end())
        assert not self.door.open
        assert not len(self.clients)
        self.loop.close()
        super().teardown()


TestAnyOrder = Machine.TestCase
TestAnyOrder.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
