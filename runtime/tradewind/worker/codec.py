"""The values of the attempt protocol as plain JSON (with bytes, see `frames`), and back."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from functools import cache
from typing import Any, Final, cast

from tradewind.model.assets import AssetEventPut, WatcherSpec
from tradewind.model.attempts import Attempt, AttemptKey, RunFacts
from tradewind.model.durable import Step
from tradewind.model.keys import AttemptId, RunId
from tradewind.model.outcomes import EncodedValue, ErrorInfo, ExitInfo, Outcome, Wait, XComPut
from tradewind.model.rows import InstanceRow, RunRow
from tradewind.model.specs import DagSource, TaskSpec
from tradewind.model.states import OutcomeKind, RunState, RunType, TaskState, TriggerRule
from tradewind.model.waits import Resume, WaitAnswer
from tradewind.model.watches import WatchStart


def _fields(value: Any) -> dict[str, Any]:
    return {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _instant_in(data: dict[str, Any], *names: str) -> None:
    for name in names:
        data[name] = _instant(data.get(name))


def plain_value(value: EncodedValue | None) -> Any:
    """[codec, bytes], or None."""
    return None if value is None else [value.codec, value.data]


def value_of(plain: Any) -> EncodedValue | None:
    """Undoes `plain_value`."""
    return None if plain is None else EncodedValue(plain[0], plain[1])


def plain_key(key: AttemptKey) -> Any:
    """The key as a list."""
    return [key.attempt, key.run_id, key.task_id, key.map_index, key.try_number]


def key_of(plain: Any) -> AttemptKey:
    """Undoes `plain_key`."""
    attempt, run_id, task_id, map_index, try_number = plain
    return AttemptKey(AttemptId(attempt), RunId(run_id), task_id, map_index, try_number)


def plain_attempt(attempt: Attempt) -> Any:
    """An attempt with all facts of its run."""
    return {
        "key": plain_key(attempt.key),
        "task": plain_task(attempt.task),
        "run": plain_facts(attempt.run),
        "max_tries": attempt.max_tries,
        "first_started_at": attempt.first_started_at,
        **({} if attempt.resume is None else {"resume": plain_resume(attempt.resume)}),
    }


def plain_facts(facts: RunFacts) -> dict[str, Any]:
    """The facts of a run."""
    run = _fields(facts)
    run["conf"] = plain_value(facts.conf)
    for name in ("run_key", "partition_date"):
        if run[name] is None:
            del run[name]
    run["source"] = _fields(facts.source)
    return run


def facts_of(plain: dict[str, Any]) -> RunFacts:
    """Undoes `plain_facts`."""
    run = _known(RunFacts, plain)
    run["conf"] = value_of(run["conf"])
    run["source"] = DagSource(**_known(DagSource, run["source"]))
    run["run_type"] = RunType(run["run_type"])
    _instant_in(run, "logical_date", "interval_start", "interval_end", "run_after", "queued_at", "started_at")
    if "partition_date" in run:
        _instant_in(run, "partition_date")
    return RunFacts(**run)


_TASK_DEFAULTS: Final = tuple(
    (field.name, field.default if field.default_factory is dataclasses.MISSING else field.default_factory())
    for field in dataclasses.fields(TaskSpec)
    if field.name != "extra"  # it is the views' own, and any JSON
)


def plain_task(task: TaskSpec) -> dict[str, Any]:
    """A task, without what holds its default."""
    return {name: value for name, default in _TASK_DEFAULTS if (value := getattr(task, name)) != default}


def task_of(plain: dict[str, Any]) -> TaskSpec:
    """Undoes `plain_task`."""
    task = _known(TaskSpec, plain)
    for name in _TASK_TUPLES & task.keys():
        task[name] = tuple(task[name])
    if "trigger_rule" in task:
        task["trigger_rule"] = TriggerRule(task["trigger_rule"])
    for name in _TASK_INSTANTS & task.keys():
        task[name] = _instant(task[name])
    return TaskSpec(**task)


_TASK_TUPLES: Final = frozenset({"upstream", "template_fields", "callbacks", "measured"})
_TASK_INSTANTS: Final = frozenset({"start_date", "end_date"})


@cache
def _names(kind: object) -> frozenset[str]:
    return frozenset(f.name for f in dataclasses.fields(cast("Any", kind)))


def _known(kind: object, data: dict[str, Any]) -> dict[str, Any]:
    """Only the fields that this release knows: the next one may have more."""
    names = _names(kind)
    return {k: v for k, v in data.items() if k in names}


def attempt_of(plain: Any) -> Attempt:
    """Undoes `plain_attempt`."""
    began = datetime.fromisoformat(plain["first_started_at"])
    resume = None if plain.get("resume") is None else resume_of(plain["resume"])
    key, max_tries = key_of(plain["key"]), plain["max_tries"]
    return Attempt(key, task_of(plain["task"]), facts_of(plain["run"]), max_tries, began, resume)


def plain_resume(resume: Resume) -> Any:
    """How a deferred try goes on."""
    answers = [[key, plain_answer(answer)] for key, answer in resume.answers]
    return [resume.method, plain_value(resume.kwargs), plain_answer(resume.answer), answers, resume.undoes]


def resume_of(plain: Any) -> Resume:
    """Undoes `plain_resume`."""
    method, kwargs, answer, answers, undoes = plain
    known = tuple((key, answer_of(one)) for key, one in answers)
    return Resume(method, value_of(kwargs), answer_of(answer), known, undoes)


def plain_answer(answer: WaitAnswer) -> Any:
    """How a wait ended."""
    return [plain_value(answer.event), answer.error, answer.timed_out]


def answer_of(plain: Any) -> WaitAnswer:
    """Undoes `plain_answer`."""
    return WaitAnswer(value_of(plain[0]), plain[1], plain[2])


def plain_watch(start: WatchStart) -> dict[str, Any]:
    """A watcher to be carried out."""
    return {**start._asdict(), "watcher": _fields(start.watcher), "source": _fields(start.source)}


def watch_of(plain: dict[str, Any]) -> WatchStart:
    """Undoes `plain_watch`."""
    watcher = WatcherSpec(**_known(WatcherSpec, plain["watcher"]))
    source = DagSource(**_known(DagSource, plain["source"]))
    return WatchStart(watcher, plain["dag_id"], plain["version_hash"], source)


def plain_step(step: Step) -> Any:
    """A step that a task has taken."""
    return [step.key, step.digest, plain_value(step.value)]


def step_of(plain: Any) -> Step:
    """Undoes `plain_step`."""
    return Step(plain[0], plain[1], value_of(plain[2]))


def plain_wait(wait: Wait) -> Any:
    """What a deferred instance waits for."""
    return wait._asdict() | {"args": plain_value(wait.args), "kwargs": plain_value(wait.kwargs)}


def wait_of(plain: Any) -> Wait:
    """Undoes `plain_wait`."""
    data = {name: value for name, value in plain.items() if name in Wait._fields}
    data["args"], data["kwargs"] = value_of(data.get("args")), value_of(data.get("kwargs"))
    _instant_in(data, "due", "deadline")
    return Wait(**data)


def plain_outcome(outcome: Outcome) -> dict[str, Any]:
    """An outcome, without what holds its default."""
    default = Outcome(outcome.kind)
    plain: dict[str, Any] = {"kind": outcome.kind.value}
    pairs = zip(outcome._fields[1:], outcome[1:], default[1:], strict=True)
    plain.update((name, value) for name, value, usual in pairs if value != usual)
    if outcome.xcoms:
        plain["xcoms"] = [[x.key, plain_value(x.value)] for x in outcome.xcoms]
    if outcome.error is not None:
        plain["error"] = list(outcome.error)
    if outcome.exit is not None:
        plain["exit"] = outcome.exit._asdict()
    if outcome.waits:
        plain["waits"] = [plain_wait(wait) for wait in outcome.waits]
    if outcome.asset_events:
        plain["asset_events"] = [put._asdict() for put in outcome.asset_events]
    return plain


def _event_put(plain: dict[str, Any]) -> AssetEventPut:
    data: dict[str, Any] = {name: value for name, value in plain.items() if name in AssetEventPut._fields}
    data["aliases"] = tuple(data.get("aliases", ()))
    return AssetEventPut(**data)


def outcome_of(plain: dict[str, Any]) -> Outcome:
    """Undoes `plain_outcome`."""
    data = {k: v for k, v in plain.items() if k in Outcome._fields}
    data["kind"] = OutcomeKind(data["kind"])
    data["xcoms"] = tuple(XComPut(key, EncodedValue(*value)) for key, value in data.get("xcoms", ()))
    if data.get("branch") is not None:
        data["branch"] = tuple(data["branch"])
    data["lengths"] = tuple((key, length) for key, length in data.get("lengths", ()))
    if data.get("error") is not None:
        data["error"] = ErrorInfo(*data["error"])
    if data.get("exit") is not None:
        data["exit"] = ExitInfo(**data["exit"])
    data["asset_events"] = tuple(_event_put(plain) for plain in data.get("asset_events", ()))
    data["waits"] = tuple(wait_of(wait) for wait in data.get("waits", ()))
    data["reschedule_at"] = _instant(data.get("reschedule_at"))
    return Outcome(**data)


def plain_run(run: RunRow | None) -> Any:
    """A run's row."""
    if run is None:
        return None
    plain = _fields(run)
    plain["conf"] = plain_value(run.conf)
    return plain


def run_of(plain: Any) -> RunRow | None:
    """Undoes `plain_run`."""
    if plain is None:
        return None
    data = _known(RunRow, plain)
    data["conf"] = value_of(data["conf"])
    data["run_type"] = RunType(data["run_type"])
    data["state"] = RunState(data["state"])
    _instant_in(data, "logical_date", "interval_start", "interval_end", "run_after")
    _instant_in(data, "queued_at", "started_at", "ended_at")
    return RunRow(**data)


def plain_instance(row: InstanceRow) -> Any:
    """A task instance's row."""
    return _fields(row)


def instance_of(plain: Any) -> InstanceRow:
    """Undoes `plain_instance`."""
    data = _known(InstanceRow, plain)
    data["state"] = TaskState(data["state"])
    _instant_in(data, "queued_at", "started_at", "ended_at", "due_at")
    return InstanceRow(**data)
