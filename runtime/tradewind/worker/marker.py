"""Renders what an ExternalTaskMarker says, for a clear that goes on in another DAG: no attempt has done it."""

from __future__ import annotations

from typing import Any

from tradewind.authoring.dag import DAG
from tradewind.authoring.templating import render
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import DagSource
from tradewind.worker.callback import context_of

FIELDS = ("external_dag_id", "external_task_id", "logical_date")


def rendered_marker(dag: DAG, request: dict[str, Any]) -> list[str]:
    """The DAG, the task and the date that a marker names in a run. `request`: as callbacks have it, with the task.

    Raises AuthoringError, and what the templates raise.
    """
    task_id: str = request["callback"]["task_id"]
    task = dag.task_dict.get(task_id)
    if task is None or not all(isinstance(getattr(task, name, None), str) for name in FIELDS):
        raise AuthoringError(f"DAG {dag.dag_id!r} has no ExternalTaskMarker {task_id!r} any more")
    marker = task.shallow_copy_for_run()
    source = DagSource("", "", request["fileloc"], request["relative_fileloc"])
    render(marker, context_of(request, dag, marker, source))
    return [str(getattr(marker, name)) for name in FIELDS]
