"""Variables and connections for DAG files that a command loads itself: asked of the database, once each."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Generator
from concurrent.futures import Future
from typing import TYPE_CHECKING

from tradewind.authoring.look_ups import outside_services
from tradewind.model.errors import AuthoringError

if TYPE_CHECKING:
    from tradewind.config import Config


class StoredValues:
    """Answers what the environment does not have. Without a database that has begun, there is nothing."""

    def __init__(self, config: Config) -> None:
        from tradewind.database import StoredOnDemand

        self._config = config
        self._stored = StoredOnDemand(config)

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
        """In a thread: the caller may be on a loop already."""
        done: Future[str | None] = Future()

        def run() -> None:
            try:
                done.set_result(asyncio.run(self._look_up(kind, name)))
            except BaseException as error:
                done.set_exception(error)

        thread = threading.Thread(target=run, name="tradewind look-ups")
        thread.start()
        thread.join()
        return done.result()

    async def _look_up(self, kind: str, name: str) -> str | None:
        from tradewind.services.secrets import look_ups_of

        look_ups = look_ups_of(self._config, self._stored)
        return await (look_ups.variable(name) if kind == "variable" else look_ups.connection(name))


@contextlib.contextmanager
def stored_values(config: Config) -> Generator[None]:
    """DAG files that are loaded inside the block find what is stored."""
    token = outside_services.set(StoredValues(config))
    try:
        yield
    finally:
        outside_services.reset(token)
