"""Look-ups: back ends, then the environment, then the store; and what asks for them."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import tempfile
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.outside import short_folder
from tradewind.authoring.connection import Connection
from tradewind.authoring.defaults import AuthoringDefaults, use_defaults
from tradewind.authoring.loop_clients import clients_here
from tradewind.authoring.secrets_backend import BaseSecretsBackend
from tradewind.authoring.variable import Variable
from tradewind.config import Config, load_config
from tradewind.model.errors import ConfigError
from tradewind.services import secrets
from tradewind.services.look_up_server import serve_look_ups
from tradewind.services.secrets import BackendSettings, SecretLookups, SecretsBackend, look_ups_of
from tradewind.services.try_connection import try_connection
from tradewind.store.memory import MemoryStore

HERE = __name__


class Kept(BaseSecretsBackend):
    """Answers from what it is made with, and counts."""

    asked = 0

    def __init__(self, **values: str) -> None:
        self._values = values

    def get_conn_value(self, conn_id: str) -> str | None:
        Kept.asked += 1
        return self._values.get(conn_id)

    def get_variable(self, key: str) -> str | None:
        Kept.asked += 1
        return self._values.get(key)


class OnlyVariables(BaseSecretsBackend):
    """Has no connections at all."""

    def get_variable(self, key: str) -> str | None:
        return "odd" if key == "a" else None


class Broken(BaseSecretsBackend):
    """Fails each time."""

    def get_conn_value(self, conn_id: str) -> str | None:
        raise OSError("the vault is sealed")

    def get_variable(self, key: str) -> str | None:
        raise OSError("the vault is sealed")


class Hanging(BaseSecretsBackend):
    """Does not answer before it is let go."""

    let_go = threading.Event()

    def get_variable(self, key: str) -> str | None:
        Hanging.let_go.wait(60)
        return None


class OnALoop:
    """No base class, coroutines, a Connection as answer."""

    async def get_variable(self, key: str) -> str | None:
        return f"of {key}"

    async def get_connection(self, conn_id: str) -> Connection:
        return Connection(conn_id, "http", host="h", extra="no json")


def backend(cls: type, **arguments: Any) -> SecretsBackend:
    return SecretsBackend(BackendSettings(f"{HERE}.{cls.__name__}", arguments))


async def config_with(tmp_path: Path, **environ: str) -> Config:
    return await asyncio.to_thread(load_config, tmp_path, environ=environ)


@pytest.mark.spec("3:X13", "3:X14", "3:UC12")
async def test_the_order(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    for key in ("everywhere", "two", "stored"):
        await store.variable_set(key, "store")
        await store.connection_set(key, '{"host": "store"}')
    for key in ("EVERYWHERE", "TWO"):
        monkeypatch.setenv(f"AIRFLOW_VAR_{key}", "environment")
        monkeypatch.setenv(f"AIRFLOW_CONN_{key}", "http://environment")
    look_ups = SecretLookups(store, (backend(OnlyVariables), backend(Kept, everywhere="http://backend")))
    found = [await look_ups.variable(key) for key in ("everywhere", "two", "stored", "a", "nowhere")]
    assert found == ["http://backend", "environment", "store", "odd", None]
    texts = [(key, await look_ups.connection(key)) for key in ("everywhere", "two", "stored", "nowhere")]
    hosts = [None if text is None else Connection.from_text(key, text).host for key, text in texts]
    assert hosts == ["backend", "environment", "store", None]


async def test_a_broken_back_end_is_named_and_the_next_asked(caplog: pytest.LogCaptureFixture) -> None:
    missing = SecretsBackend(BackendSettings("no.such.Thing", {}))
    wrong = backend(Kept, **{"not an identifier": "x"})
    look_ups = SecretLookups(MemoryStore(), (backend(Broken), missing, wrong, backend(OnALoop)))
    with caplog.at_level(logging.WARNING):
        assert await look_ups.variable("v") == "of v"
    assert f"{HERE}.Broken failed for variable 'v'" in caplog.text
    assert "the vault is sealed" in caplog.text
    assert "no.such.Thing" in caplog.text
    text = await look_ups.connection("c")
    assert text is not None
    assert Connection.from_text("c", text).extra == "no json", "nothing is lost on the way"


async def test_a_hanging_back_end_holds_up_no_other_work_in_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "ANSWER_WITHIN", 0.01)
    look_ups = SecretLookups(MemoryStore(), (backend(Hanging),))
    try:
        answers = await asyncio.gather(*(look_ups.variable(f"v{n}") for n in range(50)))
        assert answers == [None] * 50
        await asyncio.wait_for(asyncio.to_thread(str), 20)
    finally:
        Hanging.let_go.set()


async def test_answers_are_kept_only_when_asked_for() -> None:
    now = 0.0
    Kept.asked = 0
    fresh, kept = (
        SecretLookups(MemoryStore(), (backend(Kept, v="1"),), cache_seconds=seconds, clock=lambda: now)
        for seconds in (0.0, 10.0)
    )
    for look_ups, asked in ((fresh, 3), (kept, 4)):
        for _ in range(3):
            assert await look_ups.variable("v") == "1"
        assert Kept.asked == asked
    now = 11.0
    await kept.variable("v")
    assert Kept.asked == 5


@pytest.mark.spec("3:X13")
async def test_the_configuration_names_it(tmp_path: Path) -> None:
    (tmp_path / "v.yaml").write_text("a: {value: 1}\nb: text\n")
    (tmp_path / "c.env").write_text("web=http://me:pw@h:80\nodd=no uri\n")
    arguments = {"variables_file_path": str(tmp_path / "v.yaml"), "connections_file_path": str(tmp_path / "c.env")}
    config = await config_with(
        tmp_path,
        AIRFLOW__SECRETS__BACKEND="airflow.secrets.local_filesystem.LocalFilesystemBackend",
        AIRFLOW__SECRETS__BACKEND_KWARGS=json.dumps(arguments),
    )
    look_ups = look_ups_of(config, MemoryStore())
    assert [await look_ups.variable(key) for key in ("a", "b", "c")] == ["1", "text", None]
    web = await look_ups.connection("web")
    assert web is not None
    assert Connection.from_text("web", web).password == "pw"
    assert await look_ups.connection("odd") is None, "an entry that cannot be read is told, and the next place asked"
    (tmp_path / "v.yaml").write_text("a: changed\n")
    assert await look_ups.variable("a") == "changed"
    for kwargs in ("[1]", "{"):
        bad = await config_with(tmp_path, TRADEWIND__SECRETS__BACKEND="x.Y", TRADEWIND__SECRETS__BACKEND_KWARGS=kwargs)
        with pytest.raises(ConfigError, match="backend_kwargs"):
            look_ups_of(bad, MemoryStore())


async def test_files_that_are_imported_ask_the_runtime(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    await store.variable_set("top", "1")
    await store.connection_set("db", '{"host": "h"}')

    def as_a_file() -> tuple[object, object, object]:
        return Variable.get("top"), Variable.get("nope", "default"), Connection.get("db").host

    async with serve_look_ups(SecretLookups(store)) as address:
        with use_defaults(AuthoringDefaults(look_ups=address)), caplog.at_level(logging.WARNING):
            assert await asyncio.to_thread(as_a_file) == ("1", "default", "h")
            assert Variable.get("top", "of the loop itself") == "of the loop itself", "it cannot wait for itself"
    assert "variable 'top' is read while a DAG file is imported" in caplog.text
    assert "{{ var.value.top }}" in caplog.text


async def test_a_temporary_folder_may_have_a_long_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than the address of a socket may be."""
    folder = tmp_path / ("long" * 25)
    await asyncio.to_thread(folder.mkdir)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    store = MemoryStore()
    await store.variable_set("top", "1")
    async with serve_look_ups(SecretLookups(store)) as address:
        with use_defaults(AuthoringDefaults(look_ups=address)):
            assert await asyncio.to_thread(Variable.get, "top") == "1"


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_the_places_of_killed_processes_go_at_the_next_start(monkeypatch: pytest.MonkeyPatch) -> None:
    with short_folder() as folder:
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        ended = await asyncio.create_subprocess_exec("true")
        await ended.wait()
        dead, alive = (Path(folder, f"tradewind-ask-{name}") for name in ("dead", "alive"))
        for place, pid in ((dead, ended.pid), (alive, os.getpid())):
            place.mkdir()
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(str(place / f"{pid}.sock"))
        async with serve_look_ups(SecretLookups(MemoryStore())) as address:
            assert names_in(folder) == {alive.name, Path(address).parent.name}
        assert names_in(folder) == {alive.name}


