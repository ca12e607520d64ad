"""Which run the events of an `EventSchedule` cause: what waits is in the store, `rules.event_policy` decides."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple, cast

import orjson

from tradewind.asset_ports import AssetReads, AssetWrites
from tradewind.model.assets import FROM_TRIGGER, AssetEvent, ExternalEvent, QueuedEvent, QueueSummary
from tradewind.model.errors import NotFoundError, ParamValidationError
from tradewind.model.outcomes import CODEC_JSON, EncodedValue
from tradewind.model.specs import DagSpec, Json
from tradewind.model.states import RunType
from tradewind.ports import Clock, Store
from tradewind.rules.assets import interval_of
from tradewind.rules.due import dag_run_id_of
from tradewind.rules.event_policy import EVENT_KIND, EventPolicy, verdict, verdict_by_key
from tradewind.rules.timetables import RunInfo

AT_A_TIME: Final = 50
"""Events that are read together where each is a run of its own."""

LONGEST_KEY: Final = 200
"""Characters of a value that keeps events apart; of longer ones it is a digest."""


class EventRun(NamedTuple):
    """A run that events cause now."""

    info: RunInfo
    event_ids: tuple[int, ...]
    dag_run_id: str
    conf: EncodedValue | None
    key: str | None = None
    """What the events have in common, where the policy says by what to keep them apart."""


async def take_in_event(
    store: AssetWrites, name: str, payload: Mapping[str, Json], key: str | None
) -> tuple[AssetEvent, bool]:
    """As `Control.event_take_in`. Keys of different events are different."""
    try:
        return await store.asset_event_add(posted_event(name, payload, key))
    except NotFoundError:
        raise nobody_waits(name) from None


def nobody_waits(name: str) -> NotFoundError:
    """No DAG has named the event."""
    return NotFoundError(f"no DAG waits for {name!r}: name it in a schedule, as in schedule=EventSchedule({name!r})")


def posted_event(name: str, payload: Mapping[str, Json], key: str | None) -> ExternalEvent:
    """The event as the store takes it in. Raises ParamValidationError for a payload that is not JSON."""
    try:
        extra = orjson.dumps(payload)
    except TypeError as error:
        raise ParamValidationError(f"the payload of event {name!r} is not JSON: {error}") from error
    return ExternalEvent(name, extra, None if key is None else f"event:{name}:{key}")


def is_on_events(spec: DagSpec) -> bool:
    """Whether events by a stated policy cause runs of the DAG."""
    return spec.timetable.kind == EVENT_KIND


class EventsWait(NamedTuple):
    """Nothing is due before `at`. `firm`: whatever comes meanwhile, it is not due earlier."""

    at: datetime
    firm: bool


async def event_runs(store: Store, clock: Clock, spec: DagSpec, room: int) -> list[EventRun] | EventsWait | None:
    """The runs, at most `room`, that what waits causes now; else when to look again; None: nothing waits.

    Events that came while the DAG was paused count like others.
    """
    policy = EventPolicy.of(spec.timetable.args)
    if policy.key is not None:
        return await _runs_by_key(store, clock, spec, policy, room)
    most = policy.most
    one_by_one = most == 1 and policy.throttle is None
    if one_by_one:  # nothing ever waits for others: what there is can go
        take = min(room, AT_A_TIME)
    else:
        said = verdict(policy, await store.asset_queue_summary(spec.dag_id), clock.now())
        if not said.take:
            return None if said.at is None else EventsWait(said.at, most is None or said.reason == "throttle")
        take = said.take
    events = [one.event for _, one in await store.asset_queue_list(spec.dag_id, limit=take)]
    if not events:
        return None
    together = [[event] for event in events] if one_by_one else [events]
    return [_run_of(some, with_conf=most == 1) for some in together]


async def _runs_by_key(
    store: Store, clock: Clock, spec: DagSpec, policy: EventPolicy, room: int
) -> list[EventRun] | EventsWait | None:
    waiting = await waiting_by_key(store, spec.dag_id, policy)
    said = verdict_by_key(policy, {key: summary_of(queued) for key, queued in waiting.items()}, clock.now())
    if not said.take:
        return None if said.at is None else EventsWait(said.at, policy.most is None)
    due = [(key, [one.event for one in waiting[key][:take]]) for key, take in said.take[:room]]
    return [_run_of(events, with_conf=False)._replace(key=key) for key, events in due]


async def waiting_by_key(reads: AssetReads, dag_id: str, policy: EventPolicy) -> dict[str | None, list[QueuedEvent]]:
    """What waits, by the value of the policy's field, oldest first; under None what has no such field."""
    waiting: dict[str | None, list[QueuedEvent]] = {}
    path = (policy.key or "").split(".")
    for _, one in await reads.asset_queue_list(dag_id):
        waiting.setdefault(key_in(one.event.extra, path), []).append(one)
    return waiting


def summary_of(queued: Sequence[QueuedEvent]) -> QueueSummary:
    """The same in figures."""
    return QueueSummary(len(queued), min(one.queued_at for one in queued), max(one.queued_at for one in queued))


def key_in(extra: bytes, path: Sequence[str]) -> str | None:
    """What stands at this place of an event's payload, as text; None: nothing does."""
    found: Json = orjson.loads(payload_of(extra))
    for name in path:
        found = cast("dict[str, Json]", found).get(name) if isinstance(found, dict) else None
    if found is None:
        return None
    text = found if isinstance(found, str) else orjson.dumps(found, option=orjson.OPT_SORT_KEYS).decode()
    return text if len(text) <= LONGEST_KEY else f"sha256-{hashlib.sha256(text.encode()).hexdigest()}"


async def renamed(store: Store, clock: Clock, dag_id: str, run: EventRun) -> EventRun:
    """The run at a moment soon after its own that no run of the DAG has: two events may have the same."""
    at = run.info.logical_date
    while await store.run_get(dag_id, dag_run_id_of(RunType.ASSET_TRIGGERED, at)) is not None:
        at = max(clock.now(), at + timedelta.resolution)
    info = run.info._replace(logical_date=at, run_after=at)
    return run._replace(info=info, dag_run_id=dag_run_id_of(RunType.ASSET_TRIGGERED, at))


def _run_of(events: Sequence[AssetEvent], *, with_conf: bool) -> EventRun:
    """Its logical date is the moment of the last event."""
    at = max(event.at for event in events).astimezone(UTC)
    conf = EncodedValue(CODEC_JSON, payload_of(events[0].extra)) if with_conf else None
    info = RunInfo(at, at, interval_of(events, at))
    return EventRun(info, tuple(event.event_id for event in events), dag_run_id_of(RunType.ASSET_TRIGGERED, at), conf)


def payload_of(extra: bytes) -> bytes:
    """What an event brings as conf: the payload of a watcher's event where it is an object, else the extra."""
    if FROM_TRIGGER.encode() not in extra:
        return extra
    said = orjson.loads(extra)
    payload = said.get("payload")
    return orjson.dumps(payload) if said.get(FROM_TRIGGER) is True and isinstance(payload, dict) else extra
