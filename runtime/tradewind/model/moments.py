"""Moments that a setting asks for. A calendar ends in the year 9999; settings such as `timedelta.max` go beyond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

LAST_MOMENT: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""Stands for all that is later; every time zone can show it."""


def moment_after(at: datetime, seconds: float) -> datetime:
    """So many seconds after an aware moment, `LAST_MOMENT` at the latest."""
    return at + timedelta(seconds=seconds) if seconds < (LAST_MOMENT - at).total_seconds() else LAST_MOMENT
