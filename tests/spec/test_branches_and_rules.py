"""Branches, conditions, trigger rules: the rows of the specification, in the spelling of existing DAG files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.authored import load_one, ran, states

pytestmark = pytest.mark.blocks_the_loop  # a trial has the loop for itself

UMBRELLA = """
from datetime import datetime

from airflow import DAG
from airflow.operators.dummy import DummyOperator
from airflow.operators.python import BranchPythonOperator, PythonOperator


def pick(**context):
    from pendulum import datetime as moment
    if context["execution_date"] < moment(2026, 1, 10):
        return "fetch_sales_old"
    return ["fetch_sales_new"]


def nothing(**_):
    return None


with DAG(dag_id="umbrella", start_date=datetime(2026, 1, 1), schedule_interval="@daily") as dag:
    start = DummyOperator(task_id="start")
    pick_erp = BranchPythonOperator(task_id="pick_erp", python_callable=pick)
    old, clean_old, new, clean_new = (
        PythonOperator(task_id=f"{name}_sales_{age}", python_callable=nothing)
        for age in ("old", "new")
        for name in ("fetch", "clean")
    )
    weather = DummyOperator(task_id="fetch_weather")
    JOIN
    train = DummyOperator(task_id="train")
    start >> [pick_erp, weather]
    pick_erp >> [old, new]
    old >> clean_old
    new >> clean_new
    EDGES
    joined >> train
"""

DIRECT = "[clean_old, clean_new, weather] >> joined"


def umbrella(folder: Path, join: str, edges: str = DIRECT) -> dict[str, dict[str, str]]:
    dag = load_one(folder, UMBRELLA.replace("JOIN", join).replace("EDGES", edges))
    return {date: states(ran(dag, date)) for date in ("2026-01-05", "2026-01-15")}


@pytest.mark.spec("1:B2", "1:B3", "1:14:BranchPythonOperator")
def test_a_default_join_is_skipped_with_the_branch_not_taken(tmp_path: Path) -> None:
    seen = umbrella(tmp_path, 'joined = DummyOperator(task_id="joined")')
    before, after = seen.values()
    assert before["fetch_sales_old"] == before["clean_sales_old"] == "success"
    assert before["fetch_sales_new"] == before["clean_sales_new"] == "skipped"
    assert after["fetch_sales_old"] == "skipped"
    assert after["clean_sales_new"] == "success"
    for found in seen.values():
        assert (found["fetch_weather"], found["joined"], found["train"]) == ("success", "skipped", "skipped")


@pytest.mark.spec("1:B4")
def test_none_failed_lets_the_join_run(tmp_path: Path) -> None:
    for found in umbrella(tmp_path, 'joined = DummyOperator(task_id="joined", trigger_rule="none_failed")').values():
        assert (found["joined"], found["train"]) == ("success", "success")


@pytest.mark.spec("1:B5", "1:O9")
def test_a_dummy_joins_the_branches_and_the_rest_keeps_the_default(tmp_path: Path) -> None:
    join = """join_erp = DummyOperator(task_id="join_erp_branch", trigger_rule="none_failed")
    joined = DummyOperator(task_id="joined")"""
    edges = "[clean_old, clean_new] >> join_erp\n    [join_erp, weather] >> joined"
    for found in umbrella(tmp_path, join, edges).values():
        assert (found["join_erp_branch"], found["joined"], found["train"]) == ("success",) * 3


@pytest.mark.spec("1:B1", "1:P8")
def test_a_condition_within_a_task_passes_its_context_on(tmp_path: Path) -> None:
    dag = load_one(
        tmp_path,
        """
        from datetime import datetime

        import pendulum
        from airflow import DAG
        from airflow.operators.python import PythonOperator

        def fetch(**context):
            change = pendulum.datetime(2026, 1, 10)
            return old(**context) if context["execution_date"] < change else new(**context)

        def old(execution_date, **_):
            return f"old {execution_date.day}"

        def new(execution_date, **_):
            return f"new {execution_date.day}"

        with DAG("inside", start_date=datetime(2026, 1, 1), schedule_interval="@daily"):
            PythonOperator(task_id="fetch", python_callable=fetch)
        """,
    )
    assert ran(dag, "2026-01-05").results["fetch", -1] == "old 5"
    assert ran(dag, "2026-01-15").results["fetch", -1] == "new 15"


@pytest.mark.spec("1:B6", "2:0:Exceptions")
def test_raising_the_skip_exception_skips_the_task_and_its_default_followers(tmp_path: Path) -> None:
    dag = load_one(
        tmp_path,
        """
        from datetime import datetime

        from airflow import DAG
        from airflow.exceptions import AirflowSkipException
        from airflow.operators.dummy import DummyOperator
        from airflow.operators.python import PythonOperator

        def skip():
            raise AirflowSkipException("not the most recent one")

        with DAG("skips", start_date=datetime(2026, 1, 1), schedule_interval=None):
            skipping = PythonOperator(task_id="skipping", python_callable=skip)
            skipping >> [DummyOperator(task_id="follows"), DummyOperator(task_id="whatever", trigger_rule="all_done")]
        """,
    )
    assert states(ran(dag)) == {"skipping": "skipped", "follows": "skipped", "whatever": "success"}


@pytest.mark.spec("1:B8", "1:H2", "1:C3")
def test_what_is_not_below_a_failure_goes_on(tmp_path: Path) -> None:
    report = ran(
        load_one(
            tmp_path,
            """
            from datetime import datetime

            from airflow import DAG
            from airflow.operators.bash import BashOperator

            with DAG("half", start_date=datetime(2026, 1, 1), schedule_interval=None):
                fetch_sales = BashOperator(task_id="fetch_sales", bash_command="exit 1")
                clean_sales = BashOperator(task_id="clean_sales", bash_command="true")
                fetch_weather = BashOperator(task_id="fetch_weather", bash_command="true")
                clean_weather = BashOperator(task_id="clean_weather", bash_command="true")
                join = BashOperator(task_id="join", bash_command="true")
                fetch_sales >> clean_sales >> join
                fetch_weather >> clean_weather >> join
            """,
        )
    )
    assert report.run.state == "failed"
    assert states(report) == {
        "fetch_sales": "failed",
        "clean_sales": "upstream_failed",
        "fetch_weather": "success",
        "clean_weather": "success",
        "join": "upstream_failed",
    }


RULES = """
from datetime import datetime

