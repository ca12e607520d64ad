"""How coroutines share the loop, as the REST API tells it."""

from __future__ import annotations

from datetime import UTC, datetime

from tests.web.conftest import Site
from tradewind.model.loop import CoroutineKind, HostFacts, KindUse, LoopOffence, LoopReport, OffenceKind


async def test_what_is_told_about_the_loop(site: Site) -> None:
    kind = CoroutineKind("d", "t")
    at = datetime(2026, 1, 2, tzinfo=UTC)
    offence = LoopOffence(at, OffenceKind.BLOCKED, kind, 0.25, "/d.py", 3, "body", "File …", place="loop")
    offence = offence._replace(dag_run_id="r", try_number=1)
    leak = LoopOffence(at, OffenceKind.LEAKED, kind, 0.0, "", 0, "", "", tasks=("poller (watch)",))
    site.control.loop = LoopReport(
        "host",
        (offence, leak),
        (KindUse(kind, "hosts", 3, 1, 0.5), KindUse(kind._replace(what="trigger"), "loop", 1, 0, 0.1)),
        (kind,),
        (HostFacts(7, "/d.py", None, 1, "serving"), HostFacts(8, "/d.py", kind, 0, "leaving")),
        {"blocked": 1, "leaked": 1},
    )
    body = await (await site.get("/loop")).json()
    assert body["isolation"] == "host"
    assert body["counters"] == {"blocked": 1, "leaked": 1}
    assert [(entry["what"], entry["running"]) for entry in body["kinds"]] == [("task", 1), ("trigger", 0)]
    assert body["isolated"] == [{"dag_id": "d", "task_id": "t", "what": "task"}]
    assert [entry["only"] for entry in body["hosts"]] == [None, body["isolated"][0]]
    first, second = body["offences"]
    assert (first["file"], first["line"], first["seconds"], first["dag_run_id"]) == ("/d.py", 3, 0.25, "r")
    assert second["tasks"] == ["poller (watch)"]
    short = await (await site.get("/loop", limit="1")).json()
    assert (len(short["kinds"]), len(short["offences"]), short["total_offences"]) == (1, 1, 2)


async def test_a_server_without_tasks_has_nothing_to_tell(site: Site) -> None:
    body = await (await site.get("/loop")).json()
    assert (body["isolation"], body["kinds"], body["hosts"]) == ("loop", [], [])
