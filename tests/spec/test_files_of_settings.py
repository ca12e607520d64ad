"""`airflow.cfg` as users edit it, default connections, and options that have nothing to set here."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest
from click.testing import CliRunner

from tests.conftest import NewDatabase
from tests.spec.running_system import running_system
from tradewind.cli.main import cli
from tradewind.config import load_config
from tradewind.config_options import AIRFLOW_SETTLED
from tradewind.services.default_connections import DEFAULT_CONNECTIONS

pytestmark = pytest.mark.blocks_the_loop

FILE = """
[core]
executor = CeleryExecutor
sql_alchemy_conn = DATABASE
load_examples = False
dags_folder = DAGS
[celery]
broker_url = amqp://guest:guest@localhost:5672//
result_backend = amqp://guest:guest@localhost:5672//
"""


async def tables(url: str) -> set[str]:
    connection = await asyncpg.connect(url)
    try:
        return {row[0] for row in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname !~ '^pg_'")}
    finally:
        await connection.close()


@pytest.mark.spec("3:F05", "3:F06", "3:K04")
async def test_a_file_that_was_prepared_and_edited(
    tmp_path: Path, new_database: NewDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is honoured as it is; `db init` after an edit makes the tables in the database that it names now."""
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    for _ in range(2):
        url = await new_database()
        text = FILE.replace("DATABASE", url.replace("postgresql://", "postgresql+psycopg2://"))
        (tmp_path / "airflow.cfg").write_text(text.replace("DAGS", str(tmp_path / "flows")))
        config = load_config()
        assert (config.home, config.dags.folder) == (tmp_path, tmp_path / "flows")
        assert (config.dags.load_examples, config.database.url) == (False, url)
        assert str(config.sources["dags.folder"]) == f"file {tmp_path}/airflow.cfg"
        done = await asyncio.to_thread(CliRunner().invoke, cli, ["db", "init"])
        assert done.exit_code == 0, done.output
        assert len(await tables(url)) > 5


@pytest.mark.spec("3:A09", "3:A10")
async def test_default_connections_are_made_where_that_is_asked_for(tmp_path: Path, database_url: str) -> None:
    """Off: none are made, and those that are there stay."""
    for asked in (False, True, False):
        async with running_system(tmp_path, database_url, database__load_default_connections=asked) as system:
            listed = await system.tradewind("connections", "list", "--output", "json")
            there = {row["conn_id"]: row for row in json.loads(listed)}
            if asked:
                assert {"aws_default", "google_cloud_default", "postgres_default"} <= set(there)
                assert len(there) == len(DEFAULT_CONNECTIONS)
                await system.tradewind("connections", "delete", "google_cloud_default")
                edited = '{"conn_type": "aws", "extra": {"region_name": "ap-southeast-1"}}'
                await system.tradewind("connections", "delete", "aws_default")
                await system.tradewind("connections", "add", "aws_default", "--conn-json", edited)
            elif there:
                assert len(there) == len(DEFAULT_CONNECTIONS) - 1
                shown = json.loads(await system.tradewind("connections", "get", "aws_default", "--output", "json"))
                assert "ap-southeast-1" in json.dumps(shown)


@pytest.mark.spec(
    "1:15:AIRFLOW__CORE__DAGS_FOLDER",
    "1:15:AIRFLOW__CORE__SQL_ALCHEMY_CONN",
    "1:15:AIRFLOW__<SECTION>__<KEY>",
    "1:15:catchup_by_default",
)
def test_variables_of_the_environment(tmp_path: Path) -> None:
    config = load_config(
        tmp_path,
        environ={
            "AIRFLOW__CORE__DAGS_FOLDER": str(tmp_path / "flows"),
            "AIRFLOW__CORE__SQL_ALCHEMY_CONN": "postgresql+psycopg2://me:secret@db:5432/airflow",
            "AIRFLOW__SCHEDULER__CATCHUP_BY_DEFAULT": "False",
            "AIRFLOW__CORE__XCOM_BACKEND": "custom.Backend",
        },
    )
    assert (config.dags.folder, config.core.catchup_by_default) == (tmp_path / "flows", False)
    assert config.database.url == "postgresql://me:secret@db:5432/airflow"
    assert config.core.xcom_backend == "custom.Backend"
    assert load_config(tmp_path, environ={}).database.url is None, "then PostgreSQL comes along"


@pytest.mark.spec("3:9:scheduler.scheduler_health_check_threshold", "3:B03", "3:B13")
def test_options_of_polling_and_beating_are_known_and_change_nothing(tmp_path: Path) -> None:
    names = ("scheduler_health_check_threshold", "min_file_process_interval", "scheduler_heartbeat_sec")
    environ = {f"AIRFLOW__SCHEDULER__{name.upper()}": "60" for name in names}
    config = load_config(tmp_path, environ=environ)
    plain = load_config(tmp_path, environ={})
    assert (config.scheduler, config.dags) == (plain.scheduler, plain.dags)
    assert set(config.ignored) == set(environ)
    assert all(AIRFLOW_SETTLED[f"scheduler.{name}"] in config.ignored.values() for name in names)
    assert (plain.scheduler.beat, plain.scheduler.beat_alone, plain.scheduler.lease) == (2.5, 10.0, 7.5)
