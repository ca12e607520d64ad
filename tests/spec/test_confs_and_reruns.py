"""What runs are given, and what a second run of an interval does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.authored import load_one, ran
from tradewind.authoring.connection import Connection

pytestmark = pytest.mark.blocks_the_loop  # a trial has the loop for itself


@pytest.mark.spec("1:G9", "1:H8", "1:E12")
def test_conf_in_every_task_and_reruns(tmp_path: Path) -> None:
    dag = load_one(
        tmp_path,
        f"""
        from datetime import datetime

        from airflow import DAG
        from airflow.operators.bash import BashOperator
        from airflow.operators.python import PythonOperator

        def conf_of(**context):
            return dict(context["dag_run"].conf or {{}})

        with DAG("print_dag_run_conf", start_date=datetime(2019, 1, 1), schedule_interval="@daily"):
            for name in ("copy_to_raw", "process"):
                PythonOperator(task_id=name, python_callable=conf_of)
            BashOperator(task_id="rewrites", bash_command="echo {{{{ ds }}}} > '{tmp_path}'/{{{{ ds }}}}.txt")
            BashOperator(task_id="appends", bash_command="echo {{{{ ds }}}} >> '{tmp_path}'/all.txt")
            BashOperator(task_id="query", bash_command="echo \\"d={{{{ ds }}}} d='{{{{ ds }}}}'\\"")
        """,
    )
    reports = [ran(dag, "2019-01-03", conf={"supermarket_id": 1}) for _ in range(2)]
    for report in reports:
        assert [report.results[name, -1] for name in ("copy_to_raw", "process")] == [{"supermarket_id": 1}] * 2
    assert (tmp_path / "2019-01-03.txt").read_text() == "2019-01-03\n"
    assert (tmp_path / "all.txt").read_text() == "2019-01-03\n" * 2
    assert reports[0].results["query", -1] == "d=2019-01-03 d='2019-01-03'"
    assert ran(dag, "2019-01-04", until="2019-01-05").results["process", -1] == {}


@pytest.mark.spec("3:F10")
def test_uris_and_connections() -> None:
    api = Connection(uri="http://secure_api:5000?token=supersecret")
    assert (api.conn_type, api.host, api.port, api.extra_dejson) == (
        "http",
        "secure_api",
        5000,
        {"token": "supersecret"},
    )
    uri = "mysql://me:p%40ss@db:3306/shop"
    db = Connection(uri=uri)
    assert (db.login, db.password, db.schema, db.get_uri()) == ("me", "p@ss", "shop", uri)
    assert Connection(extra={"host": "http://minio:9000"}).extra_dejson["host"] == "http://minio:9000"
