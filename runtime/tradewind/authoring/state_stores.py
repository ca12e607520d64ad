"""Small values that outlive an attempt: of the task instance across its tries, and of assets across runs.

::

    def load(*, task_state_store, asset_state_store):
        job = task_state_store.get("job_id")
        mark = asset_state_store[ORDERS].get("watermark", default="2026-01-01")
        asset_state_store[ORDERS].set("watermark", "2026-01-02")

Values are what JSON can say. In an async task `aget`, `aset`, `adelete` and `aclear` are awaited.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tradewind.authoring.access import CurrentAttempt
from tradewind.authoring.assets import Asset, AssetAlias, AssetRef, assets_among
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json
from tradewind.model.state_stores import StateScope

NEVER_EXPIRE: Final = timedelta.max
"""As `retention`: the value stays as long as its run."""

LARGEST: Final = 1024 * 1024
"""Bytes of one value."""

Key = Asset | AssetAlias | AssetRef


def kept_text(value: object, where: str) -> str:
    """A value as a state store keeps it. Raises ValueError for None, AuthoringError for no JSON and too much of it."""
    if value is None:
        raise ValueError(f"{where}: None cannot be kept; delete the key instead")
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise AuthoringError(
            f"{where}: {error}. Values are texts, numbers, booleans, lists and dicts; "
            "of a datetime keep its isoformat()"
        ) from error
    if len(text) > LARGEST:
        raise AuthoringError(f"{where}: {len(text):,} bytes are too many for a state store (at most {LARGEST:,})")
    return text


class _Values:
    """What one owner keeps."""

    def __init__(self, current: CurrentAttempt, scope: StateScope, name: str) -> None:
        self._current = current
        self._scope = scope
        self._name = name

    def __eq__(self, other: object) -> bool:
        return self._scope == other._scope if isinstance(other, _Values) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._scope)

    def __repr__(self) -> str:
        return f"<{self._name}>"

    def get(self, key: str, default: Json = None) -> Json:
        """The value, or `default` where there is none."""
        return _value(self._current.blocking.state_get(self._scope, self._checked(key)), default)

    async def aget(self, key: str, default: Json = None) -> Json:
        """`get` for async tasks."""
        return _value(await self._current.services.state_get(self._scope, self._checked(key)), default)

    def delete(self, key: str) -> None:
        """Deletes a value. One that is not there is no error."""
        self._current.blocking.state_delete(self._current.attempt.key, self._scope, self._checked(key))

    async def adelete(self, key: str) -> None:
        """`delete` for async tasks."""
        await self._current.services.state_delete(self._current.attempt.key, self._scope, self._checked(key))

    def clear(self) -> None:
        """Deletes all values."""
        self._current.blocking.state_delete(self._current.attempt.key, self._scope)

    async def aclear(self) -> None:
        """`clear` for async tasks."""
        await self._current.services.state_delete(self._current.attempt.key, self._scope)

    def _put(self, key: str, value: Json, expires_at: datetime | None = None) -> None:
        text = self._text(self._checked(key), value)
        self._current.blocking.state_set(self._current.attempt.key, self._scope, key, text, expires_at)

    async def _aput(self, key: str, value: Json, expires_at: datetime | None = None) -> None:
        text = self._text(self._checked(key), value)
        await self._current.services.state_set(self._current.attempt.key, self._scope, key, text, expires_at)

    def _checked(self, key: object) -> str:
        if not isinstance(key, str) or not key:
            raise AuthoringError(f"{self._name}: a key is a text that is not empty, not {key!r}")
        return key

    def _text(self, key: str, value: object) -> str:
        return kept_text(value, f"{self._name}[{key!r}]")


class TaskStateStore(_Values):
    """What the task instance keeps: later tries read it, also after the task was cleared. `task_state_store`."""

    def __init__(self, current: CurrentAttempt) -> None:
        key = current.attempt.key
        super().__init__(current, StateScope(key.run_id, key.task_id, key.map_index), "task_state_store")

    def set(self, key: str, value: Json, *, retention: timedelta | None = None) -> None:
        """Keeps a value. `retention`: how long it is known from now on; by default as long as its run."""
        self._put(key, value, _end(retention))

    async def aset(self, key: str, value: Json, *, retention: timedelta | None = None) -> None:
        """`set` for async tasks."""
        await self._aput(key, value, _end(retention))


class AssetStateStore(_Values):
    """What one asset keeps, for all tasks that name it among their inlets or outlets."""

    def set(self, key: str, value: Json) -> None:
        """Keeps a value."""
        self._put(key, value)

    async def aset(self, key: str, value: Json) -> None:
        """`set` for async tasks."""
        await self._aput(key, value)


class AssetStateStores:
    """The stores of a task's assets: `asset_state_store[ORDERS]`. A task with a single asset needs no brackets."""

    def __init__(self, current: CurrentAttempt, inlets: object, outlets: object) -> None:
        self._current = current
        self._stores: dict[Asset | AssetRef, AssetStateStore] = {}
        for asset in (*assets_among(inlets), *assets_among(outlets)):
            if not isinstance(asset, AssetAlias):
                self._stores[asset] = AssetStateStore(current, _scope(asset), f"asset_state_store[{asset!r}]")

    def __getitem__(self, key: Key) -> AssetStateStore:
        if not isinstance(key, (Asset, AssetRef)):
            raise TypeError(f"asset_state_store[…] takes an asset or Asset.ref(…), not {key!r}")
        for asset, store in self._stores.items():
            if _same(asset, key):
                return store
        raise KeyError(f"{key!r} is not among this task's inlets and outlets")

    def __repr__(self) -> str:
        return f"<asset_state_store of {list(self._stores)}>"

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("_") or not hasattr(AssetStateStore, name):
            raise AttributeError(name)
        if len(self._stores) != 1:
            raise ValueError(
                f"this task has {len(self._stores)} assets among its inlets and outlets: say which, "
                f"asset_state_store[ASSET].{name}(…)"
            )
        method: Callable[..., Any] = getattr(next(iter(self._stores.values())), name)
        return method


def _scope(asset: Asset | AssetRef) -> StateScope:
    if asset.name is not None:
        return StateScope.of_asset(name=asset.name)
    return StateScope.of_asset(uri=asset.uri)


def _same(one: Asset | AssetRef, other: Asset | AssetRef) -> bool:
    return (one.name is not None and one.name == other.name) or (one.uri is not None and one.uri == other.uri)


def _end(retention: timedelta | None) -> datetime | None:
    if retention is None or retention == NEVER_EXPIRE:
        return None
    if retention <= timedelta(0):
        raise AuthoringError(f"task_state_store: retention must be longer than nothing, not {retention}")
    return datetime.now(UTC) + retention


def _value(text: str | None, default: Json) -> Json:
    return default if text is None else json.loads(text)
