"""Every error that Tradewind raises on purpose.

::

    TradewindError
    ├── ConfigError               a setting is missing, unknown or has a bad value
    ├── AuthoringError            a DAG file says something that cannot be
    │   ├── DagCycleError         the edges of a DAG lead back to their start
    │   ├── DuplicateTaskIdError  two tasks of one DAG have the same id
    │   └── ParamValidationError  a param or a run's conf does not fit its schema
    ├── NotFoundError             a DAG, run, task, pool, variable … that nobody has
    ├── ConflictError             what is asked for contradicts what is there
    │   └── DagPausedError        a paused DAG was triggered without `unpause`
    ├── RunFailed                 the run whose result was asked for has failed
    ├── IllegalTransition         the rules were about to do what the table forbids
    ├── StoreError                the database
    │   ├── StoreUnavailable      … cannot be reached just now; nothing is lost, try again
    │   ├── TryAgain          … did not take this change; nothing has happened, ask once more
    │   ├── SchemaMismatch        … holds another version of the schema
    │   ├── Fenced                … says that another runtime has taken over from us
    │   └── BatchConflict         … refused a batch: rows were not as expected
    ├── ClientError               a client of an outside system could not be opened
    ├── ExecutorError             an executor could not carry an attempt
    ├── XComError                 a value could not be stored or read
    │   ├── UnmappableXComTypePushed    … is mapped over, and no list or dict
    │   ├── UnmappableXComLengthPushed  … is mapped over, and too long
    │   └── XComForMappingNotPushed     … is mapped over, and missing
    └── TaskSignal                raised by task code to choose its own end
        ├── TaskFailed            fail, retries allowed
        ├── FailWithoutRetry      fail now, whatever `retries` says
        ├── SkipTask              end as skipped
        ├── RescheduleTask        give the slot back and come again later
        └── TaskTimeout           `execution_timeout` has passed

The docstring of a class is its message where none is given.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime


class TradewindError(Exception):
    """Something went wrong in Tradewind."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message if message is not None else (type(self).__doc__ or "").strip())

    @property
    def message(self) -> str:
        """The sentence for the user."""
        return str(self.args[0])


class ConfigError(TradewindError):
    """A setting is missing, unknown or has a bad value."""


class AuthoringError(TradewindError):
    """The DAG file says something that cannot be."""


class DagCycleError(AuthoringError):
    """The dependencies of this DAG lead back to their start."""


class DuplicateTaskIdError(AuthoringError):
    """Two tasks of this DAG have the same id."""


class ParamValidationError(AuthoringError):
    """A param does not fit its schema."""


class NotFoundError(TradewindError):
    """There is no such thing."""


class ConflictError(TradewindError):
    """What is asked for contradicts what is there."""


class DagPausedError(ConflictError):
    """The DAG is paused: unpause it, or trigger with `unpause`."""


class RunFailed(TradewindError):
    """The run has failed."""

    def __init__(self, message: str | None = None, failed: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.failed = tuple(failed)
        """Ids of the tasks that failed, those of mapped ones as ``task[3]``, the earliest first."""


class IllegalTransition(TradewindError):
    """A state change that the transition table does not allow."""

    def __init__(self, subject: str, start: str, finish: str, story: Sequence[str] = ()) -> None:
        lines = "".join(f"\n  {line}" for line in story)
        super().__init__(f"{subject}: {start} -> {finish} is not a transition. Its story:{lines}")
        self.subject = subject
        self.start = start
        self.finish = finish
        self.story = tuple(story)


class StoreError(TradewindError):
    """The database refused."""


class StoreUnavailable(StoreError):
    """The database cannot be reached just now."""


class TryAgain(StoreError):
    """The change could not be committed and nothing of it has happened: ask once more."""


class SchemaMismatch(StoreError):
    """The database holds another version of the schema."""


class SchemaMissing(SchemaMismatch):
    """The database has none of the tables."""


class Fenced(StoreError):
    """Another runtime has taken over from this one: it may not write any more."""


class BatchConflict(StoreError):
    """Rows of these runs (DAGs, mail) were not as the batch expected; nothing of the batch was applied."""

    def __init__(
        self, run_ids: Sequence[int], detail: str, *, dag_ids: Sequence[str] = (), mail_ids: Sequence[int] = ()
    ) -> None:
        super().__init__(f"batch refused for runs {list(run_ids)}: {detail}")
        self.run_ids = tuple(run_ids)
        self.dag_ids = tuple(dag_ids)
        self.mail_ids = tuple(mail_ids)
        self.detail = detail


class ClientError(TradewindError):
    """The client of an outside system could not be opened."""


class ExecutorError(TradewindError):
    """The executor could not carry the attempt."""


class XComError(TradewindError):
    """The value could not be stored or read."""


class UnmappableXComTypePushed(XComError):
    """Another task is mapped over this value, and it is no list or dict."""


class UnmappableXComLengthPushed(XComError):
    """Another task is mapped over this value, and it is longer than `core.max_map_length`."""


class XComForMappingNotPushed(XComError):
    """Another task is mapped over a value that this one did not push."""


class TaskSignal(TradewindError):
    """Raised by task code to choose its own end."""


class TaskFailed(TaskSignal):
    """The task failed."""


class FailWithoutRetry(TaskSignal):
    """The task failed and asked not to be tried again."""


class SkipTask(TaskSignal):
    """The task asked to be skipped."""


class TaskTimeout(TaskSignal):
    """The task ran longer than its execution_timeout."""


class RescheduleTask(TaskSignal):
    """The task gives its slot back and wants to run again at `at` (an aware datetime)."""

    def __init__(self, at: datetime) -> None:
        super().__init__(f"rescheduled to {at.isoformat()}")
        self.at = at
