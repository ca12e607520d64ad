"""Assets, their events and the queues of DAGs that are scheduled on them: `/datasets…` and, the same, `/assets…`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final

import orjson
from aiohttp import web

from tradewind.model.assets import OUTLET, SCHEDULE, AssetEvent, AssetEventFilter, AssetRow, ExternalEvent, QueueHead
from tradewind.model.errors import NotFoundError
from tradewind.model.rows import RunRow
from tradewind.model.specs import Json
from tradewind.model.watches import WatchFacts
from tradewind.web.answers import json_answer
from tradewind.web.problems import not_found
from tradewind.web.rest.listing import PAGE, like, order_by, ordered, page_of
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.roles import Permission

_ORDER: Final[Mapping[str, Callable[[AssetRow], Json]]] = {
    "id": lambda row: row.asset_id,
    "uri": lambda row: row.uri,
    "created_at": lambda row: row.created_at,
    "updated_at": lambda row: row.updated_at,
}
_SOURCE: Final = (
    Param("source_dag_id", Kind.TEXT, "Only events that a task of this DAG has sent.", maximum=250),
    Param("source_task_id", Kind.TEXT, "Only events of this task.", maximum=250),
    Param("source_run_id", Kind.TEXT, "Only events of this run.", maximum=250),
    Param("source_map_index", Kind.INTEGER, "Only events of this instance of a mapped task.", minimum=-1),
)


def _asset(row: AssetRow, word: str) -> dict[str, Json]:
    dates = {"created_at": row.created_at, "updated_at": row.updated_at}
    consuming = sorted({dag_id for dag_id, use in row.uses if use.role == SCHEDULE})
    producing = sorted({(dag_id, use.task_id) for dag_id, use in row.uses if use.role == OUTLET})
    shown: dict[str, Json] = {
        "id": row.asset_id,
        "uri": row.uri,
        "extra": orjson.loads(row.extra),
        **dates,
        "consuming_dags": [{"dag_id": dag_id, **dates} for dag_id in consuming],
        "producing_tasks": [{"dag_id": dag_id, "task_id": task_id, **dates} for dag_id, task_id in producing],
        "aliases": [{"name": alias} for alias in row.aliases],
    }
    return shown if word == "dataset" else {**shown, "name": row.name, "group": row.group}


def _event(event: AssetEvent, runs: Iterable[RunRow], word: str) -> dict[str, Json]:
    shown: dict[str, Json] = {
        f"{word}_id": event.asset_id,
        f"{word}_uri": event.uri,
        "extra": orjson.loads(event.extra),
        "source_dag_id": event.source_dag_id,
        "source_task_id": event.source_task_id,
        "source_run_id": event.source_run_id,
        "source_map_index": -1 if event.source_map_index is None else event.source_map_index,
        "created_dagruns": [_caused(run) for run in runs],
        "timestamp": event.at,
    }
    if word == "dataset":
        return shown
    more = {"id": event.event_id, "asset_name": event.name, "partition_key": event.partition_key}
    return {**shown, **more, "source_aliases": list(event.aliases)}


def _caused(run: RunRow) -> dict[str, Json]:
    return {
        "dag_id": run.dag_id,
        "dag_run_id": run.dag_run_id,
        "logical_date": run.logical_date,
        "start_date": run.started_at,
        "end_date": run.ended_at,
        "state": run.state,
        "data_interval_start": run.interval_start,
        "data_interval_end": run.interval_end,
    }


async def _events(call: Call, events: Sequence[AssetEvent], total: int, word: str) -> web.Response:
    caused: dict[int, list[RunRow]] = {}
    for event_id, run in await call.reads.asset_event_runs([event.event_id for event in events]):
        caused.setdefault(event_id, []).append(run)
    entries = [_event(event, caused.get(event.event_id, ()), word) for event in events]
    return json_answer({f"{word}_events": entries, "total_entries": total})


async def list_assets(call: Call, word: str) -> web.Response:
    """GET /assets."""
    fits = like(call.maybe_text("uri_pattern") or "")
    dags = set(call.texts("dag_ids"))
    rows = [
        row
        for row in await call.reads.asset_list()
        if fits(row.uri) and (not dags or any(dag_id in dags for dag_id, _ in row.uses))
    ]
    page = page_of(call, ordered(rows, call.text("order_by"), _ORDER))
    return json_answer({f"{word}s": [_asset(row, word) for row in page], "total_entries": len(rows)})


async def get_asset(call: Call, word: str) -> web.Response:
    """GET /assets/{uri}."""
    row = await call.reads.asset_get(call.text("uri"))
    if row is None:
        raise _unknown(call.text("uri"), word)
    return json_answer(_asset(row, word))


async def list_events(call: Call, word: str) -> web.Response:
    """GET /assets/events."""
    where = AssetEventFilter(
        asset_id=call.maybe_integer(f"{word}_id"),
        source_map_index=call.maybe_integer("source_map_index"),
        limit=call.integer("limit"),
        offset=call.integer("offset"),
        descending=call.text("order_by").startswith("-"),
        source_dag_id=call.maybe_text("source_dag_id"),
        source_task_id=call.maybe_text("source_task_id"),
        source_run_id=call.maybe_text("source_run_id"),
    )
    events, total = await call.reads.asset_event_list(where)
    return await _events(call, events, total, word)


async def post_event(call: Call, word: str) -> web.Response:
    """POST /assets/events: something outside has changed the asset. The same `key` again changes nothing."""
    uri = call.text(f"{word}_uri")
    extra = {**(call.mapping("extra") or {}), "from_rest_api": True}
    event = ExternalEvent(uri, orjson.dumps(extra), call.maybe_text("key"), call.maybe_text("partition_key"))
    try:
        added, _ = await call.control.named.asset_event_add(event)
    except NotFoundError:
        raise _unknown(uri, word) from None
    call.control.assets_changed()
    runs = [run for _, run in await call.reads.asset_event_runs([added.event_id])]
    return json_answer(_event(added, runs, word))


async def list_watchers(call: Call) -> web.Response:
    """GET /assets/watchers: those that this server's runtime carries out."""
    uri = call.maybe_text("uri")
    uses = call.control.loop_report().kinds
    running = [use for use in uses if use.kind.what == "watcher" and use.running]
    places = {(use.kind.dag_id, use.kind.task_id): use.place for use in running}
    shown = [_watcher(facts, places) for facts in call.control.watches() if uri in (None, facts.watcher.uri)]
    return json_answer({"watchers": shown, "total_entries": len(shown)})


