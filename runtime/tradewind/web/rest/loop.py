"""How coroutines share the event loop of the process that answers, and those of its async hosts."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from tradewind.model.loop import CoroutineKind, HostFacts, KindUse, LoopOffence
from tradewind.model.specs import Json
from tradewind.web.answers import json_answer
from tradewind.web.rest.listing import LARGEST_PAGE
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route


async def get_loop(call: Call) -> web.Response:
    """GET /loop."""
    report = call.control.loop_report()
    limit = call.integer("limit")
    return json_answer(
        {
            "isolation": report.isolation,
            "counters": dict(report.counters),
            "kinds": [_use(use) for use in report.kinds[:limit]],
            "isolated": [_kind(kind) for kind in report.isolated],
            "hosts": [_host(facts) for facts in report.hosts],
            "offences": [_offence(offence) for offence in report.offences[:limit]],
            "total_kinds": len(report.kinds),
            "total_offences": len(report.offences),
        }
    )


def _kind(kind: CoroutineKind) -> dict[str, Json]:
    return {"dag_id": kind.dag_id, "task_id": kind.task_id, "what": kind.what}


def _use(use: KindUse) -> dict[str, Json]:
    return {
        **_kind(use.kind),
        "place": use.place,
        "started": use.started,
        "running": use.running,
        "loop_seconds": round(use.loop_seconds, 6),
    }


def _host(facts: HostFacts) -> dict[str, Json]:
    return {
        "pid": facts.pid,
        "fileloc": facts.fileloc,
        "only": None if facts.own_kind is None else _kind(facts.own_kind),
        "running": facts.running,
        "state": facts.state,
    }


def _offence(offence: LoopOffence) -> dict[str, Json]:
    return {
        **_kind(offence.kind),
        "timestamp": offence.at.isoformat(),
        "offence": offence.offence.value,
        "seconds": round(offence.seconds, 3),
        "file": offence.file,
        "line": offence.line,
        "function": offence.function,
        "stack": offence.stack,
        "tasks": list(offence.tasks),
        "interrupted": offence.interrupted,
        "place": offence.place,
        "dag_run_id": offence.dag_run_id,
        "map_index": offence.map_index,
        "try_number": offence.try_number,
    }


ROUTES: Final = (
    Route(
        "GET",
        "/loop",
        "get_loop",
        get_loop,
        "Monitoring",
        "Who uses the event loop of this server's runtime, who has blocked it, and its async hosts.",
        query=(
            Param(
                "limit",
                Kind.INTEGER,
                "How many kinds and how many offences at most.",
                default=100,
                minimum=1,
                maximum=LARGEST_PAGE,
            ),
        ),
        answers={200: "Loop"},
    ),
)
