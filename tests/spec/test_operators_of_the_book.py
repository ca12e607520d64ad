"""Python and Bash operators, sensors and the operators between DAGs, as old DAG files write them."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine

from tests.spec.authored import day, load_one, states
from tests.unit.authoring.attempts import run_row, running
from tradewind import DAG
from tradewind.authoring.context import build_context
from tradewind.standard.branch import LatestOnlyOperator
from tradewind.trial import TrialReport, try_dag
from tradewind.trial_watch import TrialWatch


def logged(dag: DAG) -> tuple[TrialReport, str]:
    """A whole run, and all that its logs say."""
    records: list[bytes] = []
    watch = TrialWatch(on_record=records.append)
    report = asyncio.run(try_dag(dag, logical_date=day("2026-01-05"), watch=watch))
    return report, "\n".join(str(json.loads(record).get("message", record)) for record in records)


PYTHON = """
from airflow import DAG
from airflow.operators.python import PythonOperator
from airflow.operators.python_operator import PythonOperator as Older

assert Older is PythonOperator


class Callable:
    def __call__(self, word, *, page, **_):
        print("calling with", word, page)
        return [word, page]


def _pages(pagenames, hour, templates_dict, **context):
    assert isinstance(pagenames, set), pagenames
    assert hour == "7", repr(hour)
    assert "templates_dict" not in context and context["ds"] == "2026-01-05"
    assert templates_dict == {"path": "/data/2026-01-05.json", "deep": ["20260105"]}
    return sorted(pagenames)


def _breaks():
    raise ValueError("no pages at all")


with DAG("wiki", start_date=None, schedule_interval=None, default_args={"start_date": "2026-01-01"}) as dag:
    PythonOperator(task_id="object", python_callable=Callable(), op_args=["a"], op_kwargs={"page": "{{ ds }}"})
    PythonOperator(
        task_id="pages",
        python_callable=_pages,
        provide_context=True,
        op_kwargs={"pagenames": {"Google", "Amazon"}, "hour": "{{ execution_date.hour + 7 }}"},
        templates_dict={"path": "/data/{{ ds }}.json", "deep": ["{{ ds_nodash }}"]},
    )
    PythonOperator(task_id="nothing", python_callable=lambda: "none asked for", op_kwargs={})
    PythonOperator(task_id="breaks", python_callable=_breaks)
"""


@pytest.mark.spec("1:P4", "1:P5", "1:P6", "1:P7", "3:O02")
def test_functions_are_called_as_files_say(tmp_path: Path) -> None:
    report, _ = logged(load_one(tmp_path, PYTHON))
    assert states(report) == {"object": "success", "pages": "success", "nothing": "success", "breaks": "failed"}


@pytest.mark.spec("1:P10", "1:P12", "1:14:PythonOperator")
def test_output_results_and_errors_are_shown(tmp_path: Path) -> None:
    report, shown = logged(load_one(tmp_path, PYTHON))
    assert "calling with a 2026-01-05" in shown
    assert "Done. Returned value was: ['a', '2026-01-05']" in shown
    assert "Done. Returned value was: ['Amazon', 'Google']" in shown
    trace = report.errors["breaks"]
    assert trace.rstrip().endswith("ValueError: no pages at all")
    assert 'raise ValueError("no pages at all")' in trace


BASH = """
from airflow import DAG
from airflow.operators.bash_operator import BashOperator
from airflow.operators.dummy_operator import DummyOperator
from airflow.operators.dummy import DummyOperator as Newer

assert Newer is DummyOperator

