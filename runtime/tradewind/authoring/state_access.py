"""How attempts reach the state stores of their task instance and of assets. Values are JSON texts here."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol

from tradewind.model.attempts import AttemptKey
from tradewind.model.state_stores import StateScope


class StateStores(Protocol):
    """The part of `TaskServices` that keeps small values."""

    async def state_get(self, scope: StateScope, key: str) -> str | None:
        """The value, or None where there is none or its time is over."""
        ...

    async def state_set(
        self, attempt: AttemptKey, scope: StateScope, key: str, value: str, expires_at: datetime | None = None
    ) -> None:
        """Durable when it returns. Raises Fenced if the attempt is no longer the live one."""
        ...

    async def state_delete(self, attempt: AttemptKey, scope: StateScope, key: str | None = None) -> None:
        """One value, or without a key all of the scope. Raises Fenced."""
        ...


class BlockingStateStores(Protocol):
    """`StateStores` for sync code."""

    def state_get(self, scope: StateScope, key: str) -> str | None:
        """The value, or None where there is none or its time is over."""
        ...

    def state_set(
        self, attempt: AttemptKey, scope: StateScope, key: str, value: str, expires_at: datetime | None = None
    ) -> None:
        """Keeps a value."""
        ...

    def state_delete(self, attempt: AttemptKey, scope: StateScope, key: str | None = None) -> None:
        """One value, or without a key all of the scope."""
        ...


class BlockingStatesInMemory:
    """`BlockingStateStores` in a dict: for attempts that no runtime knows of."""

    def __init__(self) -> None:
        self.states: dict[StateScope, dict[str, tuple[str, datetime | None]]] = {}

    def state_get(self, scope: StateScope, key: str) -> str | None:
        """The value, or None where there is none or its time is over."""
        value, expires_at = self.states.get(scope, {}).get(key, (None, None))
        return None if expires_at is not None and expires_at <= datetime.now(UTC) else value

    def state_set(
        self, attempt: AttemptKey, scope: StateScope, key: str, value: str, expires_at: datetime | None = None
    ) -> None:
        """Keeps a value."""
        self.states.setdefault(scope, {})[key] = (value, expires_at)

    def state_delete(self, attempt: AttemptKey, scope: StateScope, key: str | None = None) -> None:
        """One value, or without a key all of the scope."""
        if key is None:
            self.states.pop(scope, None)
        else:
            self.states.get(scope, {}).pop(key, None)


class StatesInMemory:
    """`BlockingStatesInMemory` awaited. Classes that mix it in give `kept`."""

    kept: BlockingStatesInMemory

    async def state_get(self, scope: StateScope, key: str) -> str | None:
        """The value, or None where there is none or its time is over."""
        return self.kept.state_get(scope, key)

    async def state_set(
        self, attempt: AttemptKey, scope: StateScope, key: str, value: str, expires_at: datetime | None = None
    ) -> None:
        """Keeps a value."""
        self.kept.state_set(attempt, scope, key, value, expires_at)

    async def state_delete(self, attempt: AttemptKey, scope: StateScope, key: str | None = None) -> None:
        """One value, or without a key all of the scope."""
        self.kept.state_delete(attempt, scope, key)
