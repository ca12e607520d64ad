"""What DAG files read and when, rows about configuration and integrity tests: part 2 of the specification."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.spec.authored import load_one, ran, states
from tradewind.bundles.loader import DagFileError, load_file
from tradewind.model.errors import AuthoringError

pytestmark = pytest.mark.blocks_the_loop  # a trial has the loop for itself


@pytest.mark.spec("2:B-06")
def test_a_variable_read_by_the_file_is_read_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
        from datetime import datetime

        from airflow import DAG
        from airflow.models import Variable
        from airflow.operators.python import PythonOperator

        input_path = Variable.get("dag1_input_path")
        asked = {"fetch": lambda: [input_path, Variable.get("dag1_output_path")]}

        with DAG("dag1", start_date=datetime(2019, 1, 1), schedule_interval=None):
            PythonOperator(task_id="fetch", python_callable=asked["fetch"])
    """
    monkeypatch.setenv("AIRFLOW_VAR_DAG1_INPUT_PATH", "/data")
    dag = load_one(tmp_path, text)
    monkeypatch.setenv("AIRFLOW_VAR_DAG1_INPUT_PATH", "/other")
    monkeypatch.setenv("AIRFLOW_VAR_DAG1_OUTPUT_PATH", "/output")
    assert ran(dag).results["fetch", -1] == ["/data", "/output"]
    assert ran(load_one(tmp_path, text)).results["fetch", -1] == ["/other", "/output"]
    monkeypatch.delenv("AIRFLOW_VAR_DAG1_INPUT_PATH")
    with pytest.raises(DagFileError, match="dag1_input_path"):
        load_one(tmp_path, text)


