# pyright: reportUnusedExpression=false
"""Tasks that start runs of other DAGs or wait for them, on a real runtime."""

from __future__ import annotations

import asyncio
import base64
import math
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pendulum
import pytest

from tests.services.conftest import StartRuntime, run_to_end, until, why
from tradewind import DAG, TaskGroup, task
from tradewind.authoring.defaults import AuthoringDefaults
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.errors import AuthoringError, ConflictError
from tradewind.model.rows import RunRow
from tradewind.ports import RunFilter
from tradewind.services.custom_schedules import ask_in_process
from tradewind.standard.external_task import ExternalTaskMarker, ExternalTaskSensor
from tradewind.standard.trigger_dag_run import TriggerDagRunOperator

DAY = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(params=["asking", "deferring"], autouse=True)
def way_of_waiting(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What holds for those who ask holds for those who defer."""
    defaults = AuthoringDefaults(deferrable=request.param == "deferring")
    monkeypatch.setattr("tradewind.authoring.defaults._process_defaults", defaults)


async def runs_of(runtime: Runtime, dag_id: str) -> list[RunRow]:
    return (await runtime.control.reads.run_list(RunFilter(dag_id, order_by="run_id")))[0]


async def outcome(runtime: Runtime, run: RunRow, task_id: str) -> str:
    row = await runtime.control.reads.instance_get(run.run_id, task_id)
    return "" if row is None else row.state.value


def target(seen: list[Any]) -> DAG:
    with DAG("target", schedule=None, is_paused_upon_creation=True) as dag:

        @task
        async def note(dag_run: Any = None) -> None:
            seen.append(dag_run.conf)
            if dag_run.conf.get("fail"):
                raise ValueError("asked to")

        note()
    return dag


def triggering(**arguments: Any) -> DAG:
    with DAG("source", schedule=None) as dag:
        TriggerDagRunOperator(task_id="go", trigger_dag_id="target", **arguments)
    return dag


@pytest.mark.spec("1:G1", "1:G2", "1:S14")
async def test_one_dag_starts_another_several_times_and_a_clear_makes_new_runs(start: StartRuntime) -> None:
    seen: list[Any] = []
    with DAG("ingest", schedule=None) as dag:
        for n in range(4):
            TriggerDagRunOperator(
                task_id=f"trigger_{n}", trigger_dag_id="target", conf={"shop": n, "day": "{{ ds }}"},
                wait_for_completion=True,
            )  # fmt: skip
    runtime = await start(dag, target(seen))
    await runtime.control.dag_pause("target", paused=False)
    run = await run_to_end(runtime, "ingest", logical_date=DAY)
    assert run.state == "success"
    assert sorted(conf["shop"] for conf in seen) == [0, 1, 2, 3]
    assert {conf["day"] for conf in seen} == {"2026-01-01"}
    made = await runs_of(runtime, "target")
    assert len(made) == 4
    assert all(row.dag_run_id.startswith("manual__") for row in made)
    await runtime.control.instances_clear("ingest", run.dag_run_id, ["trigger_1"])
    await runtime.control.run_wait(run.run_id, 60)
    assert len(await runs_of(runtime, "target")) == 5
    assert len(seen) == 5
    pushed = {entry.key for entry in await runtime.control.reads.xcom_list(run.run_id, "trigger_1")}
    assert pushed == {"trigger_run_id", "trigger_logical_date_iso"}


async def test_the_end_of_the_other_run_is_waited_for_and_decides(start: StartRuntime) -> None:
    seen: list[Any] = []
    runtime = await start(triggering(wait_for_completion=True, conf={"fail": True}), target(seen))
    await runtime.control.dag_pause("target", paused=False)
    run = await run_to_end(runtime, "source")
    assert run.state == "failed"
    assert "target failed with failed states failed" in await why(runtime, run, "go")


async def test_other_states_can_be_the_good_ones(start: StartRuntime) -> None:
    seen: list[Any] = []
    arguments = {"wait_for_completion": "True", "conf": '{"fail": 1}'}
    source = triggering(allowed_states=["failed"], failed_states=["success"], **arguments)
    runtime = await start(source, target(seen))
    await runtime.control.dag_pause("target", paused=False)
    assert (await run_to_end(runtime, "source")).state == "success"


@pytest.mark.parametrize(
    ("arguments", "state", "message"),
    [
        ({}, "failed", "A Dag Run already exists for dag id target at 2026-01-01T00:00:00+00:00 with run id once"),
        ({"skip_when_already_exists": True}, "skipped", "Skipping due to skip_when_already_exists"),
        ({"reset_dag_run": True, "wait_for_completion": True}, "success", ""),
        ({"trigger_run_id": "other", "logical_date": "{{ ds }}"}, "failed", "with run id once"),
    ],
)
async def test_a_run_that_exists(start: StartRuntime, arguments: dict[str, Any], state: str, message: str) -> None:
    seen: list[Any] = []
    runtime = await start(triggering(**({"trigger_run_id": "once"} | arguments)), target(seen))
    first = await run_to_end(runtime, "target", dag_run_id="once", logical_date=DAY)
    run = await run_to_end(runtime, "source", logical_date=DAY)
    assert await outcome(runtime, run, "go") == state
    assert message in await why(runtime, run, "go")
    assert [row.dag_run_id for row in await runs_of(runtime, "target")] == [first.dag_run_id]
    assert len(seen) == (2 if state == "success" else 1)


async def test_a_date_of_pendulum_is_a_plain_one_in_the_row_that_goes_to_processes(start: StartRuntime) -> None:
    runtime = await start(triggering(logical_date=pendulum.datetime(2026, 1, 1)), target([]))
    assert (await run_to_end(runtime, "source")).state == "success"
    (made,) = await runs_of(runtime, "target")
    assert {type(at) for at in (made.logical_date, made.interval_start, made.interval_end)} == {datetime}
    asked = TriggerRequest("target", logical_date=pendulum.datetime(2026, 1, 2, tz="Europe/Paris"))
    assert type(asked.logical_date) is datetime
    assert asked.logical_date == datetime(2026, 1, 1, 23, tzinfo=UTC)


async def test_a_paused_dag_gets_a_run_that_waits_unless_that_is_to_fail(start: StartRuntime) -> None:
    seen: list[Any] = []
    runtime = await start(triggering(), target(seen))
    assert (await run_to_end(runtime, "source")).state == "success"
    (waiting,) = await runs_of(runtime, "target")
    assert waiting.state == "queued"
    await runtime.control.dag_pause("target", paused=False)
    assert (await runtime.control.run_wait(waiting.run_id, 60)).state == "success"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"fail_when_dag_is_paused": True}, "Dag target is paused"),
        ({"conf": {"n": datetime(2026, 1, 1, tzinfo=UTC)}}, "conf parameter should be JSON Serializable"),
        ({"conf": "{{ [1] }}"}, "conf has to be a JSON object, not list"),
        ({"conf": "no json"}, "conf parameter should be JSON Serializable"),
        ({"logical_date": "someday"}, "logical_date: 'someday' is not an ISO 8601 date"),
    ],
)
async def test_what_cannot_be_triggered_says_why(start: StartRuntime, arguments: dict[str, Any], message: str) -> None:
    runtime = await start(triggering(**arguments), target([]))
    run = await run_to_end(runtime, "source")
    assert message in await why(runtime, run, "go")
    assert await runs_of(runtime, "target") == []


async def test_an_unknown_dag_cannot_be_triggered(start: StartRuntime) -> None:
    runtime = await start(triggering())
    run = await run_to_end(runtime, "source")
    assert "there is no DAG 'target'" in await why(runtime, run, "go")


def test_arguments_that_cannot_be() -> None:
    with pytest.raises(AuthoringError, match="'done' is no state of a run"):
        triggering(allowed_states=["done"])
    with pytest.raises(AuthoringError, match="expected str or datetime"):
        triggering(logical_date=7)
    with pytest.raises(AuthoringError, match="older name of logical_date"):
        triggering(logical_date="2026-01-01", execution_date="2026-01-01")


# --------------------------------------------------------------------------- waiting for others


def etl(fail: list[bool] | None = None) -> DAG:
    with DAG("etl", schedule=None) as dag:
        with TaskGroup("load"):

            @task
            async def clean() -> None: ...

            @task
            async def store() -> None:
                if fail and fail[0]:
                    raise ValueError("not good")

            clean() >> store()

        @task.short_circuit
        async def never() -> bool:
            return False

        @task
        async def after() -> None: ...

        never() >> after()
    return dag


def waiting(**arguments: Any) -> DAG:
    with DAG("report", schedule=None) as dag:
        given: dict[str, Any] = {"timeout": 20} | arguments
        ExternalTaskSensor(task_id="wait", external_dag_id="etl", poke_interval=0.05, **given)
    return dag


@pytest.mark.spec("1:G4", "1:N10")
@pytest.mark.parametrize(
    "what",
    [
        {"external_task_id": "load.store"},
        {"external_task_ids": ["load.clean", "load.store"]},
        {"external_task_group_id": "load"},
        {"external_task_id": "after", "allowed_states": ["success", "skipped"]},
        {},
        {"check_existence": True, "mode": "reschedule", "external_task_group_id": "load"},
    ],
)
async def test_the_run_of_the_same_date_is_waited_for(start: StartRuntime, what: dict[str, Any]) -> None:
    runtime = await start(etl(), waiting(**what))
    report = await runtime.control.run_trigger(TriggerRequest("report", unpause=True, logical_date=DAY))

    async def has_poked() -> bool:
        rows = await runtime.control.reads.instance_list(report.run_id)
        return rows[0].state in ("deferred", "up_for_reschedule")

    await until(runtime, has_poked)
    await run_to_end(runtime, "etl", logical_date=DAY + timedelta(days=1))
    assert await outcome(runtime, report, "wait") in ("deferred", "running", "up_for_reschedule", "queued", "scheduled")
    await run_to_end(runtime, "etl", logical_date=DAY)
    assert (await runtime.control.run_wait(report.run_id, 60)).state == "success"


def both_days(logical_date: datetime) -> list[datetime]:
    return [logical_date - timedelta(days=1), logical_date - timedelta(days=2)]


def two_days(_: datetime) -> list[timedelta]:
    return [timedelta(days=1), timedelta(days=2)]


def by_context(logical_date: datetime, data_interval_end: Any, context: Any) -> str:
    assert context["data_interval_end"] == data_interval_end
    return (logical_date - timedelta(days=1)).isoformat()


@pytest.mark.spec("1:G5", "1:G6", "1:E7", "1:UC-F")
@pytest.mark.parametrize(
    "where",
    [
        {"execution_delta": timedelta(days=1)},
        {"execution_date_fn": both_days},
        {"execution_date_fn": two_days},
        {"execution_date_fn": by_context},
    ],
)
async def test_runs_of_other_dates_are_waited_for(start: StartRuntime, where: dict[str, Any]) -> None:
    runtime = await start(etl(), waiting(**where))
    for days in (1, 2):
        await run_to_end(runtime, "etl", logical_date=DAY - timedelta(days=days))
    assert (await run_to_end(runtime, "report", logical_date=DAY)).state == "success"


@pytest.mark.spec("1:N3")
@pytest.mark.parametrize(("soft", "state"), [(False, "failed"), (True, "skipped")])
async def test_dates_that_never_meet_run_out_of_time(start: StartRuntime, soft: bool, state: str) -> None:
    runtime = await start(etl(), waiting(external_task_id="load.store", timeout=0.1, soft_fail=soft))
    await run_to_end(runtime, "etl", logical_date=DAY + timedelta(hours=1))
    report = await run_to_end(runtime, "report", logical_date=DAY)
    assert await outcome(runtime, report, "wait") == state
    assert "Snap. Time is OUT." in await why(runtime, report, "wait")


@pytest.mark.parametrize(
    ("what", "state", "message"),
    [
        ({"external_task_id": "load.store"}, "failed", "Some of the external tasks ['load.store'] in DAG etl failed."),
        ({"external_task_group_id": "load"}, "failed", "The external task_group 'load' in DAG 'etl' failed."),
        ({}, "failed", "The external DAG etl failed."),
        ({"soft_fail": True}, "skipped", "The external DAG etl failed. Skipping due to soft_fail."),
    ],
)
async def test_what_has_failed_is_not_waited_for(
    start: StartRuntime, what: dict[str, Any], state: str, message: str
) -> None:
    runtime = await start(etl([True]), waiting(failed_states=["failed"], **what))
    await run_to_end(runtime, "etl", logical_date=DAY)
    report = await run_to_end(runtime, "report", logical_date=DAY)
    assert await outcome(runtime, report, "wait") == state
    assert message in await why(runtime, report, "wait")


async def test_what_was_skipped_can_skip(start: StartRuntime) -> None:
    runtime = await start(etl(), waiting(external_task_id="after", skipped_states=["skipped"]))
    await run_to_end(runtime, "etl", logical_date=DAY)
    report = await run_to_end(runtime, "report", logical_date=DAY)
    assert await outcome(runtime, report, "wait") == "skipped"


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"external_task_id": "nothing"}, "The external task nothing in DAG etl does not exist."),
        ({"external_task_group_id": "load2"}, "The external task group 'load2' in DAG 'etl' does not exist."),
        ({"external_task_ids": ["after", "after"]}, "Duplicate task_ids passed"),
    ],
)
async def test_existence_is_checked(start: StartRuntime, what: dict[str, Any], message: str) -> None:
    runtime = await start(etl(), waiting(check_existence=True, **what))
    report = await run_to_end(runtime, "report", logical_date=DAY)
    assert message in await why(runtime, report, "wait")


async def test_a_dag_that_does_not_exist(start: StartRuntime) -> None:
    runtime = await start(waiting(check_existence=True))
    report = await run_to_end(runtime, "report", logical_date=DAY)
    assert "The external DAG etl does not exist." in await why(runtime, report, "wait")


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ({"external_task_id": "a", "external_task_ids": ["b"]}, "Only one of `external_task_id`"),
        ({"external_task_id": "a", "external_task_group_id": "b"}, "Only one of `external_task_group_id`"),
        ({"execution_delta": timedelta(1), "execution_date_fn": both_days}, "Only one of `execution_delta`"),
        ({"allowed_states": ["success"], "failed_states": ["success"]}, "Duplicate values provided"),
        ({"allowed_states": ["skipped"]}, "'skipped' is no state of a run"),
        ({"external_task_id": "a", "allowed_states": ["good"]}, "'good' is no state of a task"),
        ({"execution_delta": math.pi}, "execution_delta: a timedelta is needed"),
    ],
)
def test_sensor_arguments_that_cannot_be(what: dict[str, Any], message: str) -> None:
    with pytest.raises(AuthoringError, match=message):
        waiting(**what)


def marked(dag_id: str, target: str, ran: list[str], **arguments: Any) -> DAG:
    """work >> marker of `work` in the DAG `target`."""
    with DAG(dag_id, schedule=None) as dag:

        @task
        async def work() -> None:
            ran.append(dag_id)

        work() >> ExternalTaskMarker(task_id="marker", external_dag_id=target, external_task_id="work", **arguments)
    return dag


async def test_a_clear_goes_on_in_the_dags_that_markers_name(start: StartRuntime) -> None:
    ran: list[str] = []
    fixed = (DAY - timedelta(days=1)).isoformat()
    first = marked("first", "second", ran)
    runtime = await start(first, marked("second", "third", ran, logical_date=fixed), marked("third", "first", ran))
    dates = {"first": DAY, "second": DAY, "third": DAY - timedelta(days=1)}
    runs = {dag_id: await run_to_end(runtime, dag_id, logical_date=at) for dag_id, at in dates.items()}
    other_day = await run_to_end(runtime, "second", logical_date=DAY + timedelta(days=1))
    ran.clear()
    await runtime.control.instances_clear("first", runs["first"].dag_run_id, ["work"])
    for run in runs.values():
        assert (await runtime.control.run_wait(run.run_id, 60)).state == "success"
    assert sorted(ran) == ["first", "second", "third"]
    assert len(await runtime.control.reads.attempt_list(other_day.run_id, "work")) == 1
    ran.clear()
    await runtime.control.instances_clear("first", runs["first"].dag_run_id, ["work"], downstream=False)
    await runtime.control.run_wait(runs["first"].run_id, 60)
    assert ran == ["first"]


async def test_the_names_and_the_date_of_a_marker_may_be_templates(start: StartRuntime) -> None:
    ran: list[str] = []
    with DAG("first", schedule=None, params={"other": "second"}) as first:
        ExternalTaskMarker(
            task_id="marker",
            external_dag_id="{{ params.other }}",
            external_task_id="{{ ['wo', 'rk'] | join }}",
            logical_date="{{ logical_date + macros.timedelta(days=1) }}",
        )
        ExternalTaskMarker(
            task_id="wrong", external_dag_id="second", external_task_id="work", logical_date="{{ conf_of_none.x }}"
        )
        ExternalTaskMarker(
            task_id="odd", external_dag_id="second", external_task_id="work", logical_date="{{ run_id }}"
        )
    runtime = await start(first, marked("second", "first", ran))
    run = await run_to_end(runtime, "first", logical_date=DAY)
    days = [await run_to_end(runtime, "second", logical_date=DAY + timedelta(days=n)) for n in range(3)]
    await runtime.control.instances_clear("first", run.dag_run_id, ["marker"])
    ended = await runtime.control.run_wait(days[1].run_id, 60)
    assert ended.state == "success"
    tries = [len(await runtime.control.reads.attempt_list(day.run_id, "work")) for day in days]
    assert tries == [1, 2, 1]
    for task_id, reason in (("wrong", "'conf_of_none' is undefined"), ("odd", "is no date")):
        with pytest.raises(ConflictError, match=f"nothing is cleared: what ExternalTaskMarker {task_id} .*{reason}"):
            await runtime.control.instances_clear("first", run.dag_run_id, [task_id])


FILE = """
from airflow.sdk import DAG
from airflow.providers.standard.sensors.external_task import ExternalTaskMarker

with DAG("from_a_file", schedule=None):
    ExternalTaskMarker(
        task_id="marker",
        external_dag_id="report",
        external_task_id="wait",
        logical_date="{{ (data_interval_end + macros.timedelta(hours=dag_run.conf['hours'])).isoformat() }}",
    )
"""


async def test_what_a_file_says_of_its_markers_is_asked_in_a_process(tmp_path: Path) -> None:
    path = tmp_path / "marked.py"
    await asyncio.to_thread(path.write_text, FILE)
    conf = [1, base64.b64encode(b'{"hours": 3}').decode()]
    facts = {"dag_run_id": "r", "state": "success", "logical_date": DAY.isoformat(), "conf": conf}
    place = {"dag_id": "from_a_file", "fileloc": str(path), "relative_fileloc": "marked.py"}
    wanted = {"ask": "marker", "callback": {"which": "marker", "task_id": "marker"}, **facts, **place}
    assert await ask_in_process(wanted) == {"ok": ["report", "wait", "2026-01-01T03:00:00+00:00"]}
    reply: Any = await ask_in_process({**wanted, "callback": {"which": "marker", "task_id": "gone"}})
    assert "has no ExternalTaskMarker 'gone' any more" in reply["error"]


async def test_a_clear_goes_only_so_deep_and_then_changes_nothing(start: StartRuntime) -> None:
    ran: list[str] = []
    chain = [marked(f"d{n}", f"d{n + 1}", ran, recursion_depth=2) for n in range(4)]
    runtime = await start(*chain)
    runs = [await run_to_end(runtime, f"d{n}", logical_date=DAY) for n in range(4)]
    ran.clear()
    with pytest.raises(ConflictError, match="Maximum recursion depth reached for ExternalTaskMarker marker of DAG d2"):
        await runtime.control.instances_clear("d0", runs[0].dag_run_id, [])
    assert ran == []
    await runtime.control.instances_clear("d2", runs[2].dag_run_id, [])
    for run in runs:
        await runtime.control.run_wait(run.run_id, 60)
    assert sorted(ran) == ["d2", "d3"]


def test_markers_name_what_depends_on_them() -> None:
    with DAG("d") as dag:
        marker = ExternalTaskMarker(task_id="m", external_dag_id="report", external_task_id="wait")
        with pytest.raises(AuthoringError, match="positive integer"):
            ExternalTaskMarker(task_id="n", external_dag_id="r", external_task_id="w", recursion_depth=0)
    assert marker.logical_date == "{{ logical_date.isoformat() }}"
    (spec, *_) = dag.to_spec().tasks
    assert spec.is_empty
    assert spec.extra["clears"] == {"dag_id": "report", "task_id": "wait", "depth": 10}


async def test_a_dag_of_another_runtime_is_waited_for(start: StartRuntime) -> None:
    runtime = await start(etl())
    other = await start(waiting(external_task_id="load.store"), triggering(wait_for_completion=True), target([]))
    report = await other.control.run_trigger(TriggerRequest("report", unpause=True, logical_date=DAY))
    await until(other, partial(has_begun, other, report))
    assert (await run_to_end(runtime, "etl", logical_date=DAY)).state == "success"
    assert (await other.control.run_wait(report.run_id, 60)).state == "success"


async def has_begun(runtime: Runtime, run: RunRow) -> bool:
    return await outcome(runtime, run, "wait") in ("running", "deferred")


async def test_waiting_holds_no_process(start: StartRuntime) -> None:
    """Forty waits at once with room for one process; all are coroutines."""
    with DAG("many", schedule=None, max_active_tasks=100) as dag:
        for n in range(40):
            ExternalTaskSensor(task_id=f"w{n}", external_dag_id="etl", poke_interval=0.05, timeout=60)
    runtime = await start(dag, etl(), core__parallelism=1)
    run = await runtime.control.run_trigger(TriggerRequest("many", unpause=True, logical_date=DAY))

    async def all_wait() -> bool:
        rows = await runtime.control.reads.instance_list(run.run_id)
        return all(row.state in ("running", "deferred") for row in rows)

    await until(runtime, all_wait)
    await asyncio.gather(run_to_end(runtime, "etl", logical_date=DAY), runtime.control.run_wait(run.run_id, 60))
    assert (await runtime.control.run_wait(run.run_id, 1)).state == "success"
