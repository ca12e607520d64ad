"""Tells listeners of plug-ins what was committed about runs and assets: from a thread, in order."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from tradewind.authoring.assets import Asset
from tradewind.authoring.dag_run import DagRun
from tradewind.authoring.listeners import is_listening, tell
from tradewind.model.batch import Batch, Segment
from tradewind.services.run_book import RunBook

log = logging.getLogger(__name__)

_RUN_HOOKS: Final = ("on_dag_run_running", "on_dag_run_success", "on_dag_run_failed")
_ASSET_HOOKS: Final = ("on_asset_changed", "on_dataset_changed")

_News = tuple[str, dict[str, Any]]

BACKLOG: Final = 10_000
"""Events that listeners may be behind. What comes while they are is not told."""


class RunListeners:
    """What has been committed but not yet told is lost with this process: callbacks of DAGs are not."""

    def __init__(self, book: RunBook) -> None:
        self._book = book
        self._news: asyncio.Queue[_News] = asyncio.Queue(BACKLOG)
        self._untold = 0

    def learn(self, batch: Batch) -> None:
        """Takes in what a batch has just committed."""
        if is_listening(*_RUN_HOOKS, *_ASSET_HOOKS):
            for segment in batch.segments:
                self._note(segment)

    async def run(self) -> None:
        """Tells for ever."""
        while True:
            name, offered = await self._news.get()
            await asyncio.to_thread(tell, name, **offered)
            if self._untold and self._news.empty():
                log.warning("listeners were too slow: %d events of runs and assets were not told", self._untold)
                self._untold = 0

    def _put(self, hook: str, offered: dict[str, Any]) -> None:
        if self._news.full():
            self._untold += 1
        else:
            self._news.put_nowait((hook, offered))

    def _note(self, segment: Segment) -> None:
        change = segment.run
        machine = self._book.runs.get(segment.run_id)
        if change is not None and change.expected is not change.state and machine is not None:
            hook = f"on_dag_run_{change.state.value}"
            if is_listening(hook):
                run = DagRun(machine.facts, change.state, change.ended_at)
                self._put(hook, {"dag_run": run, "msg": ""})
        if is_listening(*_ASSET_HOOKS):
            for row in segment.asset_events:
                asset = Asset(uri=row.put.uri)
                for hook in _ASSET_HOOKS:
                    self._put(hook, {"asset": asset, "dataset": asset})
