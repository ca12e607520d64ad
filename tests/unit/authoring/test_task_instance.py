"""`ti`: pulling and pushing, in plain and in async code."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast
from urllib.parse import urlencode

import pytest

from tests.unit.authoring.attempts import running
from tests.unit.authoring.in_memory_services import InMemoryServices
from tradewind.authoring.attempt_environment import attempt_environment
from tradewind.authoring.dag import DAG
from tradewind.authoring.defaults import AuthoringDefaults, use_defaults
from tradewind.authoring.edges import chain
from tradewind.authoring.task_instance import TaskInstance
from tradewind.authoring.xcom import encode
from tradewind.model.errors import XComError
from tradewind.standard.empty import EmptyOperator


@pytest.fixture
def dag() -> DAG:
    with DAG("d") as dag:
        chain(*(EmptyOperator(task_id=x, retries=2) for x in ("first", "second", "third")))
    return dag


def instance(dag: DAG, services: InMemoryServices, task_id: str = "third") -> TaskInstance:
    return TaskInstance(running(dag, task_id, services=services, try_number=2), dag.get_task(task_id))


def put(dag: DAG, services: InMemoryServices, task_id: str, key: str, value: Any) -> None:
    instance(dag, services, task_id).xcom_push(key, value)


def test_facts(dag: DAG) -> None:
    ti = instance(dag, InMemoryServices())
    assert (ti.dag_id, ti.task_id, ti.try_number, ti.max_tries, ti.map_index) == ("d", "third", 2, 2, -1)
    assert ti.run_id.startswith("manual__")
    assert (ti.prev_attempted_tries, ti.is_eligible_to_retry()) == (1, True)
    assert TaskInstance(running(dag, "third"), ti.task, "the run").get_dagrun() == "the run"
    place = urlencode({"run": ti.run_id, "task": "third", "attempt": 2})
    assert ti.log_url == f"/dags/d?{place}"
    with use_defaults(AuthoringDefaults(base_url="https://flows.example.com/x")):
        assert ti.log_url == f"https://flows.example.com/x/dags/d?{place}"
    environment = attempt_environment({"ti": ti})
    assert environment["AIRFLOW_CTX_DAG_ID"] == "d"
    assert environment["AIRFLOW_CTX_TASK_ID"] == "third"
    assert environment["AIRFLOW_CTX_DAG_OWNER"] == "airflow"
    assert environment["AIRFLOW_CTX_DAG_RUN_ID"] == ti.run_id
    assert environment["AIRFLOW_CTX_EXECUTION_DATE"] == ti.logical_date.isoformat()


def test_pull(dag: DAG) -> None:
    services = InMemoryServices()
    put(dag, services, "first", "return_value", {"a": (1,)})
    put(dag, services, "first", "k", None)
    put(dag, services, "second", "return_value", 2)
    ti = instance(dag, services)
    assert ti.xcom_pull("first") == {"a": (1,)}
    assert ti.xcom_pull(task_ids=["second", "third", "first"], default=0) == [2, 0, {"a": (1,)}]
    assert ti.xcom_pull(task_ids="first", key="k", default=5) is None
    assert ti.xcom_pull(task_ids="first", key="nope", default=5) == 5
    assert ti.xcom_pull() == 2
    assert ti.xcom_pull(key="k", default=5) is None
    assert ti.xcom_pull("first", map_indexes=[-1, 0]) == [{"a": (1,)}, None]
    assert ti.xcom_pull("first", run_id="manual__never", default=8) == 8
    with pytest.raises(TypeError, match="'task_id'"):
        ti.xcom_pull(task_id="first")


async def test_the_async_forms_do_the_same(dag: DAG) -> None:
    services = InMemoryServices()
    await instance(dag, services, "first").push("return_value", [1])
    ti = instance(dag, services)
    assert await ti.pull("first") == [1]
    assert await ti.pull(["first", "second"]) == [[1], None]
    assert await ti.pull() == [1]


def test_earlier_runs_are_searched_when_asked(dag: DAG, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    class Earlier(InMemoryServices):
        def run_before(self, dag_id: str, logical_date: Any, state: Any = None) -> Any:
            asked.append(logical_date)
            if len(asked) == 3:
                return None
            return type("Row", (), {"run_id": len(asked), "logical_date": len(asked)})

        def run_find(self, dag_id: str, dag_run_id: str) -> None:
            return None

        def xcom_get(self, run_id: Any, task_id: str, key: str, map_index: int = -1) -> Any:
            return encode("old") if run_id == 2 and task_id == "first" else None

    services = Earlier()
    ti = instance(dag, services)
    assert ti.xcom_pull("first") is None
    assert asked == []
    assert ti.xcom_pull("first", include_prior_dates=True) == "old"
    assert asked == [ti.logical_date, 1]
    asked.clear()
    assert ti.xcom_pull("second", include_prior_dates=True, default=4) == 4
    asked.clear()
    assert ti.xcom_pull("first", dag_id="other") is None
    assert asked == []
    assert ti.xcom_pull("first", dag_id="other", include_prior_dates=True) == "old"
    assert asked == [ti.logical_date + timedelta(microseconds=1), 1]


@pytest.mark.spec("1:X2")
def test_any_key(dag: DAG) -> None:
    ti = instance(dag, InMemoryServices(), "second")
    assert ti.xcom_pull("second", key=None, default="none") == "none"
    ti.xcom_push("a", 1)
    ti.xcom_push(" /\x00é", 2)
    assert ti.xcom_pull("second", key=None) == 2
    assert ti.xcom_pull(["second", "first"], key=None) == [2, None]
    assert ti.xcom_pull("second", key="a") == 1
    for key in ("", None, 3):
        with pytest.raises(XComError, match="has to be a text that is not empty"):
            ti.xcom_push(cast("str", key), 1)


def test_what_cannot_be_pushed_is_named(dag: DAG) -> None:
    with pytest.raises(XComError, match=r"XCom 'k' of task 'third'\['x'\]"):
        instance(dag, InMemoryServices()).xcom_push("k", {"x": object()})
