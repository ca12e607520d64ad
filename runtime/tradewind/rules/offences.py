"""Which kinds of coroutines have blocked a loop so often that they are given one of their own."""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import Final

from tradewind.model.loop import CoroutineKind

OFFENCES_MAX: Final = 3
"""The so-manieth offence within `OFFENCE_WINDOW` sends a kind away."""

OFFENCE_WINDOW: Final = 600.0
"""Seconds."""


RECORDS_MAX: Final = 1000
"""Kinds of which offences are remembered; those longest without one go first."""


class _Record:
    __slots__ = ("instants", "is_isolated")

    def __init__(self) -> None:
        self.instants: deque[float] = deque(maxlen=OFFENCES_MAX)
        self.is_isolated = False


class Offenders:
    """Counts offences by kind and version of the DAG file: another version begins with a clean record, for it may
    be the cure.
    """

    def __init__(self) -> None:
        self._records: OrderedDict[tuple[CoroutineKind, str], _Record] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    @property
    def isolated(self) -> list[CoroutineKind]:
        """The kinds that have been sent away in some version."""
        return list(dict.fromkeys(kind for (kind, _), record in self._records.items() if record.is_isolated))

    def offended(self, kind: CoroutineKind, version: str, now: float, *, weight: int = 1) -> bool:
        """Counts an offence at the monotonic instant `now` (seconds) as `weight` of them. True: this one sends the
        kind away.
        """
        record = self._records.setdefault((kind, version), _Record())
        self._records.move_to_end((kind, version))
        if len(self._records) > RECORDS_MAX:
            self._records.popitem(last=False)
        record.instants.extend([now] * weight)
        recent = sum(1 for instant in record.instants if now - instant <= OFFENCE_WINDOW)
        if record.is_isolated or recent < OFFENCES_MAX:
            return False
        record.is_isolated = True
        return True

    def is_isolated(self, kind: CoroutineKind, version: str) -> bool:
        """Whether new starts of the kind, from this version of its file, go to a host of their own."""
        record = self._records.get((kind, version)) if self._records else None
        return record is not None and record.is_isolated
