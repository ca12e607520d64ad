"""`@task.run_if` and `@task.skip_if`."""

from __future__ import annotations

from typing import Any

import pytest

from tradewind import DAG, task
from tradewind.model.errors import AuthoringError


def test_conditions_decide_whether_a_task_runs() -> None:
    ran: list[str] = []

    def note(name: str) -> Any:
        def before(context: Any) -> bool:
            ran.append(name)
            return bool(context["params"]["on"])

        return before

    with DAG("d", schedule=None, params={"on": True}) as dag:

        @task.run_if(note("a"))
        @task
        def runs() -> None: ...

        @task.skip_if(note("b"), skip_message="not today")
        @task(task_id="skips")
        def never() -> None: ...

        @task.run_if(lambda _: (False, "because of the moon"))
        @task
        async def told() -> None: ...

        @task.run_if(note("outer"))
        @task.skip_if(note("inner"))
        @task.bash
        def both() -> str:
            return "true"

        for function in (runs, never, told, both):
            function()
    report = dag.test()
    states = {row.task_id: row.state.value for row in report.instances}
    assert states == {"runs": "success", "skips": "skipped", "told": "skipped", "both": "skipped"}
    reasons = {row.task_id: row.detail["reason"] for row in report.attempts if row.detail and "reason" in row.detail}
    assert reasons["skips"] == "not today"
    assert reasons["told"] == "because of the moon"
    assert sorted(ran) == ["a", "b", "inner", "outer"]


def test_they_stand_above_a_task() -> None:
    run_if: Any = task.run_if

    def plain() -> None: ...

    with pytest.raises(AuthoringError, match="has to stand above @task"):
        run_if(bool)(plain)
    with pytest.raises(AuthoringError, match="has to be a function of the context"):
        run_if(True)
