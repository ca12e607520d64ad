"""Async hooks and resources: what they share, and when they see a change."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

import pytest

from tradewind import AsyncHook, Connection, resource
from tradewind.authoring import connection_lookups
from tradewind.authoring.access import CurrentAttempt, current_attempt
from tradewind.authoring.connection_lookups import lookups_here
from tradewind.authoring.loop_clients import clients_here, hold_clients, run_alone
from tradewind.bundles.loader import load_file
from tradewind.model.errors import AuthoringError, ClientError, NotFoundError


class Session:
    """A client that says where it goes."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.closed = False


class LaunchHook(AsyncHook[Session]):
    """As a user writes one."""

    conn_type = "launch"
    default_conn_name = "launch_default"

    @asynccontextmanager
    async def connect(self, conn: Connection) -> AsyncGenerator[Session]:
        if conn.host == "broken":
            raise OSError("no route")
        session = Session(conn.host or "")
        yield session
        session.closed = True


class System:
    """Answers for connections, one question at a time where `gate` says so."""

    def __init__(self, **hosts: str) -> None:
        self.hosts = hosts
        self.asked = 0
        self.gate: asyncio.Event | None = None

    async def connection_get(self, conn_id: str) -> str | None:
        self.asked += 1
        found = self.hosts.get(conn_id)
        if self.gate is not None:
            await self.gate.wait()
        return None if found is None else json.dumps({"conn_type": "launch", "host": found})


class Task:
    """Code of an attempt that begins now."""

    def __init__(self, system: System) -> None:
        of_a_worker: Any = system
        self._attempt = CurrentAttempt(of_a_worker, of_a_worker, of_a_worker)

    async def __aenter__(self) -> None:
        self._token = current_attempt.set(self._attempt)

    async def __aexit__(self, *_: object) -> None:
        current_attempt.reset(self._token)


@pytest.fixture(autouse=True)
async def held() -> AsyncIterator[None]:
    async with hold_clients():
        yield


async def test_a_change_is_seen_by_the_next_task_that_starts() -> None:
    system = System(api="one")
    hook = LaunchHook("api")
    async with Task(system), hook as first, hook as same:
        assert first is same
        system.hosts["api"] = "two"
        async with hook as still:
            assert still is first, "within one task a look-up holds for a while"

        async def later() -> Session:
            async with Task(system), LaunchHook("api") as session:
                return session

        second = await asyncio.create_task(later())
        assert (second.host, first.closed) == ("two", False)
        async with hook as here:
            assert here is second, "what one task has seen the others see"
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert (first.closed, second.closed, len(clients_here())) == (True, False, 1)


async def test_a_look_up_holds_for_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(connection_lookups, "monotonic", lambda: now)
    system = System(api="one")
    hook = LaunchHook("api")
    async with Task(system):
        token = current_attempt.set(replace(current_attempt.get(), began=now))
        assert (await hook.connection()).host == "one"
        system.hosts["api"] = "two"
        now += connection_lookups.MAX_AGE
        assert (await hook.connection()).host == "one"
        now += 0.001
        assert (await hook.connection()).host == "two"
        assert system.asked == 2
        current_attempt.reset(token)


