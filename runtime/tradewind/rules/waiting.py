"""Waiting: task instances that gave their slot back until a trigger fires or a moment comes.

Where they wait for a moment alone, the run's timer answers. Everything else is a trigger, which the
runtime carries out beside the attempts; it holds no limit, and like an attempt it has to be gone,
its clean-up included, before its instance may start again.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from tradewind.model.attempts import Attempt, AttemptKey, WaitStart
from tradewind.model.batch import AttemptClosed, AttemptOpened
from tradewind.model.commands import Decision, Ready, Timer
from tradewind.model.events import Stamp
from tradewind.model.keys import AttemptId
from tradewind.model.moments import moment_after
from tradewind.model.outcomes import EncodedValue, Outcome, Wait
from tradewind.model.rows import RunRow
from tradewind.model.specs import DagSource, Json
from tradewind.model.states import TaskState
from tradewind.model.waits import ANSWERED_FROM_OUTSIDE, Resume, WaitAnswer, WaitGone, WaitKey, WaitRow
from tradewind.rules.graph import Graph
from tradewind.rules.judging import Judge
from tradewind.rules.run_ledger import Active

TIMED_OUT: Final = "Trigger timeout"
PASSING: Final = "~"
"""What keys of waits begin with whose answer nobody asks for again."""


class Pending:
    """A wait of an instance. `is_ending`: its trigger has been told to go; `is_gone`: it has, and the wait is kept for
    an attempt that undoes what was begun.
    """

    __slots__ = ("answer", "is_ending", "is_gone", "origin", "wait")

    def __init__(self, origin: AttemptId, wait: Wait, answer: WaitAnswer | None = None) -> None:
        self.origin = origin
        self.wait = wait
        self.answer = answer
        self.is_ending = False
        self.is_gone = False

    @property
    def has_trigger(self) -> bool:
        """Whether a trigger runs for it."""
        if self.answer is not None or self.is_gone:
            return False
        return self.wait.due is None and self.wait.kind not in ANSWERED_FROM_OUTSIDE


class Waiting(Judge):
    """A ledger whose instances can wait."""

    def __init__(self, run: RunRow, graph: Graph, source: DagSource) -> None:
        super().__init__(run, graph, source)
        self.waits: dict[int, tuple[Pending, ...]] = {}
        """The waits of each instance that has any, answered ones included."""
        self.leaving: dict[int, set[WaitKey]] = {}
        """Triggers whose wait is over or given up and that have not gone yet: their instance does not start before."""
        self.held: set[int] = set()
        """Instances that could start but for triggers that are leaving."""

    # ------------------------------------------------------------------------- begin, answer

    def defer(self, n: int, waits: Iterable[Wait], origin: AttemptId, stamp: Stamp, decision: Decision) -> bool:
        """The instance waits from now on. Waits that it had before and names again go on; those that it no longer
        names go. False: one of them has been answered already, so there is nothing to wait for.
        """
        before = {pending.wait.key: pending for pending in self.waits.get(n, ())}
        kept: list[Pending] = []
        ready = False
        for wait in waits:
            pending = before.pop(wait.key, None)
            if pending is not None and wait.key and _is_same(pending.wait, wait):
                ready = ready or pending.answer is not None
                if pending.answer is not None and wait.method != pending.wait.method:  # it was answered before it began
                    pending.wait = wait
                    self._store(n, pending)
            else:
                if pending is not None:
                    self._send_away(n, pending, decision)
                pending = self._begin(n, origin, wait, decision)
            kept.append(pending)
        for pending in before.values():
            if pending.answer is None or not pending.wait.key or pending.wait.key.startswith(PASSING):
                self._send_away(n, pending, decision)
                self._forget_row(n, pending)
            else:
                kept.append(pending)
        self.waits[n] = tuple(kept)
        if ready:
            return False
        self.move(n, TaskState.DEFERRED, stamp)
        self.active[n].ended_at = None
        self.arm(n, decision)
        return True

    def defer_at_start(self, n: int, start: Json, stamp: Stamp, decision: Decision) -> None:
        """A try that begins with a wait, in place of an attempt."""
        at = stamp.at
        active = self.active.setdefault(n, Active())
        if self.lost[n] == 0:
            self.tries[n] += 1
        active.first_started_at = active.queued_at = active.started_at = at
        active.ended_at = None
        timeout = start.get("timeout")
        wait = Wait(
            kind=start["kind"],
            args=_value_of(start.get("args")),
            method=start.get("method", ""),
            kwargs=_value_of(start.get("kwargs")),
            due=_moment(start, at),
            deadline=None if timeout is None else moment_after(at, timeout),
        )
        self.defer(n, (wait,), self._origin_of(n), stamp, decision)

    def note_end_by_trigger(self, n: int, pending: Pending, outcome: Outcome, stamp: Stamp) -> AttemptId:
        """The end of a try without an attempt has the row of one all the same: there views look for the reason."""
        attempt = _named(f"{pending.origin.hex()}/{pending.wait.key}")
        self.segment.opened.append(self._opened(n, attempt, stamp.at))
        closed = AttemptClosed(attempt, outcome.kind, stamp.at, stamp.at, detail=outcome.detail())
        self.segment.closed.append(closed)
        return attempt

    def _origin_of(self, n: int) -> AttemptId:
        """A name for the attempt that a try would have begun with."""
        return _named(f"{self.run.run_id}/{self.tasks[n].task_id}/{self.maps[n]}/{self.tries[n]}/{self.lost[n]}")

    def _begin(self, n: int, origin: AttemptId, wait: Wait, decision: Decision) -> Pending:
        pending = Pending(origin, wait)
        self._store(n, pending)
        if pending.has_trigger:
            decision.wait.append(self.start_of(n, pending))
        return pending

    def start_of(self, n: int, pending: Pending) -> WaitStart:
        """The wait as the runtime carries it out."""
        task, active = self.tasks[n], self.active[n]
        began = active.first_started_at or active.started_at or self.run.queued_at
        key = AttemptKey(pending.origin, self.run.run_id, task.task_id, self.maps[n], self.tries[n])
        return WaitStart(Attempt(key, task, self.facts, self.tries_in_all(n), began), pending.wait)

    def arm(self, n: int, decision: Decision) -> None:
        """Sets the timer for the first moment that says something about the instance's waits."""
        due = min((at for p in self.waits[n] if p.answer is None for at in _moments(p.wait)), default=None)
        self.active[n].due_at = due
        if due is not None:
            decision.timers.append(Timer(due, self.run.run_id, n))

    def take_signal(self, n: int, kind: str, name: str, value: EncodedValue) -> bool:
        """Answers the first wait of this kind and name that has no answer, or the next one that will come. Whether
        the instance waits for it now.
        """
        waits = self.waits.get(n, ())
        prefix = f"{kind}:{name}:"
        mine = [p for p in waits if p.wait.key.startswith(prefix)]
        answer = WaitAnswer(value)
        for pending in mine:
            if pending.answer is None:
                self.answer(n, pending, answer)
                return True
        origin = self._origin_of(n)
        early = Pending(origin, Wait(kind, key=f"{prefix}{len(mine)}"), answer)
        self.waits[n] = (*waits, early)
        self._store(n, early)
        return False

    def asks(self, n: int, key: str) -> bool:
        """Whether the instance has a wait under this key that nobody has answered."""
        return any(p.wait.key == key and p.answer is None for p in self.waits.get(n, ()))

    def answer(self, n: int, pending: Pending, answer: WaitAnswer) -> None:
        """Keeps how a wait ended."""
        pending.answer = answer
        self._store(n, pending)

    def answer_what_is_due(self, n: int, at: datetime, decision: Decision) -> None:
        """The moment has come that a wait was for, or its deadline."""
        for pending in self.waits.get(n, ()):
            wait = pending.wait
            if pending.answer is not None:
                continue
            if wait.due is not None and wait.due <= at:
                self.answer(n, pending, WaitAnswer(wait.args))
            elif wait.deadline is not None and wait.deadline <= at:
                self._send_away(n, pending, decision)
                self.answer(n, pending, WaitAnswer(error=TIMED_OUT, timed_out=True))

    def find(self, key: WaitKey) -> tuple[int, Pending] | None:
        """The instance and its wait of this name, as long as it is the same one and has no answer."""
        n = self.node_of(key.task_id, key.map_index)
        for pending in () if n is None else self.waits.get(n, ()):
            if pending.wait.key == key.key and pending.origin == key.origin and pending.answer is None:
                assert n is not None
                return n, pending
        return None

    def resume_of(self, n: int) -> Resume | None:
        """What the next attempt of an instance that has waited is told."""
        waits = self.waits.get(n)
        if not waits:
            return None
        own = next((p for p in waits if p.answer is not None and (p.wait.method or not p.wait.key)), None)
        answers = tuple((p.wait.key, p.answer) for p in waits if p.answer is not None and p.wait.key)
        if own is None or own.answer is None:
            return Resume("", None, WaitAnswer(), answers)
        return Resume(own.wait.method, own.wait.kwargs, own.answer, answers)

    # ------------------------------------------------------------------------------- end

    def end_triggers(self, n: int, decision: Decision) -> bool:
        """Tells the instance's triggers to go. Whether there are any: their ends come as `WaitEnded`."""
        found = False
        for pending in self.waits.get(n, ()):
            if pending.has_trigger:
                found = True
                if not pending.is_ending:
                    pending.is_ending = True
                    decision.unwait.append(self.start_of(n, pending))
        return found

    def is_being_ended(self, n: int) -> bool:
        """Whether the instance's triggers have been told to go: nothing resumes it any more."""
        waits = self.waits.get(n)
        return waits is not None and any(pending.is_ending and pending.has_trigger for pending in waits)

    def undo(self, n: int, stamp: Stamp, decision: Decision) -> bool:
        """Where the waiting task has something to undo, an attempt does that now, whatever the limits say. Whether
        it has.
        """
        attempt, resume = self._undoing(n), self.resume_of(n)
        if attempt is None or resume is None:
            return False
        task, active = self.tasks[n], self.active[n]
        active.attempt, active.due_at = attempt, None
        self.live[attempt] = n
        self.segment.opened.append(self._opened(n, attempt, stamp.at))
        key = AttemptKey(attempt, self.run.run_id, task.task_id, self.maps[n], self.tries[n])
        began = active.first_started_at or stamp.at
        again = resume._replace(undoes=True)
        decision.start.append(Attempt(key, task, self.facts, self.tries_in_all(n), began, again))
        return True

    def _undoing(self, n: int) -> AttemptId | None:
        """The attempt that is to undo what the instance has begun; None where there is nothing to undo."""
        found = next((p for p in self.waits.get(n, ()) if p.wait.undo), None)
        return None if found is None else _named(f"undo/{found.origin.hex()}/{self.lost[n]}")

    def is_undoing(self, n: int) -> bool:
        """Whether the instance's live attempt undoes what was begun: it holds no limits, and nobody ends it."""
        return n in self.waits and self.active[n].attempt is not None and self.active[n].attempt == self._undoing(n)

    def _opened(self, n: int, attempt: AttemptId, at: datetime) -> AttemptOpened:
        task, index = self.tasks[n], self.maps[n]
        return AttemptOpened(attempt, task.task_id, index, self.tries[n], task.executor, task.pool, task.pool_slots, at)

    def trigger_gone(self, n: int, pending: Pending) -> bool:
        """A trigger that was to go is gone. Whether it was the instance's last one. What an attempt undoes is known
        from the waits, so they stay until it has: it may be lost, and with it the runtime.
        """
        if self.is_undoing(n):
            pending.is_gone = True
            return not any(p.has_trigger for p in self.waits[n])
        self._forget_row(n, pending)
        left = tuple(p for p in self.waits[n] if p is not pending)
        self.waits[n] = left
        return not any(p.has_trigger for p in left)

    def drop_waits(self, n: int, decision: Decision, *, keep_answers: bool = False) -> None:
        """The instance waits for nothing any more; the answers of a durable task may stay for its next try. Those that
        a method went on with do not: the next try asks again.
        """
        kept: list[Pending] = []
        for pending in self.waits.pop(n, ()):
            if keep_answers and pending.answer is not None and pending.wait.key and not pending.wait.method:
                kept.append(pending)
                continue
            self._send_away(n, pending, decision)
            self._forget_row(n, pending)
        if kept:
            self.waits[n] = tuple(kept)

    def _send_away(self, n: int, pending: Pending, decision: Decision) -> None:
        if not pending.has_trigger:
            return
        start = self.start_of(n, pending)
        self.leaving.setdefault(n, set()).add(start.key)
        if not pending.is_ending:
            pending.is_ending = True
            decision.unwait.append(start)

    def send_strangers_away(self, carried: Iterable[WaitStart], decision: Decision) -> None:
        """Triggers run for what this run was before it was loaded anew. Those that nobody waits for are to go; so are
        those that were told so already. Their instances do not start before.
        """
        for start in carried:
            if self.find(start.key) is None:
                decision.unwait.append(start)
                n = self.node_of(start.key.task_id, start.key.map_index)
                if n is not None:
                    self.leaving.setdefault(n, set()).add(start.key)

    def ready(self, n: int, decision: Decision) -> None:
        """The instance may start, once the last of its triggers that are leaving is gone."""
        if n in self.leaving:
            self.held.add(n)
        else:
            decision.ready.append(Ready(self.run.run_id, n))

    def has_left(self, key: WaitKey, decision: Decision) -> bool:
        """A trigger is gone. Whether it was one that was leaving; the last one lets its instance start."""
        n = self.node_of(key.task_id, key.map_index)
        if n is None or key not in self.leaving.get(n, ()):
            return False
        self.leaving[n].discard(key)
        if not self.leaving[n]:
            del self.leaving[n]
            if n in self.held:
                self.held.discard(n)
                decision.ready.append(Ready(self.run.run_id, n))
        return True

    @property
    def has_triggers(self) -> bool:
        """Whether anything of this run waits or is leaving."""
        return bool(self.waits or self.leaving)

    # ------------------------------------------------------------------------------ rows

    def _store(self, n: int, pending: Pending) -> None:
        row = WaitRow(self.tasks[n].task_id, self.maps[n], pending.origin, pending.wait, pending.answer)
        self.segment.waits.append(row)

    def _forget_row(self, n: int, pending: Pending) -> None:
        self.segment.waits.append(WaitGone(self.tasks[n].task_id, self.maps[n], pending.wait.key))


def _is_same(old: Wait, new: Wait) -> bool:
    """Whether a wait that is named again is the one that is under way, or was answered before it began: its key says
    so, whatever moments its arguments hold by now.
    """
    return old.kind == new.kind


def _named(text: str) -> AttemptId:
    """The id of an attempt that there never was; no real one has it."""
    return AttemptId(hashlib.blake2b(text.encode(), digest_size=16).digest())


def _moments(wait: Wait) -> list[datetime]:
    return [at for at in (wait.due, wait.deadline) if at is not None]


def _value_of(plain: Json) -> EncodedValue | None:
    return None if plain is None else EncodedValue(plain[0], b64decode(plain[1]))


def _moment(start: Json, now: datetime) -> datetime | None:
    if start.get("due") is not None:
        return datetime.fromisoformat(start["due"])
    after = start.get("after")
    return None if after is None else moment_after(now, after)
