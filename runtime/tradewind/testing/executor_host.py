"""An `ExecutorHost` in memory: what executors report is kept, what attempts ask is answered from dicts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from tradewind.authoring.other_dags import Alone
from tradewind.authoring.state_access import BlockingStatesInMemory, StatesInMemory
from tradewind.model.assets import AssetEvent, AssetEventFilter
from tradewind.model.attempts import Attempt, AttemptKey, RunFacts, WaitStart
from tradewind.model.durable import Step
from tradewind.model.errors import NotFoundError
from tradewind.model.keys import UNMAPPED, AttemptId, RunId
from tradewind.model.outcomes import EncodedValue, Finished, Outcome
from tradewind.model.rows import InstanceRow, RunRow
from tradewind.model.specs import DagSource, DagSpec, Json
from tradewind.model.states import RunState, RunType
from tradewind.model.waits import Resume, WaitAnswer, WaitKey


class Began(NamedTuple):
    """Where an attempt said that it runs."""

    hostname: str
    pid: int | None


class Answered(NamedTuple):
    """How a wait ended."""

    answer: WaitAnswer
    outcome: Outcome | None


class MemoryServices(Alone, StatesInMemory):
    """`TaskServices` over dicts, which tests fill and read."""

    def __init__(self) -> None:
        self.xcoms: dict[tuple[RunId, str, str, int], EncodedValue] = {}
        self.steps: dict[tuple[RunId, str, int], dict[str, Step]] = {}
        self.kept = BlockingStatesInMemory()
        self.variables: dict[str, str] = {}
        self.connections: dict[str, str] = {}
        self.runs: dict[tuple[str, str], RunRow] = {}
        self.instances: dict[RunId, list[InstanceRow]] = {}

    async def xcom_get(self, run_id: RunId, task_id: str, key: str, map_index: int = UNMAPPED) -> EncodedValue | None:
        """The value, if there is one."""
        return self.xcoms.get((run_id, task_id, key, map_index))

    async def xcom_indexes(self, run_id: RunId, task_id: str, key: str) -> list[int]:
        """The map indexes that have a value."""
        return sorted(place[3] for place in self.xcoms if place[:3] == (run_id, task_id, key))

    async def xcom_keys(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[str]:
        """The keys that have a value, the latest first."""
        own = (run_id, task_id, map_index)
        return [key for run, task, key, index in reversed(self.xcoms) if (run, task, index) == own]

    async def xcom_many(
        self, run_id: RunId, task_id: str, key: str, map_indexes: Sequence[int]
    ) -> list[EncodedValue | None]:
        """The values, in this order."""
        return [self.xcoms.get((run_id, task_id, key, index)) for index in map_indexes]

    async def xcom_put(self, attempt: AttemptKey, key: str, value: EncodedValue) -> None:
        """Keeps a value of the attempt's own task instance."""
        self.xcoms[attempt.run_id, attempt.task_id, key, attempt.map_index] = value

    async def step_list(self, run_id: RunId, task_id: str, map_index: int) -> list[Step]:
        """What the instance has put in."""
        return list(self.steps.get((run_id, task_id, map_index), {}).values())

    async def step_put(self, attempt: AttemptKey, step: Step) -> None:
        """Keeps a step of the attempt's own task instance."""
        self.steps.setdefault((attempt.run_id, attempt.task_id, attempt.map_index), {})[step.key] = step

    async def variable_get(self, key: str) -> str | None:
        """The variable's text."""
        return self.variables.get(key)

    async def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        """Sets or deletes a variable."""
        if value is None:
            self.variables.pop(key, None)
        else:
            self.variables[key] = value

    async def connection_get(self, conn_id: str) -> str | None:
        """The connection's JSON."""
        return self.connections.get(conn_id)

    async def run_find(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        """A run by its names."""
        return self.runs.get((dag_id, dag_run_id))

    async def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        """The latest earlier run."""
        earlier = [
            run
            for run in self.runs.values()
            if run.dag_id == dag_id and run.logical_date < logical_date and state in (None, run.state)
        ]
        return max(earlier, key=lambda run: run.logical_date, default=None)

    async def task_success_before(
        self, dag_id: str, task_id: str, logical_date: datetime
    ) -> tuple[RunRow, InstanceRow] | None:
        """Nothing: no test of executors keeps earlier successes."""
        return None

    async def asset_events(self, where: AssetEventFilter) -> list[AssetEvent]:
        """None: this host keeps none."""
        return []

    async def instance_list(self, run_id: RunId) -> list[InstanceRow]:
        """The instances that the test has put in."""
        return self.instances.get(run_id, [])

    async def run_trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Json] | None,
        *,
        dag_run_id: str | None,
        logical_date: datetime | None,
    ) -> RunRow:
        """Makes a queued run. Raises NotFoundError for the DAG called 'unknown'."""
        if dag_id == "unknown":
            raise NotFoundError("there is no DAG 'unknown'")
        at = logical_date or datetime.now(UTC)
        row = RunRow(
            RunId(len(self.runs) + 1_000_000),
            dag_id,
            dag_run_id or f"manual__{at.isoformat()}",
            "0" * 64,
            RunType.MANUAL,
            RunState.QUEUED,
            at,
            at,
            at,
            at,
            at,
            external_trigger=True,
        )
        self.runs[dag_id, row.dag_run_id] = row
        return row