with DAG("shell", start_date="2026-01-01", schedule_interval=None) as dag:
    last = BashOperator(
        task_id="last", xcom_push=True,
        bash_command=(
            "mkdir -p data && "
            "echo first {{ ds }} > data/file && "
            "cat data/file | tr a-z A-Z; "
            "echo $(cat data/file | wc -w) words"
        ),
    )
    quiet = BashOperator(task_id="quiet", bash_command="echo unseen", xcom_push=False)
    check = BashOperator(task_id="check", bash_command="test \\"{{ ti.xcom_pull('last') }}\\" = '2 words'")
    none = BashOperator(task_id="none", bash_command="test \\"{{ ti.xcom_pull('quiet') }}\\" = 'None'")
    fails = BashOperator(task_id="fails", bash_command="exit 1")
    [last, quiet] >> DummyOperator(task_id="join") >> [check, none, fails]
"""


@pytest.mark.spec("1:P3", "1:E2", "1:14:BashOperator", "1:14:DummyOperator", "3:O01")
def test_commands_as_files_say(tmp_path: Path) -> None:
    report, shown = logged(load_one(tmp_path, BASH))
    good = dict.fromkeys(("last", "quiet", "join", "check", "none"), "success")
    assert states(report) == {**good, "fails": "failed"}
    for words in ("Tmp dir root location", "Running command", "Output:", "FIRST 2026-01-05", "return code 0"):
        assert words in shown
    assert "Bash command failed" in report.errors["fails"]


LATEST = """
from airflow import DAG
from airflow.operators.latest_only import LatestOnlyOperator
from airflow.operators.dummy import DummyOperator

with DAG("deploy", start_date="2026-01-01", schedule_interval="@daily") as dag:
    LatestOnlyOperator(task_id="latest_only") >> DummyOperator(task_id="deploy_model")
    DummyOperator(task_id="train_model")
"""


@pytest.mark.spec("1:B7", "1:14:LatestOnlyOperator")
@pytest.mark.parametrize(("now", "state"), [("2026-01-07T03:00", "success"), ("2026-01-08T00:01", "skipped")])
def test_only_the_latest_run_goes_on(tmp_path: Path, now: str, state: str) -> None:
    """The run of the 5th goes on from the end of the 6th to the end of the 7th: `left < now <= right`."""

    dag = load_one(tmp_path, LATEST)
    days = ["2026-01-06T00:00:00+00:00", "2026-01-07T00:00:00+00:00"]
    facts = {
        "run_id": "scheduled__x", "run_type": "scheduled", "logical_date": days[0], "data_interval": days,
        "state": "running", "start_date": days[1], "end_date": None, "conf": None,
    }  # fmt: skip
    operator = dag.task_dict["latest_only"]
    assert isinstance(operator, LatestOnlyOperator)
    context = build_context(running(dag, "latest_only", run_row(3, facts, "deploy")), dag, operator)
    with time_machine.travel(datetime.fromisoformat(now).replace(tzinfo=UTC), tick=False):
        assert operator.choose_branch(context) == (["deploy_model"] if state == "success" else [])


SENSORS = """
from pathlib import Path
from airflow import DAG
from airflow.operators.python import PythonOperator
from airflow.sensors.base import BaseSensorOperator
from airflow.sensors.filesystem import FileSensor
from airflow.sensors.python import PythonSensor
from airflow.utils.decorators import apply_defaults

HERE = Path(__file__).parent


class Hook:
    closed = 0

    def get_ratings(self, batch_size):
        yield from [] if Hook.closed < 1 else [{"rating": 4}]

    def close(self):
        Hook.closed += 1


class RatingsSensor(BaseSensorOperator):
    template_fields = ("_start",)

    @apply_defaults
    def __init__(self, conn_id, start="{{ ds }}", **kwargs):
        super().__init__(**kwargs)
        self._conn_id, self._start = conn_id, start

    def poke(self, context):
        hook = Hook()
        try:
            next(hook.get_ratings(batch_size=1))
            self.log.info("Found ratings since %s for %s, continuing!", self._start, self._conn_id)
            return True
        except StopIteration:
            self.log.info("Didn't find any ratings, waiting...")
            return False
        finally:
            hook.close()


