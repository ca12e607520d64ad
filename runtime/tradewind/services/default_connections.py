"""The example connections that Airflow makes, for DAG files that count on them. Made when asked for only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tradewind.authoring.connection import Connection
from tradewind.ports import Store

DEFAULT_CONNECTIONS: Final[Sequence[Connection]] = (
    Connection("aws_default", conn_type="aws"),
    Connection("azure_default", conn_type="azure"),
    Connection("fs_default", conn_type="fs", extra={"path": "/"}),
    Connection("ftp_default", conn_type="ftp", host="localhost", port=21, login="airflow", password="airflow"),  # noqa: S106
    Connection("google_cloud_default", conn_type="google_cloud_platform", schema="default"),
    Connection("http_default", conn_type="http", host="https://www.httpbin.org/"),
    Connection("kafka_default", conn_type="kafka", extra={"bootstrap.servers": "broker:29092"}),
    Connection("kubernetes_default", conn_type="kubernetes"),
    Connection("mongo_default", conn_type="mongo", host="mongo", port=27017),
    Connection("mssql_default", conn_type="mssql", host="localhost", port=1433),
    Connection("mysql_default", conn_type="mysql", login="root", schema="airflow", host="mysql"),
    Connection(
        "postgres_default",
        conn_type="postgres",
        login="postgres",
        password="airflow",  # noqa: S106 - of an example
        schema="airflow",
        host="postgres",
    ),
    Connection("redis_default", conn_type="redis", host="redis", port=6379, extra={"db": 0}),
    Connection("sftp_default", conn_type="sftp", host="localhost", port=22, login="airflow"),
    Connection("spark_default", conn_type="spark", host="yarn", extra={"queue": "root.default"}),
    Connection("sqlite_default", conn_type="sqlite", host="sqlite_default.db"),
    Connection("ssh_default", conn_type="ssh", host="localhost"),
    Connection("trino_default", conn_type="trino", host="localhost", port=3400, schema="hive"),
)


async def make_default_connections(store: Store) -> list[str]:
    """Stores those that are missing; returns their ids."""
    there = {row.conn_id for row in await store.connection_list()}
    made: list[str] = []
    for connection in DEFAULT_CONNECTIONS:
        conn_id = str(connection.conn_id)
        if conn_id not in there:
            await store.connection_set(conn_id, connection.stored_text())
            made.append(conn_id)
    return made
