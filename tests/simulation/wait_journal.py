"""What commits may do to waits: each is stored, answered once, told to whom it resumes, and gone at the end."""

from __future__ import annotations

from collections.abc import Iterator

from tradewind.model.attempts import Attempt, WaitStart
from tradewind.model.batch import Segment
from tradewind.model.keys import AttemptId, RunId
from tradewind.model.outcomes import EncodedValue, Wait
from tradewind.model.states import FINISHED, RUN_FINISHED, OutcomeKind, TaskState
from tradewind.model.waits import ANSWERED_FROM_OUTSIDE, Resume, WaitAnswer, WaitGone, WaitKey, WaitRow
from tradewind.store.memory_tables import MemoryDatabase, RunTables
from tradewind.testing.simulated_waits import WaitCluster

Place = tuple[str, int]
_GOES_ON = frozenset({OutcomeKind.LOST, OutcomeKind.RESCHEDULED})
"""Ends after which the next attempt is told the same answer again."""
_REPEATS = frozenset({TaskState.NONE}) | FINISHED


class WaitJournal:
    """Looks at the waits of every commit. What is wrong goes to `faults`."""

    def __init__(self, database: MemoryDatabase, cluster: WaitCluster, faults: list[str]) -> None:
        self.database = database
        self.cluster = cluster
        self.faults = faults
        self.answers: dict[WaitKey, WaitAnswer] = {}
        """Every answer that was ever stored."""
        self.sent: set[EncodedValue] = set()
        """Every signal that anybody ever sent."""
        self.resumed = 0
        """Attempts that went on after a wait."""
        self._tries: dict[WaitKey, int] = {}
        self._rows: dict[tuple[RunId, str, int, str], WaitRow] = {}
        self._expected: dict[AttemptId, Resume | None] = {}
        self._ends: dict[AttemptId, OutcomeKind] = {}
        self._went_on: dict[WaitKey, list[AttemptId]] = {}

    def on_segment(self, segment: Segment) -> None:
        """One run's part of a batch, right after its commit."""
        tables = self.database.runs[segment.run_id]
        self._ends.update((closed.attempt, closed.kind) for closed in segment.closed)
        awaited: list[WaitRow] = []
        for item in segment.waits:
            if isinstance(item, WaitGone):
                self._gone(segment, item)
                continue
            before = self._rows.get((segment.run_id, item.task_id, item.map_index, item.wait.key))
            if before is not None and before.origin == item.origin and item.answer is not None:
                awaited.append(item)
            self._stored(segment.run_id, tables, item)
        self.faults += self._deferred(segment, tables)
        self.faults += self._answered(segment, tables, awaited)
        self.faults += self._left_over(segment, tables)
        for opened in segment.opened:
            place = (opened.task_id, opened.map_index)
            self._expected[opened.attempt] = expected_resume(tables, place)
            self.faults += self._again(tables, place, opened.attempt, opened.try_number)

    def on_submit(self, attempt: Attempt) -> None:
        """The attempt is told what its try has waited for, and nothing else."""
        expected = self._expected.get(attempt.key.attempt)
        resume = attempt.resume if attempt.resume is None else attempt.resume._replace(undoes=False)
        if _sorted(resume) != _sorted(expected):
            self.faults.append(f"{attempt.key.task_id} goes on with {attempt.resume}, not {expected}")
        self.resumed += expected is not None

    def on_begin(self, start: WaitStart) -> None:
        """No wait reaches an executor before it is durable."""
        if start.key not in self._tries:
            self.faults.append(f"the wait {start.key[2:]} began before it was committed")

    def on_answer(self, key: WaitKey, answer: WaitAnswer, accepted: bool) -> None:
        """What was acknowledged is durable: whoever sent it forgets it now."""
        if accepted and self.answers.get(key) != answer:
            self.faults.append(f"an answer to {key[2:]} was acknowledged; stored is {self.answers.get(key)}")

    # ------------------------------------------------------------------------------- rows

    def _stored(self, run_id: RunId, tables: RunTables, row: WaitRow) -> None:
        key = WaitKey(row.origin, run_id, row.task_id, row.map_index, row.wait.key)
        instance = tables.instance((row.task_id, row.map_index))
        self._tries.setdefault(key, -1 if instance is None else instance.try_number)
        self._rows[run_id, row.task_id, row.map_index, row.wait.key] = row
        if key in self.answers and self.answers[key] != row.answer:
            self.faults.append(f"{key[2:]} was answered, and now its answer is {row.answer}")
        elif row.answer is not None and key not in self.answers:
            self.answers[key] = row.answer
            if not self._is_true(key, row.wait, row.answer):
                self.faults.append(f"nobody has answered {key[2:]} with {row.answer}")

    def _is_true(self, key: WaitKey, wait: Wait, answer: WaitAnswer) -> bool:
        """Whether the world has said so, or the clock."""
        if answer in self.cluster.said.get(key, ()):
            return True
        if wait.kind in ANSWERED_FROM_OUTSIDE and not answer.timed_out:
            return answer.event in self.sent
        now = self.database.clock()
        if answer.timed_out:
            return wait.deadline is not None and wait.deadline <= now
        return wait.due is not None and wait.due <= now and answer.event == wait.args

    def _gone(self, segment: Segment, gone: WaitGone) -> None:
        """Where an instance was cleared or its run was ended while it waited, each trigger was told to go, and went."""
        row = self._rows.pop((segment.run_id, gone.task_id, gone.map_index, gone.key), None)
        change = next((c for c in segment.tasks if (c.task_id, c.map_index) == gone[:2]), None)
        if row is not None and row.wait.kind in ANSWERED_FROM_OUTSIDE:  # what comes later may have its name
            self.answers.pop(WaitKey(row.origin, segment.run_id, row.task_id, row.map_index, gone.key), None)
        if row is None or change is None or not has_trigger(row):
            return
        if change.expected is not TaskState.RESTARTING or change.state is TaskState.RESTARTING:
            return
        key = WaitKey(row.origin, segment.run_id, row.task_id, row.map_index, gone.key)
        if not any(f.start.key == key and f.was_killed for f in self.cluster.waits):
            self.faults.append(f"{key[2:]} was forgotten before its trigger was gone")

    # -------------------------------------------------------------------------- instances

    def _deferred(self, segment: Segment, tables: RunTables) -> Iterator[str]:
        """What an attempt defers for is stored with its end."""
        for closed in segment.closed:
            flight = self.cluster.flights.get(closed.attempt)
            if closed.kind is not OutcomeKind.DEFERRED or flight is None or flight.end is None:
                continue
            key = flight.attempt.key
            place = (key.task_id, key.map_index)
            change = next((c for c in segment.tasks if (c.task_id, c.map_index) == place), None)
            if change is None or change.state is not TaskState.DEFERRED or change.try_number != key.try_number:
                continue  # cleared meanwhile, and begun anew with a trigger
            for wait in flight.end.outcome.waits:
                row = tables.waits.get((key.task_id, key.map_index, wait.key))
                if row is None or (row.origin == closed.attempt and row.wait != wait):
                    yield f"{key.task_id} waits for {wait}, and stored is {row}"

    def _answered(self, segment: Segment, tables: RunTables, awaited: list[WaitRow]) -> Iterator[str]:
        """Who is answered does not wait any longer, but where its run has ended and its triggers are going."""
        if tables.run().state in RUN_FINISHED:
            return
        flights = [self.cluster.flights.get(closed.attempt) for closed in segment.closed]
        deferred = {flight.attempt.key[2:4] for flight in flights if flight is not None}  # for something else, maybe
        for item in awaited:
            if item[:2] not in deferred:
                instance = tables.instance((item.task_id, item.map_index))
                if instance is not None and instance.state is TaskState.DEFERRED:
                    yield f"{item.task_id} is answered and waits on"

    def _left_over(self, segment: Segment, tables: RunTables) -> Iterator[str]:
        """Nothing stays of an instance that has ended or begins anew; of a try that failed, only what was answered."""
        changes = {(c.task_id, c.map_index): c.state for c in [*segment.tasks, *segment.made]}
        for (task_id, map_index, key), row in tables.waits.items():
            state = changes.get((task_id, map_index))
            if state in _REPEATS:
                yield f"{task_id} is {state} and its wait {key!r} is still there"
            elif state is TaskState.UP_FOR_RETRY and (not key or row.answer is None):
                yield f"{task_id} will be tried again, and its wait {key!r} is still there"

    def _again(self, tables: RunTables, place: Place, attempt: AttemptId, try_number: int) -> Iterator[str]:
        """An answer resumes one attempt; another one only where that was lost, or gave way for a while."""
        row = tables.waits.get((*place, ""))
        if row is None or row.answer is None:
            return
        key = WaitKey(row.origin, tables.row.run_id, *place, "")
        earlier = self._went_on.setdefault(key, [])
        if any(self._ends.get(other) not in _GOES_ON for other in earlier):
            yield f"{place} goes on twice with one answer"
        if self._tries[key] != try_number:
            yield f"{place} goes on in try {try_number} with what try {self._tries[key]} waited for"
        earlier.append(attempt)


def has_trigger(row: WaitRow) -> bool:
    """Whether something has to run for it."""
    return row.answer is None and row.wait.due is None and row.wait.kind not in ANSWERED_FROM_OUTSIDE


def expected_resume(tables: RunTables, place: Place) -> Resume | None:
    """What an attempt of the instance has to be told, by the rows of the store."""
    rows = [row for row in tables.waits.values() if (row.task_id, row.map_index) == place]
    if not rows:
        return None
    answers = tuple((row.wait.key, row.answer) for row in rows if row.wait.key and row.answer is not None)
    for row in rows:
        if not row.wait.key and row.answer is not None:
            return Resume(row.wait.method, row.wait.kwargs, row.answer, answers)
    return Resume("", None, WaitAnswer(), answers)


def _sorted(resume: Resume | None) -> Resume | None:
    return None if resume is None else resume._replace(answers=tuple(sorted(resume.answers)))
