"""`import airflow` outside DAG files: in tests, notebooks and a DAG file that is run by itself."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def python(*arguments: str, **environment: str) -> str:
    ended = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=60, check=True, env=environment
    )
    return ended.stdout


@pytest.mark.spec("2:T-01", "2:T-02")
def test_a_test_of_users_finds_the_dags_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "a_dag.py").write_text(
        "from datetime import datetime\n"
        "from airflow import DAG\n"
        "from airflow.operators.bash import BashOperator\n"
        "with DAG('found', start_date=datetime(2026, 1, 1), schedule_interval='@daily') as dag:\n"
        "    BashOperator(task_id='say', bash_command='echo hi')\n"
    )
    test = """
import glob, importlib.util, os, sys
from airflow.models import DAG
for path in glob.glob(os.path.join(sys.argv[1], "**", "*.py"), recursive=True):
    spec = importlib.util.spec_from_file_location(os.path.splitext(path)[0], path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    dags = [value for value in vars(module).values() if isinstance(value, DAG)]
    for dag in dags:
        dag.test_cycle()
        print(dag.dag_id, len(dag.tasks))
"""
    assert python("-c", test, str(tmp_path)) == "found 1\n"


def test_a_python_that_does_not_ask_for_airflow_imports_nothing_of_ours() -> None:
    loaded = "import sys; print(sorted(name for name in sys.modules if name.split('.')[0] == 'tradewind'))"
    assert python("-c", loaded) == "[]\n"


def test_a_real_airflow_on_the_path_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow/__init__.py").write_text("version = 'the real one'\n")
    assert python("-c", "import airflow; print(airflow.version)", PYTHONPATH=str(tmp_path)) == "the real one\n"