def _watcher(facts: WatchFacts, places: Mapping[tuple[str, str], str]) -> dict[str, Json]:
    name = f"{facts.watcher.uri}:{facts.watcher.name}"
    where = next((places[dag_id, name] for dag_id in facts.dag_ids if (dag_id, name) in places), None)
    return {
        "asset_uri": facts.watcher.uri,
        "name": facts.watcher.name,
        "kind": facts.watcher.kind,
        "dag_ids": list(facts.dag_ids),
        "state": facts.state,
        "place": where,
        "since": facts.since,
        "events": facts.events,
        "last_event_at": facts.last_event_at,
        "failures": facts.failures,
        "last_error": facts.last_error,
        "last_error_at": facts.last_error_at,
        "again_at": facts.again_at,
    }


async def list_upstream(call: Call, word: str) -> web.Response:
    """GET /dags/{dag_id}/dagRuns/{dag_run_id}/upstreamAssetEvents: what has caused a run."""
    dag_id, dag_run_id = call.text("dag_id"), call.text("dag_run_id")
    run = await call.reads.run_get(dag_id, dag_run_id)
    if run is None:
        raise not_found("DAGRun not found", f"DAGRun with DAG ID: '{dag_id}' and DagRun ID: '{dag_run_id}' not found")
    events, total = await call.reads.asset_event_list(AssetEventFilter(caused_run=run.run_id))
    return await _events(call, events, total, word)


async def list_queued(call: Call, word: str) -> web.Response:
    """GET of the queued events of a DAG or an asset: one entry a DAG and asset, with the time of the first event."""
    entries = [_queued(head) for head in await _heads(call, word)]
    return json_answer({"queued_events": entries, "total_entries": len(entries)})


async def get_queued(call: Call, word: str) -> web.Response:
    """GET /dags/{dag_id}/assets/queuedEvent/{uri}."""
    [head] = await _heads(call, word)
    return json_answer(_queued(head))


async def delete_queued(call: Call, word: str) -> web.Response:
    """DELETE of queued events: they cause no run any more."""
    dag_id, uri = _queue(call)
    if not await call.control.named.asset_queue_clear(dag_id, uri):
        raise _nothing_queued(call, word)
    return web.Response(status=204)


def _queue(call: Call) -> tuple[str | None, str | None]:
    """The DAG and the asset that the address names."""
    return (
        call.text("dag_id") if "dag_id" in call.values else None,
        call.text("uri") if "uri" in call.values else None,
    )


async def _heads(call: Call, word: str) -> list[QueueHead]:
    """What waits at the address. Raises Problem 404 where that is nothing."""
    heads = await call.reads.asset_queue_heads(*_queue(call))
    if not heads:
        raise _nothing_queued(call, word)
    return heads


