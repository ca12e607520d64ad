"""Operators of the common.sql and sqlite packages, on SQLite."""

from datetime import datetime

from airflow import DAG
from airflow.decorators import task
from airflow.operators.empty import EmptyOperator
from airflow.providers.common.sql.operators.generic_transfer import GenericTransfer
from airflow.providers.common.sql.operators.sql import (
    BranchSQLOperator,
    SQLCheckOperator,
    SQLColumnCheckOperator,
    SQLExecuteQueryOperator,
    SQLTableCheckOperator,
    SQLThresholdCheckOperator,
    SQLValueCheckOperator,
)
from airflow.providers.common.sql.sensors.sql import SqlSensor
from airflow.providers.sqlite.hooks.sqlite import SqliteHook

with DAG("with_sqlite", start_date=datetime(2026, 1, 1), schedule=None, default_args={"conn_id": "db"}):
    create = SQLExecuteQueryOperator(
        task_id="create",
        sql=[
            "create table launches (name text, kg integer, day text)",
            "create table copies (name text, kg integer, day text)",
            "insert into launches values ('one', 10, '{{ ds }}'), ('two', 30, '{{ ds }}')",
        ],
        split_statements=False,
    )
    read = SQLExecuteQueryOperator(
        task_id="read",
        sql="select name, kg from launches where kg > :least order by kg",
        parameters={"least": 5},
    )
    columns = SQLColumnCheckOperator(
        task_id="columns",
        table="launches",
        column_mapping={"kg": {"min": {"geq_to": 1}, "max": {"leq_to": 30}, "null_check": {"equal_to": 0}}},
    )
    wrong = SQLColumnCheckOperator(
        task_id="wrong", table="launches", column_mapping={"kg": {"max": {"less_than": 30}}}, retries=0
    )
    table = SQLTableCheckOperator(
        task_id="table", table="launches", checks={"some_rows": {"check_statement": "count(*) > 1"}}
    )
    value = SQLValueCheckOperator(task_id="value", sql="select sum(kg) from launches", pass_value=40, tolerance=0.1)
    threshold = SQLThresholdCheckOperator(
        task_id="threshold", sql="select max(kg) from launches", min_threshold=10, max_threshold=50
    )
    check = SQLCheckOperator(task_id="check", sql="select count(*) from launches where day = '{{ ds }}'")
    wait = SqlSensor(task_id="wait", sql="select count(*) from launches", poke_interval=1)
    branch = BranchSQLOperator(
        task_id="branch",
        sql="select count(*) > 1 from launches",
        follow_task_ids_if_true="many",
        follow_task_ids_if_false=["few"],
    )
    copy = GenericTransfer(
        task_id="copy",
        sql="select * from launches",
        destination_table="copies",
        source_conn_id="db",
        destination_conn_id="db",
    )

    @task
    def by_hook():
        hook = SqliteHook(sqlite_conn_id="db")
        hook.insert_rows("copies", [("three", 7, "x")], target_fields=["name", "kg", "day"])
        return {"records": hook.get_records("select name from copies order by kg"), "uri": hook.get_uri()[:10]}

    create >> [read, columns, wrong, table, value, threshold, check, wait, branch]
    branch >> [EmptyOperator(task_id="many"), EmptyOperator(task_id="few")]
    create >> copy >> by_hook()
