"""How much of a loop each kind of coroutine has used. Bounded: kinds of which nothing has ended for long go first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from tradewind.model.loop import CoroutineKind, KindUse
from tradewind.worker.guard import Owner

KINDS_MAX: Final = 1000


class _Sum:
    __slots__ = ("running", "seconds", "started")

    def __init__(self) -> None:
        self.started = 0
        self.running = 0
        self.seconds = 0.0


class LoopTally:
    """Sums by kind. What runs is added when it is asked for."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._ended: OrderedDict[CoroutineKind, _Sum] = OrderedDict()
        self._alive: set[Owner] = set()
        self.dropped = 0
        """Kinds that were left out because there were too many."""

    def began(self, owner: Owner) -> None:
        """Code of this owner is about to run."""
        self._alive.add(owner)

    def ended(self, owner: Owner, seconds: float) -> None:
        """It has ended, and has held the loop for so long."""
        self._alive.discard(owner)
        found = self._ended.get(owner.kind)
        if found is None:
            found = self._ended[owner.kind] = _Sum()
            if len(self._ended) > KINDS_MAX:
                self._ended.popitem(last=False)
                self.dropped += 1
        else:
            self._ended.move_to_end(owner.kind)
        found.started += 1
        found.seconds += seconds

    def uses(self) -> list[KindUse]:
        """Each kind, those that used most first."""
        sums: dict[CoroutineKind, _Sum] = {}
        for kind, ended in self._ended.items():
            one = sums[kind] = _Sum()
            one.started, one.seconds = ended.started, ended.seconds
        for owner in self._alive:
            one = sums.setdefault(owner.kind, _Sum())
            one.started += 1
            one.running += 1
            one.seconds += owner.seconds
        return by_use(KindUse(kind, self._place, one.started, one.running, one.seconds) for kind, one in sums.items())


def by_use(uses: Iterable[KindUse]) -> list[KindUse]:
    """Those that used most first."""
    return sorted(uses, key=lambda use: (-use.loop_seconds, use.kind))
