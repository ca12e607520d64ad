"""The steps of an attempt that are the same whether it waits on a loop or blocks a process.

Each takes the one `Work` value, looks at it, and hands on. `attempt.py` strings them together.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary

from tradewind.authoring.access import CurrentAttempt
from tradewind.authoring.branching import branch_ids
from tradewind.authoring.calling import places_of
from tradewind.authoring.context import build_context
from tradewind.authoring.dag import DAG
from tradewind.authoring.mapped import MappedOperator
from tradewind.authoring.measuring import lengths_of
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.python_call import asked_by
from tradewind.authoring.xcom import puts_of
from tradewind.authoring.xcom_arg import Lookup
from tradewind.model.attempts import Attempt
from tradewind.model.errors import NotFoundError
from tradewind.model.outcomes import SUCCEEDED, Outcome, XComPut
from tradewind.model.states import OutcomeKind
from tradewind.worker.listeners import listening_to
from tradewind.worker.log import TASK_LOGGER, AttemptLog

CALLBACK_OF_KIND = {
    OutcomeKind.SUCCESS: "on_success",
    OutcomeKind.SKIPPED: "on_skipped",
}


STATE_TOLD = {
    "on_success": "success",
    "on_skipped": "skipped",
    "on_retry": "up_for_retry",
    "on_failure": "failed",
}
"""`ti.state` as callbacks see it: what becomes of the instance because of this end."""


class Traits(NamedTuple):
    """What has to be done for an operator, found once: a task that needs nothing pays nothing."""

    is_async: bool
    is_mapped: bool
    """The operator stands for instances: this attempt's own is made before all else."""
    has_references: bool
    renders: bool
    pre_execute: bool
    post_execute: bool
    outcome_kind: str
    result_note: Callable[[BaseOperator, object], str] | None
    """What to say about the result, where the operator has something to say."""
    asks: frozenset[str]
    """Entries of the context that an async function names and that have to be fetched before it may look at them."""


@dataclass(slots=True)
class Work:
    """One attempt in progress: what was given, and the operator and context made for it."""

    attempt: Attempt
    dag: DAG
    operator: BaseOperator
    traits: Traits
    context: Any
    log: AttemptLog | None
    given: tuple[object, ...] = ()
    """Values of other tasks among the operator's arguments: data, never templates."""

    def say(self, message: str, *, level: str = "INFO", end: str | None = None) -> None:
        """A line of the runtime's own in the attempt's log."""
        say(self.log, message, level=level, end=end)


def say(log: AttemptLog | None, message: str, *, level: str = "INFO", end: str | None = None) -> None:
    """A line of the runtime's own; through `logging` where the attempt has no log of its own."""
    if log is not None:
        log.write(message, level=level, end=end)
    else:
        import logging

        logging.getLogger(TASK_LOGGER).log(getattr(logging, level, logging.INFO), "%s", message)


_traits: WeakKeyDictionary[BaseOperator, Traits] = WeakKeyDictionary()


def traits_of(operator: BaseOperator) -> Traits:
    """What this operator of a DAG file needs (kept as long as the operator is)."""
    found = _traits.get(operator)
    if found is None:
        found = _traits[operator] = _traits_found(operator)
    return found


def _traits_found(operator: BaseOperator) -> Traits:
    kind = type(operator)
    return Traits(
        operator.is_async,
        isinstance(operator, MappedOperator),
        bool(operator.xcom_refs()),
        _renders(operator),
        _overrides(operator, kind, "pre_execute"),
        _overrides(operator, kind, "post_execute"),
        operator.outcome_kind,
        getattr(kind, "result_note", None),
        _asks(operator),
    )


def _asks(operator: BaseOperator) -> frozenset[str]:
    function = getattr(operator, "python_callable", None)
    return asked_by(function) if operator.is_async and callable(function) else frozenset()


