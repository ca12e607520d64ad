"""Variables and connections for DAG files that a command loads itself: asked of the database, once each."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Generator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import click

from tradewind.authoring.look_ups import outside_services
from tradewind.model.errors import AuthoringError, TradewindError

if TYPE_CHECKING:
    from tradewind.config import Config
    from tradewind.services.secrets import SecretLookups


class StoredValues:
    """Answers what the environment does not have. Without a database that has begun, there is nothing."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._known: dict[tuple[str, str], str | None] = {}

    def variable_get(self, key: str) -> str | None:
        """The variable's text; None where there is none."""
        return self._ask("variable", key)

    def connection_get(self, conn_id: str) -> str | None:
        """The connection as JSON text or URI; None where there is none."""
        return self._ask("connection", conn_id)

    def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        """Refused. Raises AuthoringError."""
        del value, description
        raise AuthoringError(
            f"variable {key!r} cannot be changed while a command loads its DAG file: use `tradewind variables set`"
        )

    def _ask(self, kind: str, name: str) -> str | None:
        if (kind, name) not in self._known:
            try:
                self._known[kind, name] = _on_a_loop_of_its_own(self._read(kind, name))
            except TradewindError as error:
                click.echo(f"{kind} {name!r} could not be looked up: {error.message}", err=True)
                self._known[kind, name] = None
        return self._known[kind, name]

    async def _read(self, kind: str, name: str) -> str | None:
        from tradewind.database import open_store
        from tradewind.services.secrets import look_ups_of

        if self._config.database.url or (self._config.home / "postgres" / "data").is_dir():
            async with open_store(self._config) as store:
                return await _one(look_ups_of(self._config, store), kind, name)
        return await _one(look_ups_of(self._config, _Nothing()), kind, name)


@contextlib.contextmanager
def stored_values(config: Config) -> Generator[None]:
    """DAG files that are loaded inside the block find what is stored."""
    token = outside_services.set(StoredValues(config))
    try:
        yield
    finally:
        outside_services.reset(token)


class _Nothing:
    async def variable_get(self, key: str) -> str | None:
        del key
        return None

    async def connection_get(self, conn_id: str) -> str | None:
        del conn_id
        return None


async def _one(look_ups: SecretLookups, kind: str, name: str) -> str | None:
    return await (look_ups.variable(name) if kind == "variable" else look_ups.connection(name))


def _on_a_loop_of_its_own(work: Coroutine[Any, Any, str | None]) -> str | None:
    """In a thread: the caller may be on a loop already."""
    done: Future[str | None] = Future()

    def run() -> None:
        try:
            done.set_result(asyncio.run(work))
        except BaseException as error:
            done.set_exception(error)

    thread = threading.Thread(target=run, name="tradewind look-ups")
    thread.start()
    thread.join()
    return done.result()
