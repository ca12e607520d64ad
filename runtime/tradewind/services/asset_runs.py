"""Which run the events in a DAG's queue cause: read from the store, decided by `rules.assets`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from tradewind.model.specs import DagSpec, Json
from tradewind.model.states import RunType
from tradewind.ports import Clock, Store
from tradewind.rules.assets import interval_of, is_met
from tradewind.rules.partitions import KeyQuestion, key_questions, ready_partition
from tradewind.rules.timetables import RunInfo

ASSET_KINDS = frozenset({"assets", "assets_or_time", "partitioned_assets"})


AskKeys = Callable[[Sequence[KeyQuestion]], Awaitable[Mapping[KeyQuestion, str | None]]]


class AssetRun(NamedTuple):
    """A run that events cause: when, what it is about, which events, and its name."""

    info: RunInfo
    event_ids: tuple[int, ...]
    dag_run_id: str
    partition_key: str | None = None


def is_on_assets(spec: DagSpec) -> bool:
    """Whether assets can cause runs of the DAG."""
    return spec.timetable.kind in ASSET_KINDS


async def asset_run(store: Store, clock: Clock, spec: DagSpec, ask: AskKeys) -> AssetRun | None:
    """The run that the events in the DAG's queue cause; None while its condition is not met.

    Its logical date is that of its last event that counts; its data interval spans those of the runs that sent
    the events. All events of the queue go with it, those that came during a pause as well. Events with a
    partition key are for schedules by partition alone: there a run takes those of one key. `ask`: has code of the DAG's
    file map keys.
    """
    queued = [one for _, one in await store.asset_queue_list(spec.dag_id)]
    args = spec.timetable.args
    partition_key = None
    if spec.timetable.kind == "partitioned_assets":
        questions = key_questions(args, queued)
        ready = ready_partition(args, queued, await ask(questions) if questions else {})
        if ready is None:
            return None
        partition_key, queued = ready
    else:
        queued = [one for one in queued if one.event.partition_key is None]
        condition: Mapping[str, Json] = args["condition"]
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
    return AssetRun(info, tuple(event.event_id for event in events), dag_run_id, partition_key)


def asset_run_id(spec: DagSpec, at: datetime) -> str:
    """The name of a run that assets cause: ``asset_triggered__…``, or ``dataset_triggered__…`` where the DAG's
    file speaks of datasets.
    """
    word = "dataset_triggered" if spec.timetable.args.get("word") == "dataset" else RunType.ASSET_TRIGGERED.value
    return f"{word}__{at.astimezone(UTC).isoformat()}"