async def test_all_who_ask_at_once_share_the_question_that_began_after_them() -> None:
    system = System(api="one")
    system.gate = asyncio.Event()

    async def ask() -> str | None:
        async with Task(system):
            return (await lookups_here().get("api")).connection.host

    early = [asyncio.create_task(ask()) for _ in range(50)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert system.asked == 1
    system.hosts["api"] = "two"  # the question under way has read the old one
    late = [asyncio.create_task(ask()) for _ in range(50)]
    await asyncio.sleep(0)
    system.gate.set()
    assert set(await asyncio.gather(*late)) == {"two"}
    assert set(await asyncio.gather(*early)) <= {"one", "two"}
    assert system.asked <= 3


async def test_there_must_be_such_a_connection() -> None:
    system = System()

    async def use() -> None:
        async with Task(system), LaunchHook():
            pass

    errors = await asyncio.gather(*(asyncio.create_task(use()) for _ in range(3)), return_exceptions=True)
    assert [type(error) for error in errors] == [NotFoundError] * 3
    assert "launch_default" in str(errors[0])
    system.hosts["launch_default"] = "there"
    await use()
    with pytest.raises(AuthoringError, match="which connection"):
        type("Nameless", (AsyncHook,), {})()
    system.hosts["launch_default"] = "broken"
    with pytest.raises(ClientError, match=r"connection 'launch_default' \(LaunchHook\).*OSError: no route"):
        await use()


async def test_a_connection_of_another_type_is_told(caplog: pytest.LogCaptureFixture) -> None:
    for conn_type in ("generic", "launch", "rocket"):
        async with LaunchHook("api").using(Connection("api", conn_type, host="there")) as session:
            assert session.host == "there"
    said = [record.getMessage() for record in caplog.records if "of type" in record.getMessage()]
    assert said == ["connection 'api' is of type 'rocket'; LaunchHook takes it as one of type 'launch'"]
    with pytest.raises(ClientError, match=r"connection 'api' of type 'rocket' \(LaunchHook\)"):
        async with LaunchHook("api").using(Connection("api", "rocket", host="broken")):
            pass
    with pytest.raises(AuthoringError, match="the id of a connection is a text, not 5"):
        LaunchHook(cast("str", 5))


class ReturningHook(AsyncHook[Session]):
    """As somebody writes it who forgets to yield."""

    default_conn_name = "api"

    async def returned(self, conn: Connection) -> Session:
        return Session(str(conn.host))

    connect = cast("Any", returned)


async def test_a_hook_that_is_written_or_used_in_another_way_says_how() -> None:
    with pytest.raises(ClientError, match=r"ReturningHook.connect\(\) has to yield the client once"):
        async with ReturningHook().using(Connection("api", host="there")):
            pass
    with pytest.raises(AuthoringError, match=r"write `async with LaunchHook\(…\) as client:`"), LaunchHook("api"):
        pass


async def test_a_replaced_get_connection_is_asked() -> None:
    given = Connection("api", "launch", host="of the test")
    with patch.object(LaunchHook, "get_connection", return_value=given) as asked:
        async with LaunchHook("api") as session:
            assert session.host == "of the test"
        asked.assert_called_once_with("api")


def test_outside_of_tasks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_CONN_API", "launch://elsewhere")

    async def use() -> Session:
        async with LaunchHook("api") as session:
            assert not session.closed
        return session

    session = run_alone(use, "it")
    assert (session.host, session.closed) == ("elsewhere", True)


async def test_it_is_left_where_it_was_entered() -> None:
    hook = LaunchHook("api")
    with pytest.raises(RuntimeError, match="another asyncio task"):
        await hook.__aexit__(None, None, None)


FILE = """
from contextlib import asynccontextmanager
from tradewind import DAG, AsyncHook, resource

class Mine(AsyncHook):
    @asynccontextmanager
    async def connect(self, conn):
        yield {version}

@resource
async def model(name):
    yield {version}, name

with DAG("d", schedule=None):
    pass
"""


@pytest.mark.blocks_the_loop
async def test_a_new_version_of_a_file_has_new_clients_and_the_old_ones_close(tmp_path: Path) -> None:
    file = tmp_path / "d.py"
    system = System(api="host")
    modules: list[Any] = []
    for version in (1, 2):
        file.write_text(FILE.format(version=version))
        modules.append(load_file(file).module)
    old, new = modules
    assert old.Mine is not new.Mine
    async with Task(system):
        async with old.Mine("api") as first, old.model("m") as second:
            assert (first, second) == (1, (1, "m"))
            async with new.Mine("api") as third, new.model("m") as fourth:
                assert (third, fourth) == (2, (2, "m"))
                assert len(clients_here()) == 4
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(clients_here()) == 2, "the old ones went with their last users"


log: list[str] = []


@resource
async def database(name: str, *, size: int = 1) -> AsyncIterator[list[str]]:
    """A resource of a user."""
    log.append(f"open {name} {size}")
    yield [name]
    log.append(f"close {name} {size}")


@resource(idle=0)
async def short() -> AsyncIterator[int]:
    log.append("open short")
    yield 1
    log.append("close short")


async def test_resources_are_shared_by_their_arguments() -> None:
    log.clear()
    async with hold_clients() as clients:
        async with database("a") as one, database("a") as same, database("b", size=2) as other:
            assert (one is same, other) == (True, ["b"])
        async with short() as number:
            assert number == 1
        for _ in range(5):
            await asyncio.sleep(0)
        assert log == ["open a 1", "open b 2", "open short", "close short"]
        assert clients.names() == ["resource database('a')", "resource database('b', size=2)"]
    async with database.alone("mine") as alone:
        assert alone == ["mine"]
    assert log[-2:] == ["open mine 1", "close mine 1"]
    with pytest.raises(TypeError, match=r"resource database\(\['list'\]\): .* have to be hashable: unhashable"):
        database(["list"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@resource
async def service() -> AsyncIterator[str]:
    log.append("service opens")
    yield "http://service"
    log.append("service closes")


@resource
async def session(name: str) -> AsyncIterator[str]:
    async with service() as url:
        yield f"{name} at {url}"
        await asyncio.sleep(0)
        log.append(f"session {name} says good-bye")


async def test_resources_that_use_each_other_close_in_their_order() -> None:
    log.clear()
    async with session("a") as first, session("b"):
        assert first == "a at http://service"
    assert len(clients_here()) == 3
    await clients_here().close()
    assert (log[0], log[-1]) == ("service opens", "service closes")
    assert sorted(log[1:-1]) == ["session a says good-bye", "session b says good-bye"]


def test_a_resource_is_a_generator_function() -> None:
    async def gives() -> int:
        return 1

    any_function: Any = gives
    with pytest.raises(AuthoringError, match="must be an `async def` function that yields once"):
        resource(any_function)
    assert database.__doc__ == "A resource of a user."
