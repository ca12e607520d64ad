"""Schedules that only code of a DAG file can compute. Here they are data: a process of its own is asked."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NoReturn

from tradewind.model.errors import AuthoringError
from tradewind.model.specs import Json, TimetableSpec
from tradewind.rules.timetables.base import DataInterval, RunInfo, TimeRestriction, Timetable

CUSTOM = "custom"


class Custom(Timetable):
    """Args: `class` (its qualified name) and `data` (what its `serialize` gave). Any question raises AuthoringError."""

    periodic = True

    def __init__(self, args: Mapping[str, Json]) -> None:
        self.name = str(args["class"])
        self.summary = self.name.rpartition(".")[2]

    def next_run(self, last: DataInterval | None, restriction: TimeRestriction, now: datetime) -> RunInfo | None:
        """Raises AuthoringError."""
        self._refuse()

    def manual_interval(self, run_after: datetime) -> DataInterval:
        """Raises AuthoringError."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise AuthoringError(f"timetable {self.name!r} is code of a DAG file or plug-in, which is never run here")


def is_custom(spec: TimetableSpec) -> bool:
    """Whether code of a DAG file has to be asked, for the schedule or for its part that goes by the clock."""
    return spec.kind == CUSTOM or (spec.kind == "assets_or_time" and spec.args["timetable"]["kind"] == CUSTOM)
