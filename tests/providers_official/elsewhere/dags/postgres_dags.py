"""Operators of the common.sql package and the hook of the postgres package, on PostgreSQL."""

from datetime import datetime

from airflow import DAG
from airflow.decorators import task
from airflow.providers.common.sql.operators.sql import (
    SQLColumnCheckOperator,
    SQLExecuteQueryOperator,
    SQLTableCheckOperator,
)
from airflow.providers.common.sql.sensors.sql import SqlSensor
from airflow.providers.postgres.hooks.postgres import PostgresHook

with DAG("with_postgres", start_date=datetime(2026, 1, 1), schedule=None, default_args={"conn_id": "db"}):
    create = SQLExecuteQueryOperator(
        task_id="create",
        sql="""
            create table launches (name text primary key, kg integer, day date);
            insert into launches values ('one', 10, '{{ ds }}'), ('two', 30, '{{ ds }}');
        """,
        split_statements=True,
        autocommit=True,
        hook_params={"options": "-c statement_timeout=9000ms"},
    )
    insert = SQLExecuteQueryOperator(
        task_id="insert",
        sql="insert into launches values (%s, %s, %s) returning name",
        parameters=["four", 20, "{{ ds }}"],
        autocommit=True,
    )
    read = SQLExecuteQueryOperator(
        task_id="read",
        sql="select name, kg, day::text from launches where kg > %(least)s order by kg",
        parameters={"least": 5},
        show_return_value_in_logs=True,
    )
    columns = SQLColumnCheckOperator(
        task_id="columns",
        table="launches",
        column_mapping={"kg": {"distinct_check": {"geq_to": 3}, "null_check": {"equal_to": 0}}},
    )
    table = SQLTableCheckOperator(
        task_id="table",
        table="launches",
        checks={"heavy": {"check_statement": "sum(kg) = 60"}, "light": {"check_statement": "min(kg) > 0"}},
    )
    wait = SqlSensor(
        task_id="wait", sql="select count(*) from launches", success=lambda count: count == 3, poke_interval=1
    )

    @task
    def by_hook(ds=None):
        hook = PostgresHook(postgres_conn_id="db", database=None)
        hook.insert_rows(
            "launches",
            [("two", 31, ds), ("five", 5, ds)],
            target_fields=["name", "kg", "day"],
            replace=True,
            replace_index="name",
        )
        with hook.get_conn() as connection, connection.cursor() as cursor:
            cursor.execute("select version()")
            version = cursor.fetchone()[0]
        return {
            "first": hook.get_first("select kg from launches where name = 'two'"),
            "records": hook.get_records("select name from launches order by kg"),
            "key": hook.get_table_primary_key("launches"),
            "engine": hook.get_sqlalchemy_engine().dialect.name,
            "frame": hook.get_pandas_df("select * from launches").shape,
            "tested": hook.test_connection()[0],
            "server": version.split()[0],
        }

    create >> insert >> [read, columns, table, wait] >> by_hook()
