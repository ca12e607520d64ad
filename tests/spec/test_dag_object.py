"""The DAG object, its tasks and their dependencies."""

from __future__ import annotations

import importlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.spec.authored import load, load_one, ran
from tradewind.compat import install
from tradewind.model.errors import AuthoringError

pytestmark = pytest.mark.blocks_the_loop  # a trial has the loop for itself

HEAD = """
import datetime as dt
from datetime import datetime, timedelta

import airflow
import airflow.utils.dates
from airflow import DAG
from airflow.operators.bash import BashOperator
from airflow.operators.dummy import DummyOperator
from airflow.operators.python import PythonOperator
"""


def one(folder: Path, body: str) -> Any:
    """The only DAG of a file with the usual imports."""
    import textwrap

    return load_one(folder, HEAD + textwrap.dedent(body))


@pytest.mark.spec("3:G01", "2:0:DAG")
def test_arguments_of_a_dag(tmp_path: Path) -> None:
    dag = one(
        tmp_path,
        """
        with DAG(
            "simple_dag",
            description="what it does",
            start_date=dt.datetime(2019, 1, 1),
            end_date=dt.datetime(2019, 1, 5),
            schedule_interval="@daily",
            catchup=False,
            concurrency=50,
            template_searchpath="/tmp",
            default_args={"retries": 1},
        ) as dag:
            DummyOperator(task_id="inside")
        """,
    )
    assert (dag.dag_id, dag.description, dag.schedule_interval, dag.catchup) == (
        "simple_dag",
        "what it does",
        "@daily",
        False,
    )
    assert (dag.start_date, dag.end_date) == (datetime(2019, 1, 1, tzinfo=UTC), datetime(2019, 1, 5, tzinfo=UTC))
    assert dag.default_args == {"retries": 1}
    assert dag.test_cycle() is False
    with pytest.raises(AuthoringError, match="dag_id"):
        load(tmp_path, HEAD + "DAG(start_date=datetime(2026, 1, 1))", "without.py")


@pytest.mark.spec("1:J4", "1:J5")
def test_templates_in_files_are_read_when_the_task_runs(tmp_path: Path) -> None:
    (tmp_path / "sql").mkdir()
    (tmp_path / "beside.sql").write_text("beside {{ ds }}")
    dag = one(
        tmp_path / "dags",
        f"""
        from pathlib import Path
        from airflow.models import BaseOperator

        class Statement(BaseOperator):
            template_fields = ("sql",)
            template_ext = (".sql",)
            def __init__(self, sql, **kwargs):
                super().__init__(**kwargs)
                self.sql = sql
            def execute(self, context):
                return self.sql

        with DAG("files", start_date=datetime(2026, 1, 1), template_searchpath="{tmp_path}/sql") as dag:
            write = PythonOperator(
                task_id="write",
                python_callable=lambda: Path("{tmp_path}/sql/written.sql").write_text("written for {{{{ ds }}}}"),
            )
            write >> Statement(task_id="searched", sql="written.sql")
            Statement(task_id="beside", sql="beside.sql")
        """,
    )
    (tmp_path / "dags/beside.sql").write_text("beside {{ ds }}")
    report = ran(dag, "2026-01-05")
    assert report.run.state == "success", report.errors
    assert report.results["searched", -1] == "written for 2026-01-05"
    assert report.results["beside", -1] == "beside 2026-01-05"


@pytest.mark.spec("1:E1", "3:G03")
def test_retries_are_none_unless_given(tmp_path: Path) -> None:
    body = """
    with DAG("d", start_date=datetime(2026, 1, 1), schedule_interval=None, default_args=DEFAULTS) as dag:
        BashOperator(task_id="fails", bash_command="exit 1")
    """
    once = ran(one(tmp_path, body.replace("DEFAULTS", "{}")))
    twice = ran(one(tmp_path, body.replace("DEFAULTS", '{"retries": 1, "retry_delay": timedelta(minutes=5)}')))
    assert [len(report.attempts) for report in (once, twice)] == [1, 2]
    assert once.run.state == twice.run.state == "failed"


@pytest.mark.spec("3:G02", "1:S8")
def test_a_schedule_by_its_newer_name_and_as_a_timedelta(tmp_path: Path) -> None:
    dag = one(tmp_path, 'with DAG("d", start_date=dt.datetime(2019, 1, 1), schedule=timedelta(days=3)): pass')
    infos = dag.iter_dagrun_infos_between(dag.start_date, datetime(2019, 1, 7, tzinfo=UTC))
    assert [info.run_after.day for info in infos] == [4, 7, 10]


