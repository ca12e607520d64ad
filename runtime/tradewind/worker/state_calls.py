"""The calls about state stores, on each of the ways between an attempt and the runtime."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any, Final, ParamSpec, TypeVar

from tradewind.authoring.state_access import BlockingStateStores, StateStores
from tradewind.model.attempts import AttemptKey
from tradewind.model.state_stores import StateScope
from tradewind.worker import codec

T = TypeVar("T")
P = ParamSpec("P")


class StatesOnLoop(ABC):
    """For threads beside a loop."""

    __slots__ = ()

    @property
    @abstractmethod
    def state_stores(self) -> StateStores:
        """What answers on the loop."""

    @abstractmethod
    def wait_for(self, call: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Carries the call out on the loop and blocks until it has answered."""

    def state_get(self, scope: StateScope, key: str) -> str | None:
        """See StateStores."""
        return self.wait_for(self.state_stores.state_get, scope, key)

    def state_set(
        self, attempt: AttemptKey, scope: StateScope, key: str, value: str, expires_at: datetime | None = None
    ) -> None:
        """See StateStores."""
        self.wait_for(self.state_stores.state_set, attempt, scope, key, value, expires_at)

    def state_delete(self, attempt: AttemptKey, scope: StateScope, key: str | None = None) -> None:
        """See StateStores."""
        self.wait_for(self.state_stores.state_delete, attempt, scope, key)


class StatesInProcess(ABC):
    """For an async task in a process of its own."""

    __slots__ = ()

    @property
    @abstractmethod
    def state_stores(self) -> BlockingStateStores:
        """What answers, blocking a thread."""

    async def state_get(self, scope: StateScope, key: str) -> str | None:
        """See StateStores."""
        return await asyncio.to_thread(self.state_stores.state_get, scope, key)

    async def state_set(
        self, attempt: AttemptKey, scope: StateScope, key: str, value: str, expires_at: datetime | None = None
    ) -> None:
        """See StateStores."""
        await asyncio.to_thread(self.state_stores.state_set, attempt, scope, key, value, expires_at)

    async def state_delete(self, attempt: AttemptKey, scope: StateScope, key: str | None = None) -> None:
        """See StateStores."""
        await asyncio.to_thread(self.state_stores.state_delete, attempt, scope, key)


class StatesByFrames(ABC):
    """For a process at the other end of a channel."""

    @abstractmethod
    def ask(self, name: str, args: list[Any]) -> Any:
        """Sends a call and blocks until its reply is there."""

    def state_get(self, scope: StateScope, key: str) -> str | None:
        """See StateStores."""
        found: str | None = self.ask("state_get", [list(scope), key])
        return found

    def state_set(
        self, attempt: AttemptKey, scope: StateScope, key: str, value: str, expires_at: datetime | None = None
    ) -> None:
        """See StateStores."""
        self.ask("state_set", set_args(attempt, scope, key, value, expires_at))

    def state_delete(self, attempt: AttemptKey, scope: StateScope, key: str | None = None) -> None:
        """See StateStores."""
        self.ask("state_delete", [codec.plain_key(attempt), list(scope), key])


class StatesByAwaitedFrames(ABC):
    """For coroutines at the other end of a channel."""

    @abstractmethod
    async def ask_for(self, name: str, args: list[Any]) -> Any:
        """Sends a call and waits for its reply."""

    async def state_get(self, scope: StateScope, key: str) -> str | None:
        """See StateStores."""
        found: str | None = await self.ask_for("state_get", [list(scope), key])
        return found

    async def state_set(
        self, attempt: AttemptKey, scope: StateScope, key: str, value: str, expires_at: datetime | None = None
    ) -> None:
        """See StateStores."""
        await self.ask_for("state_set", set_args(attempt, scope, key, value, expires_at))

    async def state_delete(self, attempt: AttemptKey, scope: StateScope, key: str | None = None) -> None:
        """See StateStores."""
        await self.ask_for("state_delete", [codec.plain_key(attempt), list(scope), key])


def set_args(attempt: AttemptKey, scope: StateScope, key: str, value: str, expires_at: datetime | None) -> list[Any]:
    """The arguments of `state_set` in a frame."""
    until = None if expires_at is None else expires_at.isoformat()
    return [codec.plain_key(attempt), list(scope), key, value, until]


# --------------------------------------------------------------------------- the executor's side


async def _get(services: StateStores, args: list[Any]) -> Any:
    scope, key = args
    return await services.state_get(StateScope(*scope), key)


async def _set(services: StateStores, args: list[Any]) -> None:
    attempt, scope, key, value, until = args
    expires_at = None if until is None else datetime.fromisoformat(until)
    await services.state_set(codec.key_of(attempt), StateScope(*scope), key, value, expires_at)


async def _delete(services: StateStores, args: list[Any]) -> None:
    attempt, scope, key = args
    await services.state_delete(codec.key_of(attempt), StateScope(*scope), key)


CALLS: Final[Mapping[str, Callable[[StateStores, list[Any]], Awaitable[Any]]]] = {
    "state_get": _get,
    "state_set": _set,
    "state_delete": _delete,
}
