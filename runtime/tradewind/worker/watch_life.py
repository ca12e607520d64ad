"""One life of a watcher's trigger, on the running loop: from `run` to its end, event after event."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final, cast

from tradewind.authoring.dag import DAG
from tradewind.authoring.deferral import load_trigger, trigger_of
from tradewind.authoring.triggers import BaseTrigger, TriggerEvent
from tradewind.model.attempts import Attempt, AttemptKey, RunFacts
from tradewind.model.errors import AuthoringError
from tradewind.model.keys import AttemptId, RunId
from tradewind.model.outcomes import EncodedValue
from tradewind.model.specs import TaskSpec
from tradewind.model.states import RunType
from tradewind.model.watches import WatchStart
from tradewind.worker.trigger_life import Dags

GOES_WITHIN: Final = 5.0
"""Seconds that a watcher has to end: an event that is on its way is committed and acknowledged meanwhile."""

Deliver = Callable[[TriggerEvent], Awaitable[bool]]
"""Returns when the event is committed and acknowledged: whether another one is wanted."""


async def live_once(start: WatchStart, dags: Dags, run: RunFacts, deliver: Deliver) -> None:
    """Hands each event over, one after the other, until the trigger ends or no other is wanted. Raises what it
    raises.
    """
    dag: DAG = dags.get(run) or await dags.load(run)
    watcher = start.watcher
    await load_trigger(watcher.kind, dag)
    trigger = trigger_of(watcher.kind, EncodedValue(watcher.codec, watcher.args.encode()), dag)
    trigger.trigger_id = f"{watcher.uri}:{watcher.name}"
    events = trigger.run()
    try:
        async for event in events:
            if not isinstance(cast("object", event), TriggerEvent):
                raise AuthoringError(f"{trigger!r} has yielded {event!r}, which is no TriggerEvent")
            if not await deliver(event):
                return
    finally:
        await _close(trigger, events)


async def acknowledge(event: TriggerEvent) -> None:
    """Tells the source that the event is committed."""
    if event.ack is not None:
        acknowledging = cast("object", event.ack())
        if inspect.isawaitable(acknowledging):
            await acknowledging


async def _close(trigger: BaseTrigger, events: object) -> None:
    """A trigger that does not clean up is left alone with it."""
    async with asyncio.timeout(GOES_WITHIN):
        close = getattr(events, "aclose", None)
        if close is not None:
            await close()
        await trigger.cleanup()


def stand_in(start: WatchStart) -> Attempt:
    """What variables and connections are looked up for: a watcher belongs to no run."""
    now = datetime.now(UTC)
    name = f"{start.watcher.uri}:{start.watcher.name}"
    run = RunFacts(
        run_id=RunId(0),
        dag_id=start.dag_id,
        dag_run_id="",
        version_hash=start.version_hash,
        run_type=RunType.ASSET_TRIGGERED,
        logical_date=now,
        interval_start=now,
        interval_end=now,
        run_after=now,
        queued_at=now,
        started_at=now,
        conf=None,
        external_trigger=False,
        source=start.source,
    )
    return Attempt(AttemptKey(AttemptId(bytes(16)), RunId(0), name), TaskSpec(name), run, 1, now)
