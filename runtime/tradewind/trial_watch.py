"""Who looks on at a trial run, and what ends it early."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass

from tradewind.control_ports import LiveEvent
from tradewind.model.rows import RunRow
from tradewind.model.states import FINISHED, RUN_FINISHED
from tradewind.services.control import RuntimeControl


@dataclass(frozen=True, slots=True)
class TrialWatch:
    """Who looks on. `on_record` gets each log record (a line of JSON), from whatever thread wrote it.

    `timeout`: seconds of the machine's time after which the run is ended as failed.
    """

    on_event: Callable[[LiveEvent], None] | None = None
    on_record: Callable[[bytes], None] | None = None
    timeout: float | None = None


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
