"""Trigger rules: what a task may do, given how many of its direct upstream tasks ended how.

Every rule is a function of five counts. The semantics are those that `golden` recorded from
Airflow 2.11: `all_success` and its like take the first bad news they see; `one_success` with all
upstreams skipped is skipped, with any other set without a success upstream_failed; `one_done`
looks at success and failed only; `none_skipped` runs after `upstream_failed`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Final, NamedTuple

from tradewind.model.states import TriggerRule


class Verdict(Enum):
    """What follows for the task."""

    WAIT = "wait"
    RUN = "run"
    SKIP = "skip"
    UPSTREAM_FAILED = "upstream_failed"


class Tally(NamedTuple):
    """How the direct upstream tasks stand: `total` of them, and how many ended in each way."""

    total: int
    success: int
    failed: int
    skipped: int
    upstream_failed: int
    setups: int = 0
    setups_success: int = 0
    setups_skipped: int = 0

    @property
    def done(self) -> int:
        """How many have ended, in whatever way."""
        return self.success + self.failed + self.skipped + self.upstream_failed

    @property
    def all_done(self) -> bool:
        """Whether none is still to end."""
        return self.done >= self.total

    @property
    def bad(self) -> int:
        """Failed, or not run because something failed."""
        return self.failed + self.upstream_failed


_WAIT, _RUN, _SKIP, _UPSTREAM = (
    Verdict.WAIT,
    Verdict.RUN,
    Verdict.SKIP,
    Verdict.UPSTREAM_FAILED,
)


def _all_success(t: Tally) -> Verdict:
    if t.bad:
        return _UPSTREAM
    if t.skipped:
        return _SKIP
    return _RUN if t.success >= t.total else _WAIT


def _all_failed(t: Tally) -> Verdict:
    if t.success or t.skipped:
        return _SKIP
    return _RUN if t.bad >= t.total else _WAIT


def _all_done(t: Tally) -> Verdict:
    return _RUN if t.all_done else _WAIT


def _all_done_min_one_success(t: Tally) -> Verdict:
    if t.skipped:
        return _SKIP
    if not t.all_done:
        return _WAIT
    return _RUN if t.success else _UPSTREAM


def _all_done_setup_success(t: Tally) -> Verdict:
    if not t.all_done:
        return _WAIT
    if t.setups and t.setups_skipped >= t.setups:
        return _SKIP
    if t.setups and not t.setups_success:
        return _UPSTREAM
    return _RUN


def _all_skipped(t: Tally) -> Verdict:
    if t.success or t.bad:
        return _SKIP
    return _RUN if t.skipped >= t.total else _WAIT


def _one_success(t: Tally) -> Verdict:
    if t.success:
        return _RUN
    if not t.all_done:
        return _WAIT
    return _SKIP if t.skipped >= t.total else _UPSTREAM


def _one_failed(t: Tally) -> Verdict:
    if t.bad:
        return _RUN
    return _SKIP if t.all_done else _WAIT


def _one_done(t: Tally) -> Verdict:
    if t.success or t.failed:
        return _RUN
    return _SKIP if t.all_done else _WAIT


def _none_failed(t: Tally) -> Verdict:
    if t.bad:
        return _UPSTREAM
    return _RUN if t.all_done else _WAIT


def _none_failed_min_one_success(t: Tally) -> Verdict:
    if t.bad:
        return _UPSTREAM
    if t.skipped >= t.total:
        return _SKIP
    return _RUN if t.all_done else _WAIT


def _none_skipped(t: Tally) -> Verdict:
    if t.skipped:
        return _SKIP
    return _RUN if t.all_done else _WAIT


def _always(_: Tally) -> Verdict:
    return _RUN


RULES: Final[dict[TriggerRule, Callable[[Tally], Verdict]]] = {
    TriggerRule.ALL_SUCCESS: _all_success,
    TriggerRule.ALL_FAILED: _all_failed,
    TriggerRule.ALL_DONE: _all_done,
    TriggerRule.ALL_DONE_MIN_ONE_SUCCESS: _all_done_min_one_success,
    TriggerRule.ALL_DONE_SETUP_SUCCESS: _all_done_setup_success,
    TriggerRule.ALL_SKIPPED: _all_skipped,
    TriggerRule.ONE_SUCCESS: _one_success,
    TriggerRule.ONE_FAILED: _one_failed,
    TriggerRule.ONE_DONE: _one_done,
    TriggerRule.NONE_FAILED: _none_failed,
    TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS: _none_failed_min_one_success,
    TriggerRule.NONE_SKIPPED: _none_skipped,
    TriggerRule.ALWAYS: _always,
}


def verdict(rule: TriggerRule, tally: Tally) -> Verdict:
    """What `rule` says for these counts. A task without upstream tasks runs, whatever its rule."""
    if tally.total == 0:
        return _RUN
    return RULES[rule](tally)
