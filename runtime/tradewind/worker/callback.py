"""Runs one callback that no attempt could run itself: of a DAG, or of a task whose process had died.

``python -m tradewind.worker.callback`` with a JSON request on standard input::

    {dag_id, run_id, dag_run_id, state, logical_date, …, fileloc, relative_fileloc, calls_fd,
     callback: {which: "on_failure", reason, [task_id, map_index, try_number]}}

`which` is also "sla_miss" (with `tasks` and `blocking`) and "deadline" (with `number` and `at`). `calls_fd` is a
socket over which variables, connections and XComs are asked for. What the callbacks print goes to standard
output. The exit code is 1, after the tracebacks, if one of them failed or could not be found.
"""

from __future__ import annotations

import base64
import socket
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

import orjson

from tradewind.authoring.access import CurrentAttempt, current_attempt
from tradewind.authoring.calling import called_with, places_of
from tradewind.authoring.context import Context, build_context
from tradewind.authoring.dag import DAG
from tradewind.authoring.dag_run import DagRun
from tradewind.authoring.deadlines import MissedDeadline, call_alert
from tradewind.authoring.defaults import current_defaults, use_defaults
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.sla import SlaMiss
from tradewind.bundles.loader import load_file
from tradewind.bundles.parse_protocol import defaults_from_json
from tradewind.model.attempts import Attempt, AttemptKey, RunFacts
from tradewind.model.errors import NotFoundError, TaskFailed
from tradewind.model.keys import UNMAPPED, AttemptId, RunId
from tradewind.model.outcomes import EncodedValue
from tradewind.model.specs import DagSource, TaskSpec
from tradewind.model.states import RunState, RunType
from tradewind.worker.attempt import awaited
from tradewind.worker.callback_system import AwaitableSystem, CallbackSystem
from tradewind.worker.dag_missing import bundle_root, missing_dag
from tradewind.worker.steps import STATE_TOLD, callbacks_named

Request = dict[str, Any]


def main() -> None:
    """Runs what the request asks for."""
    request = orjson.loads(sys.stdin.buffer.read())
    try:
        defaults = request.get("authoring_defaults")
        with use_defaults(defaults_from_json(defaults) if defaults else current_defaults()):
            failures = run_callbacks(request)
    except Exception:
        traceback.print_exc()
        failures = 1
    sys.stdout.flush()
    sys.exit(1 if failures else 0)


def run_callbacks(request: Request) -> int:
    """Calls each function of the callback; returns how many raised. Raises DagFileError, NotFoundError."""
    source = DagSource("", "", request["fileloc"], request["relative_fileloc"])
    dag = load_file(source.fileloc, root=bundle_root(source)).dags.get(request["dag_id"])
    if dag is None:
        raise missing_dag(request["dag_id"], source)
    operator = _operator(dag, request["callback"].get("task_id"))
    context = context_of(request, dag, operator, source)
    failures = 0
    for call in _calls(request["callback"], dag, operator, context):
        try:
            awaited(call())
        except BaseException:
            traceback.print_exc()
            failures += 1
    return failures


def _calls(wanted: Request, dag: DAG, operator: BaseOperator, context: Context) -> Sequence[Callable[[], object]]:
    which = wanted["which"]
    if which == "sla_miss":
        return _sla_calls(wanted, dag, context)
    if which == "deadline":
        return [_deadline_call(wanted, dag, context)]
    owner: Any = dag if wanted.get("task_id") is None else operator
    return [partial(function, context) for function in callbacks_named(owner, which)]


def _sla_calls(wanted: Request, dag: DAG, context: Context) -> Sequence[Callable[[], object]]:
    """`(dag, task_list, blocking_task_list, slas, blocking_tis)`, or the context for a function with one argument."""
    misses, blocking = ([SlaMiss.of(one) for one in wanted[name]] for name in ("tasks", "blocking"))
    listed, blocked = ("\n".join(str(one) for one in ones) for ones in (misses, blocking))
    names = ("dag", "task_list", "blocking_task_list", "slas", "blocking_tis")
    values: tuple[Any, ...] = (dag, listed, blocked, misses, blocking)
    for name, value in zip(names[1:], values[1:], strict=True):
        context[name] = value
    calls: list[Callable[[], object]] = []
    for function in dag.sla_miss_callback:
        whole = values if places_of(function, 5) > 1 else (context,)
        calls.append(partial(called_with, function, *whole))
    return calls


def _deadline_call(wanted: Request, dag: DAG, context: Context) -> Callable[[], object]:
    alerts = dag.deadlines
    number: int = wanted["number"]
    if number >= len(alerts):
        raise NotFoundError(f"DAG {dag.dag_id!r} has no deadline number {number + 1} any more")
    alert = alerts[number]
    missed = MissedDeadline(alert.label, datetime.fromisoformat(wanted["at"]))
    context["deadline"] = missed
    return partial(call_alert, alert, context, missed)


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


def context_of(request: Request, dag: DAG, operator: BaseOperator, source: DagSource) -> Context:
    """The context of the task, or for a DAG's callback that of one of its last tasks."""
    wanted = request["callback"]
    run = _run(request, dag, source)
    try_number: int = wanted.get("try_number", 1)
    map_index: int = wanted.get("map_index", UNMAPPED)
    key = AttemptKey(AttemptId(bytes(16)), run.run_id, operator.task_id, map_index, try_number)
    spec = TaskSpec(operator.task_id, retries=operator.retries)
    attempt = Attempt(key, spec, run, operator.retries + 1, run.queued_at)
    calls_fd: int | None = request.get("calls_fd")
    blocking = CallbackSystem(None if calls_fd is None else socket.socket(fileno=calls_fd))
    faces: tuple[Any, Any] = (AwaitableSystem(blocking), blocking)
    current = CurrentAttempt(attempt, *faces)
    current_attempt.set(current)
    context = build_context(current, dag, operator)
    context["reason"] = wanted.get("reason")
    if wanted["which"] in ("on_failure", "on_retry"):
        context["exception"] = TaskFailed(wanted.get("reason") or "the task failed")
    context["dag_run"] = DagRun(run, RunState(request["state"]), _instant(request, "ended_at", None))
    state = STATE_TOLD.get(wanted["which"])
    if state is not None and wanted.get("task_id") is not None:
        context["ti"].state = state
    return context


def _run(request: Request, dag: DAG, source: DagSource) -> RunFacts:
    at = datetime.fromisoformat(request["logical_date"])
    conf = request.get("conf")
    return RunFacts(
        run_id=RunId(request.get("run_id", 0)),
        dag_id=dag.dag_id,
        dag_run_id=request["dag_run_id"],
        version_hash=request.get("version_hash", ""),
        run_type=RunType(request.get("run_type", RunType.MANUAL)),
        logical_date=at,
        interval_start=_instant(request, "interval_start", at),
        interval_end=_instant(request, "interval_end", at),
        run_after=_instant(request, "run_after", at),
        queued_at=_instant(request, "queued_at", at),
        started_at=_instant(request, "started_at", None),
        conf=None if conf is None else EncodedValue(conf[0], base64.b64decode(conf[1])),
        external_trigger=bool(request.get("external_trigger")),
        source=source,
    )


def _instant(request: Request, name: str, default: Any) -> Any:
    text = request.get(name)
    return default if text is None else datetime.fromisoformat(text)


if __name__ == "__main__":
    main()