from airflow import DAG
from airflow.exceptions import AirflowSkipException
from airflow.operators.python import PythonOperator


def does(outcome):
    if outcome == "failed":
        raise ValueError("as told")
    if outcome == "skipped":
        raise AirflowSkipException("as told")


with DAG("rules", start_date=datetime(2026, 1, 1), schedule_interval=None):
    below = PythonOperator(task_id="below", python_callable=print, trigger_rule=RULE)
    for number, outcome in enumerate(PARENTS):
        PythonOperator(task_id=f"parent_{number}", python_callable=does, op_args=[outcome]) >> below
"""

GOOD, BAD, SKIP = "success", "failed", "skipped"


def below(folder: Path, rule: str, *parents: str) -> str:
    dag = load_one(folder, RULES.replace("RULE", repr(rule)).replace("PARENTS", repr(parents)))
    return states(ran(dag))["below"]


@pytest.mark.spec("1:7a:all_success", "1:7a:all_failed", "1:O3")
def test_all_success_and_all_failed(tmp_path: Path) -> None:
    assert below(tmp_path, "all_success", GOOD, GOOD) == GOOD
    assert below(tmp_path, "all_success", GOOD, BAD) == "upstream_failed"
    assert below(tmp_path, "all_success", GOOD, SKIP) == SKIP
    assert below(tmp_path, "all_failed", BAD, BAD) == GOOD
    assert below(tmp_path, "all_failed", GOOD, BAD) == SKIP


@pytest.mark.spec("1:7a:all_done", "1:7a:dummy")
def test_all_done_and_dummy(tmp_path: Path) -> None:
    assert below(tmp_path, "all_done", GOOD, BAD, SKIP) == GOOD
    assert below(tmp_path, "dummy", BAD) == GOOD


@pytest.mark.spec("1:7a:one_failed", "1:7a:one_success")
def test_one_failed_and_one_success(tmp_path: Path) -> None:
    assert below(tmp_path, "one_failed", GOOD, BAD) == GOOD
    assert below(tmp_path, "one_failed", GOOD, GOOD) == SKIP
    assert below(tmp_path, "one_success", BAD, GOOD) == GOOD
    assert below(tmp_path, "one_success", BAD, BAD) == "upstream_failed"


@pytest.mark.spec("1:7a:none_failed", "1:7a:none_skipped")
def test_none_failed_and_none_skipped(tmp_path: Path) -> None:
    assert below(tmp_path, "none_failed", GOOD, SKIP) == GOOD
    assert below(tmp_path, "none_failed", GOOD, BAD) == "upstream_failed"
    assert below(tmp_path, "none_skipped", GOOD, BAD) == GOOD
    assert below(tmp_path, "none_skipped", GOOD, SKIP) == SKIP
