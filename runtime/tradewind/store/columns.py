"""A batch as columns: what `unnest` takes, one sequence a column, and which sections it fills."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from tradewind.model.batch import AttemptClosed, AttemptOpened, Batch, DagChange, Segment
from tradewind.model.keys import RunId
from tradewind.model.outcomes import DELETED, EncodedValue, stays_until_purged
from tradewind.model.rows import ScheduleCursor

INLINE_LIMIT: Final = 64 * 1024
"""Bytes up to which a value lies in its own row; longer ones go to `blob`."""

NO_CURSOR: Final = ScheduleCursor(None, None, None, None, None, None)

_Part = Callable[[Segment], Sequence[Sequence[object]]]


@dataclass(slots=True)
class Columns:
    """The sections of a batch that hold something, and all their columns by parameter name."""

    sections: list[str] = field(default_factory=list[str])
    given: dict[str, object] = field(default_factory=dict[str, object])
    blobs: list[bytes] = field(default_factory=list[bytes])
    """Hashes of the large values that the batch names."""

    def add(self, section: str, names: Sequence[str], rows: Iterable[Sequence[object]]) -> bool:
        """A section with these rows, turned into columns; not there if there are none."""
        columns = tuple(zip(*rows, strict=True))
        if not columns:
            return False
        self.sections.append(section)
        self.given.update(zip(names, columns, strict=True))
        return True


def text_bytes(text: str) -> bytes:
    """Free text as it is stored: UTF-8, lone surrogates kept."""
    return text.encode("utf-8", "surrogatepass")


def text_of(data: bytes) -> str:
    """What `text_bytes` stored."""
    return data.decode("utf-8", "surrogatepass")


_TASKS: Final = (
    "t_task", "t_map", "t_expected", "t_state", "t_try", "t_max", "t_lost",
    "t_queued", "t_started", "t_ended", "t_due", "t_attempt",
)  # fmt: skip
_MADE: Final = (
    "n_task", "n_map", "n_expected", "n_state", "n_try", "n_max", "n_lost",
    "n_queued", "n_started", "n_ended", "n_due", "n_attempt",
)  # fmt: skip
_DROPPED: Final = ("p_run", "p_task", "p_low", "p_high", "p_expected")
_SPREAD: Final = ("s_run", "s_task", "s_low", "s_high", "s_max")
_LENGTHS: Final = ("g_run", "g_task", "g_map", "g_key", "g_length")
_OPENED: Final = ("o_run", "o_attempt", "o_task", "o_map", "o_try", "o_executor", "o_pool", "o_slots", "o_started")
_CLOSED: Final = ("c_run", "c_attempt", "c_kind", "c_ended", "c_started", "c_host", "c_pid", "c_detail")
_BRIEF: Final = (*(f"b{name[1:]}" for name in _OPENED), "b_kind", "b_ended", "b_host", "b_pid", "b_detail")
_HISTORY: Final = ("h_task", "h_map", "h_try", "h_story")
_RUNS: Final = ("r_run", "r_expected", "r_state", "r_started", "r_ended", "r_counts")
_OUTBOX: Final = ("u_run", "u_dag", "u_kind", "u_body")


def columns_of(batch: Batch, spill: int = INLINE_LIMIT, outside: Mapping[bytes, str] = MappingProxyType({})) -> Columns:
    """All sections of the batch, in the order of their composition; values of more than `spill` bytes are blobs.
    `outside`: hash to address of those that lie outside the database already.
    """
    out = Columns()
    segments = batch.segments
    if len(segments) > 1:
        segments = sorted(segments, key=_run_of)
    _add(out, "tasks", _TASKS, segments, _tasks_of, "t_run")
    if any(s.made or s.dropped or s.spread or s.lengths for s in segments):
        _add_mapped(out, segments)
    _add_attempts(out, segments)
    _add(out, "history", _HISTORY, segments, _history_of, "h_run")
    if any(s.xcoms for s in segments):
        _add_xcoms(out, segments, spill, outside)
    out.add("runs", _RUNS, [(s.run_id, *s.run) for s in segments if s.run is not None])
    out.add("outbox", _OUTBOX, [(s.run_id, s.dag_id, *row) for s in segments if s.outbox for row in s.outbox])
    if any(s.asset_events for s in segments):
        add_asset_events(out, segments)
    if batch.dags:
        _add_dags(out, batch.dags)
    if batch.mail_done:
        out.add("mail", ("m_id", "m_reply"), batch.mail_done)
    return out


def add_asset_events(out: Columns, segments: Sequence[Segment]) -> None:
    """Events of assets, the assets themselves and the aliases they were sent through, each of these once."""
    assets: dict[str, Sequence[object]] = {}
    links: dict[tuple[str, str], None] = {}
    rows: list[Sequence[object]] = []
    for s in segments:
        for task_id, map_index, at, put in s.asset_events:
            assets.setdefault(put.uri, (put.uri, put.name, put.group, put.asset_extra))
            links.update(((alias, put.uri), None) for alias in put.aliases)
            key = None if put.partition_key is None else text_bytes(put.partition_key)
            aliases = "\n".join(put.aliases)
            rows.append((s.run_id, s.dag_id, task_id, map_index, at, put.uri, put.extra, aliases, key))
    names = ("as_uri", "as_name", "as_group", "as_extra")
    out.add("assets", names, [assets[uri] for uri in sorted(assets)])
    out.add("asset_aliases", ("al_alias", "al_uri"), sorted(links))
    columns = ("run", "dag", "task", "map", "at", "uri", "extra", "aliases", "partition")
    out.add("asset_events", [f"ae_{name}" for name in columns], rows)


def _run_of(segment: Segment) -> RunId:
    return segment.run_id


def _tasks_of(segment: Segment) -> Sequence[Sequence[object]]:
    return segment.tasks


def _history_of(segment: Segment) -> Sequence[Sequence[object]]:
    return segment.history


def _made_of(segment: Segment) -> Sequence[Sequence[object]]:
    return segment.made


def _add_mapped(out: Columns, segments: Sequence[Segment]) -> None:
    """Rows of mapped tasks that go and come, and the lengths over which they are mapped."""
    goes = out.add("dropped", _DROPPED, [(s.run_id, *row) for s in segments for row in s.dropped])
    out.add("spread", _SPREAD, [(s.run_id, *row) for s in segments for row in s.spread])
    _add(out, "made_after" if goes else "made", _MADE, segments, _made_of, "n_run")
    rows = [
        (s.run_id, row.task_id, row.map_index, text_bytes(row.key), row.length) for s in segments for row in s.lengths
    ]
    out.add("lengths", _LENGTHS, rows)


def _add(
    out: Columns, section: str, names: Sequence[str], segments: Sequence[Segment], part: _Part, run_name: str
) -> None:
    """A section whose rows are the named tuples of one field of all segments, run ids beside them."""
    rows: list[Sequence[object]] = []
    runs: list[RunId] = []
    for segment in segments:
        own = part(segment)
        if own:
            rows += own
            runs += [segment.run_id] * len(own)
    if out.add(section, names, rows):
        out.given[run_name] = runs


def _add_attempts(out: Columns, segments: Sequence[Segment]) -> None:
    opened: list[tuple[RunId, AttemptOpened]] = []
    closed: list[tuple[RunId, AttemptClosed]] = []
    brief: list[Sequence[object]] = []
    for s in segments:
        own_opened, own_closed = s.opened, s.closed
        if own_opened and own_closed:
            ends = {row.attempt: row for row in own_closed}
            both = {row.attempt for row in own_opened} & ends.keys()
            if both:
                brief += [_brief_row(s.run_id, o, ends[o.attempt]) for o in own_opened if o.attempt in both]
                own_opened = [o for o in own_opened if o.attempt not in both]
                own_closed = [c for c in own_closed if c.attempt not in both]
        if own_opened:
            opened += [(s.run_id, row) for row in own_opened]
        if own_closed:
            closed += [(s.run_id, row) for row in own_closed]
    ending = bool(closed) and out.add("closed", _CLOSED, [(run, *_closed_row(row)) for run, row in closed])
    if opened:
        out.add("reopened" if ending else "opened", _OPENED, [(run, *row) for run, row in opened])
    if brief:
        out.add("brief", _BRIEF, brief)


def _closed_row(row: AttemptClosed) -> Sequence[object]:
    if row.hostname is None:
        return row
    return (*row[:4], text_bytes(row.hostname), *row[5:])


def _brief_row(run_id: RunId, begun: AttemptOpened, end: AttemptClosed) -> Sequence[object]:
    if end.started_at is not None:
        begun = begun._replace(started_at=end.started_at)
    host = None if end.hostname is None else text_bytes(end.hostname)
    return (run_id, *begun, end.kind, end.ended_at, host, end.pid, end.detail)


def _add_xcoms(out: Columns, segments: Sequence[Segment], spill: int, outside: Mapping[bytes, str]) -> None:
    """Changes of values, folded: per task instance whether all go first, then the last word on each key."""
    cleared: dict[tuple[RunId, str, int], bool] = {}
    last: dict[tuple[RunId, str, int, bytes], EncodedValue] = {}
    for s in segments:
        for row in s.xcoms:
            place = (s.run_id, row.task_id, row.map_index)
            if row.value.codec == 0 and row.key == "":
                whole = row.value == DELETED
                cleared[place] = cleared.get(place, False) or whole
                last = {
                    key: value
                    for key, value in last.items()
                    if key[:3] != place or not (whole or stays_until_purged(text_of(key[3]), value))
                }
            else:
                last[(*place, text_bytes(row.key))] = row.value
    after = out.add(
        "xcoms_cleared", ("xc_run", "xc_task", "xc_map", "xc_whole"), [(*place, cleared[place]) for place in cleared]
    )
    deleted = [key for key, value in last.items() if value.codec == 0]
    out.add("xcoms_deleted", ("xd_run", "xd_task", "xd_map", "xd_key"), deleted)
    rows: list[Sequence[object]] = []
    blobs: dict[bytes, Sequence[object]] = {}
    for key, value in last.items():
        if value.codec == 0:
            continue
        if len(value.data) > spill:
            digest = hashlib.sha256(value.data).digest()
            there = outside.get(digest)
            blobs[digest] = (digest, value.data if there is None else None, there, len(value.data))
            rows.append((*key, value.codec, None, digest))
        else:
            rows.append((*key, value.codec, value.data, None))
    out.add("blobs", ("l_hash", "l_data", "l_place", "l_size"), [blobs[digest] for digest in sorted(blobs)])
    out.blobs.extend(blobs)
    names = ("x_run", "x_task", "x_map", "x_key", "x_codec", "x_data", "x_blob")
    out.add("xcoms_after" if after else "xcoms", names, rows)


def _add_dags(out: Columns, changes: Sequence[DagChange]) -> None:
    rows = [(c.dag_id, c.is_paused, c.cursor is not None, *(c.cursor or NO_CURSOR)) for c in changes]
    names = ("last_start", "last_end", "next_logical", "next_start", "next_end", "next_after")
    out.add("dags", ("d_dag", "d_paused", "d_moves", *(f"d_{name}" for name in names)), rows)
