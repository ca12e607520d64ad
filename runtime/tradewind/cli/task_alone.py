"""One task by itself, in this process: for `tasks test` and `tasks render`.

Nothing is recorded. Variables, connections and XComs that the task asks for come from the system's
database, which is opened when the first of them is.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime

from tradewind.authoring.access import CurrentAttempt, current_attempt
from tradewind.authoring.dag import DAG
from tradewind.authoring.masking import redact
from tradewind.authoring.state_access import BlockingStatesInMemory, StatesInMemory
from tradewind.authoring.xcom import encode
from tradewind.cli.dag_files import DagFile
from tradewind.config import Config
from tradewind.control_ports import Control, TriggerRequest
from tradewind.database import open_control
from tradewind.model.assets import AssetEvent, AssetEventFilter
from tradewind.model.attempts import Attempt, AttemptKey, RunFacts
from tradewind.model.durable import Step
from tradewind.model.errors import NotFoundError
from tradewind.model.keys import UNMAPPED, AttemptId, RunId
from tradewind.model.outcomes import EncodedValue, Outcome
from tradewind.model.rows import InstanceRow, RunRow
from tradewind.model.specs import DagSource, Json
from tradewind.model.states import RunState, RunType
from tradewind.services.other_dags import OtherDagsOfSystem
from tradewind.services.secrets import look_ups_of
from tradewind.services.task_services import latest_keys
from tradewind.worker import steps
from tradewind.worker.alone import run_to_the_end
from tradewind.worker.blocking import BlockingOnLoop
from tradewind.worker.preparing import prepare_blocking


def attempt_alone(
    dag: DAG, file: DagFile, task_id: str, logical_date: datetime, conf: Mapping[str, Json] | None
) -> Attempt:
    """A first try of the task, as a manual run for this date would have it. Raises NotFoundError."""
    spec = dag.to_spec()
    task = next((task for task in spec.tasks if task.task_id == task_id), None)
    if task is None:
        known = ", ".join(task.task_id for task in spec.tasks)
        raise NotFoundError(f"DAG {dag.dag_id!r} has no task {task_id!r}. Its tasks: {known}")
    interval = dag.timetable.infer_manual_data_interval(run_after=logical_date)
    now = datetime.now(tz=UTC)
    run = RunFacts(
        run_id=RunId(0),
        dag_id=dag.dag_id,
        dag_run_id=f"manual__{logical_date.isoformat()}",
        version_hash=spec.content_hash(),
        run_type=RunType.MANUAL,
        logical_date=logical_date,
        interval_start=interval.start,
        interval_end=interval.end,
        run_after=logical_date,
        queued_at=now,
        started_at=now,
        conf=encode(dict(conf)) if conf else None,
        external_trigger=True,
        source=DagSource(file.bundle, "", str(file.path), str(file.path.relative_to(file.root))),
    )
    return Attempt(AttemptKey(AttemptId(bytes(16)), run.run_id, task_id), task, run, 1, now)


async def run_alone(config: Config, dag: DAG, attempt: Attempt) -> Outcome:
    """Runs the task once, whatever its upstream tasks; what it says goes to standard output."""
    logging.basicConfig(
        level=config.logging.level,
        stream=sys.stdout,
        format="[%(asctime)s] {%(name)s} %(levelname)s - %(message)s",
        force=True,
    )
    async with _services(config, attempt) as services:
        with ThreadPoolExecutor(1) as threads:
            return await run_to_the_end(attempt, dag, services, threads)


def outcome_line(attempt: Attempt, outcome: Outcome) -> dict[str, object]:
    """How the attempt has ended, for programs."""
    from tradewind.cli.dags_test_answer import xcom_value

    error = outcome.error
    return {
        "dag_id": attempt.run.dag_id,
        "task_id": attempt.key.task_id,
        "map_index": attempt.key.map_index,
        "logical_date": attempt.run.logical_date,
        "outcome": outcome.kind.value,
        "reason": outcome.reason,
        "error": None if error is None else {"type": error.type, "message": error.message},
        "xcoms": {put.key: xcom_value(put.value) for put in outcome.xcoms},
    }


async def rendered_fields(config: Config, dag: DAG, attempt: Attempt) -> dict[str, object]:
    """The task's template fields by name, rendered. Raises TemplateFailed."""
    async with _services(config, attempt) as services:
        current = CurrentAttempt(attempt, services, BlockingOnLoop(services, asyncio.get_running_loop()))
        token = current_attempt.set(current)
        try:
            work = steps.begin(current, dag, None)
            await asyncio.to_thread(prepare_blocking, work, current.blocking)
        finally:
            current_attempt.reset(token)
        return {name: redact(getattr(work.operator, name, None), name) for name in work.operator.template_fields}


@asynccontextmanager
async def _services(config: Config, attempt: Attempt) -> AsyncGenerator[SystemOnDemand, None]:
    async with AsyncExitStack() as opened:
        yield SystemOnDemand(config, attempt, opened)


