"""What is known about user code that shares an event loop: who used it, who held it up, where it runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

ON_LOOP = "loop"
"""The place of coroutines on the runtime's own loop."""


class CoroutineKind(NamedTuple):
    """User code of one origin: a task of a DAG, or a trigger of one."""

    dag_id: str
    task_id: str
    what: str = "task"

    def __str__(self) -> str:
        return f"{self.what} {self.task_id} of DAG {self.dag_id}"


class OffenceKind(StrEnum):
    """What a coroutine did to those that share its loop."""

    BLOCKED = "blocked"
    """It held the loop without awaiting anything."""
    LEAKED = "leaked"
    """It ended and left asyncio tasks behind."""
    ENDED_ITS_HOST = "ended_its_host"
    """Its process ended, or had to be killed, while it held the loop."""


class LoopOffence(NamedTuple):
    """One report. For a block: for how long, and the innermost line when it was looked at; of a leak: which tasks."""

    at: datetime
    offence: OffenceKind
    kind: CoroutineKind
    seconds: float
    file: str
    line: int
    function: str
    stack: str
    interrupted: bool = False
    place: str = ON_LOOP
    """`loop`, or the async host as `host` and its process id."""
    dag_run_id: str = ""
    map_index: int = -1
    try_number: int = 0
    tasks: tuple[str, ...] = ()
    """Names of the asyncio tasks that were left behind."""


class KindUse(NamedTuple):
    """What the coroutines of a kind have used since the runtime's start, those that run included."""

    kind: CoroutineKind
    place: str
    started: int
    running: int
    loop_seconds: float
    """Time in which they held the loop: their CPU, and whatever else they did without awaiting."""


class HostFacts(NamedTuple):
    """One async host that is there now."""

    pid: int | None
    fileloc: str
    own_kind: CoroutineKind | None
    """The one kind that it serves; None: all of its file."""
    running: int
    state: str
    """`starting`, `serving`, or `leaving`: it takes no more work."""


class LoopReport(NamedTuple):
    """How coroutines share this process's loop and those of its async hosts."""

    isolation: str = "loop"
    offences: tuple[LoopOffence, ...] = ()
    """The newest first."""
    kinds: tuple[KindUse, ...] = ()
    """Those that used most first."""
    isolated: tuple[CoroutineKind, ...] = ()
    """Kinds whose new starts go to hosts of their own."""
    hosts: tuple[HostFacts, ...] = ()
    counters: Mapping[str, float] = {}
    """What has happened since the start, by name."""
