"""Runs one callback that no attempt could run itself: of a DAG, or of a task whose process had died.

``python -m tradewind.worker.callback`` with a JSON request on standard input::

    {dag_id, dag_run_id, state, logical_date, fileloc, relative_fileloc,
     callback: {which: "on_failure", reason, [task_id, try_number]}}

What the callbacks print goes to standard output. The exit code is 1, after the tracebacks, if one of
them failed or could not be found.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NoReturn

import orjson

from tradewind.authoring.access import CurrentAttempt, current_attempt
from tradewind.authoring.context import Context, build_context
from tradewind.authoring.dag import DAG
from tradewind.authoring.operator import BaseOperator
from tradewind.bundles.loader import load_file
from tradewind.model.attempts import Attempt, AttemptKey, RunFacts
from tradewind.model.errors import NotFoundError, TaskFailed
from tradewind.model.keys import AttemptId, RunId
from tradewind.model.specs import DagSource, TaskSpec
from tradewind.model.states import RunType
from tradewind.worker.attempt import awaited
from tradewind.worker.dag_missing import bundle_root, missing_dag
from tradewind.worker.steps import callbacks_named


class _Nobody:
    """The system cannot be asked from here: a callback gets facts, not services."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(
            f"{name}: variables, connections and XComs cannot be read in a callback that runs on its own"
        )


def main() -> None:
    """Runs what the request asks for."""
    request = orjson.loads(sys.stdin.buffer.read())
    try:
        failures = run_callbacks(request)
    except Exception:
        traceback.print_exc()
        failures = 1
    sys.stdout.flush()
    sys.exit(1 if failures else 0)


def run_callbacks(request: dict[str, Any]) -> int:
    """Calls each function of the callback; returns how many raised. Raises DagFileError, NotFoundError."""
    source = DagSource("", "", request["fileloc"], request["relative_fileloc"])
    dag = load_file(source.fileloc, root=bundle_root(source)).dags.get(request["dag_id"])
    if dag is None:
        raise missing_dag(request["dag_id"], source)
    wanted = request["callback"]
    task_id: str | None = wanted.get("task_id")
    operator = _operator(dag, task_id)
    owner: Any = dag if task_id is None else operator
    context = _context(request, dag, operator, source)
    failures = 0
    for function in callbacks_named(owner, wanted["which"]):
        try:
            awaited(function(context))
        except BaseException:
            traceback.print_exc()
            failures += 1
    return failures


def _operator(dag: DAG, task_id: str | None) -> BaseOperator:
    if task_id is not None:
        operator = dag.task_dict.get(task_id)
        if operator is None:
            raise NotFoundError(f"DAG {dag.dag_id!r} has no task {task_id!r} any more, so its callback is gone too")
        return operator
    leaves: Sequence[BaseOperator] = dag.leaves
    if not leaves:
        raise NotFoundError(f"DAG {dag.dag_id!r} has no tasks any more")
    return leaves[0]


def _context(request: dict[str, Any], dag: DAG, operator: BaseOperator, source: DagSource) -> Context:
    """The context of the task, or for a DAG's callback that of one of its last tasks."""
    at = datetime.fromisoformat(request["logical_date"])
    wanted = request["callback"]
    run = RunFacts(
        run_id=RunId(0),
        dag_id=dag.dag_id,
        dag_run_id=request["dag_run_id"],
        version_hash="",
        run_type=RunType(request.get("run_type", RunType.MANUAL)),
        logical_date=at,
        interval_start=_instant(request, "interval_start", at),
        interval_end=_instant(request, "interval_end", at),
        run_after=at,
        queued_at=_instant(request, "queued_at", at),
        started_at=None,
        conf=None,
        external_trigger=bool(request.get("external_trigger")),
        source=source,
    )
    key = AttemptKey(AttemptId(bytes(16)), run.run_id, operator.task_id, try_number=wanted.get("try_number", 1))
    attempt = Attempt(key, TaskSpec(operator.task_id), run, wanted.get("try_number", 1), at)
    nobody: Any = _Nobody()
    current = CurrentAttempt(attempt, nobody, nobody)
    current_attempt.set(current)
    context = build_context(current, dag, operator)
    context["reason"] = wanted.get("reason")
    if wanted["which"] in ("on_failure", "on_retry"):
        context["exception"] = TaskFailed(wanted.get("reason") or "the task failed")
    return context


def _instant(request: dict[str, Any], name: str, default: datetime) -> datetime:
    text = request.get(name)
    return default if text is None else datetime.fromisoformat(text)


if __name__ == "__main__":
    main()
