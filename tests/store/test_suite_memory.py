"""The memory store under the conformance suite."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tradewind.ports import Store
from tradewind.store.memory import MemoryStore, new_database
from tradewind.testing.store_suite import StoreSuite


@pytest.fixture
def new_store() -> Callable[[], Awaitable[Store]]:
    database = new_database()

    async def make() -> Store:
        store = MemoryStore(database)
        await store.open()
        return store

    return make


class TestMemoryStore(StoreSuite):
    pass
