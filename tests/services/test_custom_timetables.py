"""Schedules of authors' own classes: asked in a process of their own, whatever they do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.services.conftest import StartRuntime, pass_on, until
from tradewind import DAG
from tradewind.authoring.timetables import DagRunInfo, DataInterval, Timetable
from tradewind.config import load_config
from tradewind.control_ports import TriggerRequest
from tradewind.host import Parts, Runtime
from tradewind.model.errors import AuthoringError
from tradewind.ports import RunFilter
from tradewind.services import custom_schedules
from tradewind.standard.empty import EmptyOperator
from tradewind.store.memory import MemoryStore
from tradewind_executors.inline import InlineExecutor

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")

WORKDAYS = '''
from datetime import datetime, timedelta
from airflow import DAG
from airflow.operators.empty import EmptyOperator
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable


class AfterWorkday(Timetable):
    """One run a weekday, on the morning after."""

    description = "After each workday"

    def infer_manual_data_interval(self, run_after):
        start = self._workday(run_after.start_of("day").subtract(days=1), -1)
        return DataInterval(start=start, end=start.add(days=1))

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        if last_automated_data_interval is not None:
            start = last_automated_data_interval.start.add(days=1)
        elif restriction.earliest is None:
            return None
        else:
            start = restriction.earliest.start_of("day")
        start = self._workday(start, 1)
        if restriction.latest is not None and start > restriction.latest:
            return None
        return DagRunInfo.interval(start=start, end=start.add(days=1))

    def _workday(self, day, step):
        while day.isoweekday() > 5:
            day = day.add(days=step)
        return day


with DAG("workdays", schedule=AfterWorkday(), start_date=datetime(2026, 1, 1), end_date=datetime(2026, 1, 7),
         catchup=True, is_paused_upon_creation=False):
    EmptyOperator(task_id="a")
'''

PLUGIN = """
from datetime import timedelta
from pendulum import UTC, Date, DateTime, Time
from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, TimeRestriction, Timetable


class EachDay(Timetable):
    def __init__(self, hour: int = 0) -> None:
        self.hour = hour

    def serialize(self):
        return {"hour": self.hour}

    @classmethod
    def deserialize(cls, value):
        return cls(value["hour"])

    @property
    def summary(self):
        return f"each day at {self.hour}"

    def infer_manual_data_interval(self, run_after: DateTime) -> DataInterval:
        start = DateTime.combine((run_after - timedelta(days=1)).date(), Time.min).replace(tzinfo=UTC)
        return DataInterval(start=start, end=start + timedelta(days=1))

    def next_dagrun_info(
        self, *, last_automated_data_interval: DataInterval | None, restriction: TimeRestriction
    ) -> DagRunInfo | None:
        if last_automated_data_interval is not None:
            next_start = DateTime.combine(last_automated_data_interval.end.date(), Time.min)
        elif (earliest := restriction.earliest) is None:
            return None
        elif not restriction.catchup:
            next_start = max(earliest, DateTime.combine(Date.today(), Time.min).replace(tzinfo=UTC))
        else:
            next_start = earliest
        next_start = next_start.replace(tzinfo=UTC, hour=self.hour)
        if restriction.latest is not None and next_start > restriction.latest:
            return None
        return DagRunInfo.interval(start=next_start, end=next_start + timedelta(days=1))


class DayPlugin(AirflowPlugin):
    name = "day_plugin"
    timetables = [EachDay]
"""

USES_PLUGIN = """
import pendulum
from airflow import DAG
from airflow.operators.empty import EmptyOperator
from each_day import EachDay

with DAG("daily", schedule=EachDay(hour=6), start_date=pendulum.datetime(2026, 1, 1, tz="UTC"),
         end_date=pendulum.datetime(2026, 1, 3, 12, tz="UTC"), catchup=True, is_paused_upon_creation=False):
    EmptyOperator(task_id="a")
"""

FAULTY = """
import time
from datetime import datetime
from tradewind import DAG
from tradewind.standard.empty import EmptyOperator
from tradewind.authoring.timetables import Timetable


class Faulty(Timetable):
    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        {body}


with DAG("faulty", schedule=Faulty(), start_date=datetime(2026, 1, 1), is_paused_upon_creation=False):
    EmptyOperator(task_id="a")

with DAG("sound", schedule="@once", start_date=datetime(2026, 1, 1), is_paused_upon_creation=False):
    EmptyOperator(task_id="a")
