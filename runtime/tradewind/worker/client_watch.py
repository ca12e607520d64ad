"""Watching the code that opens and closes clients: it is user code on the loop, and belongs to no attempt."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from tradewind.authoring.access import current_attempt
from tradewind.model.loop import CoroutineKind
from tradewind.worker.loop_watch import watch_of_running_loop


def watched_client(life: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
    """The life of a client as a coroutine whose steps are watched where the loop is: what holds the loop up is told
    as the client of the task that was first to use it.
    """
    watch, current = watch_of_running_loop(), current_attempt.get(None)
    if watch is None or current is None:
        return life
    attempt = current.attempt
    return watch.watched(life, CoroutineKind(attempt.run.dag_id, attempt.key.task_id, "client"), attempt)
