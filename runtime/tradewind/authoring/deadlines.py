"""Deadlines of runs: `DAG(deadline=DeadlineAlert(reference, interval, callback))`.

The callback is called once for each run that has not ended when `interval` has passed since the reference:
the moment it was queued, its logical date, a fixed moment, or any of these plus what runs usually take.
"""

from __future__ import annotations

import enum
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final, NamedTuple, cast

from tradewind.authoring.calling import called_by_name
from tradewind.authoring.instants import duration
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json


class ReferenceKind(enum.StrEnum):
    """What a deadline is counted from."""

    QUEUED_AT = "queued_at"
    LOGICAL_DATE = "logical_date"
    FIXED = "fixed"
    AVERAGE_RUNTIME = "average_runtime"


@dataclass(frozen=True, slots=True)
class Reference:
    """A moment that each run has. `at`: of a fixed one; `runs`: how many past runs an average is taken of."""

    kind: ReferenceKind
    at: datetime | None = None
    runs: int = 0
    least_runs: int = 0


class DeadlineReference:
    """The references that there are."""

    DAGRUN_QUEUED_AT: ClassVar[Reference] = Reference(ReferenceKind.QUEUED_AT)
    DAGRUN_LOGICAL_DATE: ClassVar[Reference] = Reference(ReferenceKind.LOGICAL_DATE)

    @staticmethod
    def FIXED_DATETIME(at: datetime) -> Reference:  # noqa: N802 - Airflow's spelling
        """This moment, whichever the run. Without a zone: UTC."""
        return Reference(ReferenceKind.FIXED, at if at.tzinfo is not None else at.replace(tzinfo=UTC))

    @staticmethod
    def AVERAGE_RUNTIME(max_runs: int = 10, min_runs: int | None = None) -> Reference:  # noqa: N802
        """The start of the run plus what the last `max_runs` good ones took on average; none before `min_runs`."""
        if max_runs < 1:
            raise AuthoringError(f"AVERAGE_RUNTIME: max_runs has to be at least 1, not {max_runs}")
        return Reference(ReferenceKind.AVERAGE_RUNTIME, None, max_runs, max_runs if min_runs is None else min_runs)


@dataclass(frozen=True, slots=True)
class AsyncCallback:
    """A coroutine function (or its import path) with keyword arguments."""

    callback_callable: Callable[..., Any] | str
    kwargs: Mapping[str, Any] | None = None

    def __call__(self, **offered: Any) -> Any:
        """Calls it with its arguments, and those of `offered` that it takes."""
        return called_by_name(_function(self.callback_callable), self.kwargs or {}, offered)


@dataclass(frozen=True, slots=True)
class SyncCallback(AsyncCallback):
    """A plain function (or its import path) with keyword arguments. `executor` is accepted and not used."""

    executor: str | None = None


@dataclass(frozen=True, slots=True)
class DeadlineAlert:
    """When a run should have ended, and what is called if it has not."""

    reference: Reference
    interval: timedelta
    callback: Callable[..., Any]
    name: str | None = None
    description: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not isinstance(cast("object", self.reference), Reference):
            raise AuthoringError(
                f"DeadlineAlert: reference has to be one of DeadlineReference, such as "
                f"DeadlineReference.DAGRUN_QUEUED_AT, not {self.reference!r}"
            )
        object.__setattr__(self, "interval", duration(self.interval, "DeadlineAlert: interval"))
        if not callable(self.callback):
            raise AuthoringError(f"DeadlineAlert: callback {self.callback!r} cannot be called")

    @property
    def label(self) -> str:
        """Its name, or what it says."""
        return self.name or f"{self.reference.kind.value} + {self.interval}"

    def to_spec(self) -> dict[str, Json]:
        """The JSON form; the callback stays in the file."""
        reference = self.reference
        spec: dict[str, Json] = {"reference": reference.kind.value, "interval": self.interval.total_seconds()}
        if reference.at is not None:
            spec["at"] = reference.at.astimezone(UTC).isoformat()
        if reference.runs:
            spec |= {"runs": reference.runs, "least_runs": reference.least_runs}
        if self.name is not None:
            spec["name"] = self.name
        return spec


class MissedDeadline(NamedTuple):
    """`deadline` in the context of a deadline's callback."""

    name: str
    deadline_time: datetime


def call_alert(alert: DeadlineAlert, context: Mapping[str, Any], missed: MissedDeadline) -> object:
    """Calls the alert's callback: notifiers and plain functions get the context, others what they name."""
    offered = {"context": context, "dag_run": context["dag_run"], "deadline": missed}
    if isinstance(alert.callback, AsyncCallback):
        return alert.callback(**offered)
    return called_by_name(alert.callback, {}, offered)


def deadlines(value: object, where: str) -> tuple[DeadlineAlert, ...]:
    """One alert, several or none, as a tuple. Raises AuthoringError for anything else."""
    if value is None:
        return ()
    listed = cast("Sequence[object]", value if isinstance(value, (list, tuple)) else (value,))
    for item in listed:
        if not isinstance(item, DeadlineAlert):
            raise AuthoringError(f"{where}: a DeadlineAlert is needed, not {item!r}")
    return cast("tuple[DeadlineAlert, ...]", tuple(listed))


_NOT_A_FUNCTION: Final = "a deadline's callback"


def _function(given: Callable[..., Any] | str) -> Callable[..., Any]:
    if not isinstance(given, str):
        return given
    try:
        found: object = pkgutil.resolve_name(given)
    except (ImportError, AttributeError, ValueError) as why:
        raise AuthoringError(f"{_NOT_A_FUNCTION}, {given!r}, cannot be imported: {why}") from why
    if not callable(found):
        raise AuthoringError(f"{_NOT_A_FUNCTION}, {given!r}, cannot be called")
    return found
