"""What has been committed, looked at as it happens: what no commit may ever do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from tests.simulation.dags import PARALLELISM, POOLS
from tests.simulation.durable_journal import DurableJournal
from tests.simulation.wait_journal import WaitJournal
from tradewind.model.attempts import Attempt
from tradewind.model.batch import AttemptOpened, Batch, Segment, TaskChange
from tradewind.model.errors import BatchConflict
from tradewind.model.keys import AttemptId, RunId
from tradewind.model.rows import Lease, PoolRow, RunRow, as_given
from tradewind.model.specs import TaskSpec
from tradewind.model.states import HOLDS_SLOT, RUN_FINISHED, OutcomeKind, RunState, RunType, TaskState
from tradewind.store.memory_tables import EndedAttempt, MemoryDatabase, RunTables
from tradewind.testing.simulated_executor import Flight
from tradewind.testing.simulated_waits import WaitCluster
from tradewind.testing.virtual_time import EPOCH

TAKES_EFFECT_WITHIN = 3.0
"""Seconds until a new size of a pool is in force everywhere."""

AGAIN_AND_AGAIN = 50
"""Refused batches after which a process ends."""

_USES_UP_A_TRY = frozenset(
    {
        OutcomeKind.SUCCESS,
        OutcomeKind.FAILED,
        OutcomeKind.FAILED_FOR_GOOD,
        OutcomeKind.TIMED_OUT,
        OutcomeKind.SKIPPED,
    }
)


_GOOD = frozenset({TaskState.SUCCESS, TaskState.SKIPPED, TaskState.REMOVED})
_STARTS = frozenset({TaskState.SCHEDULED, TaskState.QUEUED, TaskState.RUNNING})


@dataclass(slots=True)
class Story:
    """What has happened to one task instance."""

    opened: int = 0
    concluded: set[int] = field(default_factory=set[int])
    """Tries whose end was accepted."""
    succeeded: bool = False
    """Its success is committed, and nobody has cleared it since."""


class Journal:
    """Checks every commit against the tables as they are right after it."""

    def __init__(self, database: MemoryDatabase, cluster: WaitCluster) -> None:
        self.database = database
        self.cluster = cluster
        self._latest: dict[tuple[RunId, str, int], TaskChange] = {}
        self.faults: list[str] = []
        self.waits = WaitJournal(database, cluster, self.faults)
        self.stories: dict[tuple[RunId, str, int], Story] = {}
        self.opened: set[AttemptId] = set()
        self.undoing: set[AttemptId | None] = set()
        """Attempts that undo what a durable task has begun that was ended while it waited."""
        self.cancelled: set[RunId] = set()
        """Runs that somebody wanted to end."""
        self.cleared: set[RunId] = set()
        """Runs of which somebody asked to clear something: their successes may be taken back."""
        self._stoppers: dict[RunId, frozenset[str]] = {}
        """By run, the tasks of the commit with its first failure. Others that fail later may have been ended for it."""
        self.durable = DurableJournal(database, self.faults, self.cleared)
        self._sizes: dict[str, list[tuple[float, int]]] = {name: [(0.0, slots)] for name, slots in POOLS.items()}

    def on_pool(self, pool: PoolRow) -> None:
        """A pool gets another size; it may take a moment until that is in force."""
        now = (self.database.clock() - EPOCH).total_seconds()
        self._sizes[pool.name].append((now, pool.slots))

    def _size(self, pool: str) -> int:
        """The largest size that may be in force."""
        now = (self.database.clock() - EPOCH).total_seconds()
        sizes = self._sizes[pool]
        ends = [at for at, _ in sizes[1:]] + [now]
        return max(slots for (_, slots), end in zip(sizes, ends, strict=True) if now <= end + TAKES_EFFECT_WITHIN)

    def on_submit(self, attempt: Attempt) -> None:
        """No attempt reaches an executor before its start is durable."""
        if attempt.key.attempt not in self.opened:
            self.faults.append(f"attempt of {attempt.key.task_id} was submitted before its start was committed")
        self.waits.on_submit(attempt)

    def on_answer(self, flight: Flight, accepted: bool) -> None:
        """What was acknowledged is durable."""
        tables = self.database.runs[flight.attempt.key.run_id]
        closed = any(ended.opened.attempt == flight.attempt.key.attempt for ended in tables.ended)
        if accepted and not closed:
            self.faults.append(f"the end of {flight.attempt.key.task_id} was acknowledged and is not committed")

    def on_conflict(self, conflict: BatchConflict) -> None:
        """Nobody but the owner writes, so rows are always as it expects."""
        self.faults.append(str(conflict))
        if len(self.faults) > AGAIN_AND_AGAIN:  # the same moment for ever: nobody would come to look
            raise AssertionError(f"batches are refused again and again: {conflict}")

    def on_run(self, run: RunRow) -> None:
        """A run of a schedule and the schedule's new place are one commit."""
        cursor = self.database.dags[run.dag_id].cursor
        if run.run_type is not RunType.SCHEDULED:
            return
        if cursor is None or cursor.last_interval_start != run.interval_start:
            self.faults.append(
                f"run {run.dag_run_id} was created and the schedule of {run.dag_id} did not move with it"
            )

    def on_batch(self, lease: Lease, batch: Batch) -> None:
        """Everything that a batch may not do."""
        record = self.database.runtimes[lease.runtime_id]
        if not record.alive or record.epoch != lease.epoch:
            self.faults.append(f"runtime {lease.runtime_id} wrote after its lease was taken away")
        self._starts(batch)
        for segment in batch.segments:
            owner = self.database.dags[segment.dag_id].owner
            if owner != lease.runtime_id:
                self.faults.append(f"runtime {lease.runtime_id} wrote to a run of {segment.dag_id}, owned by {owner}")
            self._undoing(segment)
            self._attempts(segment)
            self._rows(segment)
            self.waits.on_segment(segment)
            self.durable.on_segment(segment)
        by_triggers = {closed.attempt for segment in batch.segments for closed in segment.closed}
        without_limits = by_triggers | self.undoing
        opened = [row for segment in batch.segments for row in segment.opened if row.attempt not in without_limits]
        if opened:
            self._limits(batch, opened)
        for segment in batch.segments:
            if segment.run is not None and segment.run.state is RunState.RUNNING:
                self._active_runs(segment)

    def _undoing(self, segment: Segment) -> None:
        """What begins in an instance that is to go can only be there to undo something."""
        ended = self.database.runs[segment.run_id].run().state in RUN_FINISHED
        going = {c.attempt for c in segment.tasks if ended or c.max_tries < 0 or c.state is TaskState.RESTARTING}
        self.undoing |= going & {row.attempt for row in segment.opened}

    def _starts(self, batch: Batch) -> None:
        """Nothing starts before its time, or before its past; nothing that runs is given up."""
        for segment in batch.segments:
            for change in [*segment.tasks, *segment.made]:
                before = self._latest.get((segment.run_id, change.task_id, change.map_index))
                self._latest[segment.run_id, change.task_id, change.map_index] = change
                if before is None or before.due_at is None or change.state not in _STARTS:
                    continue
                if as_given(before.max_tries) != as_given(change.max_tries) or before.state is TaskState.DEFERRED:
                    continue  # cleared: what it waited for is forgotten; or answered before its deadline
                if before.due_at - self.database.clock() > timedelta(milliseconds=10):
                    self.faults.append(f"{change.task_id} started {before.due_at - self.database.clock()} too early")
            for opened in segment.opened:
                self._past(segment, opened)
            for closed in segment.closed:
                flight = self.cluster.flights.get(closed.attempt)
                if closed.kind is not OutcomeKind.LOST or flight is None or flight.end is not None:
                    continue
                if flight.carrier.survives:
                    self.faults.append(f"an attempt of {flight.attempt.key.task_id} was given up while it ran")

    def _past(self, segment: Segment, opened: AttemptOpened) -> None:
        """Where the run before was there first and nobody cleared it, its instance has ended well."""
        tables = self.database.runs[segment.run_id]
        if not tasks_of(self.database, tables)[opened.task_id].depends_on_past:
            return
        of_dag = [t for t in self.database.runs.values() if t.row.dag_id == segment.dag_id]
        earlier = [t for t in of_dag if t.row.logical_date < tables.row.logical_date]
        before = max(earlier, key=lambda t: (t.row.logical_date, t.row.run_id), default=None)
        if before is None or before.row.run_id > segment.run_id or before.row.run_id in self.cleared:
            return
        for row in before.instance_rows():
            if row.task_id == opened.task_id and row.state not in _GOOD:
                self.faults.append(f"{opened.task_id} depends on its past, began, and is {row.state} in the run before")

    def _story(self, segment: Segment, task_id: str, map_index: int) -> Story:
        return self.stories.setdefault((segment.run_id, task_id, map_index), Story())

    def _attempts(self, segment: Segment) -> None:
        self._dropped_rows(segment)
        if failed := frozenset(change.task_id for change in segment.tasks if change.state is TaskState.FAILED):
            self._stoppers.setdefault(segment.run_id, failed)
        for change in segment.tasks:
            if change.expected is TaskState.SUCCESS and segment.run_id in self.cleared:
                self._story(segment, change.task_id, change.map_index).succeeded = False
        for opened in segment.opened:
            story = self._story(segment, opened.task_id, opened.map_index)
            self.opened.add(opened.attempt)
            if story.succeeded:
                self.faults.append(f"an attempt of {opened.task_id} began after its success was committed")
            goes_on = opened.attempt in self.undoing or opened.task_id in self._stoppers.get(segment.run_id, ())
            if not goes_on and self._is_stopped(segment, opened.task_id):
                self.faults.append(f"an attempt of {opened.task_id} began although its run was stopped by a failure")
            if opened.try_number in story.concluded:
                self.faults.append(f"try {opened.try_number} of {opened.task_id} began again after its end")
        closed_now = {closed.attempt for closed in segment.closed}
        for ended in self.database.runs[segment.run_id].ended:
            if ended.opened.attempt in closed_now:
                self._closed(segment, ended)
        for change in [*segment.tasks, *segment.made]:
            if change.state is TaskState.SUCCESS:
                self._story(segment, change.task_id, change.map_index).succeeded = True

    def _dropped_rows(self, segment: Segment) -> None:
        for gone in segment.dropped:
            for place in [p for p in self.stories if p[:2] == (segment.run_id, gone.task_id)]:
                if gone.low <= place[2] <= gone.high:
                    self._dropped(segment, place)

    def _dropped(self, segment: Segment, place: tuple[RunId, str, int]) -> None:
        """An instance is no more: nothing of it may run, and nobody but who clears takes its success away."""
        if self.stories.pop(place).succeeded and segment.run_id not in self.cleared:
            self.faults.append(f"{place[1:]} had succeeded, and its row is gone")
        if place[1:] in self.database.runs[segment.run_id].live_places:
            self.faults.append(f"{place[1:]} is gone, and its attempt is live")

    def _closed(self, segment: Segment, ended: EndedAttempt) -> None:
        """One end of a try at most is accepted; nobody is ended for nothing."""
        task_id, number, kind = ended.opened.task_id, ended.opened.try_number, ended.closed.kind
        place = (task_id, ended.opened.map_index)
        story = self._story(segment, *place)
        failed = any((c.task_id, c.map_index) == place and c.state is TaskState.FAILED for c in segment.tasks)
        wanted = segment.run_id in self.cancelled or self._is_stopped(segment, task_id, cleared=True)
        if kind is OutcomeKind.CANCELLED and failed and not wanted:
            self.faults.append(f"{task_id} was ended and has failed, and nobody wanted its run to end")
        if kind in _USES_UP_A_TRY:
            if number in story.concluded:
                self.faults.append(f"two ends of try {number} of {task_id} were accepted")
            story.concluded.add(number)

    def _is_stopped(self, segment: Segment, task_id: str, *, cleared: bool = False) -> bool:
        """Whether another task of its DAG has failed, which stops all. What was cleared may begin anew all the same and
        counts only if `cleared`.
        """
        tables = self.database.runs[segment.run_id]
        spec = self.database.versions[segment.dag_id, tables.row.version_hash].spec
        if not spec.fail_stop or (segment.run_id in self.cleared and not cleared):
            return False
        return any(row.state is TaskState.FAILED and row.task_id != task_id for row in tables.instance_rows())

    def _rows(self, segment: Segment) -> None:
        """All of a segment is there: rows, attempts, the run."""
        tables = self.database.runs[segment.run_id]
        for change in [*segment.tasks, *segment.made]:
            row = tables.instance((change.task_id, change.map_index))
            if row is None or (row.state, row.try_number, row.attempt) != _values(change):
                self.faults.append(f"a batch was applied in part: {change.task_id} is {row}")
            elif (change.state in HOLDS_SLOT) != (change.attempt is not None) and not _only_its_triggers_go(change):
                self.faults.append(f"{change.task_id} is {change.state} with attempt {change.attempt!r}")
            elif change.attempt is not None and change.attempt not in tables.live:
                self.faults.append(f"{change.task_id} is {change.state}, but its attempt is not among the live ones")
        if any(closed.attempt in tables.live for closed in segment.closed):
            self.faults.append("a batch was applied in part: an attempt that ended is still live")
        if segment.run is not None and tables.run().state is not segment.run.state:
            self.faults.append(f"a batch was applied in part: the run is {tables.run().state}")

    def _limits(self, batch: Batch, opened: list[AttemptOpened]) -> None:
        used = usage(self.database, self.undoing)
        for row in opened:
            name = f"pool {row.pool}"
            size = self._size(row.pool)
            if used[name] > size:
                self.faults.append(f"{name} has {size} slots and {used[name]} are used")
            if row.executor != "inline" and used["parallelism"] > PARALLELISM:
                self.faults.append(f"parallelism is {PARALLELISM} and {used['parallelism']} attempts run")
        began = {row.attempt for row in opened}
        for segment in batch.segments:
            starts = [row for row in segment.opened if row.attempt in began]
            dag = self.database.dags[segment.dag_id]
            spec = self.database.versions[segment.dag_id, dag.version_hash].spec
            if starts and used[f"dag {dag.dag_id}"] > spec.max_active_tasks:
                self.faults.append(f"{dag.dag_id} has max_active_tasks={spec.max_active_tasks} and more run")
            if starts and dag.is_paused:
                self.faults.append(f"an attempt began although {dag.dag_id} is paused")
            tasks = tasks_of(self.database, self.database.runs[segment.run_id])
            for row in starts:
                self._task_limits(segment, tasks[row.task_id], used)

    def _task_limits(self, segment: Segment, task: TaskSpec, used: Counter[str]) -> None:
        limits: Mapping[str, int | None] = {
            f"task {segment.dag_id}.{task.task_id}": task.max_active_tis_per_dag,
            f"task {segment.run_id}.{task.task_id}": task.max_active_tis_per_dagrun,
        }
        for name, size in limits.items():
            if size is not None and used[name] > size:
                self.faults.append(f"{name} may run {size} times at once and runs {used[name]} times")

    def _active_runs(self, segment: Segment) -> None:
        dag = self.database.dags[segment.dag_id]
        spec = self.database.versions[segment.dag_id, dag.version_hash].spec
        active = sum(
            tables.row.dag_id == segment.dag_id and tables.run().state is RunState.RUNNING
            for tables in self.database.runs.values()
        )
        if active > spec.max_active_runs:
            self.faults.append(f"{segment.dag_id} has max_active_runs={spec.max_active_runs} and {active} are active")


def usage(database: MemoryDatabase, undoing: Collection[AttemptId | None]) -> Counter[str]:
    """What the live attempts hold of each limit; those that undo something ask for none."""
    used: Counter[str] = Counter()
    for run_id, tables in database.runs.items():
        dag_id = tables.row.dag_id
        for live in tables.live.values():
            if live.attempt in undoing:
                continue
            used[f"pool {live.pool}"] += live.pool_slots
            used[f"dag {dag_id}"] += 1
            used[f"task {dag_id}.{live.task_id}"] += 1
            used[f"task {run_id}.{live.task_id}"] += 1
            if live.executor != "inline":
                used["parallelism"] += 1
    return used


def tasks_of(database: MemoryDatabase, tables: RunTables) -> dict[str, TaskSpec]:
    """The tasks of a run's version."""
    spec = database.versions[tables.row.dag_id, tables.row.version_hash].spec
    return {task.task_id: task for task in spec.tasks}


def _only_its_triggers_go(change: TaskChange) -> bool:
    """Whether what is being restarted has no attempt: it waited."""
    return change.state is TaskState.RESTARTING and change.attempt is None


def _values(change: TaskChange) -> tuple[TaskState, int, AttemptId | None]:
    return change.state, change.try_number, change.attempt
