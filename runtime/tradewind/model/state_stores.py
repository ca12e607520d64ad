"""Whose small values a state store keeps: those of a task instance, or those of an asset."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple, Self

from tradewind.model.keys import UNMAPPED, RunId


class StateScope(NamedTuple):
    """What the values belong to. `owner`: a task's id; of an asset (`run_id` 0) its name, or, if `by_uri`, its URI."""

    run_id: RunId
    owner: str
    map_index: int = UNMAPPED
    by_uri: bool = False

    @classmethod
    def of_asset(cls, *, name: str | None = None, uri: str | None = None) -> Self:
        """The values of an asset. Either is needed."""
        return cls(RunId(0), name or uri or "", UNMAPPED, name is None)


class KeptState(NamedTuple):
    """One value, as JSON text, with when it was last set and until when it is known (None: as long as its owner)."""

    key: str
    value: str
    at: datetime
    expires_at: datetime | None = None
