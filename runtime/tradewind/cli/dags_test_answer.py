"""A trial run's result as one JSON object, for programs."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

from tradewind.model.states import TaskState

if TYPE_CHECKING:
    from tradewind.model.outcomes import EncodedValue
    from tradewind.model.rows import AttemptRow
    from tradewind.trial import TrialReport

_FAILED: Final = ("failed", "failed_for_good", "timed_out")
_IMPORTS_AIRFLOW: Final = re.compile(rb"^\s*(?:from|import)\s+airflow\b", re.MULTILINE)
_CAUSE: Final = re.compile(r": ([A-Z]\w*(?:Error|NotFound|Exception)): ")
"""What was wrong with a template, in the message about it."""

AIRFLOW_NAMES: Final = {
    "TradewindError": "AirflowException",
    "TaskFailed": "AirflowException",
    "FailWithoutRetry": "AirflowFailException",
    "TaskTimeout": "AirflowTaskTimeout",
    "SensorTimeout": "AirflowSensorTimeout",
    "NotFoundError": "AirflowNotFoundException",
}
"""Our exceptions as a file that imports airflow knows them."""


def answer_of(report: TrialReport, source: bytes = b"") -> dict[str, Any]:
    """State, task instances, XComs and errors of the run; `source` is the text of the DAG file."""
    run = report.run
    names = AIRFLOW_NAMES if _IMPORTS_AIRFLOW.search(source) else {}
    last = {(attempt.task_id, attempt.map_index): attempt for attempt in report.attempts}
    answer: dict[str, Any] = {
        "state": run.state.value,
        "logical_date": run.logical_date.isoformat(),
        "data_interval": [run.interval_start.isoformat(), run.interval_end.isoformat()],
        "tis": [
            [row.task_id, row.map_index, None if row.state is TaskState.NONE else row.state.value, row.try_number]
            for row in report.instances
        ],
        "xcoms": [[x.task_id, x.map_index, x.key, xcom_value(x.value)] for x in report.xcoms],
        "errors": {
            f"{task_id}[{index}]": name
            for (task_id, index), attempt in last.items()
            if (name := _error(attempt, names)) is not None
        },
    }
    if report.waiting:
        answer["waiting"] = dict(report.waiting)
    return answer


def to_line(answer: dict[str, Any]) -> str:
    """The answer in one line; halves of surrogate pairs, which no output can encode, as JSON's escapes."""
    line = json.dumps(answer, sort_keys=True, ensure_ascii=False)
    return re.sub("[\ud800-\udfff]", lambda half: f"\\u{ord(half[0]):04x}", line)


def _error(attempt: AttemptRow, names: dict[str, str]) -> str | None:
    """The class of the exception that the last attempt of a task instance failed with."""
    if attempt.kind is None or attempt.kind.value not in _FAILED:
        return None
    detail: Any = attempt.detail or {}
    error = detail.get("error")
    if not error:
        return str(detail.get("reason") or attempt.kind.value)
    name = str(error["type"]).rpartition(".")[2]
    if name == "TemplateFailed" and (cause := _CAUSE.search(str(error["message"]))) is not None:
        return cause[1]
    return names.get(name, name)


def xcom_value(encoded: EncodedValue) -> Any:
    """The stored value where JSON has it, else the name of its class."""
    from tradewind.authoring.xcom import decode

    value: Any = decode(encoded)
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError):
        return {"__type__": type(value).__name__}