@pytest.mark.spec("2:B-07")
def test_where_a_configuration_is_read_says_when(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = tmp_path / "config.yaml"
    config.write_text("input_path: /data\n")
    dag = load_one(
        tmp_path / "dags",
        """
        from datetime import datetime

        import yaml
        from airflow import DAG
        from airflow.operators.python import PythonOperator


        def read():
            with open("config.yaml") as config_file:
                return yaml.safe_load(config_file)


        config = read()


        def _process(config=None):
            return (config or read())["input_path"]


        with DAG("configured", start_date=datetime(2019, 1, 1), schedule_interval=None):
            PythonOperator(task_id="early", python_callable=_process, op_kwargs={"config": config})
            PythonOperator(task_id="late", python_callable=_process)
        """,
    )
    config.write_text("input_path: /new\n")
    report = ran(dag)
    assert (report.results["early", -1], report.results["late", -1]) == ("/data", "/new")
    config.unlink()
    assert states(ran(dag)) == {"early": "success", "late": "failed"}


CREDENTIALS = """
from datetime import datetime

from airflow import DAG
from airflow.hooks.base_hook import BaseHook
from airflow.operators.python import PythonOperator


def _fetch(conn_id, **context):
    credentials = BaseHook.get_connection(conn_id)
    return [credentials.host, credentials.port, credentials.login, len(credentials.password)]


with DAG("uses_credentials", start_date=datetime(2019, 1, 1), schedule_interval=None):
    PythonOperator(task_id="fetch", python_callable=_fetch, op_kwargs={"conn_id": "my_api"})
"""

EAGER = """
credentials = BaseHook.get_connection("my_api")
"""


@pytest.mark.spec("2:B-09", "2:B-04", "2:C-12")
def test_credentials_are_read_when_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lazy = load_one(tmp_path, CREDENTIALS)
    report = ran(lazy)
    assert states(report) == {"fetch": "failed"}
    assert "The conn_id `my_api` isn't defined" in report.errors["fetch"]
    with pytest.raises(DagFileError, match="The conn_id `my_api` isn't defined"):
        load_one(tmp_path, CREDENTIALS + EAGER)
    monkeypatch.setenv("AIRFLOW_CONN_MY_API", "http://ada:s3cret@api.example.com:5000")
    assert ran(lazy).results["fetch", -1] == ["api.example.com", 5000, "ada", 6]
    assert ran(load_one(tmp_path, CREDENTIALS + EAGER)).run.state == "success"


@pytest.mark.spec("2:T-47")
def test_braces_for_a_later_format_stay(tmp_path: Path) -> None:
    dag = load_one(
        tmp_path,
        """
        from datetime import datetime

        from airflow import DAG
        from airflow.models import BaseOperator


        class ToTable(BaseOperator):
            template_fields = ("_insert_query",)

            def __init__(self, insert_query, **kwargs):
                super().__init__(**kwargs)
                self._insert_query = insert_query

            def execute(self, context):
                rows = [("movie", 5), ("other", 4)]
                return self._insert_query.format(",".join(str(row) for row in rows))


        with DAG("formats", start_date=datetime(2019, 1, 1), schedule_interval=None):
            ToTable(
                task_id="insert",
                insert_query="INTO t {0} -- '{{ macros.datetime.now() }}' {{ macros.datetime(2019, 1, 2) }}",
            )
        """,
    )
    query = str(ran(dag).results["insert", -1])
    assert query.startswith("INTO t ('movie', 5),('other', 4) -- '20")
    assert query.endswith("' 2019-01-02 00:00:00")


@pytest.mark.spec("2:U20")
def test_groups_depend_on_each_other_and_on_tasks(tmp_path: Path) -> None:
    dag = load_one(
        tmp_path,
        """
        from datetime import datetime

        from airflow import DAG
        from airflow.operators.dummy import DummyOperator
        from airflow.utils.task_group import TaskGroup

        with DAG("04_task_groups_umbrella", start_date=datetime(2019, 1, 1), schedule_interval="@daily"):
            start = DummyOperator(task_id="start")
            with TaskGroup("fetch_and_clean_sales", tooltip="Sales") as sales:
                DummyOperator(task_id="fetch") >> DummyOperator(task_id="clean")
            with TaskGroup("fetch_and_clean_weather", tooltip="Weather") as weather:
                DummyOperator(task_id="fetch") >> DummyOperator(task_id="clean")
            with TaskGroup("checks") as checks:
                DummyOperator(task_id="count")
            join = DummyOperator(task_id="join_datasets")
            train = DummyOperator(task_id="train_model")
            deploy = DummyOperator(task_id="deploy_model")
            start >> [sales, weather]
            sales >> checks
            [weather, checks] >> join >> train >> deploy
        """,
    )
    upstream = {task.task_id: task.upstream_task_ids for task in dag.tasks}
    assert upstream["fetch_and_clean_sales.fetch"] == {"start"} == upstream["fetch_and_clean_weather.fetch"]
    assert upstream["checks.count"] == {"fetch_and_clean_sales.clean"}
    assert upstream["join_datasets"] == {"fetch_and_clean_weather.clean", "checks.count"}
    assert set(states(ran(dag)).values()) == {"success"}


DAG_FILES = {
    "good.py": """
        from datetime import datetime
        from airflow import DAG
        from airflow.operators.bash import BashOperator
        with DAG("good", start_date=datetime(2019, 1, 1), schedule_interval="@daily"):
            BashOperator(task_id="a", bash_command="true") >> BashOperator(task_id="b", bash_command="true")
    """,
    "below/cycle.py": """
        from datetime import datetime
        from airflow import DAG
        from airflow.operators.dummy import DummyOperator
        with DAG("cycle", start_date=datetime(2019, 1, 1), schedule_interval="@daily") as dag:
            t1, t2, t3 = (DummyOperator(task_id=f"t{n}") for n in (1, 2, 3))
            t1 >> t2 >> t3 >> t1
    """,
    "duplicate.py": """
        from datetime import datetime
        from airflow import DAG
        from airflow.operators.dummy import DummyOperator
        with DAG("duplicate", start_date=datetime(2019, 1, 1), schedule_interval="@daily") as dag:
            for _ in range(2):
                DummyOperator(task_id="same")
    """,
    "missing.py": """
        from datetime import datetime
        from airflow import DAG
        from airflow.operators.bash import BashOperator
        with DAG("missing", start_date=datetime(2019, 1, 1), schedule_interval="@daily") as dag:
            BashOperator(task_id="no_command")
    """,
}

SUITE = """
import glob
import importlib.util
import os

import pytest
from airflow.models import DAG

DAG_PATH = os.path.join(os.path.dirname(__file__), "..", "dags/**/*.py")
DAG_FILES = sorted(glob.glob(DAG_PATH, recursive=True))


@pytest.mark.parametrize("dag_file", DAG_FILES, ids=os.path.basename)
def test_dag_integrity(dag_file):
    module_name, _ = os.path.splitext(dag_file)
    mod_spec = importlib.util.spec_from_file_location(module_name, dag_file)
    module = importlib.util.module_from_spec(mod_spec)
    mod_spec.loader.exec_module(module)
    dag_objects = [var for var in vars(module).values() if isinstance(var, DAG)]
    assert dag_objects or "as dag" not in open(dag_file).read()
    for dag in dag_objects:
        dag.test_cycle()
"""


@pytest.fixture
def dag_folder(tmp_path: Path) -> Path:
    for name, text in DAG_FILES.items():
        path = tmp_path / "dags" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
    return tmp_path / "dags"


@pytest.mark.spec("2:U6", "2:T-01", "2:T-02", "2:T-07")
def test_an_integrity_suite(dag_folder: Path, tmp_path: Path) -> None:
    suite = tmp_path / "tests/dags/test_dag_integrity.py"
    suite.parent.mkdir(parents=True)
    suite.write_text(SUITE.replace('"..", ', '"..", "..", '))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(suite)]
    environment = {**os.environ, "TRADEWIND_HOME": str(tmp_path / "home"), "PYTEST_ADDOPTS": "", "NO_COLOR": "1"}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=100
    )
    said = done.stdout
    assert "3 failed, 1 passed" in said, said + done.stderr
    for part in ("Cycle detected in DAG: cycle. Faulty task: t3 to t1", "the task id 'same' has already been added"):
        assert part in said
    assert "missing keyword argument 'bash_command'" in said
    assert not (tmp_path / "home").exists(), "no database is made"


@pytest.mark.spec("2:T-04", "2:T-05")
def test_the_same_files_are_broken_for_the_runtime(dag_folder: Path) -> None:
    said: dict[str, str] = {}
    for name in DAG_FILES:
        try:
            loaded = load_file(dag_folder / name, root=dag_folder)
            for dag in loaded.dags.values():
                dag.check()
        except (AuthoringError, DagFileError) as error:
            said[name] = str(error)
    assert said.keys() == {"below/cycle.py", "duplicate.py", "missing.py"}
    assert "t3 to t1" in said["below/cycle.py"]
    assert "same" in said["duplicate.py"]
    assert "bash_command" in said["missing.py"]
