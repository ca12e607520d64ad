# pyright: strict
"""Shared clients that must type-check under strict rules, without casts. For type checkers; a test imports it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, ClassVar, assert_type

from aiohttp import ClientSession
from asyncpg import Pool

from tradewind import DAG, AsyncHook, Connection, resource, task
from tradewind_providers.http import HttpHook, HttpOperator, HttpResponse, HttpSensor, http
from tradewind_providers.postgres import PostgresOperator, listening, postgres
from tradewind_providers.sql.sensors import SqlSensor


class LaunchHook(AsyncHook[ClientSession]):
    conn_type = "launch"
    idle: ClassVar[timedelta | None] = timedelta(minutes=1)

    @asynccontextmanager
    async def connect(self, conn: Connection) -> AsyncGenerator[ClientSession]:
        async with ClientSession(conn.host) as session:
            yield session


@resource
async def model(name: str, *, size: int = 1) -> AsyncIterator[bytes]:
    yield name.encode() * size


@resource(idle=None)
async def limit() -> AsyncIterator[int]:
    yield 5


def done(response: HttpResponse, ds: str) -> bool:
    return ds in response.text


with DAG("clients", schedule=None) as clients:

    @task
    async def fetch_list(url: str) -> list[str]:
        async with http("launch_api") as session, session.get(url) as reply:
            assert_type(session, ClientSession)
            return [row["image"] for row in (await reply.json())["results"]]

    @task
    async def use() -> int:
        async with LaunchHook("launch_api") as session, postgres("warehouse") as pool:
            assert_type(session, ClientSession)
            _: Pool[Any] = assert_type(pool, Pool[Any])
        async with model("a", size=2) as found, limit() as most:
            assert_type(found, bytes)
            assert_type(most, int)
        async with listening("news", "warehouse") as notices:
            async for payload in notices:
                assert_type(payload, str)
        answer = await HttpHook("GET", "launch_api").run_async("x")
        assert_type(answer, HttpResponse)
        return answer.status_code

    fetch_list("https://example.org")
    use()
    HttpOperator(task_id="call", endpoint="x", response_check=done, retries=2)
    HttpSensor(task_id="wait", endpoint="x", response_check=done, poke_interval=5)
    PostgresOperator(task_id="write", sql=["select 1"], parameters={"a": 1}, pool="db")
    SqlSensor(task_id="rows", conn_id="db", sql="select 1", listen="news", mode="poke")
