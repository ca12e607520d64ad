"""One task run alone, by a test or a command: in whose thread, what is recorded, how it is looked into."""

from __future__ import annotations

import asyncio
import importlib
import importlib.metadata
import inspect
import os
import subprocess
import sys
import textwrap
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tradewind.compat import install
from tradewind.model.errors import TaskFailed
from tradewind.store.migrate import migrate_url

pytestmark = pytest.mark.blocks_the_loop  # a task alone has the loop for itself

START = datetime(2019, 1, 1)  # noqa: DTZ001 - as users write it


def an_operator(**methods: Any) -> Any:
    """A task of a class of somebody's own, in a DAG as tests make it."""
    install()
    base = importlib.import_module("airflow.models").BaseOperator
    dag_class = importlib.import_module("airflow").DAG
    dag = dag_class("test_dag", default_args={"owner": "airflow", "start_date": START}, schedule_interval="@daily")
    return type("Own", (base,), methods)(task_id="test", dag=dag)


@pytest.mark.spec("2:T-44", "2:T-45")
def test_no_database_is_needed_and_the_row_is_handed_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In Airflow a test needs an initialised database of its own; here the row comes back and nothing is written."""
    home = tmp_path / "airflow"
    monkeypatch.setenv("AIRFLOW_HOME", str(home))

    def execute(self: Any, context: Any) -> int:
        return 7

    task = an_operator(execute=execute)
    (report,) = task.run(start_date=START, end_date=START)
    (row,) = report.instances
    assert (row.task_id, report.run.dag_id, row.try_number) == ("test", "test_dag", 1)
    assert row.state.value == "success"
    assert report.run.logical_date.isoformat() == "2019-01-01T00:00:00+00:00"
    assert timedelta(0) <= row.ended_at - row.started_at < timedelta(seconds=30)
    assert report.results["test", -1] == 7
    assert not home.exists()


@pytest.mark.spec("2:T-50")
def test_a_debugger_stops_in_the_thread_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """`breakpoint()` in a task is reached in the process and thread that called `execute()` or `run()`."""
    seen: list[tuple[int, int, str]] = []

    def stopped() -> None:
        frame = inspect.stack()[1].frame
        seen.append((os.getpid(), threading.get_ident(), str(frame.f_locals["context"]["ds"])))

    def execute(self: Any, context: Any) -> None:
        breakpoint()

    monkeypatch.setattr(sys, "breakpointhook", stopped)
    task = an_operator(execute=execute)
    task.execute({"ds": "2018-12-31"})
    task.run(start_date=START, end_date=START)
    before = threading.active_count()
    task.run(start_date=START + timedelta(days=1), end_date=START + timedelta(days=2))
    assert threading.active_count() == before
    here = (os.getpid(), threading.get_ident())
    assert seen == [(*here, day) for day in ("2018-12-31", "2019-01-01", "2019-01-02", "2019-01-03")]


def test_an_interrupted_task_is_a_failed_one_and_leaves_no_thread() -> None:
    def execute(self: Any, context: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(TaskFailed, match="KeyboardInterrupt"):
        an_operator(execute=execute).run(start_date=START, end_date=START)
    assert not [thread for thread in threading.enumerate() if thread.name == "tradewind-loop"]


DEBUGGED = """
from datetime import datetime
from airflow import DAG
from airflow.operators.python import PythonOperator

def fetch(ds):
    ratings = [4.5, 3.0]
    breakpoint()
    return len(ratings)

with DAG("movielens_download", start_date=datetime(2019, 1, 1), schedule_interval="@daily"):
    PythonOperator(task_id="fetch_data", python_callable=fetch)
"""


@pytest.mark.spec("2:U11")
async def test_the_debugger_on_the_terminal(tmp_path: Path, database_url: str) -> None:
    """`tasks test` with `breakpoint()`: its prompt, its commands, and a database that is as it was."""
    (tmp_path / "dags").mkdir()
    (tmp_path / "dags/ratings.py").write_text(DEBUGGED)
    await migrate_url(database_url)
    before = await rows_of(database_url)
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("TRADEWIND", "AIRFLOW"))}
    places = {"TRADEWIND_HOME": str(tmp_path), "TRADEWIND__DATABASE__URL": database_url}
    command = ["tasks", "test", "movielens_download", "fetch_data", "2019-01-01T12:00:00"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tradewind", *command),
        env={**kept, **places, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate(b"p ds, ratings\nn\nc\n")
    text = said.decode()
    assert process.returncode == 0, text
    assert "(Pdb) ('2019-01-01', [4.5, 3.0])" in text
    assert "ratings.py" in text
    assert await rows_of(database_url) == before


async def rows_of(url: str) -> dict[str, int]:
    """How many rows every table has."""
    connection = await asyncpg.connect(url)
    try:
        places = (
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
        )
        names = [f'"{row[0]}"."{row[1]}"' for row in await connection.fetch(places)]
        return {name: await connection.fetchval(f"SELECT count(*) FROM {name}") for name in names}
    finally:
        await connection.close()


SUITE = """
import datetime

import pytest
from airflow import DAG
from airflow.operators.bash import BashOperator


@pytest.fixture
def mocker():
    return "a fixture of somebody's own"


@pytest.fixture
def test_dag():
    return DAG("test_dag", default_args={"start_date": datetime.datetime(2019, 1, 1)}, schedule_interval="@daily")


@pytest.mark.parametrize("said", ["one", "two"])
def test_download(test_dag, tmp_path, tmpdir, mocker, said):
    out = tmp_path / "{{ ds }}.txt"
    task = BashOperator(task_id="download", bash_command=f"echo {said} > '{out}'", dag=test_dag)
    pytest.helpers_are_free = mocker
    start = test_dag.default_args["start_date"]
    task.run(start_date=start, end_date=start)
    assert (tmp_path / "2019-01-01.txt").read_text() == f"{said}\\n"
    assert len(list(tmp_path.iterdir())) == 1
"""


@pytest.mark.spec("2:T-31")
def test_we_bring_no_plugin_and_no_fixture_of_pytest(tmp_path: Path) -> None:
    """So nothing meets those of pytest-mock or pytest-docker-tools; fixtures of a `conftest.py` work as ever."""
    bringing = {entry.dist.name for entry in importlib.metadata.entry_points(group="pytest11") if entry.dist}
    assert not [name for name in bringing if "tradewind" in name]
    fixtures, _, test = SUITE.partition('@pytest.mark.parametrize("said"')
    (tmp_path / "conftest.py").write_text(textwrap.dedent(fixtures))
    head = "import pytest\nfrom airflow.operators.bash import BashOperator\n\n"
    (tmp_path / "test_download.py").write_text(f'{head}@pytest.mark.parametrize("said"{test}')
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(str(Path(place).absolute()) for place in sys.path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "2 passed" in done.stdout, done.stdout + done.stderr
