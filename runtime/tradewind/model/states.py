"""States of runs and task instances, and the table of what may follow what.

`docs/state-machines.md` is generated from this module; a test compares them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class TaskState(StrEnum):
    """State of one task instance. The value is what the database and the API show."""

    NONE = "none"
    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"
    SKIPPED = "skipped"
    UPSTREAM_FAILED = "upstream_failed"
    UP_FOR_RETRY = "up_for_retry"
    UP_FOR_RESCHEDULE = "up_for_reschedule"
    DEFERRED = "deferred"
    RESTARTING = "restarting"
    REMOVED = "removed"
    SHUTDOWN = "shutdown"


class RunState(StrEnum):
    """State of one DAG run."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCESS = "success"
    FAILED = "failed"


class RunType(StrEnum):
    """What caused a run; also the prefix of its `dag_run_id`."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"
    BACKFILL = "backfill"
    ASSET_TRIGGERED = "asset_triggered"


class TriggerRule(StrEnum):
    """When a task may start, as a rule over the states of its direct upstream tasks."""

    ALL_SUCCESS = "all_success"
    ALL_FAILED = "all_failed"
    ALL_DONE = "all_done"
    ALL_DONE_MIN_ONE_SUCCESS = "all_done_min_one_success"
    """Since Airflow 3.1: all have ended, none was skipped, and one succeeded at least."""
    ALL_DONE_SETUP_SUCCESS = "all_done_setup_success"
    ALL_SKIPPED = "all_skipped"
    ONE_SUCCESS = "one_success"
    ONE_FAILED = "one_failed"
    ONE_DONE = "one_done"
    NONE_FAILED = "none_failed"
    NONE_FAILED_MIN_ONE_SUCCESS = "none_failed_min_one_success"
    NONE_SKIPPED = "none_skipped"
    ALWAYS = "always"


class OutcomeKind(StrEnum):
    """How one attempt ended. The run machine turns it into a state of the task instance."""

    SUCCESS = "success"
    FAILED = "failed"
    FAILED_FOR_GOOD = "failed_for_good"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"
    RESCHEDULED = "rescheduled"
    DEFERRED = "deferred"
    LOST = "lost"
    CANCELLED = "cancelled"


FINISHED: Final = frozenset(
    {
        TaskState.SUCCESS,
        TaskState.FAILED,
        TaskState.SKIPPED,
        TaskState.UPSTREAM_FAILED,
        TaskState.REMOVED,
    }
)
"""States that end a task instance's part in its run."""

HOLDS_SLOT: Final = frozenset({TaskState.QUEUED, TaskState.RUNNING, TaskState.RESTARTING})
"""States in which a live attempt takes up limits (pool, parallelism, DAG, task)."""

RUN_FINISHED: Final = frozenset({RunState.SUCCESS, RunState.FAILED})

MEANING: Final[dict[TaskState, str]] = {
    TaskState.NONE: "Waits for its upstream tasks; found in the run machine's counters.",
    TaskState.SCHEDULED: "Ready, waits for limits; found in an admission lane.",
    TaskState.QUEUED: "Admitted and sent to an executor; found among the live attempts.",
    TaskState.RUNNING: "Its attempt's start is committed; found among the live attempts.",
    TaskState.SUCCESS: "Ended well.",
    TaskState.FAILED: "Ended badly, no try left.",
    TaskState.SKIPPED: "Not run, on purpose: a branch, a short circuit, a rule or the task itself.",
    TaskState.UPSTREAM_FAILED: "Not run, because an upstream task failed.",
    TaskState.UP_FOR_RETRY: "Failed, will be tried again; found on the timer heap.",
    TaskState.UP_FOR_RESCHEDULE: "Gave its slot back until a time; found on the timer heap.",
    TaskState.DEFERRED: "Gave its slot back until a trigger fires; found in the triggerer.",
    TaskState.RESTARTING: "Cleared while running; its attempt is being ended.",
    TaskState.REMOVED: "The DAG version in force no longer has this task.",
    TaskState.SHUTDOWN: "Ended from outside while running; its attempt is being ended.",
}

