"""Judges a story that is over: every run final, every state what the rules and the outcomes make of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator

from tests.simulation.journal import tasks_of
from tests.simulation.mapped_reference import MappedReference, Place
from tests.simulation.reference import RUN, possible
from tradewind.model.outcomes import Outcome
from tradewind.model.rows import AttemptRow
from tradewind.model.specs import TaskSpec
from tradewind.model.states import FINISHED, RUN_FINISHED, OutcomeKind, RunState, TaskState
from tradewind.store.bounds import visible
from tradewind.store.memory_tables import MemoryDatabase, RunTables
from tradewind.testing.simulated_executor import Cluster

_BAD = frozenset({TaskState.FAILED, TaskState.UPSTREAM_FAILED})
_TRY_AGAIN = frozenset({OutcomeKind.FAILED, OutcomeKind.TIMED_OUT})
_NO_END_OF_A_TRY = frozenset({OutcomeKind.LOST, OutcomeKind.RESCHEDULED, OutcomeKind.DEFERRED})


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


def _gone(database: MemoryDatabase, tables: RunTables) -> set[str]:
    """Tasks of a run that a later version of its DAG does not have."""
    dag_id = tables.row.dag_id
    number = database.versions[dag_id, tables.row.version_hash].number
    later = [v.spec for (other, _), v in database.versions.items() if other == dag_id and v.number > number]
    there = [{task.task_id for task in spec.tasks} for spec in later]
    return {task_id for task_id in tasks_of(database, tables) if not all(task_id in tasks for tasks in there)}


class _Judge:
    def __init__(self, database: MemoryDatabase, tables: RunTables, cluster: Cluster) -> None:
        self.database = database
        self.tables = tables
        self.cluster = cluster
        self.tasks = tasks_of(database, tables)
        spec = database.versions[tables.row.dag_id, tables.row.version_hash].spec
        self.reference = MappedReference(spec)
        self.state = {(row.task_id, row.map_index): row.state for row in visible(tables.instance_rows())}
        self.gone = _gone(database, tables)
        self.was_stopped = spec.fail_stop and TaskState.FAILED in self.state.values()
        """What had not ended by then was ended, tries left or not, or skipped."""
        self.attempts: dict[Place, list[AttemptRow]] = {place: [] for place in self.state}
        rows = {row.attempt: row for row in tables.attempt_rows()}
        for ended in tables.ended:
            row = rows[ended.opened.attempt]
            self.attempts.setdefault((row.task_id, row.map_index), []).append(row)

    def loose_ends(self) -> Iterator[str]:
        """What must be over and is not."""
        if self.tables.live:
            yield f"{len(self.tables.live)} attempts are live for ever"
        if self.tables.waits:
            yield f"it waits for ever for {list(self.tables.waits)}"
        left = [place for place, state in self.state.items() if state not in FINISHED]
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
        yield from self._lengths()
        for place, attempts in self.attempts.items():
            if self.state.get(place) is TaskState.REMOVED and place[0] in self.gone:
                continue  # it was to start, the first time or once more
            if place not in self.state:
                yield f"{place} had attempts and has no row"
            else:
                yield from (self._after_attempts(place, attempts) if attempts else self._without_attempt(place))
        leaves = [t for t in self.tasks if not any(t in other.upstream for other in self.tasks.values())]
        failed = any(state in _BAD for (task_id, _), state in self.state.items() if task_id in leaves)
        if (self.tables.run().state is RunState.FAILED) != failed:
            yield f"it is {self.tables.run().state} and its leaves are {leaves} of {self.state}"

    def _lengths(self) -> Iterator[str]:
        """Whether each task has the instances that it has to have."""
        for task_id, task in self.tasks.items():
            indexes = sorted(index for other, index in self.state if other == task_id)
            if self.reference.expression(task) is None:
                if indexes != [-1]:
                    yield f"{task_id} is not mapped and has instances {indexes}"
            elif indexes != [-1] and indexes != list(range(self._length(task) or 0)):
                yield f"{task_id} has instances {indexes}, and its length is {self._length(task)}"

    def _length(self, task: TaskSpec) -> int | None:
        pushed: dict[str, int] = {}
        stored: dict[str, int] = {}
        for (task_id, index), state in self.state.items():
            if index >= 0 or state is not TaskState.SUCCESS:
                stored.setdefault(task_id, 0)
            outcome = self._outcome((task_id, index))
            if state is not TaskState.SUCCESS or outcome is None:
                continue
            if index >= 0:
                stored[task_id] = stored.get(task_id, 0) + bool(outcome.xcoms)
            elif outcome.lengths:
                pushed[task_id] = outcome.lengths[0][1]
        return self.reference.length(task, pushed, stored)

    def _outcome(self, place: Place) -> Outcome | None:
        """What the last attempt of an instance came to."""
        for attempt in self.attempts[place][-1:]:
            flight = self.cluster.flights.get(attempt.attempt)
            if flight is not None and flight.end is not None:
                return flight.end.outcome
        return None

    def _after_attempts(self, place: Place, attempts: list[AttemptRow]) -> Iterator[str]:
        state, last, task = self.state[place], attempts[-1], self.tasks[place[0]]
        if state is TaskState.SKIPPED and (self.was_stopped or self._may_be_skipped(task)):
            return  # it waited to be tried again when a branch or short circuit skipped it
        if RUN not in self._possible(place):
            yield f"{place} ran, which its rule does not allow: {self._upstream(place)}"
        counted = [a for a in attempts if a.kind not in _NO_END_OF_A_TRY]
        if [a.try_number for a in counted] != list(range(1, len(counted) + 1)):
            yield f"the tries of {place} are {[(a.try_number, a.kind) for a in attempts]}"
        lost = 0
        for attempt in attempts:
            if lost > task.max_lost:
                yield f"{place} was lost {lost} times in a row and tried again"
            lost = lost + 1 if attempt.kind is OutcomeKind.LOST else 0
        if self.was_stopped:
            pass  # no further tries
        elif last.kind in _TRY_AGAIN and len(counted) != task.retries + 1:
            yield f"{place} has {task.retries} retries, and its {len(counted)}th try was its last"
        elif last.kind is OutcomeKind.LOST and lost <= task.max_lost:
            yield f"{place} was lost {lost} times in a row and not tried again"
        wanted = {OutcomeKind.SUCCESS: TaskState.SUCCESS, OutcomeKind.SKIPPED: TaskState.SKIPPED}
        expected = TaskState.FAILED if last.kind is None else wanted.get(last.kind, TaskState.FAILED)
        if state is not expected:
            yield f"{place} is {state} after {last.kind}"

    def _without_attempt(self, place: Place) -> Iterator[str]:
        state, task, allowed = self.state[place], self.tasks[place[0]], set(self._possible(place))
        if self.reference.expression(task) is not None:
            if place[1] < 0 and RUN in allowed:
                allowed.discard(RUN)
                length = self._length(task)
                allowed |= (
                    {TaskState.UPSTREAM_FAILED} if length is None else {TaskState.SKIPPED} if not length else set()
                )
            sources = set(self.reference.source_states(self.state, task))
            allowed |= {TaskState.UPSTREAM_FAILED} if sources & _BAD else set()
            allowed |= {TaskState.SKIPPED} if TaskState.SKIPPED in sources else set()
        if task.is_empty:
            allowed = {TaskState.SUCCESS if state is RUN else state for state in allowed}
        if self.was_stopped or self._may_be_skipped(task):
            allowed.add(TaskState.SKIPPED)
        if self.was_stopped and task.starts_deferred is not None:
            allowed.add(TaskState.FAILED)  # it was ended while it waited
        if state not in allowed:
            yield f"{place} is {state}; by its rule {task.trigger_rule} over {self._upstream(place)}: {allowed}"

    def _upstream(self, place: Place) -> tuple[TaskState, ...]:
        return tuple(self.reference.upstream(self.state, place))

    def _possible(self, place: Place) -> frozenset[TaskState]:
        """What the rule may have said. What a branch has skipped may have been `upstream_failed` before."""
        task, upstream = self.tasks[place[0]], self._upstream(place)
        above = {place: state for place, state in self.state.items() if place[0] in task.upstream}
        turned = sum(
            state is TaskState.SKIPPED and not self.attempts[there] and self._may_be_skipped(self.tasks[there[0]])
            for there, state in above.items()
        )
        found: set[TaskState] = set()
        for many in range(min(turned, upstream.count(TaskState.SKIPPED)) + 1):
            counts = Counter(upstream)
            counts[TaskState.SKIPPED] -= many
            counts[TaskState.UPSTREAM_FAILED] += many
            found |= self._possible_with(task, counts)
        return frozenset(found)

    @staticmethod
    def _possible_with(task: TaskSpec, counts: Counter[TaskState]) -> frozenset[TaskState]:
        """Each state twice at most: rules ask which there are, and whether all have ended."""
        few = [state for state, count in counts.items() for _ in range(min(count, 2))]
        return possible(task.trigger_rule, tuple(sorted(few)))

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
            for place, state in self.state.items():
                outcome = self._outcome(place) if place[0] == task_id and state is TaskState.SUCCESS else None
                if outcome is None:
                    continue
                direct = task_id in task.upstream
                if outcome.short_circuit and (direct or outcome.ignore_downstream_trigger_rules):
                    return True
                if outcome.branch is not None and direct and task.task_id not in outcome.branch:
                    return True
        return False
