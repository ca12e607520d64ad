"""Variables and connections at rest: unreadable without the key, and how keys are changed."""

from __future__ import annotations

import asyncpg
import pytest

from tests.store.conftest import KEY, OPTIONS
from tradewind.model.errors import ConfigError
from tradewind.model.rows import ConnectionRow, Rotation, VariableRow
from tradewind.store.crypto import Vault, generate_key
from tradewind.store.lines import StoreOptions
from tradewind.store.postgres import PostgresStore


async def opened(url: str, keys: str, source: str = "the file fernet.key") -> PostgresStore:
    store = PostgresStore(url, secret_key=keys, options=StoreOptions(readers=OPTIONS.readers, key_source=source))
    await store.open()
    return store


@pytest.mark.spec("3:X08", "3:UC11")
async def test_values_cannot_be_read_in_the_database(store_url: str, sql: asyncpg.Connection[asyncpg.Record]) -> None:
    store = await opened(store_url, KEY)
    await store.variable_set("api_token", "open sesame")
    await store.connection_set("db", '{"password": "open sesame"}')
    rows = await sql.fetch("SELECT value FROM variable UNION ALL SELECT value FROM connection")
    assert len(rows) == 2
    assert all(b"sesame" not in row["value"] for row in rows)
    await store.close()


@pytest.mark.spec("3:UC11")
async def test_a_wrong_key_is_told_with_what_to_do(store_url: str) -> None:
    store = await opened(store_url, KEY)
    await store.variable_set("v", "1", "what for")
    await store.connection_set("c", "{}")
    await store.close()
    other = await opened(store_url, generate_key())
    with pytest.raises(ConfigError, match=r"variable 'v' was .* the file fernet\.key.*rotate-fernet-key"):
        await other.variable_get("v")
    with pytest.raises(ConfigError, match="connection 'c'"):
        await other.connection_get("c")
    assert await other.variable_list() == [VariableRow("v", None, "what for")], "a list shows what is readable"
    assert await other.connection_list() == [ConnectionRow("c", None)]
    await other.close()


async def test_keys_are_changed_in_batches(store_url: str) -> None:
    new = generate_key()
    old_store = await opened(store_url, KEY)
    for n in range(5):
        await old_store.variable_set(f"v{n}", str(n))
        await old_store.connection_set(f"c{n}", str(n))
    await old_store.close()
    both = await opened(store_url, f"{new},{KEY}")
    await both.variable_set("v2", "set meanwhile")
    assert await both.secrets_rotate(batch=2) == Rotation(9, 1)
    assert await both.secrets_rotate(batch=2) == Rotation(0, 10), "once more does nothing"
    await both.close()
    alone = await opened(store_url, new)
    assert [row.value for row in await alone.variable_list()] == ["0", "1", "set meanwhile", "3", "4"]
    assert [row.value for row in await alone.connection_list()] == list("01234")
    await alone.close()


async def test_what_no_key_opens_is_named_and_left(store_url: str) -> None:
    lost, new = generate_key(), generate_key()
    for key, name in ((lost, "a"), (KEY, "b")):
        store = await opened(store_url, key)
        await store.variable_set(name, name)
        await store.close()
    both = await opened(store_url, f"{new}, {KEY}")
    assert await both.secrets_rotate() == Rotation(1, 0, ("variable 'a'",))
    assert await both.variable_get("b") == "b"
    await both.close()


def test_a_bad_key_names_where_it_stands() -> None:
    with pytest.raises(ConfigError, match=r"TRADEWIND__CORE__FERNET_KEY.*generate-fernet-key"):
        Vault("abc", "TRADEWIND__CORE__FERNET_KEY")


async def test_many_are_listed(store_url: str) -> None:
    store = await opened(store_url, KEY)
    for n in range(101):
        await store.variable_set(f"{n:03}", str(n))
    assert [row.value for row in await store.variable_list()] == [str(n) for n in range(101)]
    await store.close()
