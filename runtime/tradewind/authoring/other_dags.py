"""What a task may ask of DAGs other than its own: for operators that trigger them or wait for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

from tradewind.model.errors import NotFoundError
from tradewind.model.keys import RunId
from tradewind.model.rows import RunRow

LONGEST_WAIT: Final = 5.0
"""Seconds that one `run_wait` takes at most: a channel carries one call at a time."""


@dataclass(frozen=True, slots=True)
class DagFacts:
    """A DAG as others see it. `groups`: id of each task group to the ids of all tasks in it."""

    dag_id: str
    is_paused: bool
    is_active: bool
    fileloc: str
    task_ids: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


class OtherDags(Protocol):
    """The part of `TaskServices` that is about other DAGs."""

    async def dag_facts(self, dag_id: str) -> DagFacts | None:
        """The DAG in its current version, or None."""
        ...

    async def runs_at(self, dag_id: str, logical_date: datetime) -> list[RunRow]:
        """The runs of the DAG with exactly this logical date."""
        ...

    async def run_wait(self, run_id: RunId, seconds: float) -> RunRow | None:
        """The run once it has ended; None where it has not within `seconds` (at most `LONGEST_WAIT`)."""
        ...

    async def changes(self, what: str, dag_id: str, since: int, seconds: float) -> int:
        """A number that grows with each change of `what`: `runs` or `tasks` of the DAG, or `assets`. Given once it
        is not `since` (-1: at once), and after so many seconds as it is. Look, ask with the number, look again.
        """
        ...

    async def run_restart(self, dag_id: str, dag_run_id: str) -> RunRow:
        """Clears all tasks of a run. Raises NotFoundError."""
        ...


class BlockingOtherDags(Protocol):
    """`OtherDags` for sync code."""

    def dag_facts(self, dag_id: str) -> DagFacts | None:
        """The DAG in its current version, or None."""
        ...

    def runs_at(self, dag_id: str, logical_date: datetime) -> list[RunRow]:
        """The runs of the DAG with exactly this logical date."""
        ...

    def run_wait(self, run_id: RunId, seconds: float) -> RunRow | None:
        """The run once it has ended, or None."""
        ...

    def changes(self, what: str, dag_id: str, since: int, seconds: float) -> int:
        """See `OtherDags`; it takes at most `LONGEST_WAIT`."""
        ...

    def run_restart(self, dag_id: str, dag_run_id: str) -> RunRow:
        """Clears all tasks of a run."""
        ...


class Alone:
    """`OtherDags` of a system that has no other DAGs: everything asked for is not there."""

    async def dag_facts(self, dag_id: str) -> DagFacts | None:
        """None."""
        return None

    async def runs_at(self, dag_id: str, logical_date: datetime) -> list[RunRow]:
        """Nothing."""
        return []

    async def run_wait(self, run_id: RunId, seconds: float) -> RunRow | None:
        """Raises NotFoundError."""
        raise NotFoundError(f"there is no run {run_id}")

    async def changes(self, what: str, dag_id: str, since: int, seconds: float) -> int:
        """0, after the time: nothing changes."""
        import asyncio  # DAG files that are only defined need no loop

        if since == 0:
            await asyncio.sleep(seconds)
        return 0

    async def run_restart(self, dag_id: str, dag_run_id: str) -> RunRow:
        """Raises NotFoundError."""
        raise NotFoundError(f"DAG {dag_id!r} has no run {dag_run_id!r}")
