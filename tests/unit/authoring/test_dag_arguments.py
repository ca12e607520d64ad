"""Arguments that cannot be are told at once, with the DAG, the task and the argument."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tradewind.authoring.dag import DAG
from tradewind.authoring.task_group import TaskGroup
from tradewind.authoring.timetables.kinds import ContinuousTimetable
from tradewind.model.errors import AuthoringError
from tradewind.standard.bash import BashOperator
from tradewind.standard.empty import EmptyOperator
from tradewind.standard.python import PythonOperator
from tradewind.standard.virtualenv import PythonVirtualenvOperator

DAG_MISTAKES: list[tuple[str, Any, str]] = [
    ("catchup", "no", "True or False is needed, not 'no'"),
    ("render_template_as_native_obj", 1, "True or False is needed, not 1"),
    ("description", 5, "a text is needed, not 5"),
    ("tags", "one", "has to be a list of texts, not the text 'one'"),
    ("tags", [5], "a text is needed, not 5"),
    ("tags", ["x" * 101], "1 to 100 characters"),
    ("owner_links", {"a": "nope"}, "'nope' of 'a' is no link"),
    ("default_view", "nope", "'nope' is none of grid, graph"),
    ("orientation", "UP", "'UP' is none of LR, TB"),
    ("template_searchpath", 5, "a text or a list of texts is needed, not 5"),
    ("user_defined_macros", 5, "a dict is needed, not 5"),
    ("default_args", 5, "a dict is needed, not 5"),
]
CONTINUOUS = ("@continuous", ContinuousTimetable())


@pytest.mark.parametrize(("name", "value", "said"), DAG_MISTAKES)
def test_a_dag_says_which_argument_is_wrong(name: str, value: Any, said: str) -> None:
    with pytest.raises(AuthoringError, match=f"DAG 'd': {name}") as told:
        DAG("d", **{name: value})
    assert said in str(told.value)


def test_what_stands_for_nothing_is_fine() -> None:
    names = {name for name, _, _ in DAG_MISTAKES} - {"default_view", "orientation"}
    assert DAG("d", **dict.fromkeys(names)).tags == set()  # type: ignore[arg-type]  # as files may have it
    assert DAG("d", default_view="tree", orientation="TB", owner_links={"a": "mailto:a@b.c"}).owner_links


@pytest.mark.parametrize("schedule", CONTINUOUS)
def test_a_continuous_dag_has_one_run_at_a_time(schedule: Any) -> None:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    assert DAG("d", schedule=schedule, start_date=start).max_active_runs == 1
    assert DAG("d", schedule=schedule, start_date=start, max_active_runs=1).to_spec().max_active_runs == 1
    with pytest.raises(AuthoringError, match=r"DAG 'd': max_active_runs: 3 .*[cC]ontinuous.* one run at a time"):
        DAG("d", schedule=schedule, start_date=start, max_active_runs=3)


def nothing() -> None:
    """A function with a name, as virtual environments want it."""


TASK_MISTAKES: list[tuple[Any, dict[str, Any], str]] = [
    (BashOperator, {"bash_comand": "x"}, "missing keyword argument 'bash_command' ('bash_comand' was given)"),
    (EmptyOperator, {"pool": ""}, "EmptyOperator 'a': pool: a pool's name has 1 to 250 characters"),
    (EmptyOperator, {"email": 5}, "EmptyOperator 'a': email: a text or a list of texts is needed, not 5"),
    (PythonOperator, {"python_callable": len, "templates_exts": 5}, "PythonOperator 'a': templates_exts"),
    (
        PythonVirtualenvOperator,
        {"python_callable": nothing, "requirements": 5},
        "PythonVirtualenvOperator 'a': requirements: a text or a list of texts is needed, not 5",
    ),
]


@pytest.mark.parametrize(("operator", "given", "said"), TASK_MISTAKES)
def test_a_task_says_which_argument_is_wrong(operator: Any, given: dict[str, Any], said: str) -> None:
    with DAG("d"), pytest.raises(AuthoringError) as told:
        operator(task_id="a", **given)
    assert said in str(told.value)


def test_a_group_says_which_argument_is_wrong() -> None:
    wrong: Any = 5
    with DAG("d"):
        with pytest.raises(AuthoringError, match="TaskGroup 'g': default_args: a dict is needed, not 5"):
            TaskGroup("g", default_args=wrong)
        with pytest.raises(AuthoringError, match="TaskGroup 'g': tooltip: a text is needed, not 5"):
            TaskGroup("g", tooltip=wrong)
