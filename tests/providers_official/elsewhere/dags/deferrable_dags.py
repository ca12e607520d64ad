"""Operators and sensors of the http, common.sql and sftp packages that wait as triggers."""

from datetime import datetime

from airflow import DAG
from airflow.models import Variable
from airflow.providers.common.sql.operators.generic_transfer import GenericTransfer
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator
from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.providers.sftp.sensors.sftp import SFTPSensor

with DAG("deferrable", start_date=datetime(2026, 1, 1), schedule=None):
    HttpSensor(task_id="ready", http_conn_id="api", endpoint="status", poke_interval=1, deferrable=True)
    HttpOperator(
        task_id="fetch",
        http_conn_id="api",
        method="GET",
        endpoint="launches",
        data={"day": "{{ ds }}"},
        response_filter=lambda response: response.json(),
        deferrable=True,
    )
    SFTPSensor(
        task_id="files",
        sftp_conn_id="machine",
        path=Variable.get("folder"),
        file_pattern="*.csv",
        poke_interval=1,
        deferrable=True,
    )
    make = SQLExecuteQueryOperator(
        task_id="make",
        conn_id="db",
        sql=[
            "create table launches (name text)",
            "create table copies (name text)",
            "insert into launches values ('a'), ('b'), ('c'), ('d'), ('e')",
        ],
    )
    pages = GenericTransfer(
        task_id="pages",
        sql="select * from launches",
        destination_table="copies",
        source_conn_id="db",
        destination_conn_id="db",
        page_size=2,
    )
    read = SQLExecuteQueryOperator(task_id="read", conn_id="db", sql="select name from copies order by name")
    make >> pages >> read
