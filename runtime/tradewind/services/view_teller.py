"""Tells views of what the scheduler has committed, and has written for them what nobody else needs so soon."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from tradewind.control_ports import LiveEvent
from tradewind.model.batch import Batch
from tradewind.model.outcomes import QUERY_PREFIX
from tradewind.model.states import RunState
from tradewind.rules.run_machine import RunMachine
from tradewind.services.intake import Intake
from tradewind.services.live import LiveHub
from tradewind.services.run_book import RunBook
from tradewind.services.turn import Turn

VISIBLE_AFTER: Final = 0.5
"""Seconds after which waiting instances and counters of a busy run are written for views."""

NOTED_AT_ONCE: Final = 500
"""Waiting instances of one run that are written at a time: the rest of a large fan-out can wait for that too."""


class ViewTeller:
    """What views are told of the runs in `book`."""

    def __init__(self, book: RunBook, intake: Intake, live: LiveHub) -> None:
        self._book = book
        self._intake = intake
        self._live = live
        self._due: asyncio.TimerHandle | None = None

    def run_added(self, machine: RunMachine) -> None:
        """Tells of a run that has just been created."""
        if self._live.is_watched:
            self._tell_run(machine)

    def committed(self, batch: Batch) -> None:
        """Tells what a batch has changed."""
        if not self._live.is_watched:
            return
        for segment in batch.segments:
            machine = self._book.runs.get(segment.run_id)
            if machine is None:
                continue
            if segment.run is not None:
                self._tell_run(machine)
            if segment.asset_events:
                self._live.publish_assets()
            if any(row.key.startswith(QUERY_PREFIX) for row in segment.xcoms):
                self._live.hint(LiveEvent("queries", segment.dag_id, machine.run.dag_run_id))
            if segment.tasks or segment.made:
                self._live.publish_tasks(machine.run, [*segment.tasks, *segment.made])

    def write_soon(self) -> None:
        """Has waiting instances and counters of running runs written a little later, for those who look."""
        if self._due is None:
            self._due = asyncio.get_running_loop().call_later(VISIBLE_AFTER, self._write)

    def _tell_run(self, machine: RunMachine) -> None:
        run = machine.run
        self._live.publish(LiveEvent("run", run.dag_id, run.dag_run_id, run=run))

    def _write(self) -> None:
        self._due = None
        for machine in self._book.runs.values():
            if machine.run.state is RunState.RUNNING and machine.note_for_views(NOTED_AT_ONCE):
                self._intake.do(partial(_touch, machine=machine))


def _touch(turn: Turn, machine: RunMachine) -> None:
    turn.touched[machine.run.run_id] = machine
