"""`dag.test()` at the end of a DAG file, and what `dags test` reports."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tradewind import DAG, PythonSensor, get_current_context, task
from tradewind.bundles.loader import load_file
from tradewind.model.errors import AuthoringError
from tradewind.standard.time_sensors import DateTimeSensorAsync
from tradewind.trial import TrialPlan, TrialReport, run_dag, try_dag
from tradewind.trial_executors import MARKED
from tradewind.trial_time import SkippingLoop
from tradewind.trial_watch import TrialWatch

FILE = """
import logging
from tradewind import DAG, task

with DAG("mine", schedule="@daily", start_date="2020-01-01", catchup=True) as dag:
    @task
    def first():
        print("first speaks")
        return 20

    @task(retries=1)
    async def second(value, ti=None):
        if ti.try_number == 1:
            raise ValueError("not the first time")
        logging.getLogger("my.own").info("second logs")
        print("second has", value + 1)

    second(first())

if __name__ == "__main__":
    report = dag.test()
    print(report.run.state, report.run.run_type, len(report.attempts))
"""
AIRFLOWS = """
from airflow import DAG
from airflow.decorators import task
from airflow.hooks.base import BaseHook
from airflow.models import Variable
from airflow.utils.state import DagRunState, State

with DAG("theirs", schedule=None) as dag:
    @task
    def reads(ti=None):
        ti.log.info("%s at %s", Variable.get("who"), BaseHook.get_connection("there").host)

    reads()

if __name__ == "__main__":
    run = dag.test(conn_file_path="conns.yaml", variable_file_path="vars.json")
    assert run.state == DagRunState.SUCCESS and run.dag_id == "theirs" and run.run_id.startswith("manual__")
    assert [ti.task_id for ti in run.get_task_instances(state=[State.SUCCESS])] == ["reads"]
    assert run.get_task_instances(state=State.FAILED) == []
    assert run.get_task_instance("reads").state == State.SUCCESS and run.get_task_instance("no") is None
"""


def test_a_dag_file_runs_itself(tmp_path: Path) -> None:
    """Output is seen, a retry is not waited for, and the schedule of six years makes no runs."""
    file = tmp_path / "mine.py"
    file.write_text(FILE)
    done = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    said = done.stdout.splitlines()
    assert [said[0], *said[-2:]] == ["first speaks", "second has 21", "success manual 3"]
    assert "[second] ValueError: not the first time" in " ".join(said).replace("ERROR ", "")
    assert any(line.endswith("INFO - second logs") for line in said)


def test_what_scripts_for_airflow_do_with_the_run(tmp_path: Path) -> None:
    """Files of connections and variables, the run's state and task instances; a line of a task's log comes once."""
    (tmp_path / "conns.yaml").write_text("there: http://user:password@a.host:80\n")
    (tmp_path / "vars.json").write_text('{"who": "someone"}')
    file = tmp_path / "theirs.py"
    file.write_text(AIRFLOWS)
    command = [sys.executable, str(file)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[reads] someone at a.host"]


async def test_what_went_wrong_is_in_the_report() -> None:
    with DAG("d", schedule=None) as dag:

        @task(pool="a pool that is nowhere")
        async def wrong() -> None:
            raise LookupError("no such thing")

        wrong()
    report = await try_dag(dag)
    assert report.run.state == "failed"
    assert "LookupError: no such thing" in report.errors["wrong"]


class CountingLoop(SkippingLoop):
    """Counts how often time was skipped."""

    skips = -1  # it begins with nothing skipped

    def __setattr__(self, name: str, value: object) -> None:
        if name == "skipped":
            super().__setattr__("skips", self.skips + 1)
        super().__setattr__(name, value)


@pytest.mark.blocks_the_loop
def test_a_week_that_is_skipped_is_little_work() -> None:
    """While a sensor waits, nothing of the runtime's own comes around more often than once a minute."""
    with DAG("waits", schedule=None) as dag:
        PythonSensor(task_id="never", python_callable=lambda: False, poke_interval=86400, soft_fail=True)
    loops: list[CountingLoop] = []

    def new_loop() -> CountingLoop:
        loops.append(CountingLoop())
        return loops[-1]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        report = runner.run(try_dag(dag))
    assert {one.task_id: one.state.value for one in report.instances} == {"never": "skipped"}
    assert 7 <= loops[0].skips <= 7 * 24 * 62


def states(report: TrialReport) -> dict[str, str]:
    return {f"{one.task_id}{one.map_index:+d}".removesuffix("-1"): one.state.value for one in report.instances}


def loaded(file: Path, text: str) -> DAG:
    file.write_text(text)
    (dag,) = load_file(file, root=file.parent).dags.values()
    return dag


def pick_and_spread() -> DAG:
    """A task, a task mapped over its result, a branch, and one after each."""
    with DAG("picks", schedule=None) as dag:

        @task
        async def source() -> list[int]:
            return [1, 2]

        @task
        async def source_of_none() -> list[int]:
            raise LookupError("the bank is closed")

        @task
        async def spread(value: int) -> None:
            raise ValueError(value)

        @task.branch
        async def choose() -> str:
            return "left"

        @task
        async def left() -> None: ...

        @task
        async def right() -> None: ...

        DateTimeSensorAsync(task_id="wait_for_ever", target_time="2999-01-01T00:00:00+00:00", start_from_trigger=True)
        spread.expand(value=source())
        spread.override(task_id="over_nothing").expand(value=source_of_none())
        _ = choose() >> [left(), right()]
    return dag