"""


@pytest.fixture
async def with_files(tmp_path: Path) -> AsyncIterator[Any]:
    """Starts a runtime over a folder with one DAG file."""
    stop = asyncio.Event()
    lives: list[asyncio.Task[None]] = []

    async def started(text: str, plugin: str = "") -> Runtime:
        folder, plugins = tmp_path / "dags", tmp_path / "plugins"
        folder.mkdir()
        if plugin:
            plugins.mkdir()
            (plugins / "each_day.py").write_text(plugin)
        (folder / "schedule.py").write_text(text)
        overrides = {"dags.folder": str(folder), "dags.load_examples": False, "scheduler.drain_timeout": 0.2}
        config = await asyncio.to_thread(load_config, tmp_path, overrides=overrides, environ={})
        parts = Parts(store=MemoryStore(), executors={"local": InlineExecutor(), "inline": InlineExecutor()})
        up: asyncio.Future[Runtime] = asyncio.get_running_loop().create_future()

        async def live() -> None:
            async with Runtime(config, parts=parts) as runtime:
                up.set_result(runtime)
                await stop.wait()

        lives.append(asyncio.create_task(live()))
        lives[-1].add_done_callback(partial(pass_on, up))
        return await up

    yield started
    stop.set()
    await asyncio.gather(*lives)


async def count(runtime: Runtime, dag_id: str) -> int:
    return (await runtime.control.reads.run_list(RunFilter(dag_id)))[1]


@pytest.mark.spec("1:S16")
async def test_a_class_beside_the_dag_is_followed_to_its_end(with_files: Any) -> None:
    runtime = await with_files(WORKDAYS)

    async def all_made() -> bool:
        return await count(runtime, "workdays") == 5

    await until(runtime, all_made, 60)
    rows, _ = await runtime.control.reads.run_list(RunFilter("workdays", order_by="logical_date"))
    assert [row.logical_date.day for row in rows] == [1, 2, 5, 6, 7]
    assert {row.interval_end - row.interval_start for row in rows} == {timedelta(days=1)}
    dag = await runtime.control.reads.dag_version_get("workdays")
    assert dag is not None
    assert (dag.spec.timetable.summary, dag.spec.timetable.description) == ("AfterWorkday", "After each workday")
    sunday = datetime(2026, 1, 11, 15, tzinfo=UTC)
    run = await runtime.control.run_trigger(TriggerRequest("workdays", logical_date=sunday))
    assert (run.logical_date, run.interval_start.day, run.interval_end.day) == (sunday, 9, 10)


async def test_a_class_of_a_plug_in_is_followed_too(with_files: Any) -> None:
    runtime = await with_files(USES_PLUGIN, PLUGIN)

    async def all_made() -> bool:
        return await count(runtime, "daily") == 3

    await until(runtime, all_made, 60)
    rows, _ = await runtime.control.reads.run_list(RunFilter("daily", order_by="logical_date"))
    assert [(row.logical_date.day, row.logical_date.hour) for row in rows] == [(1, 6), (2, 6), (3, 6)]
    dag = await runtime.control.reads.dag_version_get("daily")
    assert dag is not None
    assert dag.spec.timetable.args["data"] == {"hour": 6}
    assert dag.spec.timetable.summary == "each day at 6"


@pytest.mark.parametrize(
    ("body", "limit", "message"),
    [
        ("raise RuntimeError('no moon tonight')", 30.0, "no moon tonight"),
        ("return 'soon'", 30.0, "has to give a DataInterval"),
        ("import os; os._exit(7)", 30.0, "without an answer (exit code 7)"),
        ("time.sleep(1000)", 2.0, "took longer than 2 s"),
    ],
)
async def test_a_class_that_fails_says_so_on_its_dag_and_stops_nothing(
    with_files: Any, monkeypatch: pytest.MonkeyPatch, body: str, limit: float, message: str
) -> None:
    monkeypatch.setattr(custom_schedules, "TIME_LIMIT", limit)
    runtime = await with_files(FAULTY.replace("{body}", body))

    async def said() -> bool:
        errors = await runtime.control.reads.import_error_list()
        return bool(errors) and await count(runtime, "sound") == 1

    async with asyncio.timeout(60):
        while not await said():  # noqa: ASYNC110 - no event tells of an import error
            await asyncio.sleep(0.05)
    (error,) = await runtime.control.reads.import_error_list()
    assert "DAG 'faulty'" in error.stack_trace
    assert message in error.stack_trace
    assert await count(runtime, "faulty") == 0


class Hourly(Timetable):
    """Of this module: for a DAG that is handed over as an object."""

    def next_dagrun_info(self, *, last_automated_data_interval: Any, restriction: Any, **_: Any) -> DagRunInfo | None:
        start = restriction.earliest if last_automated_data_interval is None else last_automated_data_interval.end
        return DagRunInfo.interval(start, start + timedelta(hours=1))

    def infer_manual_data_interval(self, *, run_after: datetime) -> DataInterval:
        raise ValueError("not by hand")


async def test_a_dag_that_is_handed_over_is_asked_itself(start: StartRuntime) -> None:
    begin = datetime.now(UTC) - timedelta(hours=2, minutes=1)
    with DAG("hourly", schedule=Hourly(), start_date=begin, catchup=True, is_paused_upon_creation=False) as dag:
        EmptyOperator(task_id="a")
    runtime = await start(dag)

    async def two() -> bool:
        return await count(runtime, "hourly") == 2

    await until(runtime, two)
    row = await runtime.control.reads.dag_get("hourly")
    assert row is not None
    with pytest.raises(AuthoringError, match="not by hand"):
        await runtime.control.run_trigger(TriggerRequest("hourly"))
