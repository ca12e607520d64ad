"""The small parts of the store: addresses, statements, keys, failpoints, faults of the memory store."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.store.conftest import KEY
from tradewind import failpoints
from tradewind.failpoints import FailpointHit, armed, failpoint
from tradewind.model.errors import BatchConflict, ConfigError, Fenced, StoreUnavailable
from tradewind.model.states import TaskState
from tradewind.store.crypto import Vault, generate_key
from tradewind.store.memory import MemoryStore, new_database
from tradewind.store.postgres import PostgresStore
from tradewind.store.statements import bind, fragments, statement
from tradewind.store.url import normalise_url, redact_url, wants_no_tls
from tradewind.testing.store_world import attempt_id, moved, new_world, opened


@pytest.mark.parametrize(
    ("given", "understood"),
    [
        ("postgresql://u:p@h:5/d", "postgresql://u:p@h:5/d"),
        ("postgres://h/d?sslmode=disable", "postgresql://h/d?sslmode=disable"),
        (" postgresql+psycopg2://u@h/d ", "postgresql://u@h/d"),
        ("postgresql+asyncpg:///d?host=/run/x", "postgresql:///d?host=/run/x"),
    ],
)
def test_addresses_are_understood(given: str, understood: str) -> None:
    assert normalise_url(given) == understood


@pytest.mark.parametrize("given", ["sqlite:///x.db", "mysql://u:secret@h/d", "just words", "postgresql://h:port/d"])
def test_other_addresses_are_refused(given: str) -> None:
    with pytest.raises(ConfigError, match="database URL") as refused:
        normalise_url(given)
    assert "secret" not in str(refused.value)


def test_passwords_are_left_out() -> None:
    assert redact_url("postgresql://u:p%40@h:5/d?x=1") == "postgresql://u:***@h:5/d?x=1"
    assert redact_url("postgresql://u@h/d") == "postgresql://u@h/d"
    assert redact_url("postgresql:///d") == "postgresql:///d"


def test_tls_is_not_tried_where_it_says_nothing() -> None:
    assert wants_no_tls("postgresql://u@127.0.0.1:5/d")
    assert wants_no_tls("postgresql:///d?host=/run/x")
    assert wants_no_tls("postgresql:///d?host=%2Frun%2Fx")
    assert not wants_no_tls("postgresql://u@127.0.0.1/d?sslmode=require")
    assert not wants_no_tls("postgresql://db.example.org/d")


def test_parameters_are_numbered_once() -> None:
    made = bind("x", "SELECT :b::text, a::b, :a_1 FROM t WHERE x = :b")
    assert made.text == "SELECT $1::text, a::b, $2 FROM t WHERE x = $1"
    assert made.values({"a_1": 2, "b": 1, "more": 3}) == [1, 2]
    with pytest.raises(KeyError):
        made.values({"b": 1})


def test_fragments_are_inserted() -> None:
    text = statement("run", "run_list", order="r.run_id ASC").text
    assert "ORDER BY r.run_id ASC" in text
    assert "{" not in text
    for file in ("batch", "dag", "mail", "named", "run", "runtime"):
        assert all(fragments(file).values())


def test_keys() -> None:
    old, new = generate_key(), generate_key()
    secret = Vault(old).encrypt("pass\0word")
    assert b"word" not in secret
    assert Vault(f"{new}, {old}").decrypt(secret, "x") == "pass\0word"
    with pytest.raises(ConfigError, match="variable 'v' was encrypted with another key"):
        Vault(new).decrypt(secret, "variable 'v'")
    with pytest.raises(ConfigError, match="not a Fernet key"):
        Vault("short")


def test_failpoints_act_when_they_are_armed() -> None:
    failpoint("x")
    with armed("x", "raise@2"):
        failpoint("x")
        failpoint("y")
        with pytest.raises(FailpointHit, match="x"):
            failpoint("x")
        failpoint("x")
    failpoint("x")


@pytest.mark.parametrize("text", ["x", "x=sleep", "x=kill@often"])
def test_failpoints_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="TRADEWIND_FAILPOINTS"):
        failpoints.arm_from(text)


def test_a_failpoint_kills_as_a_power_cut_does() -> None:
    code = "from tradewind.failpoints import failpoint; failpoint('a'); print('still here')"
    environ = {**os.environ, failpoints.VARIABLE: "b=raise, a=kill"}
    ended = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout) == (-signal.SIGKILL, b"")


async def test_faults_of_the_memory_store() -> None:
    database = new_database()

    async def new_store() -> MemoryStore:
        return MemoryStore(database)

    world = await new_world(new_store)
    run = await world.run()
    store = world.store
    assert isinstance(store, MemoryStore)
    segment = world.segment(run, moved("a", TaskState.NONE, TaskState.RUNNING))
    when = False

    async def fail(_name: str, done: bool) -> None:
        if done is when:
            raise StoreUnavailable

    store.on_call = fail
    for when in (False, True):
        with pytest.raises(StoreUnavailable):
            await world.apply(segment)
        assert await store.runtime_seq(world.lease) == int(when)
    store.on_call = None
    with pytest.raises(BatchConflict):
        await world.apply(segment)
    store.fence(world.lease)
    with pytest.raises(Fenced):
        await world.apply()
    lease = await store.runtime_join("again")
    other = await new_store()
    assert not await other.runtime_is_provably_dead(lease.runtime_id)
    store.crash()
    assert await other.runtime_is_provably_dead(lease.runtime_id)
    with pytest.raises(StoreUnavailable):
        await store.runtime_beat(lease)


async def test_a_refused_batch_of_memory_leaves_every_table_alone() -> None:
    database = new_database()

    async def new_store() -> MemoryStore:
        return MemoryStore(database)

    world = await new_world(new_store)
    one, two = await world.run(1), await world.run(2)
    good = world.segment(one, moved("a", TaskState.NONE, TaskState.RUNNING))
    good.opened.append(opened("a", attempt_id("x")))
    with pytest.raises(BatchConflict):
        await world.apply(good, world.segment(two, moved("a", TaskState.RUNNING, TaskState.SUCCESS)))
    assert database.runs[one.run_id].live == {}
    assert await world.apply(good) == 1


async def test_a_wrong_key_is_named(store_url: str) -> None:
    first, second = PostgresStore(store_url, secret_key=KEY), PostgresStore(store_url, secret_key=generate_key())
    await first.connection_set("db", "{}")
    with pytest.raises(ConfigError, match="connection 'db' was encrypted with another key"):
        await second.connection_get("db")
    await first.close()
    await second.close()
