"""DAG objects, operators, dependencies, TaskFlow and sensors, as the specification has them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import time_machine

from tests.spec.authored import load, load_one, ran, states

pytestmark = pytest.mark.blocks_the_loop  # a trial has the loop for itself

BOOK = """
    import airflow
    from airflow import DAG
    from airflow.operators.bash import BashOperator
    from airflow.operators.dummy import DummyOperator
    from airflow.operators.python import PythonOperator
    from airflow.decorators import task
"""


@pytest.mark.spec("1:D1", "1:D4", "1:D6", "1:D10")
@time_machine.travel(datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC), tick=False)
def test_the_arguments_of_a_dag(tmp_path: Path) -> None:
    dag = load_one(
        tmp_path,
        BOOK
        + """
    with DAG(
        dag_id="shops", start_date=airflow.utils.dates.days_ago(14), end_date=airflow.utils.dates.days_ago(1),
        schedule_interval="@daily", catchup=True, concurrency=50, template_searchpath="/srv/templates",
    ) as dag:
        for shop in range(1, 5):
            DummyOperator(task_id=f"wait_for_shop_{shop}") >> DummyOperator(task_id=f"process_shop_{shop}")
    """,
    )
    spec = dag.to_spec()
    assert (spec.dag_id, spec.start_date, spec.end_date) == (
        "shops",
        datetime(2026, 2, 15, tzinfo=UTC),
        datetime(2026, 2, 28, tzinfo=UTC),
    )
    assert (spec.catchup, spec.max_active_tasks) == (True, 50)
    assert dag.template_searchpath == ("/srv/templates",)
    assert [t.task_id for t in spec.tasks if not t.upstream] == [f"wait_for_shop_{n}" for n in range(1, 5)]
    assert {t.upstream for t in spec.tasks if t.upstream} == {(f"wait_for_shop_{n}",) for n in range(1, 5)}


@pytest.mark.spec("1:D2", "1:O2", "1:D5")
def test_what_a_dag_and_a_task_cannot_do_without(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="missing the start_date parameter"):
        load(tmp_path, BOOK + "    DAG('d', schedule_interval='@daily')\n")
    with pytest.raises(Exception, match="dag_id"):
        load(tmp_path, BOOK + "    DAG(start_date=airflow.utils.dates.days_ago(1))\n", "b.py")
    with pytest.raises(Exception, match="missing keyword argument 'task_id'"):
        load(tmp_path, BOOK + "    DummyOperator()\n", "c.py")
    dag = load_one(
        tmp_path,
        BOOK
        + """
    dag = DAG("d", start_date=airflow.utils.dates.days_ago(1))
    a = DummyOperator(task_id="other", dag=dag)
    """,
    )
    assert dag.task_ids == ["other"]
    assert not dag.to_spec().timetable.can_be_scheduled


@pytest.mark.spec("1:D7", "1:O1", "1:D3")
def test_operators_of_ones_own_and_template_files(tmp_path: Path) -> None:
    elsewhere = tmp_path / "templates"
    elsewhere.mkdir()
    (elsewhere / "far.sql").write_text("select '{{ ds }}'")
    (tmp_path / "near.sql").write_text("select {{ params.n }}")
    dag = load_one(
        tmp_path,
        BOOK
        + f"""
    from airflow.models import BaseOperator

    class Query(BaseOperator):
        template_fields = ("sql",)
        template_ext = (".sql",)

        def __init__(self, sql, **kwargs):
            super().__init__(**kwargs)
            self.sql = sql

        def execute(self, context):
            return [self.sql, context["task"].task_id]

    dag = DAG("queries", start_date=airflow.utils.dates.days_ago(1), schedule_interval=None,
              template_searchpath={str(elsewhere)!r}, params={{"n": 7}})
    far = Query(task_id="far", sql="far.sql", dag=dag)
    with dag:
        near = Query(task_id="near", sql="near.sql")
    """,
    )
    report = ran(dag, "2026-01-05")
    assert report.results["far", -1] == ["select '2026-01-05'", "far"]
    assert report.results["near", -1] == ["select 7", "near"]


@pytest.mark.spec("1:O4", "1:O5", "1:O6", "1:O7")
def test_arrows_between_tasks_and_lists(tmp_path: Path) -> None:
    dag = load_one(
        tmp_path,
        BOOK
        + """
    with DAG("arrows", start_date=airflow.utils.dates.days_ago(1), schedule_interval=None) as dag:
        names = ("start", "weather", "sales", "join", "end")
        start, weather, sales, join, end = [DummyOperator(task_id=name) for name in names]
        start >> [weather, sales]
        [weather, sales] >> join >> end
        one, two = DummyOperator(task_id="one"), DummyOperator(task_id="two")
        two << one
        three = DummyOperator(task_id="three")
        three.set_upstream(two)
    """,
    )
    assert {t.task_id: t.upstream for t in dag.to_spec().tasks} == {
        "start": (),
        "weather": ("start",),
        "sales": ("start",),
        "join": ("sales", "weather"),
        "end": ("join",),
        "one": (),
        "two": ("one",),
        "three": ("two",),
    }
    assert set(states(ran(dag)).values()) == {"success"}


@pytest.mark.spec("1:K1", "1:K2", "1:K3", "1:K4", "1:O8")
def test_taskflow_beside_classic_operators(tmp_path: Path) -> None:
    dag = load_one(
        tmp_path,
        BOOK
        + """
    import uuid

    with DAG("umbrella", start_date=airflow.utils.dates.days_ago(3), schedule_interval="@daily") as dag:
        join_datasets = DummyOperator(task_id="join_datasets")
        report = BashOperator(task_id="report", bash_command="echo {{ ti.xcom_pull(task_ids='train_model') }}")

        @task
        def train_model():
            return str(uuid.uuid4())

        @task
        def deploy_model(model_id: str, ds: str):
            return f"Deploying model {model_id} on {ds}"

        model_id = train_model()
        deployed = deploy_model(model_id)
        join_datasets >> model_id
        [model_id, join_datasets] >> report << deployed
    """,
    )
    spec = {t.task_id: t for t in dag.to_spec().tasks}
    assert spec["train_model"].operator == "@task"
    assert spec["deploy_model"].upstream == ("train_model",)
    assert spec["report"].upstream == ("deploy_model", "join_datasets", "train_model")
    report = ran(dag, "2026-01-05")
    made = report.results["train_model", -1]
    assert report.results["deploy_model", -1] == f"Deploying model {made} on 2026-01-05"
    assert report.results["report", -1] == made


@pytest.mark.spec("1:K5", "1:X6")
def test_values_obey_limits_and_order_is_the_authors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND__CORE__XCOM_MAX_BYTES", "2000")
    dag = load_one(
        tmp_path,
        BOOK
        + """
    with DAG("limits", start_date=airflow.utils.dates.days_ago(1), schedule_interval=None) as dag:
        @task
        def large():
            return "x" * 3000

        large()
        PythonOperator(task_id="pulls", python_callable=lambda ti: ti.xcom_pull(task_ids="large"))
    """,
    )
    assert {t.task_id: t.upstream for t in dag.to_spec().tasks} == {"large": (), "pulls": ()}
    report = ran(dag)
    assert states(report) == {"large": "failed", "pulls": "success"}
    assert "more than the 2,000 allowed" in report.errors["large"]


@pytest.mark.spec("1:O10", "1:D8")
def test_retries_and_timeouts(tmp_path: Path) -> None:
    dag = load_one(
        tmp_path,
        BOOK
        + """
    from datetime import timedelta
    import time

    def second_time(ti):
        if ti.try_number < 2:
            raise ValueError("not yet")
        return ti.try_number

    with DAG("tries", start_date=airflow.utils.dates.days_ago(1), schedule_interval=None,
             dagrun_timeout=timedelta(hours=1)) as dag:
        PythonOperator(task_id="once", python_callable=lambda ti: ti.max_tries)
        PythonOperator(task_id="again", python_callable=second_time, retries=1, retry_delay=timedelta(seconds=1))
        BashOperator(task_id="slow", bash_command="exec sleep 60", execution_timeout=timedelta(seconds=0.2))
    """,
    )
    assert dag.to_spec().dagrun_timeout == 3600
    report = ran(dag)
    assert states(report) == {"once": "success", "again": "success", "slow": "failed"}
    assert report.results["once", -1] == 0
    assert report.results["again", -1] == 2
    assert "execution_timeout of 0.2 s has passed" in report.errors["slow"]


@pytest.mark.spec("1:D9", "1:O12")
def test_the_next_point_of_the_schedule_and_runs_without_traces(tmp_path: Path) -> None:
    dag = load_one(
        tmp_path,
        BOOK
        + """
    def window(dag, execution_date):
        left = dag.following_schedule(execution_date)
        return [str(left.date()), str(dag.following_schedule(left).date())]

    with DAG("window", start_date=airflow.utils.dates.days_ago(900), schedule_interval="@daily") as dag:
        PythonOperator(task_id="window", python_callable=window)
    """,
    )
    one, two = (ran(dag, "2026-01-05", until="2026-01-06") for _ in range(2))
    assert one.results == two.results == {("window", -1): ["2026-01-06", "2026-01-07"]}


@pytest.mark.spec("1:N1", "1:N2", "1:N4", "1:N5", "1:N6")
def test_sensors_wait_for_files_and_functions(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    dag = load_one(
        tmp_path,
        BOOK
        + f"""
    from pathlib import Path
    from airflow.sensors.filesystem import FileSensor
    from airflow.sensors.python import PythonSensor

    folder = Path({str(tmp_path / "in")!r})
    asked = []

    def complete(name):
        asked.append(name)
        if len(asked) == 2:
            (folder / "data-01.csv").touch()
        return [path for path in folder.glob(name)]

    with DAG("arrivals", start_date=airflow.utils.dates.days_ago(1), schedule_interval=None) as dag:
        both = dict(poke_interval=0.01, timeout=60)
        PythonSensor(task_id="asks", python_callable=complete, op_kwargs={{"name": "data-*.csv"}}, **both)
        FileSensor(task_id="file", filepath=str(folder / "data-*.csv"), **both)
        FileSensor(task_id="gives_way", filepath=str(folder / "data-01.csv"), mode="reschedule", **both)
        usual = FileSensor(task_id="usual", filepath="/")
    """,
    )
    usual = dag.task_dict["usual"]
    assert (usual.poke_interval, usual.timeout, usual.mode) == (60, 604_800, "poke")  # type: ignore[attr-defined]  # of a sensor
    report = ran(dag)
    assert set(states(report).values()) == {"success"}


@pytest.mark.spec("1:N3")
def test_a_sensor_whose_time_is_out_fails(tmp_path: Path) -> None:
    dag = load_one(
        tmp_path,
        BOOK
        + """
    from airflow.sensors.python import PythonSensor

    with DAG("late", start_date=airflow.utils.dates.days_ago(1), schedule_interval=None) as dag:
        PythonSensor(task_id="waits", python_callable=lambda: False, poke_interval=0.01, timeout=0.05) >> DummyOperator(
            task_id="after")
    """,
    )
    report = ran(dag)
    assert states(report) == {"waits": "failed", "after": "upstream_failed"}
    assert "Snap. Time is OUT." in report.errors["waits"]
