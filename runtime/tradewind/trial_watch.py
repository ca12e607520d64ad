"""Who looks on at a trial run, and what ends it early."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tradewind.control_ports import LiveEvent
from tradewind.instance_ports import FoundWait, WaitFilter
from tradewind.model.rows import RunRow
from tradewind.model.states import FINISHED, RUN_FINISHED, TaskState
from tradewind.model.waits import ANSWERED_FROM_OUTSIDE, INPUT_KIND
from tradewind.services.answering import Asked
from tradewind.services.control import RuntimeControl

TOLD_AFTER: Final = 2.0
"""Seconds of the machine's time that a task waits for somebody outside before that is told."""

_ENDED_OTHERWISE: Final = (
    "End the run with Ctrl-C or `dags test --timeout SECONDS`, or run the DAG on a server and call"
)


@dataclass(frozen=True, slots=True)
class TrialWatch:
    """Who looks on. `on_record` gets each log record (a line of JSON), from whatever thread wrote it.

    `on_unanswered` gets a sentence for each task that waits for a signal or a person, neither of which comes here.
    `timeout`: seconds of the machine's time after which the run is ended as failed.
    """

    on_event: Callable[[LiveEvent], None] | None = None
    on_record: Callable[[bytes], None] | None = None
    on_unanswered: Callable[[str], None] | None = None
    timeout: float | None = None


class Unanswered:
    """Tells, once for each task of a trial, that it waits for somebody who is not there."""

    def __init__(self, control: RuntimeControl, tell: Callable[[str], None]) -> None:
        self._control = control
        self._tell = tell
        self._told: set[str] = set()
        self._has_ended = False
        self._loop = asyncio.get_running_loop()
        self._timer: threading.Timer | None = None
        self._look: asyncio.Task[None] | None = None

    def see(self, event: LiveEvent) -> None:
        """Takes in what was committed."""
        has_deferred = any(row.state is TaskState.DEFERRED for row in event.items)
        if has_deferred and self._timer is None and not self._has_ended:
            self._timer = threading.Timer(TOLD_AFTER, self._loop.call_soon_threadsafe, [self._begin])
            self._timer.daemon = True
            self._timer.start()  # as in `run_ended`

    async def stop(self) -> None:
        """Nothing more is told."""
        self._has_ended = True
        if self._timer is not None:
            self._timer.cancel()
        if self._look is not None:
            self._look.cancel()
            await asyncio.wait({self._look})

    def _begin(self) -> None:
        self._timer = None
        self._look = asyncio.ensure_future(self._tell_all())

    async def _tell_all(self) -> None:
        where = WaitFilter(kinds=tuple(sorted(ANSWERED_FROM_OUTSIDE)), limit=10_000)
        found, _ = await self._control.reads.wait_page(where)
        for wait in found:
            if wait.row.task_id not in self._told:
                self._told.add(wait.row.task_id)
                self._tell(unanswered(wait))


def unanswered(found: FoundWait) -> str:
    """What a task waits for that nobody gives it in a trial, and what to do about it."""
    asked, wait = Asked.of(found), found.row.wait
    task = f"{found.dag_id} {asked.task_id}"
    is_question = wait.kind == INPUT_KIND
    what = f"an answer to {(asked.question.subject or asked.name)!r}" if is_question else f"the signal {asked.name!r}"
    if wait.deadline is None:
        until, how = "", "Give it a timeout" + (" and a default. " if is_question else ". ")
    else:
        until, how = f" until {wait.deadline:%H:%M:%S} UTC", "With --no-wait that time is skipped. "
    sent = f"tradewind inputs answer {task} --set FIELD=VALUE"
    if not is_question:
        sent = f"tradewind tasks signal {task} {asked.name}"
    return f"{asked.task_id} waits for {what}{until}, and in a trial nobody gives it. {how}{_ENDED_OTHERWISE} `{sent}`."


async def run_ended(control: RuntimeControl, run: RunRow, timeout: float | None) -> dict[str, str]:
    """Returns when the run has ended; after `timeout` seconds it is ended, and what it waited for is returned."""
    done = asyncio.ensure_future(control.run_wait(run.run_id))
    if timeout is None:
        await done
        return {}
    over = asyncio.Event()
    timer = threading.Timer(timeout, asyncio.get_running_loop().call_soon_threadsafe, [over.set])
    timer.daemon = True
    timer.start()  # a thread has the machine's time: the loop's may skip
    late = asyncio.ensure_future(over.wait())
    try:
        await asyncio.wait({done, late}, return_when=asyncio.FIRST_COMPLETED)
        if done.done():
            return {}
        waiting = await _waiting_for(control, run)
        current = await control.reads.run_by_id(run.run_id)
        if current is not None and current.state not in RUN_FINISHED:
            await control.run_cancel(run.dag_id, run.dag_run_id)
        return waiting
    finally:
        late.cancel()
        timer.cancel()
        await asyncio.wait({done, late})


async def _waiting_for(control: RuntimeControl, run: RunRow) -> dict[str, str]:
    """For each task that has not ended: what it does or waits for."""
    found: dict[str, str] = {}
    for row in await control.reads.instance_list(run.run_id):
        if row.state not in FINISHED:
            reasons = await control.why_waiting(run.dag_id, run.dag_run_id, row.task_id)
            found[row.task_id] = "; ".join(reasons) or f"it is {row.state} (try {row.try_number})"
    return found
