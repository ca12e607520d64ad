"""Carries out what commits have put into the outbox: callbacks that no attempt could run itself.

A callback is user code, so it runs in a process of its own, never on the loop. Each row is carried
out at least once: it is deleted only after the callback has ended, and tried again after a crash.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import orjson

from tradewind.model.errors import StoreUnavailable
from tradewind.model.rows import Lease, OutboxItem
from tradewind.ports import Store

log = logging.getLogger(__name__)

TIME_LIMIT: Final = 60.0
"""Seconds that one callback may take."""

RETRY_AFTER: Final = 5.0

Carry = Callable[[OutboxItem], Awaitable[bool]]


class Callbacks:
    """Reads the outbox when told that there is something in it."""

    def __init__(self, store: Store, carry: Carry) -> None:
        self._store = store
        self._carry = carry
        self._wake = asyncio.Event()
        self._wake.set()

    def wake(self) -> None:
        """There is something in the outbox."""
        self._wake.set()

    async def run(self, lease: Lease) -> None:
        """Carries out rows as they come, oldest first."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                while items := await self._store.outbox_read(lease):
                    if not await self._carry_all(lease, items):
                        asyncio.get_running_loop().call_later(RETRY_AFTER, self.wake)
                        break
            except StoreUnavailable:
                asyncio.get_running_loop().call_later(RETRY_AFTER, self.wake)

    async def _carry_all(self, lease: Lease, items: list[OutboxItem]) -> bool:
        """Whether all of them were carried out."""
        good = True
        for item in items:
            done = await self._carry(item)
            good = good and done
            await self._store.outbox_done(lease, [item.outbox_id], failed=not done)
        return good


async def run_callback(store: Store, item: OutboxItem) -> bool:
    """Runs one callback in a child process. False, and a line in the log, if it failed."""
    run = await store.run_by_id(item.run_id)
    version = None
    if run is not None:
        version = await store.dag_version_get(item.dag_id, run.version_hash)
    if run is None or version is None:
        return True  # the run is gone, and with it whoever wanted to know
    request = {
        "dag_id": item.dag_id,
        "dag_run_id": run.dag_run_id,
        "state": run.state.value,
        "logical_date": run.logical_date,
        "fileloc": version.source.fileloc,
        "relative_fileloc": version.source.relative_fileloc,
        "callback": orjson.loads(item.body),
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tradewind.worker.callback",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(TIME_LIMIT):
            output, _ = await process.communicate(orjson.dumps(request))
    except TimeoutError:
        log.error("a callback of DAG %s took longer than %s s", item.dag_id, TIME_LIMIT)
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        text = output.decode(errors="replace")
        log.error("a callback of DAG %s failed:\n%s", item.dag_id, text)
    return process.returncode == 0
