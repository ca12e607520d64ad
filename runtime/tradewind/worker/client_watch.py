"""The clients of a loop that carries attempts: held, watched, and closed in good order whatever ends the loop.

The code that opens and closes a client is user code, and belongs to no attempt.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio

from tradewind.authoring.access import current_attempt
from tradewind.authoring.loop_clients import LoopClients, hold_clients
from tradewind.model.loop import CoroutineKind
from tradewind.worker.log import current_log
from tradewind.worker.loop_watch import watch_of_running_loop


@asynccontextmanager
async def clients_of_loop() -> AsyncGenerator[LoopClients]:
    """`hold_clients` for runtimes and async hosts: they close their clients even when they are cancelled."""
    async with hold_clients(current_log, watched=_watched) as clients:
        try:
            yield clients
        finally:
            if clients.holders == 1:
                with anyio.CancelScope(shield=True):
                    await clients.close()


def _watched(life: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
    """The life of a client as a coroutine whose steps are watched where the loop is: what holds the loop up is told
    as the client of the task that was first to use it.
    """
    watch, current = watch_of_running_loop(), current_attempt.get(None)
    if watch is None or current is None:
        return life
    attempt = current.attempt
    return watch.watched(life, CoroutineKind(attempt.run.dag_id, attempt.key.task_id, "client"), attempt)
