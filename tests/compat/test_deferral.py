"""A DAG file for Airflow that defers in all of its spellings: it loads and runs as it is."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.served_airflow import served_airflow
from tradewind.bundles.loader import load_file
from tradewind.model.states import RunState
from tradewind.trial import try_dag
from tradewind.trial_time import SkippingLoop

FLOW = """
from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

from airflow import DAG
from airflow.configuration import conf
from airflow.decorators import task
from airflow.exceptions import AirflowException, AirflowSensorTimeout, TaskDeferralError, TaskDeferred
from airflow.models import BaseOperator
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensorAsync, WaitSensor
from airflow.providers.standard.triggers.external_task import DagStateTrigger, WorkflowTrigger
from airflow.providers.standard.triggers.file import FileTrigger
from airflow.providers.standard.triggers.temporal import DateTimeTrigger as OtherDateTimeTrigger
from airflow.sdk.bases.trigger import BaseTrigger as OtherBaseTrigger
from airflow.sensors.base import BaseSensorOperator
from airflow.sensors.date_time import DateTimeSensorAsync
from airflow.triggers.base import (
    BaseEventTrigger, BaseTrigger, StartTriggerArgs, TaskFailedEvent, TaskSkippedEvent, TaskSuccessEvent, TriggerEvent
)
from airflow.triggers.temporal import DateTimeTrigger, TimeDeltaTrigger

assert OtherDateTimeTrigger is DateTimeTrigger and OtherBaseTrigger is BaseTrigger


class CountTrigger(BaseTrigger):
    def __init__(self, count: int, **kwargs):
        super().__init__(**kwargs)
        self.count = count

    def serialize(self):
        return (f"{self.__class__.__module__}.{self.__class__.__qualname__}", {"count": self.count})

    async def run(self):
        for n in range(self.count):
            self.log.info("Sleeping, %s of %s", n, self.count)
            await asyncio.sleep(0.001)
        if self.count == 0:
            raise AirflowException("nothing to count")
        yield TriggerEvent({"status": "success", "count": self.count})


class CountOperator(BaseOperator):
    template_fields = ("count",)

    def __init__(
        self, *, count, deferrable=conf.getboolean("operators", "default_deferrable", fallback=False), **kwargs
    ):
        super().__init__(**kwargs)
        self.count = count
        self.deferrable = deferrable

    def execute(self, context):
        if not self.deferrable:
            return "at once"
        self.defer(
            trigger=CountTrigger(count=int(self.count)),
            method_name=self.execute_complete.__name__,
            kwargs={"first": "kept"},
            timeout=timedelta(minutes=5),
        )

    def execute_complete(self, context, event=None, first=None):
        if event["status"] != "success":
            raise AirflowException(event)
        return [event["count"], first, context["ti"].task_id]

    def resume_execution(self, next_method, next_kwargs, context):
        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except TaskDeferralError as error:
            return f"failed: {error}"


class CountSensor(BaseSensorOperator):
    def execute(self, context):
        self.defer(trigger=TimeDeltaTrigger(timedelta(hours=1)), method_name="execute_complete")

    def execute_complete(self, context, event=None):
        assert isinstance(event, datetime) and event.tzinfo is not None


class FromTheStart(BaseOperator):
    start_trigger_args = StartTriggerArgs(
        trigger_cls=f"{__name__}.CountTrigger",
        trigger_kwargs={"count": 2},
        next_method="execute_complete",
    )
    start_from_trigger = True

    def execute_complete(self, context, event=None):
        return event["count"]


with DAG("counting", schedule=None, start_date=datetime(2026, 1, 1), catchup=False) as dag:
    CountOperator(task_id="templated", count="{{ 1 + 1 }}", deferrable=True)
    CountOperator(task_id="plain", count=3)
    CountOperator(task_id="broken", count=0, deferrable=True)
    CountOperator.partial(task_id="mapped", deferrable=True).expand(count=[1, 2, 3])
    CountSensor(task_id="sensor")
    FromTheStart(task_id="started")
    WaitSensor(task_id="waited", time_to_wait=timedelta(hours=2), deferrable=True)
    TimeDeltaSensorAsync(task_id="delta", delta=timedelta(hours=3))
    DateTimeSensorAsync(task_id="moment", target_time="{{ logical_date.add(hours=1).isoformat() }}")

    @task
    def function(event=None):
        if event is None:
            raise TaskDeferred(trigger=CountTrigger(count=1), method_name="execute", kwargs=None, timeout=None)
        return event

    function()
"""


@pytest.fixture(autouse=True)
def served() -> Generator[None, None, None]:
    with served_airflow():
        yield


def test_a_file_that_defers(tmp_path: Path) -> None:
    file = tmp_path / "counting.py"
    file.write_text(FLOW)
    dag = load_file(file).dags["counting"]
    assert [spec.task_id for spec in dag.to_spec().tasks if spec.starts_deferred] == ["started"]
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        report = runner.run(try_dag(dag))
    assert report.run.state is RunState.SUCCESS, report.errors
    assert report.results == {
        ("templated", -1): [2, "kept", "templated"],
        ("plain", -1): "at once",
        ("broken", -1): "failed: Trigger failure: tradewind.model.errors.TradewindError: nothing to count",
        ("mapped", 0): [1, "kept", "mapped"],
        ("mapped", 1): [2, "kept", "mapped"],
        ("mapped", 2): [3, "kept", "mapped"],
        ("started", -1): 2,
        ("function", -1): {"status": "success", "count": 1},
    }