def _renders(operator: BaseOperator) -> bool:
    if not operator.template_fields:
        return False
    from tradewind.authoring.templating import needs_rendering  # Jinja is imported by DAG files that use it

    return needs_rendering(operator)


def _overrides(operator: BaseOperator, kind: type[BaseOperator], name: str) -> bool:
    return name in vars(operator) or getattr(kind, name) is not getattr(BaseOperator, name)


def begin(current: CurrentAttempt, dag: DAG, log: AttemptLog | None) -> Work:
    """The operator's copy for this attempt, and its context. Raises NotFoundError."""
    attempt = current.attempt
    original = dag.task_dict.get(attempt.key.task_id)
    if original is None:
        raise NotFoundError(
            f"DAG {dag.dag_id!r} in {attempt.run.source.fileloc} has no task {attempt.key.task_id!r} any more; "
            "it was there when this run's version was made"
        )
    traits = traits_of(original)
    operator = original.shallow_copy_for_run()
    return Work(attempt, dag, operator, traits, build_context(current, dag, operator), log)


def unmap(work: Work, lookup: Lookup) -> None:
    """Puts the operator of this instance in the place of the mapped one. Raises what its constructor raises."""
    if not isinstance(work.operator, MappedOperator):
        return
    is_async = work.traits.is_async
    operator, element = work.operator.unmapped(work.attempt.key.map_index, lookup)
    work.operator = operator
    work.given = element.pulled
    work.traits = _traits_found(operator)._replace(is_async=is_async)
    work.context.the_task = operator
    work.context["expanded_ti_count"] = element.total


def render(work: Work) -> None:
    """Renders the operator's templates: user code, which may ask the system."""
    from tradewind.authoring.templating import render as render_fields

    render_fields(work.operator, work.context, given=work.given)


def outcome_of_value(work: Work, value: Any) -> Outcome:
    """What a returned value means for this operator. Raises XComError, TaskFailed."""
    kind, note = work.traits.outcome_kind, work.traits.result_note
    if note is not None:
        work.say(note(work.operator, value))
    measured = work.attempt.task.measured
    outlets = work.operator.outlets
    if kind == "value" and value is None and not (measured or outlets):
        return SUCCEEDED
    xcoms = puts_of(work.operator, value)
    outcome = _outcome(work, value, xcoms)
    if outlets:
        outcome = outcome._replace(asset_events=work.context["outlet_events"].puts())
    if measured:
        outcome = outcome._replace(lengths=lengths_of(work.operator, measured, value, work.context.current.lengths))
    return outcome


def _outcome(work: Work, value: Any, xcoms: tuple[XComPut, ...]) -> Outcome:
    kind = work.traits.outcome_kind
    if kind == "branch":
        return Outcome(OutcomeKind.SUCCESS, xcoms, branch=_branch(work, value))
    if kind == "short_circuit" and not getattr(work.operator, "lets_on", bool)(value):
        work.say("The condition is false: what follows is skipped")
        follow = bool(getattr(work.operator, "ignore_downstream_trigger_rules", True))
        return Outcome(OutcomeKind.SUCCESS, xcoms, short_circuit=True, ignore_downstream_trigger_rules=follow)
    return Outcome(OutcomeKind.SUCCESS, xcoms)


def labelled(work: Work, outcome: Outcome) -> Outcome:
    """The outcome with what `map_index_template` renders to. A template that fails, fails a task that had succeeded."""
    template = work.operator.map_index_template
    if template is None or work.attempt.key.map_index < 0:
        return outcome
    from tradewind.authoring.templating import render_template

    try:
        label = str(render_template(template, work.context, work.dag))
    except Exception:
        if outcome.kind is OutcomeKind.SUCCESS:
            raise
        return outcome
    work.context["ti"].rendered_map_index = label
    return outcome._replace(map_index_label=label)


def _branch(work: Work, value: Any) -> tuple[str, ...]:
    chosen = branch_ids(work.operator, value)
    work.say(f"Following branch {', '.join(chosen) or '(none)'}")
    return chosen


