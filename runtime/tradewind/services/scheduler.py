"""The scheduler: events in, one turn of pure decisions, one commit, then the effects.

Whatever arrives while a commit is on its way is decided in the next turn, so the more there is to
do the larger the batches get. The finish of one task and the start of those that waited for it are
part of the same commit; nothing is sent to an executor, told to a waiter or shown to a view before
it is durable.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Final

from tradewind.model.attempts import WaitStart
from tradewind.model.batch import Batch, Segment
from tradewind.model.errors import Fenced, TradewindError
from tradewind.model.events import (
    Admitted,
    PastSettled,
    RunActivated,
    RunEvent,
    SpreadOn,
    TimerDue,
    WaitAnswered,
)
from tradewind.model.keys import RunId
from tradewind.model.rows import DagRow, Lease, RunSnapshot
from tradewind.model.specs import DagSpec
from tradewind.model.states import RUN_FINISHED, RunState, TaskState
from tradewind.ports import Clock, Store
from tradewind.rules.admission import Place
from tradewind.rules.run_machine import RunMachine
from tradewind.services.committer import Committer
from tradewind.services.dispatcher import Dispatcher
from tradewind.services.intake import Intake
from tradewind.services.live import LiveHub
from tradewind.services.owned_dag import OwnedDag
from tradewind.services.resumer import Resumer
from tradewind.services.run_book import RunBook
from tradewind.services.timers import Timers
from tradewind.services.turn import Answer, Turn
from tradewind.services.view_teller import ViewTeller

log = logging.getLogger(__name__)

_BEFORE_START: Final = frozenset({TaskState.SCHEDULED})


class Scheduler:
    """Decides for all DAGs that this runtime owns."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        dispatcher: Dispatcher,
        live: LiveHub,
    ) -> None:
        self._clock = clock
        self._dispatcher = dispatcher
        self.book = RunBook(store)
        self.intake = Intake(clock)
        self.on_run_ended: list[Callable[[RunMachine], None]] = []
        """Called after the commit in which a run ended."""
        self.on_committed: list[Callable[[Batch], None]] = []
        """Called with every batch once it is durable."""
        self.on_outbox: Callable[[], None] = lambda: None
        """Called after a commit that put something into the outbox."""
        self.committer = Committer(store, clock)
        self.resumer = Resumer(store, clock, self.book, self.intake, self.committer, dispatcher)
        self._views = ViewTeller(self.book, self.intake, live)
        self._lease: Lease | None = None
        self._closed = False
        self._slots: dict[str, int | None] = {}
        self._turning = False
        self.turns = 0
        """How many turns there have been."""
        self._timers: Timers[Place] = Timers(clock, self._on_timer)

    # -------------------------------------------------------------------------- what comes in

    @property
    def lease(self) -> Lease:
        """The lease under which this scheduler writes. Raises Fenced if it has none."""
        if self._lease is None:
            raise Fenced("this runtime holds no lease")
        return self._lease

    def resize(self, limit: str, size: int) -> None:
        """A limit has another size for this runtime (-1: none)."""
        self.book.admission.resize(limit, size)
        self.intake.capacity_changed()

    # ------------------------------------------------------------------------------ ownership

    async def start(self, lease: Lease) -> None:
        """Begins to write under `lease`."""
        self._lease = lease
        await self.committer.start(lease)
        self._size_executors()

    def own(self, row: DagRow, spec: DagSpec) -> OwnedDag:
        """Takes in a DAG, or a new version or switch of one that is here."""
        dag = self.book.own(row, spec)
        self.intake.do(partial(Turn.plan, dag=dag))
        return dag

    def bring_back(self, snapshot: RunSnapshot) -> RunMachine:
        """Takes a run that has ended back into memory, as it is in the store."""
        machine = self.book.rebuild(snapshot)
        self.book.add(machine)
        return machine

    def add_run(self, machine: RunMachine) -> None:
        """Takes in a run that has just been created."""
        dag = self.book.add(machine)
        self._views.run_added(machine)
        if machine.graph.past_nodes:
            self.intake.do(partial(self._put_between, machine=machine))
        self.intake.do(partial(Turn.plan, dag=dag))

    def drop(self) -> None:
        """Forgets everything (the lease is lost): another runtime decides now."""
        self._lease = None
        self.book.clear()
        self._dispatcher.drop_waits()
        self.intake.refuse()
        self._timers.stop()

    def close_admission(self) -> None:
        """Starts nothing any more: the runtime drains."""
        self._closed = True

    async def settled(self) -> None:
        """Returns when everything that has been posted so far is committed."""
        if self._turning:
            with suppress(TradewindError):
                await self.intake.ask(lambda turn: None)

    # ------------------------------------------------------------------------------- the turn

    async def run(self) -> None:
        """Turns for ever. Raises Fenced when another runtime has taken over."""
        self._turning = True
        try:
            while True:
                await self.intake.next()
                await self.turn()
        finally:
            self._turning = False
            self.intake.refuse()

    async def turn(self) -> None:
        """One turn: take in, decide, commit, carry out."""
        self.turns += 1
        turn = Turn()
        try:
            self._take_in(turn)
            await self._decide(turn)
            batch = Batch(self._flush(turn), turn.dags, turn.mail)
            refused = await self.committer.commit(self.lease, batch) | turn.broken
        except BaseException:
            for _, _, answer in turn.answers:
                answer(False)
            raise
        if refused:
            refused |= self.resumer.built_on(refused, turn)
            turn.without(refused)
            await self.resumer.reload(self.lease, refused)
        await self._carry_out(turn, batch)

    def _take_in(self, turn: Turn) -> None:
        for job, answer in self.intake.jobs():
            turn.concerned = set()
            try:
                job(turn)
            except Exception:
                log.exception("a wish could not be carried out")
                turn.owe(answer, turn.concerned, accepted=False)
            else:
                turn.owe(answer, turn.concerned, accepted=True)
        for run_id, event, answer in self.intake.events():
            self.handle(turn, run_id, event, answer)

    def handle(self, turn: Turn, run_id: RunId, event: RunEvent, answer: Answer | None = None) -> None:
        """Decides one event within a turn."""
        machine = self.book.runs.get(run_id)
        if machine is None:
            turn.owe(answer, {run_id}, accepted=False)
            return
        turn.concerned.add(run_id)
        if answer is not None:
            turn.owe(answer, {run_id}, accepted=_concerns(machine, event))
        self._decide_one(turn, machine, event)

    def _decide_one(self, turn: Turn, machine: RunMachine, event: RunEvent) -> None:
        turn.touched[machine.run.run_id] = machine
        try:
            machine.handle(event, turn.decision)
        except Exception:  # whatever it is, it concerns this run alone
            log.exception("event %r of run %s could not be decided", event, machine.run.dag_run_id)
            turn.broken.add(machine.run.run_id)

    async def _decide(self, turn: Turn) -> None:
        """Follows up until nothing more follows: limits, the past of later runs, new runs."""
        while True:
            self._admit(turn)
            self._settle_past(turn)
            self._note_ended(turn)
            await self._activate(turn)
            decision = turn.decision
            if not (decision.ready or decision.freed or decision.settled):
                return

    def _admit(self, turn: Turn) -> None:
        decision, admission = turn.decision, self.book.admission
        freed, decision.freed = decision.freed, []
        for run_id, node in freed:
            admission.free(Place(run_id, node))
        ready, decision.ready = decision.ready, []
        for run_id, node in ready:
            machine = self.book.runs[run_id]
            if machine.state[node] not in _BEFORE_START:
                continue  # skipped or cleared since, within this turn
            task = machine.tasks[node]
            if task.executor not in self._dispatcher.executors:
                admission.resize(f"executor {task.executor!r}", -1)  # the dispatcher says why not
            admission.offer(Place(run_id, node), task, machine.run.dag_id, machine.run.logical_date.timestamp())
        if self._closed:
            return
        for place in admission.admit():
            admitted = self.book.runs.get(place.run_id)
            if admitted is None or admitted.state[place.node] not in _BEFORE_START:
                admission.free(place)
                continue
            at_once = self._dispatcher.starts_at_once(admitted.tasks[place.node].executor)
            event = Admitted(self.intake.stamp(), place.node, self._clock.attempt_id(), at_once)
            self._decide_one(turn, admitted, event)

    def _settle_past(self, turn: Turn) -> None:
        settled, turn.decision.settled = turn.decision.settled, []
        for one in settled:
            self._release(turn, self.book.released_by(one))

    def take_in(self, snapshot: RunSnapshot) -> None:
        """Takes in a run that was created without our knowing, unless somebody has brought it here meanwhile."""
        if snapshot.run.state in RUN_FINISHED or snapshot.run.run_id in self.book.runs:
            return
        if snapshot.run.dag_id in self.book.dags:
            self.add_run(self.book.rebuild(snapshot))

    def _put_between(self, turn: Turn, machine: RunMachine) -> None:
        self._release(turn, self.book.put_between(machine))

    def _release(self, turn: Turn, released: Iterable[tuple[RunMachine, str]]) -> None:
        for successor, task_id in released:
            self._decide_one(turn, successor, PastSettled(self.intake.stamp(), task_id))

    def _note_ended(self, turn: Turn) -> None:
        for run_id, _ in turn.decision.ended:
            machine = self.book.runs[run_id]
            dag = self.book.dags[machine.run.dag_id]
            if machine.run.state not in RUN_FINISHED:
                continue  # cleared since, within this turn
            if run_id in dag.running or any(place[1] == run_id for place in dag.queued):
                dag.run_ended(run_id)
                turn.plan(dag)

    async def _activate(self, turn: Turn) -> None:
        dags, turn.to_activate = turn.to_activate, {}
        for dag in dags.values():
            while (machine := dag.next_to_activate()) is not None:
                past = await self.committer.patiently(partial(self.book.past_of, machine))
                self._decide_one(turn, machine, RunActivated(self.intake.stamp(), past))
                self._note_ended(turn)

    def _flush(self, turn: Turn) -> list[Segment]:
        segments: list[Segment] = []
        busy = False
        for machine in turn.touched.values():
            if machine.run.run_id in turn.broken:
                continue
            if machine.is_dirty:
                segments.append(machine.flush())
            busy = busy or machine.run.state is RunState.RUNNING
        if busy:
            self._views.write_soon()
        return segments

    # ---------------------------------------------------------------------------- effects

    async def _carry_out(self, turn: Turn, batch: Batch) -> None:
        decision = turn.decision
        for learn in self.on_committed:
            learn(batch)
        if decision.start:
            await self._dispatcher.submit(decision.start)
        if decision.wait:
            self._dispatcher.begin_waits([start for start in decision.wait if self._is_waited_for(start)])
        if decision.unwait:
            self._dispatcher.end_waits(decision.unwait)
        for timer in decision.timers:
            self._timers.arm(timer.at, Place(timer.run_id, timer.node))
        for go_on in decision.go_on:
            self.intake.post(go_on.run_id, SpreadOn(self.intake.stamp(), go_on.node))
        for _, accepted, answer in turn.answers:
            answer(accepted)
        if decision.cancel:
            await self._dispatcher.cancel(decision.cancel)
        self._tell(turn, batch)
        for machine in turn.touched.values():
            is_over = machine.run.state in RUN_FINISHED and not (machine.live or machine.has_triggers)
            if is_over and self.book.runs.get(machine.run.run_id) is machine:  # else it is loaded anew just now
                self.book.forget(machine)

    def _is_waited_for(self, start: WaitStart) -> bool:
        """Whether a wait that begins has not been answered in the same turn."""
        machine = self.book.runs.get(start.key.run_id)
        return machine is not None and machine.find(start.key) is not None

    def _tell(self, turn: Turn, batch: Batch) -> None:
        """Tells all who want to know what has been committed."""
        if any(segment.outbox for segment in batch.segments):
            self.on_outbox()
        self._views.committed(batch)
        for run_id in {run_id for run_id, _ in turn.decision.ended}:
            machine = self.book.runs.get(run_id)
            if machine is not None:
                for listener in self.on_run_ended:
                    listener(machine)

    def _on_timer(self, at: datetime, place: Place) -> None:
        self.intake.post(place.run_id, TimerDue(self.intake.stamp(), place.node, at))

    def _size_executors(self) -> None:
        """Before anything runs, an executor's free slots are all it has. A later reign finds some in use."""
        self._slots = self._slots or self._dispatcher.slots()
        for kind, free in self._slots.items():
            self.book.admission.resize(f"executor {kind!r}", -1 if free is None else free)


def _concerns(machine: RunMachine, event: RunEvent) -> bool:
    """Whether what the event is about is still there in the run."""
    if isinstance(event, WaitAnswered):
        found = machine.find(event.wait)
        return found is not None and not found[1].is_ending
    attempt = getattr(event, "attempt", None)
    return attempt is None or attempt in machine.live
