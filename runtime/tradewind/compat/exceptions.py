"""Exceptions whose arguments are spelled differently here."""

from __future__ import annotations

from datetime import datetime

from tradewind.model.errors import RescheduleTask


class AirflowRescheduleException(RescheduleTask):
    """The task gives its slot back and wants to run again at `reschedule_date`."""

    def __init__(self, reschedule_date: datetime) -> None:
        super().__init__(reschedule_date)
        self.reschedule_date = reschedule_date
