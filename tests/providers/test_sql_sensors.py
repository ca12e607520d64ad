"""Waiting for what is in a database, on a real runtime and a real server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.providers.conftest import StartRuntime, ended, log_of, states_of
from tradewind import DAG, Connection
from tradewind.authoring.deferral import TaskDeferred, trigger_of, wait_of
from tradewind.authoring.loop_clients import clients_here, hold_clients
from tradewind.authoring.triggers import TriggerEvent
from tradewind.model.errors import AuthoringError, TaskFailed, TradewindError
from tradewind_providers.postgres import PostgresHook, listening
from tradewind_providers.postgres.triggers import PostgresNoticeTrigger
from tradewind_providers.sql.operators import SQLExecuteQueryOperator
from tradewind_providers.sql.sensors import SqlSensor

pytestmark = pytest.mark.blocks_the_loop  # the sync faces have loops of their own, in threads


async def test_the_sensor_asks_until_it_is_true(known: Connection, start: StartRuntime) -> None:
    hook = PostgresHook("db")
    await hook.run_async("create sequence s; create sequence many")
    with DAG("d", schedule=None, default_args={"conn_id": "db", "poke_interval": 0.01, "timeout": 30}) as dag:
        SqlSensor(task_id="plain", sql="select nextval('s') > 3")
        SqlSensor(
            task_id="success", sql="select 'x', nextval('many')", selector=lambda row: row[1], success=lambda n: n > 2
        )
        SqlSensor(task_id="failure", sql="select 5", failure=lambda n: n > 4, retries=0)
        SqlSensor(task_id="empty", sql="select 1 where false", fail_on_empty=True)
        SqlSensor(task_id="out", sql="select 1 where %(no)s", parameters={"no": False}, timeout=0.05, soft_fail=True)
    runtime = await start(dag)
    run = await ended(runtime, "d")
    assert await states_of(runtime, run) == {
        "plain": "success",
        "success": "success",
        "failure": "failed",
        "empty": "failed",
        "out": "skipped",
    }
    log = await log_of(runtime)
    assert "Failure criteria met. self.failure(5) returned True" in log
    assert "No rows returned, raising as per fail_on_empty flag" in log
    await clients_here().close()


async def test_the_sensor_that_listens_is_woken(known: Connection, start: StartRuntime) -> None:
    """With a poke interval of an hour."""
    hook = PostgresHook("db")
    await hook.run_async("create table t (n int); create sequence asked")
    with DAG("d", schedule=None) as dag:
        for n in range(3):
            SqlSensor(
                task_id=f"wait_{n}",
                conn_id="db",
                sql="select exists(select from t) from (select nextval('asked')) x",
                listen="news",
                poke_interval=3600,
                timeout=60,
            )

    async def asked_for(count: int) -> None:
        while (await hook.fetch_first("select last_value from asked"))[0] < count:
            pass  # the server takes its time

    with DAG("late", schedule=None) as late:
        SqlSensor(
            task_id="s",
            conn_id="db",
            sql="select false",
            listen="news",
            poke_interval=3600,
            timeout=0.2,
            soft_fail=True,
        )
    runtime = await start(dag, late)
    assert await states_of(runtime, await ended(runtime, "late")) == {"s": "skipped"}, (
        "its time is out while it listens"
    )
    running = asyncio.create_task(ended(runtime, "d"))
    async with asyncio.timeout(60):
        await asked_for(3)
        await hook.run_async("select pg_notify('news', 'nothing yet')")
        await asked_for(6)
        assert not running.done()
        await hook.run_async(["insert into t values (1)", "select pg_notify('news', 'it is there')"])
        assert (await running).state == "success"
    listeners = [name for name in clients_here().names() if "Listen" in name]
    assert listeners == ["connection 'db' (PostgresListenHook)"], "all share one connection"
    await clients_here().close()


async def test_sensors_that_defer_wait_in_the_runtime(known: Connection, start: StartRuntime) -> None:
    hook = PostgresHook("db")
    await hook.run_async("create table t (n int); create sequence asked; create sequence polled")
    from_asked = "from (select nextval('asked')) x"
    with DAG("d", schedule=None, default_args={"conn_id": "db", "deferrable": True, "timeout": 30}) as dag:
        SqlSensor(task_id="told", sql=f"select max(n) from t, (select 1 {from_asked}) y", listen="news")
        SqlSensor(task_id="polls", sql="select nextval('polled') > 3", poke_interval=0.01)
        SqlSensor(task_id="judged", sql="select 5", success=bool)
    runtime = await start(dag)
    running = asyncio.create_task(ended(runtime, "d"))
    async with asyncio.timeout(60):
        while (await hook.fetch_first("select last_value from asked"))[0] < 2:
            pass  # the trigger asks too
        await hook.run_async(["insert into t values (7)", "select pg_notify('news', '')"])
        run = await running
    assert set((await states_of(runtime, run)).values()) == {"success"}
    assert "told completed successfully: the query gave 7" in await log_of(runtime)
    await clients_here().close()


@pytest.mark.usefixtures("known")
async def test_a_trigger_for_notices(known: Connection) -> None:
    trigger = PostgresNoticeTrigger("news", "db")
    wait = wait_of(TaskDeferred(trigger=trigger, method_name="execute"), now=datetime.now(UTC))
    made = trigger_of(wait.kind, wait.args, DAG("d"))
    async with hold_clients():

        async def first() -> TriggerEvent:
            return await anext(aiter(made.run()))

        heard = asyncio.create_task(first())
        hook = PostgresHook("db")
        async with asyncio.timeout(60):
            while not heard.done():
                await hook.run_async("select pg_notify('news', 'x')")
        assert heard.result() == TriggerEvent("x")


@pytest.mark.usefixtures("known")
async def test_listening(known: Connection) -> None:
    async with hold_clients():
        hook = PostgresHook("db")
        async with (
            listening("news", "db") as first,
            hook.listening("news") as second,
            listening("other", "db") as third,
        ):
            await hook.run_async("select pg_notify('news', 'a'), pg_notify('news', 'b')")
            assert [await first.wait(60), await first.wait(60), await second.wait(60)] == ["a", "b", "a"]
            assert await third.wait(0.001) is None
            pids = "select pg_terminate_backend(pid) from pg_stat_activity where query like '%LISTEN%'"
            await hook.run_async(pids + " and pid <> pg_backend_pid() and datname = current_database()")
            assert [payload async for payload in second] == ["b"], "it ends with its connection"
            assert await first.wait(60) is None
        async with listening("news", "db") as again:
            await hook.run_async("notify news, 'c'")
            assert await again.wait(60) == "c"


async def test_a_sensor_can_only_listen_in_postgres(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_CONN_WEB", "http://h")
    with DAG("d", schedule=None):
        sensor = SqlSensor(task_id="s", conn_id="web", sql="select 1", listen="news")
        with pytest.raises(AuthoringError, match="conn_id is missing"):
            SQLExecuteQueryOperator(task_id="x", sql="select 1")
        any_function: Any = 1
        with pytest.raises(AuthoringError, match=r"self\.success is present, but not callable"):
            SqlSensor(task_id="wrong", conn_id="web", sql="select 1", success=any_function)
    async with hold_clients():
        with pytest.raises(TradewindError, match="runs no SQL"):
            await sensor.poke({})
    with pytest.raises(TaskFailed):
        raise TaskFailed
