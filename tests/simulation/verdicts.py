"""Judges a story that is over: every run final, every state what the rules and the outcomes make of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tests.simulation.journal import tasks_of
from tests.simulation.reference import RUN, possible
from tradewind.model.rows import AttemptRow
from tradewind.model.specs import TaskSpec
from tradewind.model.states import FINISHED, RUN_FINISHED, OutcomeKind, RunState, TaskState
from tradewind.store.memory_tables import MemoryDatabase, RunTables
from tradewind.testing.simulated_executor import Cluster

_BAD = frozenset({TaskState.FAILED, TaskState.UPSTREAM_FAILED})
_TRY_AGAIN = frozenset({OutcomeKind.FAILED, OutcomeKind.TIMED_OUT})


def final_findings(database: MemoryDatabase, cluster: Cluster, tainted: Collection[str]) -> list[str]:
    """Everything that is wrong at the end. Of `tainted` runs only that they are over is judged."""
    found: list[str] = []
    for tables in database.runs.values():
        judge = _Judge(database, tables, cluster)
        name = tables.row.dag_run_id
        found += [f"run {name}: {line}" for line in judge.loose_ends()]
        if tables.run().state in RUN_FINISHED and name not in tainted:
            found += [f"run {name}: {line}" for line in judge.states()]
    return found


class _Judge:
    def __init__(self, database: MemoryDatabase, tables: RunTables, cluster: Cluster) -> None:
        self.database = database
        self.tables = tables
        self.cluster = cluster
        self.tasks = tasks_of(database, tables)
        self.state = {row.task_id: row.state for row in tables.instance_rows()}
        self.attempts: dict[str, list[AttemptRow]] = {task_id: [] for task_id in self.tasks}
        for ended in tables.ended:
            row = next(r for r in tables.attempt_rows() if r.attempt == ended.opened.attempt)
            self.attempts[row.task_id].append(row)

    def loose_ends(self) -> Iterator[str]:
        """What must be over and is not."""
        if self.tables.live:
            yield f"{len(self.tables.live)} attempts are live for ever"
        left = [task_id for task_id, state in self.state.items() if state not in FINISHED]
        if self.tables.run().state in RUN_FINISHED:
            if left:
                yield f"it has ended, but {left} have not"
            return
        if not self._waits_for_its_past():
            yield f"it is {self.tables.run().state} for ever; {left} are left"

    def _waits_for_its_past(self) -> bool:
        """Whether it, or a run that must end before it may begin, has tasks that wait for their past for ever."""
        of_dag = [t for t in self.database.runs.values() if t.row.dag_id == self.tables.row.dag_id]
        running = [t for t in of_dag if t.run().state is RunState.RUNNING]
        return any(task.depends_on_past for t in running for task in tasks_of(self.database, t).values())

    def states(self) -> Iterator[str]:
        """Whether each state follows from the upstream states and the outcomes."""
        for task_id, task in self.tasks.items():
            attempts = self.attempts[task_id]
            yield from (self._after_attempts(task, attempts) if attempts else self._without_attempt(task))
        leaves = [t for t in self.tasks if not any(t in other.upstream for other in self.tasks.values())]
        failed = any(self.state[leaf] in _BAD for leaf in leaves)
        if (self.tables.run().state is RunState.FAILED) != failed:
            yield f"it is {self.tables.run().state} and its leaves are {[self.state[leaf] for leaf in leaves]}"

    def _after_attempts(self, task: TaskSpec, attempts: list[AttemptRow]) -> Iterator[str]:
        state, last = self.state[task.task_id], attempts[-1]
        if state is TaskState.SKIPPED and self._may_be_skipped(task):
            return  # it waited to be tried again when a branch or short circuit skipped it
        if RUN not in self._possible(task):
            yield f"{task.task_id} ran, which its rule does not allow: {self._upstream(task)}"
        counted = [a for a in attempts if a.kind not in (OutcomeKind.LOST, OutcomeKind.RESCHEDULED)]
        if [a.try_number for a in counted] != list(range(1, len(counted) + 1)):
            yield f"the tries of {task.task_id} are {[(a.try_number, a.kind) for a in attempts]}"
        lost = 0
        for attempt in attempts:
            if lost > task.max_lost:
                yield f"{task.task_id} was lost {lost} times in a row and tried again"
            lost = lost + 1 if attempt.kind is OutcomeKind.LOST else 0
        if last.kind in _TRY_AGAIN and len(counted) != task.retries + 1:
            yield f"{task.task_id} has {task.retries} retries, and its {len(counted)}th try was its last"
        if last.kind is OutcomeKind.LOST and lost <= task.max_lost:
            yield f"{task.task_id} was lost {lost} times in a row and not tried again"
        wanted = {OutcomeKind.SUCCESS: TaskState.SUCCESS, OutcomeKind.SKIPPED: TaskState.SKIPPED}
        expected = TaskState.FAILED if last.kind is None else wanted.get(last.kind, TaskState.FAILED)
        if state is not expected:
            yield f"{task.task_id} is {state} after {last.kind}"

    def _without_attempt(self, task: TaskSpec) -> Iterator[str]:
        state, allowed = self.state[task.task_id], set(self._possible(task))
        if task.is_empty:
            allowed = {TaskState.SUCCESS if state is RUN else state for state in allowed}
        if self._may_be_skipped(task):
            allowed.add(TaskState.SKIPPED)
        if state not in allowed:
            yield f"{task.task_id} is {state}; by its rule {task.trigger_rule} over {self._upstream(task)}: {allowed}"

    def _upstream(self, task: TaskSpec) -> tuple[TaskState, ...]:
        return tuple(self.state[u] for u in task.upstream)

    def _possible(self, task: TaskSpec) -> frozenset[TaskState]:
        return possible(task.trigger_rule, tuple(sorted(self._upstream(task))))

    def _may_be_skipped(self, task: TaskSpec) -> bool:
        """Whether a branch or short circuit above has skipped it."""
        above = list(task.upstream)
        seen: set[str] = set()
        while above:
            task_id = above.pop()
            if task_id in seen:
                continue
            seen.add(task_id)
            above += self.tasks[task_id].upstream
            for attempt in self.attempts[task_id][-1:]:
                flight = self.cluster.flights.get(attempt.attempt)
                end = flight.end if flight is not None else None
                if attempt.kind is not OutcomeKind.SUCCESS or end is None:
                    continue
                outcome = end.outcome
                direct = task_id in task.upstream
                if outcome.short_circuit and (direct or outcome.ignore_downstream_trigger_rules):
                    return True
                if outcome.branch is not None and direct and task.task_id not in outcome.branch:
                    return True
        return False