class MemoryHost:
    """Takes in what an executor reports. `finished` is committed at once, or with `commit` if `holds` is set."""

    def __init__(self, log_root: str, settings: Mapping[str, Json] | None = None) -> None:
        self._log_root = log_root
        self._settings = dict(settings or {})
        self._services = MemoryServices()
        self.begun: dict[AttemptKey, Began] = {}
        self.ends: dict[AttemptKey, Finished] = {}
        self.reports: list[Finished] = []
        """Every report, repeated ones too."""
        self.answers: dict[WaitKey, Answered] = {}
        """How waits ended by themselves."""
        self.gone: list[WaitKey] = []
        """Waits that were ended."""
        self.slot_news = 0
        self.began_at: dict[AttemptKey, float] = {}
        self.ended_at: dict[AttemptKey, float] = {}
        self._changed = asyncio.Event()

    @property
    def services(self) -> MemoryServices:
        """What attempts ask."""
        return self._services

    @property
    def log_root(self) -> str:
        """Where logs go."""
        return self._log_root

    @property
    def settings(self) -> Mapping[str, Json]:
        """The executor's section."""
        return self._settings

    def began(self, key: AttemptKey, *, hostname: str, pid: int | None) -> None:
        """Keeps where the attempt runs."""
        self.begun[key] = Began(hostname, pid)
        self.began_at[key] = asyncio.get_running_loop().time()
        self._changed.set()

    def finished(self, key: AttemptKey, end: Finished, on_committed: Callable[[bool], None] | None = None) -> None:
        """Keeps the first end of an attempt; a different second one is refused."""
        self.reports.append(end)
        first = self.ends.setdefault(key, end)
        self.ended_at.setdefault(key, asyncio.get_running_loop().time())
        for put in end.outcome.xcoms if first is end else ():
            self._services.xcoms[key.run_id, key.task_id, put.key, key.map_index] = put.value
        if on_committed is not None:
            asyncio.get_running_loop().call_soon(on_committed, first == end)
        self._changed.set()

    def slots_changed(self) -> None:
        """Counts the news."""
        self.slot_news += 1
        self._changed.set()

    def wait_answered(
        self, key: WaitKey, answer: WaitAnswer, outcome: Outcome | None, on_committed: Callable[[bool], None]
    ) -> None:
        """Keeps the first answer of a wait; another one is refused."""
        accepted = key not in self.answers
        self.answers.setdefault(key, Answered(answer, outcome))
        for put in outcome.xcoms if outcome is not None and accepted else ():
            self._services.xcoms[key.run_id, key.task_id, put.key, key.map_index] = put.value
        asyncio.get_running_loop().call_soon(on_committed, accepted)
        self._changed.set()

    def wait_ended(self, key: WaitKey) -> None:
        """Keeps that it is gone."""
        self.gone.append(key)
        self._changed.set()

    async def answer_of(self, start: WaitStart, within: float = 60.0) -> Answered:
        """Waits for a wait's answer."""
        await self.until(lambda: start.key in self.answers, within)
        return self.answers[start.key]

    async def until(self, condition: Callable[[], bool], within: float = 60.0) -> None:
        """Waits until `condition` holds, looking whenever something is reported. Raises TimeoutError."""
        async with asyncio.timeout(within):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def end_of(self, attempt: Attempt, within: float = 60.0) -> Finished:
        """Waits for the end of an attempt."""
        await self.until(lambda: attempt.key in self.ends, within)
        return self.ends[attempt.key]

    async def all_ended(self, attempts: Sequence[Attempt], within: float = 60.0) -> list[Finished]:
        """Waits for all ends."""
        await self.until(lambda: all(a.key in self.ends for a in attempts), within)
        return [self.ends[a.key] for a in attempts]


class AttemptMaker:
    """Makes attempts of one run of a DAG, as a scheduler would."""

    def __init__(
        self,
        spec: DagSpec,
        fileloc: str,
        *,
        dag_run_id: str = "manual__2026-01-01T00:00:00+00:00",
        run: int = 1,
        executor: str | None = None,
    ) -> None:
        """`executor`: the kind that all tasks are to have, whatever the DAG says."""
        at = datetime(2026, 1, 1, tzinfo=UTC)
        self.spec = spec
        self.run = RunFacts(
            run_id=RunId(run),
            dag_id=spec.dag_id,
            dag_run_id=dag_run_id,
            version_hash=spec.content_hash(),
            run_type=RunType.MANUAL,
            logical_date=at,
            interval_start=at,
            interval_end=at,
            run_after=at,
            queued_at=at,
            started_at=datetime.now(UTC),
            conf=None,
            external_trigger=True,
            source=DagSource("tests", "", fileloc, fileloc.rpartition("/")[2]),
        )
        self._tasks = {
            task.task_id: task if executor is None else replace(task, executor=executor) for task in spec.tasks
        }
        self._made = run << 32

    def attempt(
        self,
        task_id: str,
        *,
        try_number: int = 1,
        max_tries: int = 1,
        map_index: int = UNMAPPED,
        first_started_at: datetime | None = None,
    ) -> Attempt:
        """A new attempt of a task; the same task can be tried any number of times."""
        self._made += 1
        key = AttemptKey(AttemptId(self._made.to_bytes(16, "big")), self.run.run_id, task_id, map_index, try_number)
        began = first_started_at or datetime.now(UTC)
        return Attempt(key, self._tasks[task_id], self.run, max_tries, began)

    def again(self, attempt: Attempt, resume: Resume) -> Attempt:
        """The attempt that goes on after a wait."""
        fresh = self.attempt(
            attempt.key.task_id,
            try_number=attempt.key.try_number,
            max_tries=attempt.max_tries,
            map_index=attempt.key.map_index,
            first_started_at=attempt.first_started_at,
        )
        return fresh._replace(resume=resume)