async def test_tasks_that_are_marked_as_success_do_not_run() -> None:
    """As in Airflow: they leave no result, so nothing is there to map over; a branch chooses nothing and all follow;
    the pattern has to fit the whole id.
    """
    report = await try_dag(pick_and_spread(), plan=TrialPlan(marked=re.compile("spread|source_.*|choose|wait_.*|lef")))
    assert states(report) == {
        "source": "success",
        "spread+0": "success",
        "spread+1": "success",
        "source_of_none": "success",
        "over_nothing": "upstream_failed",
        "choose": "success",
        "left": "success",
        "right": "success",
        "wait_for_ever": "success",
    }
    assert report.results == {("source", -1): [1, 2]}
    marked = {attempt.task_id for attempt in report.attempts if attempt.executor == MARKED}
    assert marked == {"spread", "source_of_none", "choose", "wait_for_ever"}


PLACES = """
import os
from pathlib import Path
from tradewind import DAG, Variable, task

WHO = Variable.get("who", "nobody")

with DAG("places", schedule=None) as dag:
    @task
    def process():
        print("a process for", WHO)
        return os.getpid()

    @task
    async def loop():
        return os.getpid()

    @task.sensor(mode="reschedule", poke_interval=0)
    def twice():
        print("looked")
        os.write(1, b"raw\\n")
        seen = Path(__file__).with_suffix(".seen")
        return seen.exists() or seen.touch()

    @task
    def skipped(): raise ValueError

    @task(executor="abroad", retries=0)
    def nowhere(): ...

    process(), loop(), twice(), skipped(), nowhere()
"""


async def test_tasks_run_by_their_own_executors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sync ones in processes of their own, which load the file as this one does; what they say is shown, once."""
    (tmp_path / "vars.json").write_text('{"who": "someone"}')
    monkeypatch.setenv("TRADEWIND__SECRETS__BACKEND", "tradewind.services.secrets_local_files.LocalFilesystemBackend")
    monkeypatch.setenv(
        "TRADEWIND__SECRETS__BACKEND_KWARGS", json.dumps({"variables_file_path": f"{tmp_path}/vars.json"})
    )
    file = tmp_path / "places.py"
    dag = await asyncio.to_thread(loaded, file, PLACES)
    said: list[dict[str, Any]] = []
    watch = TrialWatch(on_record=lambda line: said.append(json.loads(line)))
    report = await try_dag(dag, watch=watch, plan=TrialPlan(use_executor=True, marked=re.compile("skipped")))
    assert states(report) == dict.fromkeys(("process", "loop", "twice", "skipped"), "success") | {"nowhere": "failed"}
    assert "no executor 'abroad'" in report.errors["nowhere"]
    assert report.results["loop", -1] == os.getpid() != report.results["process", -1]
    printed = [(one["task_id"], one["message"]) for one in said if one["stream"] == "stdout"]
    assert sorted(printed) == [
        ("process", "a process for someone"),
        *[("twice", "looked")] * 2,
        *[("twice", "raw")] * 2,
    ]


async def test_what_executors_cannot_carry(tmp_path: Path) -> None:
    file = tmp_path / "gone.py"
    dag = await asyncio.to_thread(loaded, file, PLACES)
    file.unlink()
    with pytest.raises(
        AuthoringError, match=r"DAG 'places' was made in '.*gone\.py', which is no file.*leave use_exec"
    ):
        await try_dag(dag, plan=TrialPlan(use_executor=True))


def test_every_argument_of_airflows_is_there() -> None:
    """Those of 2.11.2 and 3.3.2."""
    files = {"conn_file_path", "variable_file_path"}
    airflows = {"execution_date", "run_conf", "use_executor", "mark_success_pattern", "session", "run_after"}
    assert files | airflows | {"logical_date"} <= inspect.signature(DAG.test).parameters.keys()


@pytest.mark.blocks_the_loop
def test_conf_and_dates_in_any_order() -> None:
    """By position as here, as in Airflow 2 and by name; tasks see `run_after`."""
    seen: list[tuple[Any, ...]] = []
    with DAG("looks", schedule=None) as dag:

        @task
        async def look() -> None:
            context = get_current_context()
            run = context["dag_run"]
            seen.append((context["logical_date"], run.run_after, run.conf))

        look()
    day, later, conf = datetime(2026, 1, 5, tzinfo=UTC), datetime(2026, 1, 6, tzinfo=UTC), {"n": 1}
    dag.test(conf, day)
    dag.test(day, conf)
    dag.test(execution_date=day, run_conf=conf, run_after=later.replace(tzinfo=None))
    assert seen == [(day, day, conf), (day, day, conf), (day, later, conf)]


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"conf": "n=1"}, r"DAG 'd': test\(\) takes one conf \(a dict\) and one logical date \(a datetime\); 'n=1' is"),
        ({"conf": {}, "logical_date": "today"}, "'today' is neither"),
        ({"mark_success_pattern": "(ab"}, r"mark_success_pattern: '\(ab' is no regular expression of text: missing \)"),
        ({"mark_success_pattern": b"ab"}, "is no regular expression of text: cannot use a bytes pattern"),
    ],
)
def test_arguments_that_are_none(given: dict[str, Any], reason: str) -> None:
    with pytest.raises(AuthoringError, match=reason):
        run_dag(DAG("d", schedule=None), **given)
