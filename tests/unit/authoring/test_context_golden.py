"""Templates render to what a real Airflow 2.11 rendered them to."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pendulum
import pytest
from dateutil.relativedelta import relativedelta

from tests.unit.authoring.attempts import run_row, running, when
from tests.unit.authoring.in_memory_services import InMemoryServices
from tradewind.authoring.context import build_context
from tradewind.authoring.dag import DAG
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.templating import render_template
from tradewind.authoring.timetables import CronTriggerTimetable

GOLDEN = Path(__file__).parents[2] / "data" / "golden"

ONLY_A_REPR = frozenset({"{{ ti.xcom_pull(task_ids=['never']) }}", "{{ task }}"})
"""Texts that are only the repr of a class of Airflow's."""

ENVIRONMENT = {
    "AIRFLOW_VAR_PLAIN": "value of plain",
    "AIRFLOW_VAR_NUM": "42",
    "AIRFLOW_VAR_DOC": '{"a": {"b": [1, 2, {"c": "deep"}]}, "n": 3.5, "t": true, "z": null}',
    "AIRFLOW_CONN_DB": "postgres://user:pa%40ss@db.example.com:5432/shop?sslmode=require&n=3",
}


def cases() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (GOLDEN / "context.jsonl").read_text().splitlines()]


def span(data: dict[str, dict[str, Any]] | None) -> timedelta | relativedelta:
    if data is None:
        return timedelta()
    ((kind, arguments),) = data.items()
    return timedelta(**arguments) if kind == "timedelta" else relativedelta(**arguments)


def schedule_of(case: dict[str, Any]) -> Any:
    kind = case["timetable"]
    if kind == "cron_data_interval":
        return case["cron"]
    if kind == "cron_trigger":
        return CronTriggerTimetable(case["cron"], timezone=case["timezone"], interval=span(case.get("interval")))
    if kind == "delta_data_interval":
        return span(case["delta"])
    return {"once": "@once", "continuous": "@continuous", "none": None}[kind]


def rendered(template: str, context: Any, dag: DAG) -> Any:
    try:
        return render_template(template, context, dag)
    except Exception as error:
        return {"error": [type(error).__name__, str(error)]}


@pytest.mark.parametrize("case", cases(), ids=lambda c: c["id"])
def test_templates(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    start = pendulum.instance(when(case["start_date"])).in_timezone(case["timezone"])
    with DAG(case["id"], schedule=schedule_of(case), start_date=start, catchup=True, params=case["params"]) as dag:
        task = BaseOperator(task_id="a_task", owner="someone", retries=case["retries"], start_date=start)
    services = InMemoryServices()
    services.runs = [run_row(number, run, dag.dag_id) for number, run in enumerate(case["runs"])]
    wanted = case["rendered_for_run"]
    (row,) = [run for run in services.runs if run.dag_run_id == wanted]
    (given,) = [run for run in case["runs"] if run["run_id"] == wanted]
    context = build_context(running(dag, "a_task", row, services, given["try_number"]), dag, task)
    compared = {template: text for template, text in case["rendered"].items() if template not in ONLY_A_REPR}
    assert {template: rendered(template, context, dag) for template in compared} == compared
