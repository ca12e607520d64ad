"""Dates where the source contradicts itself or leaves something open: the sensible reading."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from tests.spec.authored import load_one, ran, states
from tradewind.trial import try_dag

pytestmark = pytest.mark.blocks_the_loop  # a trial has the loop for itself

HEAD = """
from datetime import datetime, timedelta

import pendulum
from airflow import DAG
from airflow.exceptions import AirflowSkipException
from airflow.operators.bash import BashOperator
from airflow.operators.python import PythonOperator

"""


@pytest.mark.spec("1:E8", "2:C-07", "1:C11")
def test_names_of_neighbouring_dates_and_halves_of_an_interval(tmp_path: Path) -> None:
    """It is `prev_execution_date`; nothing is called `previous_execution_date`. `ds` is in, `next_ds` is out."""
    dag = load_one(
        tmp_path,
        f"""{HEAD}
def shown(prev_execution_date, next_execution_date, execution_date, data_interval_start, data_interval_end, **rest):
    assert "previous_execution_date" not in rest
    dates = (prev_execution_date, execution_date, next_execution_date, data_interval_start, data_interval_end)
    return [date.isoformat() for date in dates]

with DAG("ratings", schedule_interval="@daily", start_date=datetime(2019, 1, 1)):
    PythonOperator(task_id="shown", python_callable=shown)
    BashOperator(task_id="asked", bash_command="echo 'start={{{{ ds }}}}&end={{{{ next_ds }}}}'")
""",
    )
    report = ran(dag, "2019-01-03", until="2019-01-04")
    assert report.results["asked", -1] == "start=2019-01-03&end=2019-01-04"
    days = [2, 3, 4, 3, 4]
    assert report.results["shown", -1] == [f"2019-01-0{n}T00:00:00+00:00" for n in days], "aware, and in UTC"


@pytest.mark.spec("1:C11")
async def test_a_run_at_eight_of_another_zone_is_rendered_at_seven(tmp_path: Path) -> None:
    dag = load_one(
        tmp_path,
        f"""{HEAD}
with DAG("stocksense", schedule_interval="@hourly", start_date=datetime(2019, 7, 1)):
    BashOperator(task_id="hour", bash_command="echo {{{{ execution_date.hour }}}} {{{{ ts }}}}")
""",
    )
    eight = datetime(2019, 7, 19, 8, tzinfo=timezone(timedelta(hours=1)))
    report = await try_dag(dag, logical_date=eight, capture_output=False)
    assert report.results["hour", -1] == "7 2019-07-19T07:00:00+00:00"
    assert dag.start_date is not None
    assert dag.start_date.isoformat() == "2019-07-01T00:00:00+00:00", "naive dates are taken for UTC"


LATEST = """
def _latest_only(next_execution_date, **context):
    now = NOW
    left_window = context["dag"].following_schedule(context["execution_date"])
    right_window = context["dag"].following_schedule(left_window)
    if not left_window < now <= right_window:
        raise AirflowSkipException("Not the most recent run!")

with DAG("umbrella", schedule_interval="0 HOUR * * *", start_date=pendulum.today("UTC").subtract(days=3)):
    PythonOperator(task_id="latest_only", python_callable=_latest_only) >> BashOperator(
        task_id="deploy_model", bash_command="echo deployed"
    )
"""


@pytest.mark.spec("1:E9")
def test_the_moment_is_asked_as_pendulum_has_it(tmp_path: Path) -> None:
    """`pendulum.utcnow()` is gone since version 3: the error says so; `pendulum.now("UTC")` is the same."""
    twelve_ago = (datetime.now(UTC) - timedelta(hours=12)).replace(minute=0, second=0, microsecond=0)
    latest = HEAD + LATEST.replace("HOUR", str(twelve_ago.hour))  # an interval that does not end while this runs
    dag = load_one(tmp_path, latest.replace("NOW", 'pendulum.now("UTC")'))
    found = {}
    for back in (1, 2):
        date = twelve_ago - timedelta(days=back)
        found[back] = states(ran(dag, date.isoformat(), until=(date + timedelta(days=1)).isoformat()))["deploy_model"]
    assert found == {1: "success", 2: "skipped"}
    report = ran(load_one(tmp_path, latest.replace("NOW", "pendulum.utcnow()")))
    assert states(report)["latest_only"] == "failed"
    assert "AttributeError: utcnow" in report.errors["latest_only"]
