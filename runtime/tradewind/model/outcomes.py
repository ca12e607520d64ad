r"""What an attempt reports when it ends, and the values it leaves behind.

Values travel as bytes with a codec, never as database JSON: one ``\u0000`` in a user's text
would make PostgreSQL refuse everything that is committed with it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple

import orjson

from tradewind.model.assets import AssetEventPut
from tradewind.model.keys import AttemptId
from tradewind.model.states import OutcomeKind

CODEC_JSON: Final = 1
"""UTF-8 JSON as orjson writes it."""
CODEC_TYPED_JSON: Final = 2
"""JSON in which ``{"__type__": kind, "value": …}`` stands for a value JSON does not have."""
CODEC_PICKLE: Final = 3
"""A pickle: only where the configuration allows it."""
CODEC_CUSTOM: Final = 16
"""Bytes of a configured XCom back end."""

RETURN_KEY: Final = "return_value"

QUERY_PREFIX: Final = "query:"
"""Keys of values that a task publishes for whoever asks while it goes on begin so."""


class EncodedValue(NamedTuple):
    """A user's value as stored: codec number and bytes."""

    codec: int
    data: bytes


def kept_json(value: object) -> bytes:
    """JSON that stays in memory, as what waits, steps and runs hold does: in a block of its own size.

    orjson (3.12 on) gives bytes that fill a block of 4 KiB, however short they are. Raises TypeError as orjson does.
    """
    return b"".join((orjson.dumps(value), b""))


DELETED: Final = EncodedValue(0, b"")
"""In the place of a value: it goes. Under the key '': all values of the task instance go."""

DELETED_BUT_OWN: Final = EncodedValue(0, b"but own")
"""Under the key '': a task instance runs again, and all its values go but those that `stays_until_purged`."""


def stays_until_purged(key: str, value: EncodedValue) -> bool:
    """Whether the attempt that comes has to hand a value to the back end that made it before it goes."""
    return value.codec >= CODEC_CUSTOM and not key.startswith(QUERY_PREFIX)


class XComPut(NamedTuple):
    """One value under one key of the attempt's own task instance."""

    key: str
    value: EncodedValue


class ErrorInfo(NamedTuple):
    """An exception as text. Of long ones the beginning and the end."""

    type: str
    message: str
    traceback: str


class ExitInfo(NamedTuple):
    """How a process ended: exit code or signal, and what it used."""

    code: int | None = None
    signal: int | None = None
    oom: bool = False
    max_rss_kib: int | None = None
    user_seconds: float | None = None
    system_seconds: float | None = None


class Wait(NamedTuple):
    """One wait: a trigger by its registered kind with its arguments, or a moment alone (`due`)."""

    kind: str
    args: EncodedValue | None = None
    """The trigger's keyword arguments, one dict. Of a wait for a moment: its answer, the moment."""
    method: str = ""
    """The operator's method that goes on. Empty: the attempt begins from its top."""
    kwargs: EncodedValue | None = None
    """Keyword arguments of that method, one dict."""
    due: datetime | None = None
    """A wait for a moment: no trigger runs, and `args` is the answer."""
    deadline: datetime | None = None
    """When the wait has taken too long. Absolute: a restart does not prolong it."""
    key: str = ""
    undo: bool = False
    """The task has something to undo if it is ended while it waits: an attempt does it before anything else."""


class Outcome(NamedTuple):
    """The end of one attempt, applied in one transaction and acknowledged after it."""

    kind: OutcomeKind
    xcoms: tuple[XComPut, ...] = ()
    branch: tuple[str, ...] | None = None
    """A branch task's choice: the task ids to follow (empty: none). None: not a branch."""
    short_circuit: bool = False
    """A short circuit that came out false: what follows is skipped."""
    ignore_downstream_trigger_rules: bool = True
    """With `short_circuit`: skip all that follows, not only the direct downstream tasks."""
    reschedule_at: datetime | None = None
    error: ErrorInfo | None = None
    exit: ExitInfo | None = None
    reason: str | None = None
    """One sentence for people, where the kind alone does not say it."""
    lengths: tuple[tuple[str, int], ...] = ()
    """(XCom key, length of the value) for the keys in `TaskSpec.measured`."""
    map_index_label: str | None = None
    """What `map_index_template` rendered to."""
    retry_after: float | None = None
    """Seconds before another try, where a retry policy has decided them. None: as the task says."""
    asset_events: tuple[AssetEventPut, ...] = ()
    """Assets that have changed, where the attempt succeeded."""
    waits: tuple[Wait, ...] = ()
    """What a deferred instance waits for: any of these, answered, resumes it."""

    def detail(self) -> bytes | None:
        """JSON of what an attempt's row keeps beside the kind: reason, error, exit. None: there is none of them."""
        body: dict[str, object] = {"reason": self.reason}
        if self.map_index_label is not None:
            body["map_index_label"] = self.map_index_label
        if self.error is not None:
            body["error"] = self.error._asdict()
        if self.exit is not None:
            body["exit"] = self.exit._asdict()
        return None if self.reason is None and len(body) == 1 else orjson.dumps(body)


SUCCEEDED: Final = Outcome(OutcomeKind.SUCCESS)


class Finished(NamedTuple):
    """The message of an attempt's end. The same again is acknowledged again, a different one refused."""

    attempt: AttemptId
    outcome: Outcome
    started_at: datetime | None
    ended_at: datetime
    hostname: str | None = None
    pid: int | None = None
