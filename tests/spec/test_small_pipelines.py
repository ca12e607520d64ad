"""Small pipelines of the specification: a puller of DAG files, a bash example, sales, everything about a run."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import asyncpg
import pytest

from tests.conftest import NewDatabase
from tests.services.conftest import until
from tests.spec.running_system import SECONDS, rest_api, running_system

pytestmark = pytest.mark.blocks_the_loop


async def git(folder: Path, *args: str) -> None:
    """Runs git as somebody who has no settings."""
    names = {f"GIT_{who}_{what}": "ada@here" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    process = await asyncio.create_subprocess_exec(
        *("git", "-c", "init.defaultBranch=main", *args),
        cwd=folder,
        env={**os.environ, **names, "GIT_CONFIG_GLOBAL": os.devnull},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()


PULLER = """
from datetime import datetime, timedelta
from airflow import DAG
from airflow.operators.bash import BashOperator

with DAG("dag_puller", start_date=datetime(2020, 1, 1), schedule_interval=timedelta(minutes=5), catchup=False,
         default_args={"depends_on_past": False}, end_date=datetime(2020, 1, 2)):
    BashOperator(task_id="fetch_code", bash_command="cd DAGS && git reset --hard origin/main --quiet && git pull")
"""


@pytest.mark.spec("3:UC1")
async def test_a_dag_that_pulls_dag_files(tmp_path: Path, database_url: str) -> None:
    """What was pushed is live after the next run, and what was pulled from is the only place that people write to."""
    (tmp_path / "desk").mkdir()
    await git(tmp_path, "init", "--bare", "remote.git")
    desk, home = tmp_path / "desk", tmp_path / "home"
    home.mkdir()
    await git(tmp_path, "clone", "--quiet", "remote.git", "desk")
    (desk / "puller.py").write_text(PULLER.replace("DAGS", str(home / "dags")))

    async def push(name: str, text: str) -> None:
        (desk / name).write_text(text)
        await git(desk, "add", "--all")
        await git(desk, "commit", "--quiet", "-m", name)
        await git(desk, "push", "--quiet", "origin", "HEAD:main")

    await push("first.py", "from airflow import DAG\nd = DAG('first', schedule_interval=None)\n")
    await git(tmp_path, "clone", "--quiet", "--branch", "main", "remote.git", str(home / "dags"))
    async with running_system(home, database_url) as system:
        await system.knows("dag_puller", "first")
        await push("second.py", "from airflow import DAG\nd = DAG('second', schedule_interval=None)\n")
        run = await system.run("dag_puller")
        assert await system.states(run) == {"fetch_code": "success"}
        await system.knows("second")
        await git(desk, "rm", "--quiet", "first.py")
        await push("second.py", "from airflow import DAG\nd = DAG('third', schedule_interval=None)\n")
        run = await system.run("dag_puller")
        await system.knows("third")

        async def others_are_gone() -> bool:
            rows = await system.runtime.control.reads.dag_list()
            return {row.dag_id for row in rows if row.is_active} == {"dag_puller", "third"}

        await until(system.runtime, others_are_gone, SECONDS)


BASH = """
from datetime import datetime, timedelta
from airflow import DAG
from airflow.operators.bash import BashOperator
from airflow.operators.dummy import DummyOperator

with DAG("example_bash_operator", schedule_interval="0 0 * * *", start_date=datetime(2026, 1, 1), catchup=False,
         dagrun_timeout=timedelta(minutes=60)):
    run_this_last = DummyOperator(task_id="run_this_last")
    run_this = BashOperator(task_id="run_after_loop", bash_command="echo 1")
    run_this >> run_this_last
    for i in range(3):
        task = BashOperator(task_id="runme_" + str(i), bash_command='echo "{{ task_instance_key_str }}" && sleep 0.1')
        task >> run_this
    also_run_this = BashOperator(
        task_id="also_run_this", bash_command='echo "run_id={{ run_id }} | dag_run={{ dag_run }}"'
    )
    also_run_this >> run_this_last

with DAG("users", schedule_interval=None, start_date=datetime(2026, 1, 1)):
    print_user = BashOperator(task_id="print_user", bash_command="whoami")
    print_date = BashOperator(task_id="print_date", bash_command="date", retries=3)
    print_user >> print_date
"""


@pytest.mark.spec("3:UC21")
async def test_the_bash_example(tmp_path: Path, database_url: str) -> None:
    async with running_system(tmp_path, database_url) as system, rest_api(system) as api:
        system.write(BASH)
        await system.knows("example_bash_operator", "users")
        run = await system.run("example_bash_operator")
        assert run.dag_run_id == f"manual__{run.logical_date.isoformat()}"
        answer = await api.get("dags/example_bash_operator/tasks")
        graph = {task["task_id"]: set(task["downstream_task_ids"]) for task in (await answer.json())["tasks"]}
        assert graph == {
            **{f"runme_{i}": {"run_after_loop"} for i in range(3)},
            "run_after_loop": {"run_this_last"},
            "also_run_this": {"run_this_last"},
            "run_this_last": set(),
        }
        answer = await api.get(f"dags/example_bash_operator/dagRuns/{run.dag_run_id.replace('+', '%2B')}/taskInstances")
        bars = {row["task_id"]: row for row in (await answer.json())["task_instances"]}
        assert {row["state"] for row in bars.values()} == {"success"}
        for name, following in graph.items():
            for other in following:
                end, start = (
                    datetime.fromisoformat(text) for text in (bars[name]["end_date"], bars[other]["start_date"])
                )
                assert end <= start
        assert all(bars[f"runme_{i}"]["duration"] >= 0.1 for i in range(3))
        results = await system.results(run)
        assert results["runme_0"] == f"example_bash_operator__runme_0__{run.logical_date:%Y%m%d}"
        assert results["also_run_this"].startswith(
            f"run_id={run.dag_run_id} | dag_run=<DagRun example_bash_operator @ "
        )
        users = await system.run("users")
        assert await system.states(users) == {"print_user": "success", "print_date": "success"}
        assert (await system.results(users))["print_date"]


SALES = """
import asyncio
from datetime import datetime