@pytest.mark.blocks_the_loop  # a loop of its own, for that very reason
async def test_trying_connections(tmp_path: Path, postgres_url: str) -> None:
    parts = urlsplit(postgres_url)
    place = parse_qs(parts.query)
    database = Connection("p", "postgres", host=place["host"][0], login=parts.username, schema="postgres")
    database.password = unquote(parts.password or "")
    database.port = int(place.get("port", ["5432"])[0])
    assert (await try_connection(database)).message.startswith("Connection successfully tested: PostgreSQL")
    nobody = Connection("p", "postgres", host="127.0.0.1", port=1)
    assert not (await try_connection(nobody)).worked
    file = tmp_path / "x.db"
    assert not (await try_connection(Connection("s", "sqlite", host=str(file)))).worked
    assert (await try_connection(Connection("s", "sqlite"))).worked


async def test_trying_an_http_connection() -> None:
    from aiohttp import web
    from aiohttp.test_utils import TestServer

    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=200 if request.headers.get("Authorization") else 401)

    app = web.Application()
    app.router.add_get("/", answer)
    async with TestServer(app) as server:
        plain = Connection("h", uri=str(server.make_url("/")))
        tried = await try_connection(plain)
        assert (tried.worked, "answers 401" in tried.message) == (False, True)
        plain.login, plain.password = "me", "pw"
        assert (await try_connection(plain)).worked
        plain.login, plain.extra = None, '{"Authorization": "Bearer x"}'
        assert (await try_connection(plain)).worked
        nowhere = await try_connection(Connection(None, "http"))
        assert nowhere == (
            False,
            "HttpConnectionError: connection None names no host: set it, for example to example.com",
        )
    await asyncio.sleep(0)
    assert not clients_here().names(), "it is closed at once"
