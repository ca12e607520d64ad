"""Branches that are not a plain function: the base class, and the one for the latest run only."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

from tradewind.authoring.dag import DAG
from tradewind.authoring.operator import BaseOperator, OutcomeForm
from tradewind.rules.timetables import DataInterval


class BaseBranchOperator(BaseOperator):
    """Subclass it and define `choose_branch(self, context)`: the id or ids of the tasks to go on with.

    All other tasks directly downstream are skipped; None or an empty list skips all.
    """

    outcome_kind: ClassVar[OutcomeForm] = "branch"
    ui_color = "#e8f7e4"

    def choose_branch(self, context: Any) -> Any:
        """The id of a task or group, a list of ids, or None."""
        raise NotImplementedError(
            f"{type(self).__name__} defines no choose_branch(): write `def choose_branch(self, context)` that returns "
            "the id of the task to go on with, a list of ids, or None"
        )

    def execute(self, context: Any) -> Any:
        """Asks `choose_branch`."""
        return self.choose_branch(context)


class LatestOnlyOperator(BaseBranchOperator):
    """Goes on only in the run whose data interval was the last to end; skips what follows in older runs.

    Runs that were triggered by hand always go on.
    """

    ui_color = "#e9ffdb"

    def choose_branch(self, context: Any) -> list[str]:
        """All tasks directly downstream, or none."""
        followers = sorted(self.downstream_task_ids)
        dag_run = context["dag_run"]
        if dag_run.external_trigger:
            self.log.info("Externally triggered DAG run: allowing execution to proceed.")
            return followers
        window = self._next_interval(context["data_interval_start"], context["data_interval_end"])
        if window is None:
            self.log.info("Last scheduled execution: allowing execution to proceed.")
            return followers
        now = datetime.now(UTC)
        left, right = window
        self.log.info("Checking latest only with left_window: %s right_window: %s now: %s", left, right, now)
        if left < now <= right:
            self.log.info("Latest, allowing execution to proceed.")
            return followers
        self.log.info("Not latest execution, skipping downstream.")
        return []

    def _next_interval(self, start: datetime, end: datetime) -> tuple[datetime, datetime] | None:
        """The interval after the run's own, whatever the DAG's end date says."""
        if not isinstance(self.dag, DAG):
            return None
        info = self.dag.interval_after(DataInterval(start, end))
        return None if info is None else (info.data_interval.start, info.data_interval.end)
