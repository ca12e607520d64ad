"""What attempts keep in state stores, in the runtime's store."""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import datetime

from tradewind.model.attempts import AttemptKey
from tradewind.model.errors import Fenced
from tradewind.model.state_stores import StateScope
from tradewind.ports import Store


class StatesOfStore(ABC):
    """`StateStores` over a `Store`."""

    @property
    @abstractmethod
    def state_store(self) -> Store:
        """Where the values lie."""

    async def state_get(self, scope: StateScope, key: str) -> str | None:
        """The value, or None where there is none or its time is over."""
        return await self.state_store.state_get(await self._named(scope), key)

    async def state_set(
        self, attempt: AttemptKey, scope: StateScope, key: str, value: str, expires_at: datetime | None = None
    ) -> None:
        """Durable when it returns. Raises Fenced."""
        _require_live(
            await self.state_store.state_set(attempt, await self._named(scope), key, value, expires_at), attempt
        )

    async def state_delete(self, attempt: AttemptKey, scope: StateScope, key: str | None = None) -> None:
        """One value, or without a key all of the scope. Raises Fenced."""
        _require_live(await self.state_store.state_delete(attempt, await self._named(scope), key), attempt)

    async def _named(self, scope: StateScope) -> StateScope:
        """Values of assets lie under their names; an asset that nobody has named is called as its URI."""
        if not scope.by_uri:
            return scope
        asset = await self.state_store.asset_get(scope.owner)
        return StateScope.of_asset(name=scope.owner if asset is None else asset.name)


def _require_live(is_live: bool, attempt: AttemptKey) -> None:
    if not is_live:
        raise Fenced(
            f"attempt {attempt.attempt.hex()} of task {attempt.task_id!r} is no longer the live one: its values are "
            "not taken any more"
        )
