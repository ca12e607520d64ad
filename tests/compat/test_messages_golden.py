"""What users are told about common mistakes: the facts of Airflow's messages, in ours."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tradewind.authoring.dag import DAG
from tradewind.bundles.loader import DagFileError, load_file
from tradewind.model.errors import AuthoringError
from tradewind.trial import TrialReport, try_dag

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "data" / "golden" / "cli_messages.json").read_text(encoding="utf-8")
)
HEAD = """
from datetime import datetime, timedelta, timezone
from airflow import DAG
from airflow.decorators import task
from airflow.models.baseoperator import chain
from airflow.models.param import Param
from airflow.operators.bash import BashOperator
from airflow.operators.empty import EmptyOperator
from airflow.operators.python import BranchPythonOperator, PythonOperator
from airflow.utils.task_group import TaskGroup
START = datetime(2024, 1, 1, tzinfo=timezone.utc)
"""

FACTS: dict[str, tuple[str, ...]] = {
    "cycle": ("DAG: d", "a -> b"),
    "duplicate_task_id": ("'a'", "has already been added to the DAG"),
    "missing_required_argument": ("'bash_command'",),
    "unexpected_argument": ("EmptyOperator", "task_id: a", "'colour'"),
    "unknown_trigger_rule": ("'sometimes'", "all_success", "one_done", "always", "none_skipped"),
    "invalid_cron": ("every day",),
    "schedule_without_start_date": ("missing the start_date parameter", "'d'"),
    "dag_id_with_bad_characters": ("'a b'", "dashes, dots and underscores"),
    "task_without_dag_on_run": ("'a'", "DAG"),
    "task_run_without_start_date": ("'a'", "start_date"),
    "task_id_with_bad_characters": ("'a b!'", "dashes, dots and underscores"),
    "group_id_clash": ("'g'", "has already been added to the DAG"),
    "chain_of_unequal_lists": ("2", "3"),
    "get_missing_task": ("Task nope not found",),
    "branch_to_missing_task": ("nope",),
    "template_undefined_variable": ("UndefinedError: 'nope' is undefined",),
    "template_file_missing": ("TemplateNotFound: 'nope.sh' not found in search path",),
    "xcom_not_json": ("object",),
    "xcom_not_json_lock": ("lock",),
    "bash_nonzero": ("non-zero exit code 3",),
    "python_callable_not_callable": ("python_callable",),
    "execution_timeout": ("1 s",),
    "variable_missing": ("nope",),
    "connection_missing": ("The conn_id `nope` isn't defined",),
    "map_over_non_list": ("unmappable return type 'int'",),
    "taskflow_missing_argument": ("missing a required argument: 'v'",),
    "sensor_bad_mode": ("'poke'", "'reschedule'", "'wait'", "'d'"),
}
"""Names, numbers and allowed values that the message has to give."""

DIFFERENT_STATES: dict[str, dict[str, str]] = {}
"""Final states that are not Airflow's, on purpose."""

pytestmark = pytest.mark.blocks_the_loop


def said_of(case: dict[str, Any], folder: Path) -> tuple[str, TrialReport | None]:
    """What a user is told, and the report where it runs."""
    file = folder / "d.py"
    file.write_text(HEAD + case["code"] + "\n", encoding="utf-8")
    try:
        dag: DAG | None = load_file(file).dags.get("d")
        if dag is None:
            return "", None
        dag.to_spec()
    except (DagFileError, AuthoringError) as error:
        return str(error), None
    if case["when"] != "running":
        return "", None
    report = asyncio.run(try_dag(dag))
    return "\n".join(report.errors.values()), report


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_message_has_the_facts(case: dict[str, Any], tmp_path: Path) -> None:
    said, report = said_of(case, tmp_path)
    name = case["name"]
    for fact in FACTS.get(name, ()):
        assert fact in said, said
    if report is not None and "states" in case:
        states = {row.task_id: row.state.value for row in report.instances}
        assert states == DIFFERENT_STATES.get(name, case["states"])
        if "run_state" in case:
            assert report.run.state.value == case["run_state"]
    if name not in FACTS:
        assert not said, said