@pytest.mark.spec("3:G04", "3:G12")
def test_dependencies_outside_the_block_and_dags_by_adoption(tmp_path: Path) -> None:
    dag = one(
        tmp_path,
        """
        with DAG("d", start_date=datetime(2026, 1, 1), schedule_interval=None) as dag:
            t1, t2 = DummyOperator(task_id="t1"), DummyOperator(task_id="t2")
        t3 = DummyOperator(task_id="t3")
        t4 = DummyOperator(task_id="t4")
        t1 >> t2 >> t3
        t1.set_downstream([t4])
        """,
    )
    assert {task.task_id: sorted(task.upstream_task_ids) for task in dag.tasks} == {
        "t1": [],
        "t2": ["t1"],
        "t3": ["t2"],
        "t4": ["t1"],
    }


@pytest.mark.spec("3:G05")
def test_every_state_has_a_meaning() -> None:
    from tradewind.model.states import MEANING, TaskState

    named = """none scheduled queued running success restarting failed skipped upstream_failed up_for_retry
    up_for_reschedule deferred removed""".split()  # noqa: SIM905 - a list of that length reads worse
    assert {state.value for state in TaskState} >= set(named)
    assert all(MEANING[TaskState(name)] for name in named)


@pytest.mark.spec("3:G08", "3:G09")
def test_defaults_that_an_operator_does_not_know_do_no_harm(tmp_path: Path) -> None:
    dag = one(
        tmp_path,
        """
        defaults = {
            "owner": "Craig",
            "depends_on_past": False,
            "start_date": airflow.utils.dates.days_ago(2),
            "retries": 0,
            "retry_delay": timedelta(minutes=2),
            "provide_context": True,
            "email": ["someone@example.org"],
            "email_on_failure": False,
            "email_on_retry": False,
        }
        with DAG("broad", default_args=defaults, schedule_interval=None) as dag:
            BashOperator(task_id="say", bash_command="echo {{ ds }}")
            PythonOperator(task_id="show", python_callable=lambda **kwargs: str(kwargs)[:1])
        """,
    )
    assert {task.owner for task in dag.tasks} == {"Craig"}
    report = ran(dag)
    assert report.run.state == "success", report.errors
    assert report.results["show", -1] == "{"


@pytest.mark.spec("3:G13", "3:L12", "3:L13")
def test_the_whole_context_can_be_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    dag = one(
        tmp_path,
        """
        def show(**kwargs):
            print(kwargs)
            print(kwargs["ti"])

        with DAG("shows", start_date=datetime(2026, 1, 1), schedule_interval=None):
            PythonOperator(task_id="show", python_callable=show)
        """,
    )
    report = ran(dag)
    assert report.run.state == "success", report.errors
    assert "'ds': '2026-01-05'" in capfd.readouterr().out


@pytest.mark.spec("1:C4", "2:T-03")
def test_a_circle_is_an_error_that_shows_it(tmp_path: Path) -> None:
    circle = """
t1, t2, t3 = (DummyOperator(task_id=name, dag=dag) for name in ("t1", "t2", "t3"))
t1 >> t2 >> t3 >> t1
"""
    with pytest.raises(AuthoringError, match="Cycle detected in DAG"):
        load(tmp_path, HEAD + 'dag = DAG("circle", start_date=datetime(2026, 1, 1))' + circle)
    install()
    airflow = importlib.import_module("airflow")
    cycle_error = importlib.import_module("airflow.exceptions").AirflowDagCycleException
    dag = airflow.DAG("circle", start_date=datetime(2026, 1, 1))  # noqa: DTZ001 - as users write it
    exec(circle, {"dag": dag, "DummyOperator": importlib.import_module("airflow.operators.dummy").DummyOperator})
    with pytest.raises(cycle_error, match=r"Cycle detected in DAG: circle\. Faulty task: t3 to t1"):
        dag.test_cycle()


@pytest.mark.spec("2:T-06")
def test_a_missing_argument_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(AuthoringError, match="bash_command"):
        one(tmp_path, 'with DAG("d", start_date=datetime(2026, 1, 1)): BashOperator(task_id="wrong")')


@pytest.mark.spec("2:T-46", "2:T-07", "2:T-52")
def test_a_dag_of_one_id_may_be_made_again_and_needs_no_database() -> None:
    install()
    airflow = importlib.import_module("airflow")
    dummy = importlib.import_module("airflow.operators.dummy").DummyOperator
    for _ in range(3):
        dag = airflow.DAG("again", start_date=datetime(2026, 1, 1), schedule_interval=None)  # noqa: DTZ001
        dummy(task_id="same", dag=dag)
        assert dag.test().run.state == "success"