_S = TaskState

TASK_TRANSITIONS: Final[dict[TaskState, frozenset[TaskState]]] = {
    _S.NONE: frozenset(
        {_S.SCHEDULED, _S.QUEUED, _S.RUNNING, _S.SUCCESS, _S.FAILED, _S.SKIPPED}
        | {_S.UPSTREAM_FAILED, _S.REMOVED, _S.DEFERRED}
    ),
    _S.SCHEDULED: frozenset(
        {_S.NONE, _S.QUEUED, _S.RUNNING, _S.SUCCESS, _S.FAILED, _S.SKIPPED}
        | {_S.UPSTREAM_FAILED, _S.REMOVED, _S.DEFERRED, _S.RESTARTING}
    ),
    _S.QUEUED: frozenset(
        {_S.NONE, _S.SCHEDULED, _S.RUNNING, _S.SUCCESS, _S.FAILED, _S.SKIPPED, _S.UP_FOR_RETRY}
        | {_S.UP_FOR_RESCHEDULE, _S.DEFERRED, _S.RESTARTING, _S.SHUTDOWN, _S.REMOVED, _S.QUEUED}
    ),
    _S.RUNNING: frozenset(
        {_S.NONE, _S.SCHEDULED, _S.QUEUED, _S.RUNNING, _S.SUCCESS, _S.FAILED, _S.SKIPPED}
        | {_S.UP_FOR_RETRY, _S.UP_FOR_RESCHEDULE, _S.DEFERRED, _S.RESTARTING, _S.SHUTDOWN}
        | {_S.REMOVED}
    ),
    _S.UP_FOR_RETRY: frozenset(
        {_S.NONE, _S.SCHEDULED, _S.QUEUED, _S.RUNNING, _S.SUCCESS, _S.FAILED, _S.SKIPPED}
        | {_S.UPSTREAM_FAILED, _S.REMOVED, _S.DEFERRED}
    ),
    _S.UP_FOR_RESCHEDULE: frozenset(
        {_S.NONE, _S.SCHEDULED, _S.QUEUED, _S.RUNNING, _S.SUCCESS, _S.FAILED, _S.SKIPPED} | {_S.REMOVED}
    ),
    _S.DEFERRED: frozenset(
        {_S.NONE, _S.SCHEDULED, _S.QUEUED, _S.RUNNING, _S.SUCCESS, _S.FAILED, _S.SKIPPED}
        | {_S.UP_FOR_RETRY, _S.RESTARTING, _S.REMOVED, _S.DEFERRED}
    ),
    _S.RESTARTING: frozenset(
        {_S.NONE, _S.SCHEDULED, _S.QUEUED, _S.RUNNING, _S.DEFERRED, _S.FAILED, _S.REMOVED, _S.RESTARTING}
    ),
    _S.SHUTDOWN: frozenset({_S.FAILED, _S.UP_FOR_RETRY, _S.NONE}),
    _S.SUCCESS: frozenset({_S.NONE, _S.FAILED, _S.REMOVED}),
    _S.FAILED: frozenset({_S.NONE, _S.SUCCESS, _S.REMOVED}),
    _S.SKIPPED: frozenset({_S.NONE, _S.SUCCESS, _S.FAILED, _S.REMOVED}),
    _S.UPSTREAM_FAILED: frozenset({_S.NONE, _S.SUCCESS, _S.FAILED, _S.SKIPPED, _S.REMOVED}),
    _S.REMOVED: frozenset({_S.NONE}),
}
"""From each state, the states that may follow in one committed change (folded steps included)."""

RUN_TRANSITIONS: Final[dict[RunState, frozenset[RunState]]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.SUCCESS, RunState.FAILED}),
    RunState.RUNNING: frozenset({RunState.QUEUED, RunState.SUCCESS, RunState.FAILED}),
    RunState.SUCCESS: frozenset({RunState.QUEUED, RunState.RUNNING, RunState.FAILED}),
    RunState.FAILED: frozenset({RunState.QUEUED, RunState.RUNNING, RunState.SUCCESS}),
}
