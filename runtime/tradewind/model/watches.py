"""Watchers that run: what carries one out is told of it, what it fires, and how it gets on."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

from tradewind.model.assets import WatcherSpec
from tradewind.model.specs import DagSource

RUNNING = "running"
PAUSING = "pausing"
"""It has failed, or ended by itself, and begins again."""
NOT_HERE = "not_here"
"""No executor of this runtime carries triggers out."""


class WatchStart(NamedTuple):
    """A watcher to be carried out, with the DAG whose file has its classes. Equal ones are the same one."""

    watcher: WatcherSpec
    dag_id: str
    version_hash: str
    source: DagSource


class WatchFired(NamedTuple):
    """What a watcher's trigger has fired. `key` is what the source knows it by; None: nothing."""

    payload: Any
    key: str | None = None


class WatchFacts(NamedTuple):
    """How a watcher gets on in this runtime, since it began with it."""

    watcher: WatcherSpec
    dag_ids: tuple[str, ...]
    """The DAGs of this runtime that name it."""
    state: str
    since: datetime
    """When it came into this state."""
    events: int = 0
    """Taken in; events that were known already are not among them."""
    last_event_at: datetime | None = None
    failures: int = 0
    last_error: str | None = None
    last_error_at: datetime | None = None
    again_at: datetime | None = None
    """When one that pauses begins again."""
