"""What a missed SLA is told as: to `sla_miss_callback`, and in mail."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple


class SlaMiss(NamedTuple):
    """One task instance that had not ended well when it should have (or that was in its way)."""

    dag_id: str
    task_id: str
    logical_date: datetime
    state: str | None
    due: datetime
    """When it should have ended."""

    @property
    def execution_date(self) -> datetime:
        """The logical date."""
        return self.logical_date

    @property
    def timestamp(self) -> datetime:
        """When the miss was found: at the deadline."""
        return self.due

    @staticmethod
    def of(plain: Mapping[str, Any]) -> SlaMiss:
        """The miss that `plain` wrote."""
        at, due = (datetime.fromisoformat(plain[name]) for name in ("logical_date", "due"))
        return SlaMiss(plain["dag_id"], plain["task_id"], at, plain.get("state"), due)

    def __str__(self) -> str:
        return f"{self.task_id} on {self.logical_date.isoformat()}"
