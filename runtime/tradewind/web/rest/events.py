"""GET /events: everything that is committed, as it happens, as server-sent events."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final

from aiohttp import web

from tradewind.control_ports import LiveEvent
from tradewind.model.specs import Json
from tradewind.web.rest import dag_views, run_views
from tradewind.web.rest.catalog import Catalog
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.streams import close_iterator, frame, send_stream


async def stream_events(call: Call) -> web.StreamResponse:
    """GET /events.

    The queue of a reader is bounded by `Control.live_events`: a slow one loses the oldest events
    and gets a `dag` event without a dag_id, which means: fetch again.
    """
    dag_id = call.maybe_text("dag_id")
    if dag_id is not None:
        await call.catalog.dag(dag_id)
    return await send_stream(call.request, _frames(call, dag_id))


async def _frames(call: Call, dag_id: str | None) -> AsyncGenerator[bytes]:
    events = call.control.live_events(dag_id)
    try:
        async for event in events:
            yield frame(event.kind, await event_data(event, call.catalog))
    finally:
        await close_iterator(events)


async def event_data(event: LiveEvent, catalog: Catalog) -> dict[str, Json]:
    """What an event says: a DAG or run as its list shows it, changes of task instances, or nothing."""
    match event.kind:
        case "dag" if event.dag is not None:
            [summary] = await catalog.summaries([event.dag])
            return dag_views.dag(event.dag, summary.fields)
        case "run" if event.run is not None:
            return run_views.dag_run(event.run)
        case "task":
            items = [run_views.instance_change(row) for row in event.items]
            return {"dag_id": event.dag_id, "dag_run_id": event.dag_run_id, "items": items}
        case "queries":
            return {"dag_id": event.dag_id, "dag_run_id": event.dag_run_id}
        case "import_errors" | "deadlines" | "watchers" | "loop":
            return {}
        case _:
            return {"dag_id": event.dag_id}


ROUTES: Final = (
    Route(
        "GET",
        "/events",
        "stream_events",
        stream_events,
        "Events",
        "Changes as they are committed: events dag, run, task and import_errors; queries, deadlines, watchers and loop "
        "say that there is something new to fetch. After each connection, and after a `dag` event whose dag_id is "
        "empty, fetch what is shown once more.",
        query=(Param("dag_id", Kind.TEXT, "Only of this DAG.", maximum=250),),
        answers={200: ""},
        media=("text/event-stream",),
    ),
)
