"""Operators and sensors of the common.sql package, hooks of sqlite and postgres, on real databases."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from tests.providers_official.conftest import connection
from tests.providers_official.environments import Environment

pytestmark = pytest.mark.provider_packages


def on_file(path: Path) -> str:
    return connection("sqlite", host=str(path))


@pytest.mark.spec("1:C9")
def test_sqlite(environment: Environment, tmp_path: Path) -> None:
    done = environment.try_dag("with_sqlite", "sqlite_dags.py", AIRFLOW_CONN_DB=on_file(tmp_path / "launches.db"))
    assert done.errors == {"wrong": "AirflowException"}, done.log
    assert {task_id for task_id, state in done.states.items() if state != "success"} == {"wrong", "few"}
    assert (done.states["few"], done.states["many"]) == ("skipped", "success")
    assert done.xcoms["read"] == [["one", 10], ["two", 30]]
    assert done.xcoms["branch"] == ["many"]
    assert done.xcoms["by_hook"] == {"records": [["three"], ["one"], ["two"]], "uri": "sqlite:///"}
    assert "Check Values: {'less_than': 30, 'result': 30, 'success': False}" in done.log


def test_newer_sql(environments: Mapping[str, Environment], tmp_path: Path) -> None:
    """`@task.sql` and an operator that came after the time of Airflow 2.11.0."""
    done = environments["recent"].try_dag(
        "newer_sql", "newer_sql_dags.py", AIRFLOW_CONN_DB=on_file(tmp_path / "launches.db")
    )
    assert (done.state, done.errors) == ("success", {}), done.log
    assert done.xcoms["decorated"] == [["one"]]


@pytest.mark.spec("1:C9")
async def test_postgres(environment: Environment, database_url: str) -> None:
    parts = urlsplit(database_url)
    place = parse_qs(parts.query)
    db = connection(
        "postgres",
        host=parts.hostname or place["host"][0],
        port=parts.port or int(place["port"][0]),
        login=parts.username,
        password=unquote(parts.password or ""),
        schema=parts.path.strip("/"),
    )
    done = await asyncio.to_thread(environment.try_dag, "with_postgres", "postgres_dags.py", AIRFLOW_CONN_DB=db)
    assert (done.state, done.errors) == ("success", {}), done.log
    assert done.xcoms["insert"] == [["four"]]
    assert done.xcoms["read"] == [["one", 10, "2026-01-05"], ["four", 20, "2026-01-05"], ["two", 30, "2026-01-05"]]
    assert done.xcoms["by_hook"] == {
        "first": [31],
        "records": [["five"], ["one"], ["four"], ["two"]],
        "key": ["name"],
        "engine": "postgresql",
        "frame": [4, 3],
        "tested": True,
        "server": "PostgreSQL",
    }