def _wait_for_supermarket(supermarket_id):
    folder = HERE / supermarket_id
    return list(folder.glob("data-*.csv")) and (folder / "_SUCCESS").exists()


with DAG("rank", start_date="2026-01-01", schedule_interval="@daily", default_args={"poke_interval": 0.01}) as dag:
    wait = RatingsSensor(task_id="wait_for_ratings", conn_id="movielens", timeout=5, mode="poke")
    file = FileSensor(task_id="wait_for_file", filepath=str(HERE / "shop1" / "data-*.csv"), timeout=5)
    python = PythonSensor(
        task_id="wait_for_supermarket", python_callable=_wait_for_supermarket, op_kwargs={"supermarket_id": "shop1"},
    )
    late = FileSensor(task_id="never", filepath=str(HERE / "shop2"), timeout=0.05)
    done = PythonOperator(task_id="rank_movies", python_callable=lambda: Hook.closed)
    [wait, file, python] >> done
"""


@pytest.mark.spec("2:C-30", "2:C-31", "2:C-32", "2:C-33", "2:C-34")
def test_a_sensor_of_ones_own_and_its_chain(tmp_path: Path) -> None:
    (tmp_path / "shop1").mkdir()
    for name in ("data-01.csv", "_SUCCESS"):
        (tmp_path / "shop1" / name).touch()
    report, shown = logged(load_one(tmp_path, SENSORS))
    assert states(report) == {
        "wait_for_ratings": "success", "wait_for_file": "success", "wait_for_supermarket": "success",
        "never": "failed", "rank_movies": "success",
    }  # fmt: skip
    for words in ("Didn't find any ratings", "Found ratings since 2026-01-05 for movielens", "Poking for file"):
        assert words in shown
    assert shown.index("Didn't find") < shown.index("Found ratings")


@pytest.mark.spec("1:E11", "1:14:FileSensor", "1:14:PythonSensor")
def test_sensors_with_the_arguments_of_the_book(tmp_path: Path) -> None:
    (tmp_path / "shop1").mkdir()
    (tmp_path / "shop1" / "data-01.csv").touch()
    text = SENSORS.replace('"shop1"},', '"shop1"}, timeout=0.05,')
    report, shown = logged(load_one(tmp_path, text))
    assert states(report)["wait_for_supermarket"] == "failed"  # the mark of completeness is missing
    assert "Snap. Time is OUT." in report.errors["wait_for_supermarket"]
    assert "Poking callable: <function _wait_for_supermarket" in shown


BETWEEN = """
import datetime
from airflow import DAG
from airflow.operators.dagrun_operator import TriggerDagRunOperator
from airflow.operators.trigger_dagrun import TriggerDagRunOperator as Newer
from airflow.sensors.external_task import ExternalTaskSensor

assert Newer is TriggerDagRunOperator

with DAG("between", start_date="2026-01-01", schedule_interval="0 16 * * *") as dag:
    TriggerDagRunOperator(task_id="trigger", trigger_dag_id="create_metrics")
    ExternalTaskSensor(
        task_id="wait", external_dag_id="etl", external_task_id="process", execution_delta=datetime.timedelta(hours=4),
    )
    ExternalTaskSensor(
        task_id="odd", external_dag_id="etl", external_task_id="process", execution_date_fn=lambda date: date,
    )
"""


@pytest.mark.spec("1:14:TriggerDagRunOperator", "1:14:ExternalTaskSensor", "3:O03")
def test_operators_between_dags_load_under_both_names(tmp_path: Path) -> None:
    dag = load_one(tmp_path, BETWEEN)
    kinds = {task.task_id: (task.operator, task.executor) for task in dag.to_spec().tasks}
    assert kinds == {
        "trigger": ("TriggerDagRunOperator", "inline"),
        "wait": ("ExternalTaskSensor", "inline"),
        "odd": ("ExternalTaskSensor", "inline"),
    }
    assert vars(dag.task_dict["wait"])["execution_delta"] == timedelta(hours=4)
