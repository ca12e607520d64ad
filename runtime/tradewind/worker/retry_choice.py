"""Asks the retry policy of a task whose attempt has failed."""

from __future__ import annotations

import traceback

from tradewind.authoring.retry_policy import RetryAction, RetryDecision
from tradewind.model.outcomes import Outcome
from tradewind.model.states import OutcomeKind
from tradewind.worker.steps import Work

_ASKED = frozenset({OutcomeKind.FAILED, OutcomeKind.TIMED_OUT})


def weighed(work: Work | None, outcome: Outcome, error: BaseException) -> Outcome:
    """The outcome, as the task's retry policy wants it. User code: a policy that fails is logged and says nothing."""
    policy = None if work is None else work.operator.retry_policy
    if work is None or policy is None or outcome.kind not in _ASKED:
        return outcome
    try:
        decision = policy.evaluate(error, work.attempt.key.try_number, work.attempt.max_tries, work.context)
        action = RetryAction(decision.action)
    except Exception:
        work.say(f"retry_policy failed; the task's retries apply\n{traceback.format_exc()}", level="ERROR")
        return outcome
    if action is RetryAction.DEFAULT:
        return outcome
    return _as_decided(work, outcome, decision)


def _as_decided(work: Work, outcome: Outcome, decision: RetryDecision) -> Outcome:
    because = f": {decision.reason}" if decision.reason else ""
    if decision.action == RetryAction.FAIL:
        work.say(f"retry_policy: no other try{because}", level="WARNING")
        return outcome._replace(kind=OutcomeKind.FAILED_FOR_GOOD)
    delay = decision.retry_delay
    if delay is None:
        return outcome
    work.say(f"retry_policy: another try after {delay}{because}", level="WARNING")
    return outcome._replace(retry_after=max(delay.total_seconds(), 0.0))
