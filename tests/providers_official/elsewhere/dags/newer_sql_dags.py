"""What only newer versions of the common.sql package have."""

from datetime import datetime

from airflow import DAG
from airflow.decorators import task
from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator, SQLInsertRowsOperator

with DAG("newer_sql", start_date=datetime(2026, 1, 1), schedule=None, default_args={"conn_id": "db"}):
    create = SQLExecuteQueryOperator(task_id="create", sql="create table launches (name text, day text)")
    insert = SQLInsertRowsOperator(
        task_id="insert", table_name="launches", columns=["name", "day"], rows=[("one", "2026-01-05"), ("two", "x")]
    )

    @task.sql(conn_id="db")
    def decorated(ds, least):
        return f"select name from launches where day = '{ds}' and length(name) > {least}"

    create >> insert >> decorated(least=2)
