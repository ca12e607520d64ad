"""Assets as values: what DAGs say about them, the events that tell of their change, and rows that are read.

An asset is known by its URI; its name is another way to call it. Extras are JSON objects as bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

NO_EXTRA: Final = b"{}"

FROM_TRIGGER: Final = "from_trigger"
"""The extra of a watcher's event says it under this name; what its trigger fired stands under `payload`."""

SCHEDULE: Final = "schedule"
OUTLET: Final = "outlet"
INLET: Final = "inlet"
"""Roles of an asset in a DAG."""


@dataclass(frozen=True, slots=True)
class AssetUse:
    """That a DAG, or a task of it, has to do with an asset.

    `kind` says what `ref` is: `asset` (a URI that is defined here), `alias`, `name` or `uri` (references to
    an asset that somebody else defines). `name`, `group` and `extra` belong to a definition.
    """

    role: str
    kind: str
    ref: str
    task_id: str = ""
    name: str = ""
    group: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class WatcherSpec:
    """A watcher of an asset, as a DAG says it: the events of a trigger of this kind are events of the asset.

    Watchers with equal content are one. `args` are the trigger's packed arguments: their codec, and JSON.
    """

    uri: str
    name: str
    kind: str
    codec: int
    args: str


class AssetEventPut(NamedTuple):
    """An event as an attempt reports it: the asset has changed."""

    uri: str
    name: str
    extra: bytes = NO_EXTRA
    group: str = "asset"
    asset_extra: bytes = NO_EXTRA
    aliases: tuple[str, ...] = ()
    """The aliases through which it was found at run time."""
    partition_key: str | None = None


class AssetEventRow(NamedTuple):
    """An event within a batch, with the task instance whose end made it."""

    task_id: str
    map_index: int
    at: datetime
    put: AssetEventPut


@dataclass(frozen=True, slots=True)
class AssetRow:
    """An asset as known."""

    asset_id: int
    uri: str
    name: str
    group: str
    extra: bytes
    created_at: datetime
    updated_at: datetime
    uses: tuple[tuple[str, AssetUse], ...] = ()
    """(DAG id, use) of the DAGs in force that name it."""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AssetEvent:
    """One event with all that is shown of it. `source_run_id` is the run id that people see."""

    event_id: int
    asset_id: int
    uri: str
    name: str
    at: datetime
    extra: bytes = NO_EXTRA
    source_dag_id: str | None = None
    source_task_id: str | None = None
    source_run_id: str | None = None
    source_map_index: int | None = None
    source_interval_start: datetime | None = None
    source_interval_end: datetime | None = None
    aliases: tuple[str, ...] = ()
    """The aliases through which it was sent."""
    partition_key: str | None = None
    source_partition_date: datetime | None = None
    """The moment that the key of the run stands for that sent it."""


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """An event that waits to cause a run of a DAG."""

    event: AssetEvent
    wakes: bool
    """False: it came while the DAG was paused. The next run gets it; it causes none."""
    queued_at: datetime
    linked: tuple[str, ...] = ()
    """The aliases that the asset has ever been sent through."""
    served: tuple[str, ...] = ()
    """Keys of the runs that have had it already; it waits for others."""


class Consumed(NamedTuple):
    """Events in a DAG's queue that a new run gets. `kept` stay there for runs of other keys than its own."""

    taken: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.taken or self.kept)


NOTHING_CONSUMED: Final = Consumed()


class QueueSummary(NamedTuple):
    """What waits in the queue of a DAG: how many events, when the first and the last of them were queued, and when
    events have last started a run.
    """

    size: int = 0
    first_at: datetime | None = None
    last_at: datetime | None = None
    last_run_at: datetime | None = None


class QueueHead(NamedTuple):
    """Events of an asset wait in the queue of a DAG, the first of them since then."""

    dag_id: str
    uri: str
    queued_at: datetime


@dataclass(frozen=True, slots=True)
class AssetEventFilter:
    """Which events a list shows; None is no condition. Newest last unless `descending`."""

    uri: str | None = None
    name: str | None = None
    alias: str | None = None
    asset_id: int | None = None
    source_dag_id: str | None = None
    source_task_id: str | None = None
    source_run_id: str | None = None
    source_map_index: int | None = None
    caused_run: int | None = None
    """Only those that caused this run (its number)."""
    limit: int = 1_000
    offset: int = 0
    descending: bool = False


@dataclass(frozen=True, slots=True)
class ExternalEvent:
    """An event that comes from outside: the same `key` again is the same event."""

    uri: str
    extra: bytes = NO_EXTRA
    key: str | None = None
    partition_key: str | None = None
    at: datetime | None = None