class SystemOnDemand(OtherDagsOfSystem, StatesInMemory):
    """`TaskServices` of one attempt that no runtime knows of."""

    def __init__(self, config: Config, attempt: Attempt, opened: AsyncExitStack) -> None:
        self._config = config
        self._attempt = attempt
        self._opened = opened
        self._opening = asyncio.Lock()
        self._control: Control | None = None
        self._pushed: dict[str, EncodedValue] = {}
        self._steps: dict[str, Step] = {}
        self.kept = BlockingStatesInMemory()

    async def system(self) -> Control:
        """The system, connected to when it is first asked."""
        async with self._opening:
            if self._control is None:
                self._control = await self._opened.enter_async_context(open_control(self._config))
            return self._control

    async def _same_run(self) -> RunRow | None:
        """The run of this DAG and date that the system knows, if any: its XComs are the task's input."""
        reads = (await self.system()).reads
        return await reads.run_get(self._attempt.run.dag_id, self._attempt.run.dag_run_id) or await self._by_date()

    async def _by_date(self) -> RunRow | None:
        from tradewind.ports import RunFilter

        run = self._attempt.run
        where = RunFilter(dag_id=run.dag_id, logical_from=run.logical_date, logical_to=run.logical_date, limit=1)
        rows, _ = await (await self.system()).reads.run_list(where)
        return rows[0] if rows else None

    async def xcom_get(self, run_id: RunId, task_id: str, key: str, map_index: int = UNMAPPED) -> EncodedValue | None:
        """What the task has pushed itself, else what the run of this date has."""
        if task_id == self._attempt.key.task_id and key in self._pushed:
            return self._pushed[key]
        known = await self._known(run_id)
        return None if known is None else await (await self.system()).reads.xcom_get(known, task_id, key, map_index)

    async def xcom_indexes(self, run_id: RunId, task_id: str, key: str) -> list[int]:
        """Those of the run of this date."""
        known = await self._known(run_id)
        return [] if known is None else await (await self.system()).reads.xcom_indexes(known, task_id, key)

    async def xcom_keys(self, run_id: RunId, task_id: str, map_index: int = UNMAPPED) -> list[str]:
        """What the task has pushed itself, else those of the run of this date."""
        if task_id == self._attempt.key.task_id and self._pushed:
            return list(reversed(self._pushed))
        known = await self._known(run_id)
        if known is None:
            return []
        return latest_keys(await (await self.system()).reads.xcom_list(known, task_id, map_index, values=False))

    async def xcom_many(
        self, run_id: RunId, task_id: str, key: str, map_indexes: Sequence[int]
    ) -> list[EncodedValue | None]:
        """Those of the run of this date."""
        known = await self._known(run_id)
        if known is None:
            return [None] * len(map_indexes)
        return await (await self.system()).reads.xcom_many(known, task_id, key, map_indexes)

    async def _known(self, run_id: RunId) -> RunId | None:
        """The run as the system knows it."""
        if run_id != self._attempt.run.run_id:
            return run_id
        run = await self._same_run()
        return None if run is None else run.run_id

    async def xcom_put(self, attempt: AttemptKey, key: str, value: EncodedValue) -> None:
        """Kept for this attempt only."""
        self._pushed[key] = value

    async def step_list(self, run_id: RunId, task_id: str, map_index: int) -> list[Step]:
        """Those of this attempt."""
        return list(self._steps.values())

    async def step_put(self, attempt: AttemptKey, step: Step) -> None:
        """Kept for this attempt only."""
        self._steps[step.key] = step

    async def variable_get(self, key: str) -> str | None:
        """From the system."""
        return await look_ups_of(self._config, (await self.system()).reads).variable(key)

    async def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        """Said and not done: a test records nothing."""
        logging.getLogger("tradewind.task").warning("variable %r would be set; a test changes nothing", key)

    async def connection_get(self, conn_id: str) -> str | None:
        """From the system."""
        return await look_ups_of(self._config, (await self.system()).reads).connection(conn_id)

    async def run_find(self, dag_id: str, dag_run_id: str) -> RunRow | None:
        """From the system."""
        return await (await self.system()).reads.run_get(dag_id, dag_run_id)

    async def run_before(self, dag_id: str, logical_date: datetime, state: RunState | None = None) -> RunRow | None:
        """From the system."""
        return await (await self.system()).reads.run_before(dag_id, logical_date, state)

    async def task_success_before(
        self, dag_id: str, task_id: str, logical_date: datetime
    ) -> tuple[RunRow, InstanceRow] | None:
        """From the system."""
        return await (await self.system()).reads.task_success_before(dag_id, task_id, logical_date)

    async def asset_events(self, where: AssetEventFilter) -> list[AssetEvent]:
        """From the system."""
        events, _ = await (await self.system()).reads.asset_event_list(replace(where, descending=True))
        return events[::-1]

    async def instance_list(self, run_id: RunId) -> list[InstanceRow]:
        """From the system; of the run of this date for the attempt's own."""
        if run_id == self._attempt.run.run_id:
            run = await self._same_run()
            if run is None:
                return []
            run_id = run.run_id
        return await (await self.system()).reads.instance_list(run_id)

    async def run_trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Json] | None,
        *,
        dag_run_id: str | None,
        logical_date: datetime | None,
    ) -> RunRow:
        """Asks the system: a task that triggers another DAG does so in a test too."""
        request = TriggerRequest(dag_id, conf=conf, dag_run_id=dag_run_id, logical_date=logical_date, while_paused=True)
        return await (await self.system()).run_trigger(request)