def callbacks_for(work: Work, outcome: Outcome) -> Sequence[Callable[[Any], object]]:
    """The task's callbacks for this end."""
    name = CALLBACK_OF_KIND.get(outcome.kind)
    if name is None and outcome.kind in (OutcomeKind.FAILED, OutcomeKind.TIMED_OUT):
        again = work.attempt.key.try_number < work.attempt.max_tries
        name = "on_retry" if again else "on_failure"
    elif outcome.kind is OutcomeKind.FAILED_FOR_GOOD:
        name = "on_failure"
    callbacks = () if name is None else told_of(work.operator, name)
    if callbacks and name is not None:
        work.context["ti"].state = STATE_TOLD[name]
        work.context.setdefault("reason", outcome.reason)
    return callbacks


def callbacks_named(operator: BaseOperator, name: str) -> Sequence[Callable[[Any], object]]:
    """`on_…_callback` of the operator as a list."""
    value: Any = getattr(operator, f"{name}_callback", None)
    if not value:
        return ()
    listed = cast("Sequence[Callable[..., object]]", value if isinstance(value, (list, tuple)) else (value,))
    return [fitted(function) for function in listed]


def told_of(operator: BaseOperator, name: str) -> Sequence[Callable[[Any], object]]:
    """The operator's callbacks of this name, and the listeners of plug-ins."""
    listening = listening_to(name)
    return [*callbacks_named(operator, name), *listening] if listening else callbacks_named(operator, name)


def fitted(function: Callable[..., object]) -> Callable[[Any], object]:
    """The callback itself, or, if it takes no argument, one that leaves the context out."""
    if places_of(function, 1):
        return function

    @functools.wraps(function)
    def without_context(_: Any) -> object:
        return function()

    return without_context


_VERDICT = {
    OutcomeKind.SUCCESS: ("INFO", "Marking task as SUCCESS."),
    OutcomeKind.SKIPPED: ("INFO", "Marking task as SKIPPED."),
    OutcomeKind.RESCHEDULED: ("INFO", "Rescheduling task, marking task as UP_FOR_RESCHEDULE."),
    OutcomeKind.DEFERRED: ("INFO", "Pausing task as DEFERRED."),
    OutcomeKind.CANCELLED: ("WARNING", "The attempt was ended from outside."),
    OutcomeKind.LOST: ("WARNING", "The attempt is lost."),
}


def verdict(work_attempt: Attempt, outcome: Outcome) -> tuple[str, str]:
    """Level and text of the last line of an attempt's log."""
    found = _VERDICT.get(outcome.kind)
    if found is None:
        again = outcome.kind is not OutcomeKind.FAILED_FOR_GOOD and work_attempt.key.try_number < work_attempt.max_tries
        found = ("ERROR", "Marking task as UP_FOR_RETRY." if again else "Marking task as FAILED.")
    level, text = found
    if outcome.reschedule_at is not None:
        text = f"{text} Next: {outcome.reschedule_at.isoformat()}"
    if outcome.reason:
        text = f"{text} {outcome.reason}"
    return level, text


def announce(attempt: Attempt, log: AttemptLog | None) -> None:
    """The first line of an attempt's log."""
    which = f"attempt {attempt.key.try_number} of {attempt.max_tries}"
    say(log, f"Starting {which}" if attempt.resume is None else f"Going on with {which} after its wait")


def conclude(attempt: Attempt, outcome: Outcome, log: AttemptLog | None) -> None:
    """The last lines: the traceback where there is one, and the verdict."""
    if log is not None:
        log.flush()
    if outcome.error is not None:
        say(log, f"Task failed with exception\n{outcome.error.traceback.rstrip()}", level="ERROR")
    level, text = verdict(attempt, outcome)
    say(log, text, level=level, end=outcome.kind.value)
