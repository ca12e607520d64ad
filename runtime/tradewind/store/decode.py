"""Rows of the database as values of the model."""

from __future__ import annotations

import asyncio
from typing import Final

import orjson

from tradewind.model.keys import RunId, RuntimeId
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import (
    AttemptRow,
    DagRow,
    DagVersionLine,
    DagVersionRow,
    HistoryEntry,
    ImportErrorRow,
    InstanceRow,
    LengthRow,
    RunRow,
    ScheduleCursor,
    XComEntry,
)
from tradewind.model.specs import DagSource, DagSpec, Json
from tradewind.model.states import OutcomeKind, RunState, RunType, TaskState
from tradewind.store.columns import text_of
from tradewind.store.connection import Row

_DECODED_IN_THREAD: Final = 64 * 1024
"""A spec of so many bytes takes longer than a turn of the loop should."""

_TASK_STATES: Final = {str(state): state for state in TaskState}


def instance_of(row: Row) -> InstanceRow:
    """A row of `{instance_columns}`."""
    run_id, task_id, map_index, state, *rest = row
    return InstanceRow(run_id, task_id, map_index, _TASK_STATES[state], *rest)


def run_of(row: Row) -> RunRow:
    """A row that begins with `{run_columns}`."""
    conf = None if row["conf_codec"] is None else EncodedValue(row["conf_codec"], row["conf"])
    return RunRow(
        run_id=RunId(row["run_id"]),
        dag_id=row["dag_id"],
        dag_run_id=row["dag_run_id"],
        version_hash=row["version_hash"],
        run_type=RunType(row["run_type"]),
        state=RunState(row["state"]),
        logical_date=row["logical_date"],
        interval_start=row["interval_start"],
        interval_end=row["interval_end"],
        queued_at=row["queued_at"],
        run_after=row["run_after"],
        started_at=row["started_at"],
        ended_at=row["ended_at"],
        conf=conf,
        external_trigger=row["external_trigger"],
        note=_text(row["note"]),
        run_key=_text(row["run_key"]),
        partition_date=row["partition_date"],
        counts=json_of(row["counts"]),
    )


def attempt_of(row: Row) -> AttemptRow:
    """A row of `attempt_list` or `attempt_live`."""
    (
        run_id, attempt, task_id, map_index, try_number, executor, pool, pool_slots, started_at,
        ended_at, kind, hostname, pid, detail,
    ) = row  # fmt: skip
    return AttemptRow(
        run_id=run_id,
        attempt=attempt,
        task_id=task_id,
        map_index=map_index,
        try_number=try_number,
        executor=executor,
        pool=pool,
        pool_slots=pool_slots,
        started_at=started_at,
        ended_at=ended_at,
        kind=None if kind is None else OutcomeKind(kind),
        hostname=_text(hostname),
        pid=pid,
        detail=json_of(detail),
    )


def dag_of(row: Row) -> DagRow:
    """A row of `{dag_columns}`."""
    cursor = (
        ScheduleCursor(
            row["last_interval_start"],
            row["last_interval_end"],
            row["next_logical_date"],
            row["next_interval_start"],
            row["next_interval_end"],
            row["next_run_after"],
        )
        if row["cursor_set"]
        else None
    )
    return DagRow(
        dag_id=row["dag_id"],
        is_paused=row["is_paused"],
        is_active=row["is_active"],
        version_hash=row["version_hash"],
        version_number=row["version_number"],
        source=source_of(row),
        owner=None if row["owner"] is None else RuntimeId(row["owner"]),
        cursor=cursor,
        last_parsed_at=row["last_parsed_at"],
        namespace=row["namespace"],
        has_import_errors=row["has_errors"],
    )


async def spec_of(text: bytes) -> DagSpec:
    """The spec; a large one is decoded off the loop."""
    if len(text) < _DECODED_IN_THREAD:
        return DagSpec.from_json(text)
    return await asyncio.to_thread(DagSpec.from_json, text)


async def version_of(row: Row) -> DagVersionRow:
    """A row of `dag_version_get`."""
    return DagVersionRow(
        dag_id=row["dag_id"],
        version_hash=row["version_hash"],
        number=row["number"],
        spec=await spec_of(row["spec"]),
        source=source_of(row),
        created_at=row["created_at"],
    )


def version_line_of(row: Row) -> DagVersionLine:
    """A row of `dag_version_list`."""
    return DagVersionLine(row["dag_id"], row["version_hash"], row["number"], source_of(row), row["created_at"])


def source_of(row: Row) -> DagSource:
    """The columns bundle, bundle_version, fileloc, relative_fileloc."""
    return DagSource(row["bundle"], row["bundle_version"], row["fileloc"], row["relative_fileloc"])


def import_error_of(row: Row) -> ImportErrorRow:
    """A row of `import_error_list`."""
    return ImportErrorRow(
        bundle=row["bundle"],
        relative_fileloc=row["relative_fileloc"],
        fileloc=row["fileloc"],
        at=row["at"],
        stack_trace=text_of(row["stack_trace"]),
        import_error_id=row["import_error_id"],
    )


def history_of(row: Row) -> HistoryEntry:
    """A row of `history_list`."""
    run_id, task_id, map_index, try_number, story = row
    return HistoryEntry(run_id, task_id, map_index, try_number, orjson.loads(story))


def xcom_of(row: Row, value: EncodedValue) -> XComEntry:
    """A row of `xcom_list` with its value."""
    return XComEntry(row["run_id"], row["task_id"], row["map_index"], text_of(row["key"]), value, row["at"])


def length_of(row: Row) -> LengthRow:
    """A row of `length_list`."""
    task_id, map_index, key, length = row
    return LengthRow(task_id, map_index, text_of(key), length)


def json_of(data: bytes | None) -> Json:
    """JSON bytes, or None."""
    return None if data is None else orjson.loads(data)


def _text(data: bytes | None) -> str | None:
    return None if data is None else text_of(data)
