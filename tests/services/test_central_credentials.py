"""Credentials kept centrally: rows of the specification."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.services.conftest import StartRuntime
from tradewind.bundles.loader import load_file
from tradewind.control_ports import TriggerRequest

pytestmark = pytest.mark.blocks_the_loop

CENTRAL = """
from datetime import datetime

from airflow import DAG
from airflow.hooks.base_hook import BaseHook
from airflow.operators.python import PythonOperator


def _fetch(conn_id, **context):
    credentials = BaseHook.get_connection(conn_id)
    return [credentials.host, credentials.login, len(credentials.password)]


with DAG("central", start_date=datetime(2019, 1, 1), schedule_interval=None):
    for conn_id in ("my_api", "from_outside"):
        PythonOperator(task_id=conn_id, python_callable=_fetch, op_kwargs={"conn_id": conn_id})
"""


@pytest.mark.spec("2:B-04", "2:C-13")
async def test_credentials_of_the_store_and_of_the_environment(
    start: StartRuntime, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "central.py").write_text(CENTRAL)
    (dag,) = load_file(tmp_path / "central.py").dags.values()
    runtime = await start(dag)
    store = runtime.services.store
    await store.connection_set("my_api", '{"conn_type": "http", "host": "api", "login": "ada", "password": "s3cret"}')
    monkeypatch.setenv("AIRFLOW_CONN_FROM_OUTSIDE", "http://bob:passw0rd@vault")
    run = await runtime.control.run_trigger(TriggerRequest("central", unpause=True))
    assert (await runtime.control.run_wait(run.run_id, 60)).state.value == "success"
    told = {entry.task_id: entry for entry in await runtime.control.reads.xcom_list(run.run_id)}
    assert told.keys() == {"my_api", "from_outside"}
