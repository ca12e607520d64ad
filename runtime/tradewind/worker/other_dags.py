"""The calls about other DAGs, on each of the ways between an attempt and the runtime."""

from __future__ import annotations

import asyncio
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any, Final, ParamSpec, TypeVar

from tradewind.authoring.other_dags import LONGEST_WAIT, BlockingOtherDags, DagFacts, OtherDags
from tradewind.model.errors import NotFoundError
from tradewind.model.keys import RunId
from tradewind.model.rows import RunRow
from tradewind.worker import codec

T = TypeVar("T")
P = ParamSpec("P")


class OtherDagsOnLoop(ABC):
    """For threads beside a loop."""

    __slots__ = ()

    @property
    @abstractmethod
    def other_dags(self) -> OtherDags:
        """What answers on the loop."""

    @abstractmethod
    def wait_for(self, call: Callable[P, Coroutine[Any, Any, T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Carries the call out on the loop and blocks until it has answered."""

    def dag_facts(self, dag_id: str) -> DagFacts | None:
        """See OtherDags."""
        return self.wait_for(self.other_dags.dag_facts, dag_id)

    def runs_at(self, dag_id: str, logical_date: datetime) -> list[RunRow]:
        """See OtherDags."""
        return self.wait_for(self.other_dags.runs_at, dag_id, logical_date)

    def run_wait(self, run_id: RunId, seconds: float) -> RunRow | None:
        """See OtherDags."""
        return self.wait_for(self.other_dags.run_wait, run_id, seconds)

    def changes(self, what: str, dag_id: str, since: int, seconds: float) -> int:
        """See OtherDags."""
        return self.wait_for(self.other_dags.changes, what, dag_id, since, seconds)

    def run_restart(self, dag_id: str, dag_run_id: str) -> RunRow:
        """See OtherDags."""
        return self.wait_for(self.other_dags.run_restart, dag_id, dag_run_id)


class OtherDagsInProcess(ABC):
    """For an async task in a process of its own."""

    __slots__ = ()

    @property
    @abstractmethod
    def other_dags(self) -> BlockingOtherDags:
        """What answers, blocking a thread."""

    async def dag_facts(self, dag_id: str) -> DagFacts | None:
        """See OtherDags."""
        return await asyncio.to_thread(self.other_dags.dag_facts, dag_id)

    async def runs_at(self, dag_id: str, logical_date: datetime) -> list[RunRow]:
        """See OtherDags."""
        return await asyncio.to_thread(self.other_dags.runs_at, dag_id, logical_date)

    async def run_wait(self, run_id: RunId, seconds: float) -> RunRow | None:
        """See OtherDags."""
        return await asyncio.to_thread(self.other_dags.run_wait, run_id, seconds)

    async def changes(self, what: str, dag_id: str, since: int, seconds: float) -> int:
        """See OtherDags."""
        return await asyncio.to_thread(self.other_dags.changes, what, dag_id, since, seconds)

    async def run_restart(self, dag_id: str, dag_run_id: str) -> RunRow:
        """See OtherDags."""
        return await asyncio.to_thread(self.other_dags.run_restart, dag_id, dag_run_id)


class OtherDagsByFrames(ABC):
    """For a process at the other end of a channel."""

    @abstractmethod
    def ask(self, name: str, args: list[Any]) -> Any:
        """Sends a call and blocks until its reply is there."""

    def dag_facts(self, dag_id: str) -> DagFacts | None:
        """See OtherDags."""
        return facts_of(self.ask("dag_facts", [dag_id]))

    def runs_at(self, dag_id: str, logical_date: datetime) -> list[RunRow]:
        """See OtherDags."""
        runs = [codec.run_of(plain) for plain in self.ask("runs_at", [dag_id, logical_date])]
        return [run for run in runs if run is not None]

    def run_wait(self, run_id: RunId, seconds: float) -> RunRow | None:
        """See OtherDags."""
        return codec.run_of(self.ask("run_wait", [run_id, seconds]))

    def changes(self, what: str, dag_id: str, since: int, seconds: float) -> int:
        """See OtherDags."""
        return int(self.ask("changes", [what, dag_id, since, seconds]))

    def run_restart(self, dag_id: str, dag_run_id: str) -> RunRow:
        """See OtherDags."""
        run = codec.run_of(self.ask("run_restart", [dag_id, dag_run_id]))
        if run is None:
            raise NotFoundError(f"DAG {dag_id!r} has no run {dag_run_id!r}")
        return run


def facts_of(plain: dict[str, Any] | None) -> DagFacts | None:
    """What `dag_facts` answered."""
    if plain is None:
        return None
    groups = {name: tuple(ids) for name, ids in plain.pop("groups").items()}
    task_ids = tuple(plain.pop("task_ids"))
    return DagFacts(**plain, task_ids=task_ids, groups=groups)


# --------------------------------------------------------------------------- the executor's side


async def _dag_facts(services: OtherDags, args: list[Any]) -> Any:
    facts = await services.dag_facts(*args)
    return None if facts is None else dataclasses.asdict(facts)


async def _runs_at(services: OtherDags, args: list[Any]) -> Any:
    dag_id, logical_date = args
    return [codec.plain_run(run) for run in await services.runs_at(dag_id, datetime.fromisoformat(logical_date))]


async def _run_wait(services: OtherDags, args: list[Any]) -> Any:
    return codec.plain_run(await services.run_wait(*args))


async def _changes(services: OtherDags, args: list[Any]) -> Any:
    what, dag_id, since, seconds = args
    return await services.changes(what, dag_id, since, min(seconds, LONGEST_WAIT))


async def _run_restart(services: OtherDags, args: list[Any]) -> Any:
    return codec.plain_run(await services.run_restart(*args))


CALLS: Final[Mapping[str, Callable[[OtherDags, list[Any]], Awaitable[Any]]]] = {
    "dag_facts": _dag_facts,
    "runs_at": _runs_at,
    "run_wait": _run_wait,
    "changes": _changes,
    "run_restart": _run_restart,
}
