"""Where connections and variables come from: secrets back ends, the environment, the database.

The first that has the name wins. A back end that fails is named in a warning, and the next is asked.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import logging
import pkgutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

from tradewind.authoring.connection import Connection
from tradewind.authoring.look_ups import from_environment
from tradewind.config import Config
from tradewind.model.errors import ConfigError

log = logging.getLogger(__name__)

ANSWER_WITHIN: Final = 30.0
"""Seconds that a back end may take."""

AT_ONCE: Final = 4
"""Threads in which a back end is asked: one that hangs must not use up those of everybody else."""

KEPT: Final = 10_000
"""Answers that are kept at a time: names may be made of data."""

_KINDS: Final = {"connection": ("CONN", "get_connection"), "variable": ("VAR", "get_variable")}


class StoredValues(Protocol):
    """The part of the store that look-ups need."""

    async def variable_get(self, key: str) -> str | None:
        """A variable's text."""
        ...

    async def connection_get(self, conn_id: str) -> str | None:
        """A connection as text."""
        ...


@dataclass(frozen=True, slots=True)
class BackendSettings:
    """A back end: the import path of its class and the arguments that it is made with."""

    path: str
    arguments: Mapping[str, Any]


class SecretsBackend:
    """One configured class, made at its first use and asked in threads."""

    def __init__(self, settings: BackendSettings) -> None:
        self.name = settings.path
        self._settings = settings
        self._made: Any = None
        self._making = threading.Lock()
        self._slots = asyncio.Semaphore(AT_ONCE)
        self._asking: set[asyncio.Task[str | None]] = set()

    async def ask(self, kind: str, name: str) -> str | None:
        """What it has under the name, as text; None: nothing, or it failed (which is told)."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                return await self._in_a_thread(kind, name)
        except TimeoutError:
            log.warning("secrets back end %s did not answer within %g s for %s %r: the next place is asked",
                        self.name, ANSWER_WITHIN, kind, name)  # fmt: skip
        except NotImplementedError:
            return None
        except Exception as error:
            log.warning("secrets back end %s failed for %s %r: the next place is asked. %s: %s",
                        self.name, kind, name, type(error).__name__, error)  # fmt: skip
        return None

    async def _in_a_thread(self, kind: str, name: str) -> str | None:
        """Who waits may give up; the slot is free again when the thread is."""
        await self._slots.acquire()
        asking = asyncio.get_running_loop().create_task(asyncio.to_thread(self._ask, kind, name))
        self._asking.add(asking)
        asking.add_done_callback(self._answered)
        return await asyncio.shield(asking)

    def _answered(self, asking: asyncio.Task[str | None]) -> None:
        self._asking.discard(asking)
        self._slots.release()
        if not asking.cancelled():
            asking.exception()  # nobody may be left whom it is told

    def _ask(self, kind: str, name: str) -> str | None:
        with self._making:
            if self._made is None:
                self._made = _make(self._settings)
        found = getattr(self._made, _KINDS[kind][1])(name)
        if inspect.isawaitable(found):
            found = asyncio.run(_awaited(found))
        if found is None or isinstance(found, str):
            return found
        if isinstance(found, Connection):
            return found.stored_text()
        raise TypeError(f"it answered with {type(found).__name__}, not with a text, a Connection or None")


class SecretLookups:
    """The three places, in their order."""

    def __init__(
        self,
        stored: StoredValues,
        backends: tuple[SecretsBackend, ...] = (),
        *,
        cache_seconds: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`cache_seconds`: how long what a back end has said holds; 0: it is asked each time."""
        self._stored = stored
        self._backends = backends
        self._cache_seconds = cache_seconds
        self._clock = clock
        self._known: dict[tuple[str, str], tuple[float, str | None]] = {}

    async def variable(self, key: str) -> str | None:
        """The variable's text, or None."""
        found = await self._elsewhere("variable", key)
        return found if found is not None else await self._stored.variable_get(key)

    async def connection(self, conn_id: str) -> str | None:
        """The connection as JSON text or URI, or None."""
        found = await self._elsewhere("connection", conn_id)
        return found if found is not None else await self._stored.connection_get(conn_id)

    async def _elsewhere(self, kind: str, name: str) -> str | None:
        found = await self._of_backends(kind, name) if self._backends else None
        if found is None:
            here = from_environment(_KINDS[kind][0], name)
            found = here[0] if here is not None else None
        return found

    async def _of_backends(self, kind: str, name: str) -> str | None:
        now = self._clock()
        until, known = self._known.get((kind, name), (now, None))
        if until > now:
            return known
        found = None
        for backend in self._backends:
            found = await backend.ask(kind, name)
            if found is not None:
                break
        if self._cache_seconds > 0:
            if len(self._known) >= KEPT:
                self._known.clear()
            self._known[kind, name] = (now + self._cache_seconds, found)
        return found


def look_ups_of(config: Config, stored: StoredValues, more: StoredValues | None = None) -> SecretLookups:
    """The look-ups that the configuration asks for. `more` is asked for what is not stored. Raises ConfigError for
    arguments that are no object.
    """
    secrets = config.secrets
    seconds = secrets.cache_ttl_seconds if secrets.use_cache else 0.0
    stored = stored if more is None else _Two(stored, more)
    return SecretLookups(stored, tuple(map(SecretsBackend, backends_of(config))), cache_seconds=seconds)


class _Two:
    """What the first does not have, the second may."""

    def __init__(self, first: StoredValues, second: StoredValues) -> None:
        self._first, self._second = first, second

    async def variable_get(self, key: str) -> str | None:
        found = await self._first.variable_get(key)
        return found if found is not None else await self._second.variable_get(key)

    async def connection_get(self, conn_id: str) -> str | None:
        found = await self._first.connection_get(conn_id)
        return found if found is not None else await self._second.connection_get(conn_id)


def backends_of(config: Config) -> tuple[BackendSettings, ...]:
    """The configured back ends. Raises ConfigError."""
    if not config.secrets.backend:
        return ()
    text = config.secrets.backend_kwargs or "{}"
    try:
        arguments: object = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{_source(config)}: secrets.backend_kwargs is not JSON: {error}") from error
    if not isinstance(arguments, dict):
        raise ConfigError(f'{_source(config)}: secrets.backend_kwargs must be a JSON object such as {{"url": "…"}}')
    return (BackendSettings(config.secrets.backend, cast("dict[str, Any]", arguments)),)


def _source(config: Config) -> str:
    return str(config.sources.get("secrets.backend_kwargs", "default"))


def _make(settings: BackendSettings) -> Any:
    """The object. Raises ConfigError where there is no such class, and whatever its making raises."""
    module, _, name = settings.path.replace(":", ".").rpartition(".")
    if module.partition(".")[0] == "airflow":
        pkgutil.resolve_name("tradewind.compat:install")()  # by name: compat stands beside the layers
    try:
        made = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"secrets.backend = {settings.path!r} cannot be imported ({error}): give the import path of a class, and "
            "see that its package is installed"
        ) from error
    return made(**settings.arguments)


async def _awaited(found: Any) -> Any:
    return await found