def _nothing_queued(call: Call, word: str) -> Exception:
    dag_id, uri = _queue(call)
    about = " and ".join([f"dag_id: `{dag_id}`"] * (dag_id is not None) + [f"{word} uri: `{uri}`"] * (uri is not None))
    return not_found("Queue event not found", f"Queue event with {about} was not found")


def _queued(head: QueueHead) -> dict[str, Json]:
    return {"dag_id": head.dag_id, "uri": head.uri, "created_at": head.queued_at}


def _unknown(uri: str, word: str) -> Exception:
    kind = word.capitalize()
    return not_found(f"{kind} not found", f"The {kind} with uri: `{uri}` was not found")


def _reading_routes(word: str, kind: str) -> Iterable[Route]:
    where, run = f"/{word}s", "/dags/{dag_id}/dagRuns/{dag_run_id}"
    events = {200: f"{kind}EventCollection"}
    yield Route(
        "GET", where, f"get_{word}s", partial(list_assets, word=word), kind, f"{kind}s and the DAGs that name them.",
        query=(
            *PAGE, order_by(*_ORDER, default="id"),
            Param("uri_pattern", Kind.TEXT, "Only where the URI contains this; `%` is any text.", maximum=250),
            Param("dag_ids", Kind.TEXTS, "Only those that one of these DAGs names.", maximum=250),
        ),
        answers={200: f"{kind}Collection"},
    )  # fmt: skip
    yield Route(
        "GET", f"{where}/events", f"get_{word}_events", partial(list_events, word=word), kind,
        "Events, and the runs that they caused.",
        query=(
            *PAGE, order_by("timestamp", default="timestamp"),
            Param(f"{word}_id", Kind.INTEGER, f"Only events of this {word}.", minimum=0), *_SOURCE,
        ),
        answers=events,
    )  # fmt: skip
    yield Route(
        "GET", f"{run}/upstream{kind}Events", f"get_upstream_{word}_events", partial(list_upstream, word=word), kind,
        "The events that caused a run.", answers=events,
    )  # fmt: skip


def _routes(word: str, kind: str) -> Iterable[Route]:
    """All routes by one of the two words. Those with a URI come last: it may hold anything."""
    yield from _reading_routes(word, kind)
    yield Route(
        "POST", f"/{word}s/events", f"create_{word}_event", partial(post_event, word=word), kind,
        f"Say that a {word} has changed. With a `key` the same event is taken once.",
        permission=Permission.OPERATE,
        body=(
            Param(f"{word}_uri", Kind.TEXT, "Its URI.", required=True, minimum=1, maximum=1500),
            Param("extra", Kind.OBJECT, "More to say about the event.", nullable=True),
            Param("key", Kind.TEXT, "Makes the event unique.", nullable=True, minimum=1, maximum=250),
            Param("partition_key", Kind.TEXT, "Which part has changed.", nullable=True, minimum=1, maximum=250),
        ),
        answers={200: f"{kind}Event"},
    )  # fmt: skip
    for path, operation, one in (
        (f"/dags/{{dag_id}}/{word}s/queuedEvent", f"dag_{word}_queued_events", False),
        (f"/dags/{{dag_id}}/{word}s/queuedEvent/{{uri:.+}}", f"dag_{word}_queued_event", True),
        (f"/{word}s/queuedEvent/{{uri:.+}}", f"{word}_queued_events", False),
    ):
        read, schema = (get_queued, f"Queued{kind}Event") if one else (list_queued, f"Queued{kind}EventCollection")
        yield Route(
            "GET", path, f"get_{operation}", partial(read, word=word), kind,
            "Events that wait to cause a run.", answers={200: schema},
        )  # fmt: skip
        yield Route(
            "DELETE", path, f"delete_{operation}", partial(delete_queued, word=word), kind,
            "Take them off the queue: they cause no run.", permission=Permission.OPERATE, answers={204: ""},
        )  # fmt: skip
    yield Route(
        "GET", f"/{word}s/{{uri:.+}}", f"get_{word}", partial(get_asset, word=word), kind, f"One {word}.",
        answers={200: kind},
    )  # fmt: skip


_WATCHERS: Final = Route(
    "GET", "/assets/watchers", "get_asset_watchers", list_watchers, "Asset",
    "Watchers of assets that the runtime of this server carries out, and how they get on.",
    query=(Param("uri", Kind.TEXT, "Only those of this asset.", maximum=1500),),
    answers={200: "AssetWatcherCollection"},
)  # fmt: skip

ROUTES: Final = (_WATCHERS, *_routes("dataset", "Dataset"), *_routes("asset", "Asset"))
