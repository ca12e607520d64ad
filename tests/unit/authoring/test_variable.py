"""Variables: the environment first, then the system."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.unit.authoring.attempts import running
from tests.unit.authoring.in_memory_services import InMemoryServices
from tradewind.authoring.access import current_attempt
from tradewind.authoring.dag import DAG
from tradewind.authoring.look_ups import outside_services
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.variable import Variable
from tradewind.model.errors import AuthoringError


@pytest.fixture
def services() -> Iterator[InMemoryServices]:
    found = InMemoryServices()
    found.variables = {"plain": "text", "doc": '{"a": [1, 2]}'}
    with DAG("d", schedule=None) as dag:
        BaseOperator(task_id="a")
    token = current_attempt.set(running(dag, "a", services=found))
    yield found
    current_attempt.reset(token)


def test_get(services: InMemoryServices, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Variable.get("plain") == "text"
    assert Variable.get("doc", deserialize_json=True) == {"a": [1, 2]}
    assert Variable.get("nope", None) is None
    assert Variable.get("nope", default="x") == "x"
    monkeypatch.setenv("AIRFLOW_VAR_PLAIN", "from outside")
    assert Variable.get("plain") == "from outside"


def test_what_is_missing_or_wrong_is_named(services: InMemoryServices) -> None:
    with pytest.raises(KeyError, match="Variable nope does not exist"):
        Variable.get("nope")
    with pytest.raises(ValueError, match="'plain' is no JSON"):
        Variable.get("plain", deserialize_json=True)
    with pytest.raises(KeyError, match="Variable nope does not exist"):
        Variable.update("nope", "x")


def test_set_and_delete(services: InMemoryServices) -> None:
    Variable.set("new", {"a": 1}, serialize_json=True)
    assert services.variables["new"] == '{"a": 1}'
    assert Variable.setdefault("new", 3, deserialize_json=True) == {"a": 1}
    assert Variable.setdefault("newer", [3], deserialize_json=True) == [3]
    assert Variable.delete("new") is True
    assert Variable.delete("new") is False


async def test_on_a_loop(services: InMemoryServices, monkeypatch: pytest.MonkeyPatch) -> None:
    assert await Variable.aget("doc", deserialize_json=True) == {"a": [1, 2]}
    assert await Variable.aget("nope", None) is None
    monkeypatch.setenv("TRADEWIND_VAR_DOC", "[]")
    assert await Variable.aget("doc", deserialize_json=True) == []


def test_outside_of_a_task(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyError, match="Variable plain does not exist"):
        Variable.get("plain")
    with pytest.raises(AuthoringError, match="no task is running"):
        Variable.set("plain", "x")
    system = InMemoryServices()
    system.variables["plain"] = "text"
    token = outside_services.set(system)
    assert Variable.get("plain") == "text"
    outside_services.reset(token)
