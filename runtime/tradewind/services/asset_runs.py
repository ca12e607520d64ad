"""Which run the events in a DAG's queue cause: read from the store, decided by `rules.assets`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tradewind.model.assets import Consumed
from tradewind.model.specs import DagSpec, Json
from tradewind.model.states import RunType
from tradewind.ports import Clock, Store
from tradewind.rules.assets import interval_of, is_met
from tradewind.rules.partitions import Answers, KeyQuestion, idle_events, key_questions, ready_partition
from tradewind.rules.timetables import RunInfo

ASSET_KINDS = frozenset({"assets", "assets_or_time", "partitioned_assets"})


AskKeys = Callable[[Sequence[KeyQuestion]], Awaitable[Answers]]


class AssetRun(NamedTuple):
    """A run that events cause: when, what it is about, which events, and its name."""

    info: RunInfo
    consumed: Consumed
    dag_run_id: str
    partition_key: str | None = None
    partition_date: datetime | None = None


def is_on_assets(spec: DagSpec) -> bool:
    """Whether assets can cause runs of the DAG."""
    return spec.timetable.kind in ASSET_KINDS


async def asset_run(store: Store, clock: Clock, spec: DagSpec, ask: AskKeys) -> AssetRun | None:
    """The run that the events in the DAG's queue cause; None while its condition is not met.

    Its logical date is that of its last event that counts; its data interval spans those of the runs that sent
    the events. All events of the queue go with it, those that came during a pause as well. Events with a
    partition key are for schedules by partition alone: there a run takes those of one key, and those that belong to
    further runs stay in the queue; whatever belongs to none leaves it. `ask`: what mappers make of keys.
    """
    queued = [one for _, one in await store.asset_queue_list(spec.dag_id)]
    args = spec.timetable.args
    condition: Mapping[str, Json] = args["condition"]
    partition_key = partition_date = None
    kept: frozenset[int] = frozenset()
    if spec.timetable.kind == "partitioned_assets":
        questions = key_questions(queued)
        answers: Answers = await ask(questions) if questions else {}
        if idle := idle_events(queued, answers):
            await store.asset_queue_drop(spec.dag_id, idle)
        ready = ready_partition(condition, queued, answers)
        if ready is None:
            return None
        partition_key, queued, kept, partition_date = ready
    else:
        queued = [one for one in queued if one.event.partition_key is None]
        if not is_met(condition, queued):
            return None
    events = [one.event for one in queued]
    at = max(one.event.at for one in queued if one.wakes).astimezone(UTC)
    while True:
        dag_run_id = asset_run_id(spec, at)
        if await store.run_get(spec.dag_id, dag_run_id) is None:
            break
        at = max(clock.now(), at + timedelta.resolution)  # two events of one moment, routed apart
    info = RunInfo(at, at, interval_of(events, at))
    taken = tuple(event.event_id for event in events if event.event_id not in kept)
    return AssetRun(info, Consumed(taken, tuple(sorted(kept))), dag_run_id, partition_key, partition_date)


def asset_run_id(spec: DagSpec, at: datetime) -> str:
    """The name of a run that assets cause: ``asset_triggered__…``, or ``dataset_triggered__…`` where the DAG's
    file speaks of datasets.
    """
    word = "dataset_triggered" if spec.timetable.args.get("word") == "dataset" else RunType.ASSET_TRIGGERED.value
    return f"{word}__{at.astimezone(UTC).isoformat()}"
