"""`dag.test()` at the end of a DAG file, and what `dags test` reports."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind import DAG, PythonSensor, task
from tradewind.trial import try_dag
from tradewind.trial_time import SkippingLoop

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
