"""`XCom.get_one` and its like inside a task, and back ends that keep values elsewhere."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import pytest

from tests.unit.authoring.attempts import NOON, a_run, running
from tests.unit.authoring.in_memory_services import InMemoryServices
from tests.unit.authoring.stored_objects import InAFolder
from tradewind.authoring import xcom
from tradewind.authoring.access import CurrentAttempt, current_attempt
from tradewind.authoring.dag import DAG
from tradewind.authoring.dag_run import DagRun
from tradewind.authoring.defaults import AuthoringDefaults, use_defaults
from tradewind.authoring.xcom_access import XCom, XComRecord
from tradewind.model.errors import TradewindError, XComError
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.outcomes import RETURN_KEY
from tradewind.model.rows import InstanceRow
from tradewind.model.states import TaskState
from tradewind.standard.empty import EmptyOperator


@pytest.fixture
def services() -> InMemoryServices:
    services = InMemoryServices()
    now = a_run("d")
    before = dataclasses.replace(now, run_id=RunId(6), dag_run_id="before", logical_date=NOON - timedelta(days=1))
    elsewhere = dataclasses.replace(now, run_id=RunId(8), dag_id="other", dag_run_id="its own")
    services.runs = [now, before, elsewhere]
    for task_id in ("one", "two"):
        services.instances[(now.run_id, task_id, UNMAPPED)] = InstanceRow(now.run_id, task_id)
    services.xcoms[(now.run_id, "one", RETURN_KEY, UNMAPPED)] = xcom.encode({1})
    services.xcoms[(RunId(8), "two", RETURN_KEY, UNMAPPED)] = xcom.encode("of the other")
    services.xcoms[(RunId(6), "two", RETURN_KEY, UNMAPPED)] = xcom.encode("old")
    return services


@pytest.fixture
def current(services: InMemoryServices) -> Iterator[CurrentAttempt]:
    with DAG("d", schedule=None) as dag:
        EmptyOperator(task_id="one")
        EmptyOperator(task_id="two")
    current = running(dag, "two", services=services)
    token = current_attempt.set(current)
    yield current
    current_attempt.reset(token)


async def test_how_the_instances_of_the_run_stand(current: CurrentAttempt, services: InMemoryServices) -> None:
    run = DagRun(current.attempt.run)
    number = current.attempt.run.run_id
    failed = InstanceRow(number, "one", 2, TaskState.FAILED, 1, started_at=NOON, ended_at=NOON + timedelta(seconds=3))
    services.instances[(number, "one", 2)] = failed
    assert [(one.task_id, one.map_index, one.state) for one in run.get_task_instances()] == [
        ("one", -1, None),
        ("two", -1, None),
        ("one", 2, "failed"),
    ]
    (found,) = run.get_task_instances(state="failed")
    assert found == run.get_task_instance("one", 2)
    assert (await run.aget_task_instances(["failed", "skipped"]), run.get_task_instance("three")) == ([found], None)
    assert (found.duration, found.current_state(), run.get_state()) == (3, "failed", "running")
    assert found.log_url.endswith("&task=one&attempt=1&map_index=2")
    current_attempt.set(cast("Any", None))  # as in a file that is only read
    with pytest.raises(TradewindError, match="in its tasks and callbacks only"):
        run.get_task_instances()


@pytest.mark.spec("1:X2", "1:X3")
def test_reading(current: CurrentAttempt) -> None:
    run_id = current.attempt.run.dag_run_id
    assert XCom.get_one(task_id="one") == {1}
    assert XCom.get_one() is None
    assert XCom.get_one(include_prior_dates=True) == "old"
    assert XCom.get_one(run_id="before") == "old"
    assert XCom.get_one(dag_id="other") is None
    assert XCom.get_one(dag_id="other", include_prior_dates=True) == "of the other"
    assert XCom.get_one(dag_id="nowhere", run_id="none") is None
    assert XCom.get_value(ti_key=("d", "one", run_id, 1, -1)) == {1}
    assert XCom.get_many() == [XComRecord("d", "one", run_id, -1, RETURN_KEY, {1})]
    assert XCom.get_many(task_ids="two", dag_ids=["d"]) == []


@pytest.mark.spec("1:X1")
def test_changing_ones_own(current: CurrentAttempt, services: InMemoryServices) -> None:
    for key in ("k", "a key/with ☃ and\n\x00", "x" * 3000):
        XCom.set(key, (1,))
        assert XCom.get_one(key=key) == (1,)
    record = XComRecord("d", "two", current.attempt.run.dag_run_id, -1, "k", (1,))
    XCom.delete(record)
    assert services.xcoms[(current.attempt.run.run_id, "two", "k", -1)].codec == 0
    XCom.clear()
    assert services.xcoms[(current.attempt.run.run_id, "two", "", -1)].codec == 0
    not_ours = r"its own values only; this is d\.two"
    with pytest.raises(XComError, match=not_ours):
        XCom.set("k", 1, task_id="one")
    with pytest.raises(XComError, match=not_ours):
        XCom.clear(run_id="before")
    with pytest.raises(XComError, match=not_ours):
        XCom.delete([record._replace(task_id="one")])


def test_outside_a_task() -> None:
    with pytest.raises(XComError, match="no task is running here"):
        XCom.get_one()


@pytest.mark.spec("1:X7")
def test_a_back_end_that_keeps_values_elsewhere(
    current: CurrentAttempt, services: InMemoryServices, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InAFolder, "kept", {})
    run = current.attempt.run
    with use_defaults(AuthoringDefaults(xcom_backend="tests.unit.authoring.stored_objects.InAFolder")):
        XCom.set(RETURN_KEY, "large")
        place = f"d/{run.dag_run_id}/two/-1/return_value"
        assert InAFolder.kept == {place: "large"}
        assert place.encode() in services.xcoms[(run.run_id, "two", RETURN_KEY, -1)].data
        assert XCom.get_one() == "large"
        XCom.clear()
        assert InAFolder.kept == {}
