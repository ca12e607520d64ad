"""Hooks, operators and callables of users, and how users test them: part 2 of the specification."""

from __future__ import annotations

import importlib
import importlib.util
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.spec.authored import load_one, ran, states
from tradewind.compat import install
from tradewind.model.errors import AuthoringError, TaskFailed

pytestmark = pytest.mark.blocks_the_loop  # a trial has the loop for itself


def airflow_name(module: str, name: str) -> Any:
    """What `from module import name` gives in users' files."""
    install()
    return getattr(importlib.import_module(module), name)


def execute(path: Path, text: str) -> dict[str, Any]:
    """A module of users, loaded as their tests load it: by path, without a place in `sys.modules`."""
    install()
    path.write_text(text)
    spec = importlib.util.spec_from_file_location(str(path.with_suffix("")), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


RATINGS = """
import json
import logging
import os
from datetime import datetime

from airflow import DAG
from airflow.operators.python import PythonOperator

logger = logging.getLogger(__name__)


def fetch(templates_dict, batch_size=1000, **_):
    logger.info("from %s to %s", templates_dict["start_date"], templates_dict["end_date"])
    os.makedirs(os.path.dirname(templates_dict["output_path"]), exist_ok=True)
    with open(templates_dict["output_path"], "w") as out:
        json.dump([templates_dict["start_date"], templates_dict["end_date"], batch_size], out)


def rank(conn_id, templates_dict, batch_size=1000, **context):
    with open(templates_dict["input_path"]) as given:
        return [conn_id, batch_size, context["ds"], *json.load(given)]


with DAG("01_python", start_date=datetime(2019, 1, 1), schedule_interval="@daily") as dag:
    fetch_ratings = PythonOperator(
        task_id="fetch_ratings",
        python_callable=fetch,
        templates_dict={"start_date": "{{ds}}", "end_date": "{{next_ds}}", "output_path": "OUT/{{ds}}.json"},
    )
    rank_movies = PythonOperator(
        task_id="rank_movies",
        python_callable=rank,
        op_kwargs={"conn_id": "movielens"},
        templates_dict={"input_path": "OUT/{{ds}}.json"},
    )
    fetch_ratings >> rank_movies
"""


@pytest.mark.spec("2:C-01", "2:C-02", "2:C-03", "2:C-06", "2:U1")
def test_templates_and_arguments_reach_callables_by_their_signature(tmp_path: Path) -> None:
    dag = load_one(tmp_path, RATINGS.replace("OUT", str(tmp_path / "ratings")))
    report = ran(dag, "2019-01-04", until="2019-01-05")
    assert report.results["rank_movies", -1] == ["movielens", 1000, "2019-01-04", "2019-01-04", "2019-01-05", 1000]
    written = (tmp_path / "ratings/2019-01-04.json").read_bytes()
    ran(dag, "2019-01-04", until="2019-01-05")
    assert (tmp_path / "ratings/2019-01-04.json").read_bytes() == written


@pytest.mark.spec("2:C-04")
def test_what_blocking_code_says_is_seen(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    ran(load_one(tmp_path, RATINGS.replace("OUT", str(tmp_path / "ratings"))), "2019-01-04", until="2019-01-05")
    assert "from 2019-01-04 to 2019-01-05" in caplog.text


@pytest.mark.spec("2:C-05")
def test_a_missing_variable_of_the_environment_is_an_error_of_that_file(tmp_path: Path) -> None:
    text = "import os\nfrom airflow import DAG\nUSER = os.environ['MOVIELENS_USER_THAT_IS_NOT_SET']\n"
    with pytest.raises(AuthoringError, match=r"a_dag_file\.py[\s\S]*KeyError: 'MOVIELENS_USER_THAT_IS_NOT_SET'"):
        load_one(tmp_path, text)


OPERATORS = """
import csv
import json

from airflow.models import BaseOperator
from airflow.utils.decorators import apply_defaults


class FetchOperator(BaseOperator):
    template_fields = ("_start_date", "_end_date", "_output_path")

    @apply_defaults
    def __init__(self, conn_id, output_path, start_date="{{ds}}", end_date="{{next_ds}}", **kwargs):
        super(FetchOperator, self).__init__(**kwargs)
        self._conn_id = conn_id
        self._output_path = output_path
        self._start_date = start_date
        self._end_date = end_date

    def execute(self, context):
        self.log.info("fetching from %s to %s", self._start_date, self._end_date)
        with open(self._output_path, "w") as out:
            json.dump([self._start_date, self._end_date, self._conn_id], out)
        return [(1, (4.5, 2)), (2, (3.0, 7))]


class JsonToCsvOperator(BaseOperator):
    def __init__(self, input_path, output_path, **kwargs):
        super().__init__(**kwargs)
        self._input_path = input_path
        self._output_path = output_path

    def execute(self, context):
        with open(self._input_path) as given:
            rows = json.load(given)
        with open(self._output_path, "w", newline="") as out:
            writer = csv.DictWriter(out, fieldnames=list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
"""


@pytest.fixture
def operators(tmp_path: Path) -> dict[str, Any]:
    return execute(tmp_path / "operators.py", OPERATORS)


def test_dag() -> Any:
    DAG = airflow_name("airflow", "DAG")  # noqa: N806 - a class

    default_args = {"owner": "airflow", "start_date": datetime(2019, 1, 1)}  # noqa: DTZ001 - as users write it
    return DAG("test_dag", default_args=default_args, schedule_interval="@daily")


a_test_dag = test_dag
del test_dag


@pytest.mark.spec("2:T-20", "2:T-22", "2:C-29", "2:T-55")
def test_operators_execute_without_dag_and_server(operators: dict[str, Any], tmp_path: Path) -> None:
    BashOperator = airflow_name("airflow.operators.bash", "BashOperator")  # noqa: N806 - a class

    said = BashOperator(task_id="test", bash_command="echo 'hello!'", xcom_push=True).execute(context={})
    assert said == "hello!"
    fetch = operators["FetchOperator"](task_id="f", conn_id="c", output_path=str(tmp_path / "x.json"))
    assert fetch.execute({"ds": "2019-01-01"}) == [(1, (4.5, 2)), (2, (3.0, 7))]


@pytest.mark.spec("2:T-21", "2:T-29", "2:U8")
def test_an_operator_of_files_executes_with_no_context(operators: dict[str, Any], tmp_path: Path) -> None:
    rows = [{"name": name, "age": str(age)} for name, age in (("bob", 41), ("alice", 24), ("carol", 60))]
    (tmp_path / "in.json").write_text(json.dumps(rows))
    operator = operators["JsonToCsvOperator"](
        task_id="t", input_path=tmp_path / "in.json", output_path=tmp_path / "out.csv"
    )
    operator.execute(context=None)
    import csv

    with (tmp_path / "out.csv").open() as out:
        assert list(csv.DictReader(out)) == rows


@pytest.mark.spec("2:T-40", "2:T-42", "2:T-43", "2:C-24", "2:U9")
def test_run_renders_and_executes_once_for_one_date(operators: dict[str, Any], tmp_path: Path) -> None:
    dag = a_test_dag()
    task = operators["FetchOperator"](
        task_id="test",
        conn_id="testconn",
        start_date="{{ prev_ds }}",
        end_date="{{ ds }}",
        output_path=str(tmp_path / "{{ ds }}.json"),
        dag=dag,
    )
    start = dag.default_args["start_date"]
    (report,) = task.run(start_date=start, end_date=start)
    assert json.loads((tmp_path / "2019-01-01.json").read_text()) == ["2018-12-31", "2019-01-01", "testconn"]
    (row,) = report.instances
    assert (row.state.value, row.try_number) == ("success", 1)
    assert row.started_at is not None
    assert row.ended_at >= row.started_at


@pytest.mark.spec("2:T-41", "2:T-30")
def test_run_takes_every_step_and_tells_errors(operators: dict[str, Any], tmp_path: Path) -> None:
    seen: list[str] = []

    def execute_noting(self: Any, context: Any) -> Any:
        seen.append(f"execute {context['ds']}")
        if context["ds"] == "2019-01-03":
            raise LookupError("no such day")
        return 1

    def pre_execute(self: Any, context: Any) -> None:
        seen.append(f"pre {self._start_date}")

    def post_execute(self: Any, context: Any, result: Any = None) -> None:
        seen.append(f"post {result}")

    methods = {"pre_execute": pre_execute, "execute": execute_noting, "post_execute": post_execute}
    Steps: Any = type("Steps", (operators["FetchOperator"],), methods)  # noqa: N806 - a class
    dag = a_test_dag()
    task = Steps(task_id="t", conn_id="c", output_path="x", dag=dag)
    task.run(start_date=datetime(2019, 1, 1), end_date=datetime(2019, 1, 2))  # noqa: DTZ001 - as users write it
    assert seen == ["pre 2019-01-01", "execute 2019-01-01", "post 1", "pre 2019-01-02", "execute 2019-01-02", "post 1"]
    with pytest.raises(TaskFailed, match="LookupError: no such day"):
        task.run(start_date=datetime(2019, 1, 3), end_date=datetime(2019, 1, 3))  # noqa: DTZ001 - as users write it
    with pytest.raises(AuthoringError, match="is in no DAG"):
        Steps(task_id="t", conn_id="c", output_path="x").run()


@pytest.mark.spec("2:C-20", "2:C-22", "2:C-23", "2:C-26", "2:C-27")
def test_users_operators_in_a_dag(tmp_path: Path) -> None:
    (tmp_path / "shop_operators.py").write_text(OPERATORS)
    dag = load_one(
        tmp_path,
        f"""
        from datetime import timedelta

        from airflow import DAG
        from airflow.utils.dates import days_ago
        from shop_operators import FetchOperator

        with DAG(
            "03_operator",
            start_date=days_ago(5),
            schedule_interval="@daily",
            default_args={{
                "retries": 1,
                "retry_delay": timedelta(minutes=5),
                "owner": "data",
                "conn_id": "from_defaults",
            }},
        ) as dag:
            first = FetchOperator(task_id="first", output_path="{tmp_path}/first-{{{{ ds }}}}.json")
            second = FetchOperator(
                task_id="second", conn_id="own", retries=3, output_path="{tmp_path}/second-{{{{ ds }}}}.json"
            )
            first >> second
        """,
    )
    first, second = dag.tasks
    assert (first.retries, second.retries, first.owner) == (1, 3, "data")
    report = ran(dag, "2026-02-03", until="2026-02-04")
    assert states(report) == {"first": "success", "second": "success"}
    assert json.loads((tmp_path / "first-2026-02-03.json").read_text()) == ["2026-02-03", "2026-02-04", "from_defaults"]
    assert json.loads((tmp_path / "second-2026-02-03.json").read_text())[2] == "own"
    assert vars(first)["_start_date"] == "{{ds}}", "the DAG keeps its template for the next run"


@pytest.mark.spec("2:T-23")
def test_nested_tuples_survive_an_xcom(tmp_path: Path) -> None:
    (tmp_path / "shop_operators.py").write_text(OPERATORS)
    dag = load_one(
        tmp_path,
        f"""
        from datetime import datetime
        from airflow import DAG
        from shop_operators import FetchOperator

        with DAG("pairs", start_date=datetime(2019, 1, 1), schedule_interval=None):
            FetchOperator(task_id="fetch", conn_id="c", output_path="{tmp_path}/x.json")
        """,
    )
    assert ran(dag).results["fetch", -1] == [(1, (4.5, 2)), (2, (3.0, 7))]


@pytest.mark.spec("2:C-28")
def test_a_start_date_of_ones_own_and_that_of_the_defaults_do_not_meet(
    operators: dict[str, Any], tmp_path: Path
) -> None:
    dag = a_test_dag()
    plain = operators["FetchOperator"](task_id="plain", conn_id="c", output_path="x", dag=dag)
    given = operators["FetchOperator"](task_id="given", conn_id="c", output_path="x", start_date="2020-01-01", dag=dag)
    assert (plain._start_date, given._start_date) == ("{{ds}}", "2020-01-01")
