"""Connections: each form into the others, and where they come from."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.authoring.attempts import running
from tests.unit.authoring.in_memory_services import InMemoryServices
from tradewind.authoring.access import current_attempt
from tradewind.authoring.connection import Connection, ConnectionAccessor
from tradewind.authoring.dag import DAG
from tradewind.authoring.operator import BaseOperator
from tradewind.model.errors import AuthoringError, NotFoundError

GOLDEN = Path(__file__).parents[2] / "data" / "golden" / "connections.jsonl"

REFUSED_HERE = {
    "co_p0077": "a host after two schemes, of which Airflow made 'postgres://tcp' because the first is in capitals",
    "co_p0105": "'[]' is neither a JSON object nor a URI",
}
"""Texts of which Airflow made something odd; here they give a clear error."""


def cases() -> list[dict[str, Any]]:
    return [json.loads(line) for line in GOLDEN.read_text().splitlines()]


def made(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Connection:
    if case["kind"] == "uri":
        return Connection(uri=case["in"])
    if case["kind"] == "fields":
        return Connection(**case["in"])
    monkeypatch.setenv("AIRFLOW_CONN_C", case["in"])
    return Connection.get("c")


@pytest.mark.parametrize("case", cases(), ids=lambda case: case["id"])
def test_golden(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if case.get("malformed"):
        with contextlib.suppress(ValueError):
            made(case, monkeypatch)
        return
    if "error" in case or case["id"] in REFUSED_HERE:
        with pytest.raises((ValueError, NotFoundError)):
            made(case, monkeypatch)
        return
    connection, out = made(case, monkeypatch), dict(case["out"])
    assert connection.get_uri() == out.pop("uri")
    assert json.loads(connection.as_json()) == json.loads(out.pop("json"))
    assert {name: getattr(connection, name) for name in out} == out


@pytest.mark.parametrize(
    "case", [c for c in cases() if "out" in c and c["out"].get("conn_type")], ids=lambda c: c["id"]
)
def test_json_reads_back(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    if case["id"] in REFUSED_HERE:
        return
    connection = made(case, monkeypatch)
    again = Connection.from_json(connection.as_json(), connection.conn_id)
    told = {**json.loads(connection.as_json()), "conn_type": again.conn_type}
    if not told.get("port"):
        told.pop("port", None)
    assert json.loads(again.as_json()) == told


def test_the_environment_comes_first_then_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    services = InMemoryServices()
    services.connections["db"] = '{"conn_type": "mysql", "host": "stored"}'
    with DAG("d", schedule=None) as dag:
        BaseOperator(task_id="a")
    token = current_attempt.set(running(dag, "a", services=services))
    try:
        assert Connection.get("db").host == "stored"
        assert ConnectionAccessor().db.host == "stored"
        monkeypatch.setenv("AIRFLOW_CONN_DB", "mysql://environment")
        assert Connection.get("db").host == "environment"
        monkeypatch.setenv("TRADEWIND_CONN_DB", "mysql://ours")
        assert Connection.get("db").host == "ours"
    finally:
        current_attempt.reset(token)


async def test_on_a_loop() -> None:
    services = InMemoryServices()
    services.connections["db"] = '{"conn_type": "mysql", "host": "stored"}'
    with DAG("d", schedule=None) as dag:
        BaseOperator(task_id="a")
    token = current_attempt.set(running(dag, "a", services=services))
    try:
        assert (await Connection.aget("db")).host == "stored"
        with pytest.raises(NotFoundError, match="`nope` isn't defined"):
            await Connection.aget("nope")
    finally:
        current_attempt.reset(token)


def test_a_bad_value_in_the_environment_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_C", '{"conn_type": "http", "hots": "x"}')
    with pytest.raises(ValueError, match="AIRFLOW_CONN_C cannot be read: unknown fields hots"):
        Connection.get("c")
    monkeypatch.setenv("AIRFLOW_CONN_C", '{"conn_type": 1}')
    with pytest.raises(ValueError, match="conn_type is a text such as 'http', not 1"):
        Connection.get("c")
    monkeypatch.setenv("AIRFLOW_CONN_C", "{")
    with pytest.raises(ValueError, match="AIRFLOW_CONN_C cannot be read"):
        Connection.get("c")


def test_an_empty_extra_of_a_json_text_is_none() -> None:
    assert Connection.from_json('{"conn_type": "http", "extra": {}}').extra is None


def test_uri_and_fields_exclude_each_other() -> None:
    with pytest.raises(AuthoringError, match="not both"):
        Connection("c", host="h", uri="http://h")


def test_the_password_stays_out_of_texts() -> None:
    assert "secret" not in f"{Connection('c', 'http', password='secret')!r}{Connection('c', password='secret')}"


@pytest.mark.spec("3:F08", "3:P09")
def test_connections_of_the_environment_as_they_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_CITIBIKE", "http://citibike:cycling@citibike_api:5000")
    monkeypatch.setenv(
        "AIRFLOW_CONN_S3",
        "s3://@?host=http://minio:9000&aws_access_key_id=AKIAIOSFODNN7EXAMPLE&aws_secret_access_key=K7MDENG/bPxRfiCY",
    )
    bikes, store = Connection.get("citibike"), Connection.get("s3")
    assert (bikes.conn_type, bikes.login, bikes.password) == ("http", "citibike", "cycling")
    assert (bikes.host, bikes.port) == ("citibike_api", 5000)
    assert (store.conn_type, store.host or None, store.login or None) == ("s3", None, None)
    assert store.extra_dejson == {
        "host": "http://minio:9000",
        "aws_access_key_id": "AKIAIOSFODNN7EXAMPLE",
        "aws_secret_access_key": "K7MDENG/bPxRfiCY",
    }


def test_json_may_hold_a_uri() -> None:
    made = Connection.from_json('{"uri": "postgres://u:p@h/d", "description": "about"}', "c")
    assert (made.conn_id, made.conn_type, made.host, made.schema, made.description) == (
        "c",
        "postgres",
        "h",
        "d",
        "about",
    )
    with pytest.raises(ValueError, match="unknown fields uri"):
        Connection.from_json('{"uri": "postgres://h/d", "host": "other"}')
