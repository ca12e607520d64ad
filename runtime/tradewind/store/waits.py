"""Waits of deferred task instances as rows, their arguments sealed."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from typing import Any, Final

import orjson

from tradewind.model.batch import Segment
from tradewind.model.durable import Step
from tradewind.model.errors import ConfigError
from tradewind.model.keys import AttemptId
from tradewind.model.outcomes import EncodedValue, Wait
from tradewind.model.waits import WaitAnswer, WaitGone, WaitRow
from tradewind.store.columns import Columns, text_bytes, text_of
from tradewind.store.connection import Row
from tradewind.store.crypto import Vault

Seal = Callable[[str], bytes]

_SET: Final = (
    "w_run", "w_task", "w_map", "w_key", "w_origin", "w_kind", "w_method", "w_due", "w_deadline", "w_undo", "w_sealed",
    "w_body",
    "w_answered", "w_timed_out", "w_codec", "w_event", "w_error",
)  # fmt: skip
_GONE: Final = ("wd_run", "wd_task", "wd_map", "wd_key")


def add_waits(out: Columns, segments: Sequence[Segment], seal: Seal) -> None:
    """Changes of waits: of each wait the last word."""
    last: dict[tuple[Any, ...], WaitRow | WaitGone] = {}
    for segment in segments:
        for row in segment.waits:
            key = row.key if isinstance(row, WaitGone) else row.wait.key
            last[segment.run_id, row.task_id, row.map_index, text_bytes(key)] = row
    out.add("waits_gone", _GONE, [key for key, row in last.items() if isinstance(row, WaitGone)])
    out.add("waits", _SET, [(*key, *_values(row, seal)) for key, row in last.items() if isinstance(row, WaitRow)])


def add_steps(out: Columns, segments: Sequence[Segment]) -> None:
    """Steps that tasks have taken; those of cleared instances go."""
    cleared: dict[tuple[object, ...], None] = {}
    last: dict[tuple[object, ...], Step] = {}
    for segment in segments:
        for task_id, map_index, step in segment.steps:
            place = (segment.run_id, task_id, map_index)
            if step is None:
                cleared[place] = None
                last = {key: value for key, value in last.items() if key[:3] != place}
            else:
                last[(*place, text_bytes(step.key))] = step
    out.add("steps_cleared", ("sc_run", "sc_task", "sc_map"), cleared)
    rows = [(*key, step.digest, *(step.value or (None, None))) for key, step in last.items()]
    out.add("steps", ("st_run", "st_task", "st_map", "st_key", "st_digest", "st_codec", "st_data"), rows)


def step_of(row: Row) -> Step:
    """A row of `step_list`."""
    value = None if row["codec"] is None else EncodedValue(row["codec"], row["data"])
    return Step(text_of(row["key"]), row["digest"], value)


def _values(row: WaitRow, seal: Seal) -> Sequence[object]:
    wait, answer = row.wait, row.answer or WaitAnswer()
    is_secret = wait.kwargs is not None or (wait.due is None and wait.args is not None)
    body = orjson.dumps([_plain(wait.args), _plain(wait.kwargs)])
    event = answer.event or EncodedValue(0, b"")
    return (
        row.origin,
        text_bytes(wait.kind),
        text_bytes(wait.method),
        wait.due,
        wait.deadline,
        wait.undo,
        is_secret,
        seal(body.decode()) if is_secret else body,
        row.answer is not None,
        answer.timed_out,
        None if answer.event is None else event.codec,
        None if answer.event is None else event.data,
        None if answer.error is None else text_bytes(answer.error),
    )


def _plain(value: EncodedValue | None) -> Any:
    return None if value is None else [value.codec, b64encode(value.data).decode()]


def wait_of(row: Row, vault: Vault) -> WaitRow:
    """A row of `wait_list`. One that no key opens is answered with that error: its task fails, and says why."""
    wait = Wait(
        kind=text_of(row["kind"]),
        method=text_of(row["method"]),
        due=row["due"],
        deadline=row["deadline"],
        key=text_of(row["key"]),
        undo=row["undo"],
    )
    event = None if row["event_codec"] is None else EncodedValue(row["event_codec"], row["event"])
    error = None if row["error"] is None else text_of(row["error"])
    answer = WaitAnswer(event, error, row["timed_out"]) if row["answered"] else None
    try:
        body = row["body"]
        args, kwargs = orjson.loads(vault.decrypt(body, "a wait of a deferred task") if row["sealed"] else body)
        wait = wait._replace(args=_value(args), kwargs=_value(kwargs))
    except ConfigError as wrong_key:
        answer = WaitAnswer(error=str(wrong_key))
    return WaitRow(row["task_id"], row["map_index"], AttemptId(row["origin"]), wait, answer)


def _value(plain: Any) -> EncodedValue | None:
    return None if plain is None else EncodedValue(plain[0], b64decode(plain[1]))