import asyncpg
from airflow import DAG
from airflow.decorators import task

async def ask(*statements):
    connection = await asyncpg.connect("URL")
    try:
        for statement in statements[:-1]:
            await connection.execute(statement)
        return [[str(value) for value in row] for row in await connection.fetch(statements[-1])]
    finally:
        await connection.close()


with DAG("monthly_sales", start_date=datetime(2026, 1, 1), schedule_interval=None):

    @task
    def join_first():
        months = "SELECT c.grouped, date_trunc('month', s.sold)::date AS month, sum(s.amount), count(*)"
        where = "FROM sales s JOIN customers c USING (customer) WHERE s.sold >= '2026-01-01' "
        where += "GROUP BY 1, 2 ORDER BY 1, 2"
        rows = asyncio.run(ask(f"{months} {where}"))
        return {"rows": [row[:3] for row in rows], "joined": sum(int(row[3]) for row in rows)}

    @task
    def filter_and_aggregate():
        asyncio.run(ask(
            "CREATE TABLE of_month AS SELECT customer, date_trunc('month', sold)::date AS month, sum(amount) AS amount "
            "FROM sales WHERE sold >= '2026-01-01' GROUP BY 1, 2",
            "SELECT count(*) FROM of_month",
        ))

    @task
    def join_the_rest():
        rows = asyncio.run(ask(
            "SELECT c.grouped, month, sum(amount), count(*) FROM of_month JOIN customers c USING (customer) "
            "GROUP BY 1, 2 ORDER BY 1, 2"
        ))
        return {"rows": [row[:3] for row in rows], "joined": sum(int(row[3]) for row in rows)}

    join_first()
    filter_and_aggregate() >> join_the_rest()
"""


@pytest.mark.spec("2:U24")
async def test_aggregating_before_the_join_gives_the_same_from_fewer_rows(
    tmp_path: Path, new_database: NewDatabase
) -> None:
    shop = await new_database()
    connection = await asyncpg.connect(shop)
    await connection.execute(
        "CREATE TABLE customers AS SELECT n AS customer, 'group ' || n % 3 AS grouped FROM generate_series(1, 30) n;"
        "CREATE TABLE sales AS SELECT n % 30 + 1 AS customer, date '2025-12-01' + n % 90 AS sold, n % 7 AS amount "
        "FROM generate_series(1, 3000) n"
    )
    await connection.close()
    async with running_system(tmp_path, await new_database()) as system:
        system.write(SALES.replace("URL", shop))
        await system.knows("monthly_sales")
        results = await system.results(await system.run("monthly_sales"))
    before, after = results["join_first"], results["join_the_rest"]
    assert before["rows"] == after["rows"]
    assert len(before["rows"]) == 6, "two months of three groups"
    assert after["joined"] <= 60, "one row a customer and month"
    assert before["joined"] > 20 * after["joined"]


CONTEXT = """
from datetime import datetime
from airflow import DAG
from airflow.operators.python import PythonOperator

def _print_context(**kwargs):
    print(kwargs)
    return sorted(kwargs)

def _print_interval(execution_date, next_execution_date, **_):
    print(f"Start: {execution_date}, end: {next_execution_date}")

with DAG("print_context", start_date=datetime(2019, 1, 1), end_date=datetime(2019, 1, 1), schedule_interval="@daily"):
    PythonOperator(task_id="print_context", python_callable=_print_context)
    PythonOperator(task_id="print_interval", python_callable=_print_interval)
"""

WHAT: Sequence[str] = (
    "conf", "dag", "dag_run", "ds", "ds_nodash", "execution_date", "macros", "next_ds", "params", "prev_ds", "run_id",
    "task", "task_instance", "templates_dict", "test_mode", "ti", "ts", "ts_nodash", "var", "yesterday_ds",
)  # fmt: skip


@pytest.mark.spec("1:UC-I")
async def test_the_whole_context_and_a_connection_by_command(tmp_path: Path, database_url: str) -> None:
    """The context printed, start and end of the interval; a connection added by a command is there for all."""
    async with running_system(tmp_path, database_url) as system, rest_api(system) as api:
        system.write(CONTEXT)
        await system.knows("print_context")
        await system.runtime.control.dag_pause("print_context", paused=False)
        (run,) = await system.ended("print_context", 1)
        assert set(WHAT) <= set((await system.results(run))["print_context"])
        assert any("'ds': '2019-01-01'" in line for line in await system.log(run, "print_context"))
        said = "Start: 2019-01-01 00:00:00+00:00, end: 2019-01-02 00:00:00+00:00"
        assert said in await system.log(run, "print_interval")
        added = ("--conn-type", "postgres", "--conn-host", "localhost", "--conn-login", "postgres")
        await system.tradewind("connections", "add", *added, "--conn-password", "mysecretpassword", "my_postgres")
        answer = await api.get("connections")
        (shown,) = (await answer.json())["connections"]
        assert (shown["connection_id"], shown["conn_type"], shown["host"]) == ("my_postgres", "postgres", "localhost")
        assert "mysecretpassword" not in json.dumps(shown)
