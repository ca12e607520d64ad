"""Sees to it that the watchers of this runtime's DAGs run, each once, and commits what they fire.

Which ones there are follows from the DAGs alone, so nothing is stored of them: `settle` says it anew whenever a DAG
came, changed or went. An event is an event of its asset, routed in the transaction that stores it.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final
from uuid import uuid4

import orjson

from tradewind.asset_ports import AssetWrites
from tradewind.executor_ports import WatchExecutor
from tradewind.model.assets import FROM_TRIGGER, ExternalEvent, WatcherSpec
from tradewind.model.errors import AuthoringError, StoreUnavailable
from tradewind.model.watches import NOT_HERE, PAUSING, RUNNING, WatchFacts, WatchFired, WatchStart
from tradewind.ports import Clock
from tradewind.services.owned_dag import OwnedDag

log = logging.getLogger(__name__)

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 300.0
"""Seconds, before jitter, after the first failure of a watcher and after many in a row."""
LONGEST_KEY: Final = 200


class WatchKeeper:
    """The `WatchHost` of one runtime."""

    def __init__(
        self,
        store: AssetWrites,
        clock: Clock,
        dags: Mapping[str, OwnedDag],
        carrier: Callable[[], WatchExecutor | None],
        on_event: Callable[[], None],
    ) -> None:
        """`on_event` is called after each commit."""
        self.on_changed: list[Callable[[], None]] = []
        """Called whenever a watcher gets on differently than before."""
        self._store = store
        self._clock = clock
        self._dags = dags
        self._carrier = carrier
        self._on_event = on_event
        self._facts: dict[WatcherSpec, WatchFacts] = {}
        self._in_a_row: dict[WatcherSpec, int] = {}
        self._started: dict[WatcherSpec, WatchStart] = {}

    def settle(self) -> None:
        """The DAGs are as they are: has their watchers carried out, and no others."""
        naming: dict[WatcherSpec, list[OwnedDag]] = {}
        for _, dag in sorted(self._dags.items()):
            for watcher in dag.spec.watchers if dag.row.is_active else ():
                naming.setdefault(watcher, []).append(dag)
        if not naming and not self._started:
            return
        starts = {watcher: _start(watcher, dags[0]) for watcher, dags in naming.items()}
        carrier, now = self._carrier(), self._clock.now()
        state = RUNNING if carrier is not None else NOT_HERE
        for watcher in self._facts.keys() - starts.keys():
            del self._facts[watcher]
            self._in_a_row.pop(watcher, None)
        for watcher, dags in naming.items():
            names = tuple(dag.dag_id for dag in dags)
            known = self._facts.get(watcher)
            facts = WatchFacts(watcher, names, state, now) if known is None else known._replace(dag_ids=names)
            self._facts[watcher] = facts
        self._started = starts
        self._say_changed()
        if carrier is not None:
            carrier.carry_watches(self, list(starts.values()))
        else:
            log.warning("%d watchers of assets do not run: no executor here carries triggers out", len(starts))

    def facts(self) -> list[WatchFacts]:
        """How the watchers get on, by asset and name."""
        return sorted(self._facts.values(), key=lambda facts: (facts.watcher.uri, facts.watcher.name))

    # ------------------------------------------------------------------------------ the host

    def watch_began(self, start: WatchStart) -> None:
        """As `WatchHost.watch_began`."""
        facts = self._of(start)
        if facts is not None and facts.state != RUNNING:
            self._put(facts._replace(state=RUNNING, since=self._clock.now(), again_at=None))

    def watch_failed(self, start: WatchStart, error: str, fired: int) -> float:
        """As `WatchHost.watch_failed`."""
        watcher = start.watcher
        row = self._in_a_row[watcher] = 1 if fired else self._in_a_row.get(watcher, 0) + 1
        pause = self._pause(row)
        log.warning(
            "watcher %r of asset %r (DAG %s) begins again in %.1f s: %s",
            watcher.name,
            watcher.uri,
            start.dag_id,
            pause,
            error.rstrip(),
        )
        facts = self._of(start)
        if facts is not None:
            now = self._clock.now()
            failed = facts._replace(state=PAUSING, since=now, failures=facts.failures + 1, last_error=error)
            self._put(failed._replace(last_error_at=now, again_at=now + timedelta(seconds=pause)))
        return pause

    async def watch_fired(self, start: WatchStart, fired: WatchFired) -> None:
        """As `WatchHost.watch_fired`."""
        fresh = await self._commit(external_event(start.watcher, fired))
        self._in_a_row.pop(start.watcher, None)
        self._on_event()
        facts = self._of(start)
        if facts is not None and fresh:
            self._put(facts._replace(events=facts.events + 1, last_event_at=self._clock.now()))

    async def _commit(self, event: ExternalEvent) -> bool:
        """Whether it was new. While the database is away it is tried again."""
        row = 0
        while True:
            try:
                return (await self._store.asset_event_add(event))[1]
            except StoreUnavailable as gone:  # its key makes it the same event when it was committed after all
                row += 1
                log.warning("an event of asset %r waits for the database: %s", event.uri, gone)
            await asyncio.sleep(self._pause(row))

    def _pause(self, row: int) -> float:
        """Seconds after so many failures in a row, spread."""
        return min(FIRST_PAUSE * 2.0 ** min(row - 1, 20), LONGEST_PAUSE) * (0.5 + self._clock.draw() / 2)

    def _of(self, start: WatchStart) -> WatchFacts | None:
        """None where it is on its way out."""
        return self._facts.get(start.watcher) if self._started.get(start.watcher) == start else None

    def _put(self, facts: WatchFacts) -> None:
        self._facts[facts.watcher] = facts
        self._say_changed()

    def _say_changed(self) -> None:
        for tell in self.on_changed:
            tell()


def _start(watcher: WatcherSpec, dag: OwnedDag) -> WatchStart:
    return WatchStart(watcher, dag.dag_id, dag.row.version_hash, dag.row.source)


def external_event(watcher: WatcherSpec, fired: WatchFired) -> ExternalEvent:
    """The event of the asset. Keys of different watchers are different; one without a key gets one that is only its
    own. Raises AuthoringError for a payload that is not JSON.
    """
    try:
        extra = orjson.dumps({FROM_TRIGGER: True, "payload": fired.payload})
    except TypeError as why:
        raise AuthoringError(
            f"watcher {watcher.name!r} of asset {watcher.uri!r}: a payload has to be JSON, and {fired.payload!r} is "
            f"not: {why}"
        ) from why
    key = fired.key if fired.key is not None else f"once-{uuid4()}"
    if len(key) > LONGEST_KEY:
        key = f"sha256-{hashlib.sha256(key.encode()).hexdigest()}"
    return ExternalEvent(watcher.uri, extra, f"watcher:{watcher.uri}:{watcher.name}:{key}")
