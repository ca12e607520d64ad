"""Choosing by date and time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, time, timedelta, tzinfo
from typing import Any, ClassVar, Unpack, cast

from tradewind.model.errors import AuthoringError
from tradewind.standard.branch import BaseBranchOperator
from tradewind.standard.weekday import BY_DATE, BranchByDateSettings, now_of, takes_logical_date

Target = datetime | time | None


class BranchDateTimeOperator(BaseBranchOperator):
    """Goes on with `follow_task_ids_if_true` from `target_lower` to `target_upper`, else with `…_if_false`.

    Both ends belong to it, one may be None. A `time` is that time today in the DAG's zone; an
    upper time before the lower one is tomorrow's. Now counts, or with `use_task_logical_date` the run's date.
    """

    own_arguments: ClassVar[frozenset[str]] = BY_DATE

    def __init__(
        self,
        *,
        follow_task_ids_if_true: str | Iterable[str],
        follow_task_ids_if_false: str | Iterable[str],
        target_lower: Target,
        target_upper: Target,
        **arguments: Unpack[BranchByDateSettings],
    ) -> None:
        given = cast("dict[str, Any]", arguments)
        self.use_task_logical_date = takes_logical_date(given)
        super().__init__(**given)
        where = f"BranchDateTimeOperator {self.task_id!r}"
        if target_lower is None and target_upper is None:
            raise AuthoringError(
                f"{where}: Both target_upper and target_lower are None. At least one must be defined "
                "to be compared to the current datetime"
            )
        self.target_lower = _checked(target_lower, f"{where}: target_lower")
        self.target_upper = _checked(target_upper, f"{where}: target_upper")
        self.follow_task_ids_if_true = follow_task_ids_if_true
        self.follow_task_ids_if_false = follow_task_ids_if_false

    def choose_branch(self, context: Any) -> Any:
        """The ids for this moment."""
        now = now_of(context, self.dag, logical=self.use_task_logical_date)
        lower, upper = target_times_as_dates(now, self.target_lower, self.target_upper)
        inside = (lower is None or lower <= now) and (upper is None or now <= upper)
        return self.follow_task_ids_if_true if inside else self.follow_task_ids_if_false


def target_times_as_dates(base_date: datetime, lower: Target, upper: Target) -> tuple[datetime | None, datetime | None]:
    """Both ends as aware datetimes; times are those of `base_date`'s day and zone."""
    zone = base_date.tzinfo
    low, high = _on_day(base_date, lower, zone), _on_day(base_date, upper, zone)
    both_given = isinstance(lower, datetime) and isinstance(upper, datetime)
    if low is not None and high is not None and high < low and not both_given:
        high += timedelta(days=1)
    return low, high


def _on_day(base_date: datetime, target: Target, zone: tzinfo | None) -> datetime | None:
    at = datetime.combine(base_date, target) if isinstance(target, time) else target
    return at.replace(tzinfo=zone) if at is not None and at.tzinfo is None else at


def _checked(target: object, where: str) -> Target:
    if target is not None and not isinstance(target, (datetime, time)):
        raise AuthoringError(f"{where}: a datetime, a time or None is needed, not {target!r}")
    return target
