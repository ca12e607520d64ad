"""Answers for a timetable whose class is code of a DAG file or plug-in.

``python -m tradewind.worker.timetable`` with a JSON request on standard input::

    {dag_id, fileloc, relative_fileloc, authoring_defaults,
     ask: "next", last: [start, end] | null, earliest, latest, catchup}
    {…, ask: "manual", run_after}
    {…, ask: "partitions", questions: [[uri, name, key], …]}
    {…, ask: "marker", callback: {which, task_id}, and the facts of a run as `worker.callback` has them}

The last line on standard output is the answer as JSON: `{"ok": …}`, for "next" [run_after, start, end] or null, for
"manual" [start, end], for "partitions" a pair [runs | null, error | null] each, the runs as `targets_to_json` has
them, for "marker" what it says; or `{"error": text}`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from tradewind.authoring.dag import DAG
from tradewind.authoring.defaults import current_defaults, use_defaults
from tradewind.authoring.timetables import (
    AssetOrTimeSchedule,
    DataInterval,
    PartitionedAssetTimetable,
    TimeRestriction,
    Timetable,
)
from tradewind.bundles.loader import DagFileError, load_file
from tradewind.bundles.parse_protocol import defaults_from_json
from tradewind.bundles.traces import user_trace
from tradewind.model.errors import TradewindError
from tradewind.model.specs import DagSource, Json
from tradewind.rules.partition_groups import targets_to_json
from tradewind.rules.timetables import Timetable as Arithmetic
from tradewind.worker.dag_missing import bundle_root, missing_dag


def main() -> None:
    """Answers one request."""
    request = orjson.loads(sys.stdin.buffer.read())
    defaults = request.get("authoring_defaults")
    with use_defaults(defaults_from_json(defaults) if defaults else current_defaults()):
        reply = _reply(partial(_dag, request), request)
    sys.stdout.flush()
    os.write(1, b"\n" + orjson.dumps(reply) + b"\n")
    os._exit(0)  # threads that the file has left behind do not hold it up


def answer_for(dag: DAG, request: Mapping[str, Json]) -> dict[str, Any]:
    """The reply for a DAG that is here as an object."""
    return _reply(lambda: dag, request)


def _reply(load: Callable[[], DAG], request: Mapping[str, Json]) -> dict[str, Any]:
    try:
        if request["ask"] == "marker":
            from tradewind.worker.marker import rendered_marker  # whatever templates need is needed here alone

            return {"ok": rendered_marker(load(), dict(request))}
        timetable = load().timetable
        if isinstance(timetable, AssetOrTimeSchedule):
            timetable = timetable.timetable
        if request["ask"] == "partitions":
            return {"ok": [_targets(timetable, *question) for question in request["questions"]]}
        return {"ok": _answer(timetable.arithmetic, request)}
    except DagFileError as error:
        return {"error": error.trace}
    except TradewindError as error:
        return {"error": str(error)}
    except BaseException as error:
        return {"error": user_trace(error)}


def _answer(timetable: Arithmetic, request: Mapping[str, Json]) -> Any:
    """The answer as JSON."""
    if request["ask"] == "manual":
        found = timetable.manual_interval(datetime.fromisoformat(request["run_after"]))
        return [found.start.isoformat(), found.end.isoformat()]
    last = request["last"]
    interval = None if last is None else DataInterval(*map(datetime.fromisoformat, last))
    bounds = TimeRestriction(_instant(request["earliest"]), _instant(request["latest"]), request["catchup"])
    info = timetable.next_run(interval, bounds, datetime.now(UTC))
    if info is None:
        return None
    return [info.run_after.isoformat(), info.interval.start.isoformat(), info.interval.end.isoformat()]


def _targets(timetable: Timetable, uri: str, name: str, key: str) -> tuple[list[Json] | None, str | None]:
    """What the mappers say; what one raises concerns that key alone."""
    if not isinstance(timetable, PartitionedAssetTimetable):
        return None, f"{type(timetable).__qualname__} is no schedule by partition any more"
    try:
        return targets_to_json(timetable.targets(uri, name, key)), None
    except TradewindError as error:
        return None, str(error)
    except Exception as error:
        return None, user_trace(error)


def _dag(request: Mapping[str, Json]) -> DAG:
    source = DagSource("", "", request["fileloc"], request["relative_fileloc"])
    dag = load_file(source.fileloc, root=bundle_root(source)).dags.get(request["dag_id"])
    if dag is None:
        raise missing_dag(request["dag_id"], source)
    return dag


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


if __name__ == "__main__":
    main()
