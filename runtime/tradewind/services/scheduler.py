"""The scheduler: events in, one turn of pure decisions, one commit, then the effects.

Whatever arrives while a commit is on its way is decided in the next turn, so the more there is to
do the larger the batches get. The finish of one task and the start of those that waited for it are
part of the same commit; nothing is sent to an executor, told to a waiter or shown to a view before
it is durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import count
from typing import Final

from tradewind.control_ports import LiveEvent
from tradewind.model.attempts import AttemptKey
from tradewind.model.errors import Fenced, TradewindError, TryAgain
from tradewind.model.events import (
    Admitted,
    AttemptEnded,
    PastSettled,
    RunActivated,
    RunEvent,
    SpreadOn,
    Stamp,
    TimerDue,
)
from tradewind.model.keys import RunId
from tradewind.model.outcomes import Outcome
from tradewind.model.rows import Batch, DagRow, Lease, RunSnapshot, Segment
from tradewind.model.specs import DagSpec
from tradewind.model.states import RUN_FINISHED, OutcomeKind, RunState, TaskState
from tradewind.ports import Clock, Store
from tradewind.rules.admission import Place
from tradewind.rules.run_machine import RunMachine
from tradewind.services.committer import Committer
from tradewind.services.dispatcher import Dispatcher
from tradewind.services.live import LiveHub
from tradewind.services.owned_dag import OwnedDag
from tradewind.services.run_book import RunBook
from tradewind.services.timers import Timers
from tradewind.services.turn import Answer, Turn

log = logging.getLogger(__name__)

VISIBLE_AFTER: Final = 0.5
"""Seconds after which waiting instances and counters of a busy run are written for views."""

NOTED_AT_ONCE: Final = 500
"""Waiting instances of one run that are written at a time: the rest of a large fan-out can wait for that too."""

_BEFORE_START: Final = frozenset({TaskState.SCHEDULED})
Job = Callable[[Turn], None]


class Scheduler:
    """Decides for all DAGs that this runtime owns."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        dispatcher: Dispatcher,
        live: LiveHub,
    ) -> None:
        self._store = store
        self._clock = clock
        self._dispatcher = dispatcher
        self._live = live
        self.book = RunBook(store)
        self.on_run_ended: list[Callable[[RunMachine], None]] = []
        """Called after the commit in which a run ended."""
        self.on_committed: list[Callable[[Batch], None]] = []
        """Called with every batch once it is durable."""
        self.on_outbox: Callable[[], None] = lambda: None
        """Called after a commit that put something into the outbox."""
        self.committer = Committer(store, clock)
        self._lease: Lease | None = None
        self._causes = count(1)
        self._posted: deque[tuple[RunId, RunEvent, Answer | None]] = deque()
        self._jobs: deque[tuple[Job, Answer | None]] = deque()
        self._closed = False
        self._slots: dict[str, int | None] = {}
        self._turning = False
        self._wake = asyncio.Event()
        self._timers: Timers[Place] = Timers(clock, self._on_timer)
        self._views_due: asyncio.TimerHandle | None = None

    # -------------------------------------------------------------------------- what comes in

    @property
    def lease(self) -> Lease:
        """The lease under which this scheduler writes. Raises Fenced if it has none."""
        if self._lease is None:
            raise Fenced("this runtime holds no lease")
        return self._lease

    def stamp(self) -> Stamp:
        """The stamp of an event that happens now."""
        return Stamp(self._clock.now(), next(self._causes), self._clock.draw())

    def post(self, run_id: RunId, event: RunEvent, on_committed: Answer | None = None) -> None:
        """Takes in an event of a run; `on_committed(accepted)` once its effect is durable."""
        self._posted.append((run_id, event, on_committed))
        self._wake.set()

    def do(self, job: Job, answer: Answer | None = None) -> None:
        """Runs `job` within the next turn: whatever it changes is committed with it."""
        self._jobs.append((job, answer))
        self._wake.set()

    async def ask(self, job: Job) -> None:
        """Runs `job` within the next turn and returns once that is committed. What `job` raises before it has
        changed anything comes out here.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def judged(turn: Turn) -> None:
            try:
                job(turn)
            except TradewindError as error:
                done.set_exception(error)

        def answer(committed: bool) -> None:
            if done.done():
                return
            if committed:
                done.set_result(None)
            else:
                done.set_exception(TryAgain())

        self.do(judged, answer)
        await done

    def resize(self, limit: str, size: int) -> None:
        """A limit has another size for this runtime (-1: none)."""
        self.book.admission.resize(limit, size)
        self._wake.set()

    def capacity_changed(self) -> None:
        """An executor has room again."""
        self._wake.set()

    # ------------------------------------------------------------------------------ ownership

    async def start(self, lease: Lease) -> None:
        """Begins to write under `lease`."""
        self._lease = lease
        await self.committer.start(lease)
        self._size_executors()

    def own(self, row: DagRow, spec: DagSpec) -> OwnedDag:
        """Takes in a DAG, or a new version or switch of one that is here."""
        dag = self.book.own(row, spec)
        self.do(partial(self.plan, dag=dag))
        return dag

    async def resume(self, snapshots: Sequence[RunSnapshot]) -> list[AttemptKey]:
        """Goes on with unfinished runs from the store's rows. Returns their live attempts: those
        that no executor adopts are to be reported as lost.
        """
        machines = {snapshot.run.run_id: self.book.rebuild(snapshot) for snapshot in snapshots}
        asking = [partial(self.book.past_of, machine, machines) for machine in machines.values()]
        past = [await self.committer.patiently(ask) for ask in asking]
        for machine, settled in zip(machines.values(), past, strict=True):
            self.do(partial(self._resume_one, machine=machine, past=settled))
        return [
            AttemptKey(a.attempt, a.run_id, a.task_id, a.map_index, a.try_number)
            for snapshot in snapshots
            for a in snapshot.live
        ]

    def arrived(self, dag_ids: Iterable[str]) -> None:
        """All unfinished runs of these DAGs have been resumed."""
        for dag_id in dag_ids:
            dag = self.book.dags.get(dag_id)
            if dag is not None:
                self.do(partial(self._open, dag=dag))

    def _open(self, turn: Turn, dag: OwnedDag) -> None:
        dag.is_arriving = False
        self.plan(turn, dag)

    def bring_back(self, snapshot: RunSnapshot) -> RunMachine:
        """Takes a run that has ended back into memory, as it is in the store."""
        machine = self.book.rebuild(snapshot)
        self.book.add(machine)
        return machine

    def lost(self, keys: Sequence[AttemptKey], reason: str) -> None:
        """Reports attempts whose carrier is gone."""
        now = self._clock.now()
        for key in keys:
            outcome = Outcome(OutcomeKind.LOST, reason=reason)
            event = AttemptEnded(self.stamp(), key.attempt, outcome, None, now)
            self.post(key.run_id, event)

    def adopted(self, keys: Iterable[AttemptKey]) -> None:
        """These attempts of an earlier life run on here. Those that were to be ended are told so again."""
        self.do(partial(self._end_unwanted, run_ids={key.run_id for key in keys}))

    def _end_unwanted(self, turn: Turn, run_ids: set[RunId]) -> None:
        for run_id in run_ids:
            machine = self.book.runs.get(run_id)
            if machine is not None:
                turn.decision.cancel += machine.unwanted()

    def add_run(self, machine: RunMachine) -> None:
        """Takes in a run that has just been created."""
        dag = self.book.add(machine)
        if self._live.is_watched:
            run = machine.run
            self._live.publish(LiveEvent("run", run.dag_id, run.dag_run_id, run=run))
        if machine.graph.past_nodes:
            self.do(partial(self._put_between, machine=machine))
        self.do(partial(self.plan, dag=dag))

    def drop(self) -> None:
        """Forgets everything (the lease is lost): another runtime decides now."""
        self._lease = None
        self.book.clear()
        self._refuse_waiting()
        self._timers.stop()

    def close_admission(self) -> None:
        """Starts nothing any more: the runtime drains."""
        self._closed = True

    async def settled(self) -> None:
        """Returns when everything that has been posted so far is committed."""
        if self._turning:
            with suppress(TradewindError):
                await self.ask(lambda turn: None)

    # ------------------------------------------------------------------------------- the turn

    async def run(self) -> None:
        """Turns for ever. Raises Fenced when another runtime has taken over."""
        self._turning = True
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self.turn()
        finally:
            self._turning = False
            self._refuse_waiting()

    def _refuse_waiting(self) -> None:
        """Tells everybody who waits for a commit that there will be none."""
        answers = [answer for _, answer in self._jobs] + [answer for _, _, answer in self._posted]
        self._jobs.clear()
        self._posted.clear()
        for answer in answers:
            if answer is not None:
                answer(False)

    async def turn(self) -> None:
        """One turn: take in, decide, commit, carry out."""
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
            refused |= self._built_on(refused, turn)
            turn.without(refused)
            await self._reload(refused)
        await self._carry_out(turn, batch)

    def _take_in(self, turn: Turn) -> None:
        jobs, self._jobs = self._jobs, deque()
        for job, answer in jobs:
            try:
                job(turn)
            except Exception:
                log.exception("a wish could not be carried out")
                turn.owe(answer, None, accepted=False)
            else:
                turn.owe(answer, None, accepted=True)
        posted, self._posted = self._posted, deque()
        for run_id, event, answer in posted:
            self.handle(turn, run_id, event, answer)

    def handle(self, turn: Turn, run_id: RunId, event: RunEvent, answer: Answer | None = None) -> None:
        """Decides one event within a turn."""
        machine = self.book.runs.get(run_id)
        if machine is None:
            turn.owe(answer, None, accepted=False)
            return
        if answer is not None:
            attempt = getattr(event, "attempt", None)
            turn.owe(answer, run_id, accepted=attempt is None or attempt in machine.live)
        turn.touched[run_id] = machine
        try:
            machine.handle(event, turn.decision)
        except Exception:  # whatever it is, it concerns this run alone
            log.exception("event %r of run %s could not be decided", event, machine.run.dag_run_id)
            turn.broken.add(run_id)

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
            admission.offer(Place(run_id, node), task, machine.run.dag_id)
        if self._closed:
            return
        for place in admission.admit():
            waiting = self.book.runs.get(place.run_id)
            if waiting is None or waiting.state[place.node] not in _BEFORE_START:
                admission.free(place)
                continue
            machine = waiting
            kind = machine.tasks[place.node].executor
            at_once = self._dispatcher.starts_at_once(kind)
            event = Admitted(self.stamp(), place.node, self._clock.attempt_id(), at_once)
            turn.touched[place.run_id] = machine
            machine.handle(event, decision)

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
            turn.touched[successor.run.run_id] = successor
            successor.handle(PastSettled(self.stamp(), task_id), turn.decision)

    def _note_ended(self, turn: Turn) -> None:
        for run_id, _ in turn.decision.ended:
            machine = self.book.runs[run_id]
            dag = self.book.dags[machine.run.dag_id]
            if machine.run.state not in RUN_FINISHED:
                continue  # cleared since, within this turn
            if run_id in dag.running or any(place[1] == run_id for place in dag.queued):
                dag.run_ended(run_id)
                self.plan(turn, dag)

    def plan(self, turn: Turn, dag: OwnedDag) -> None:
        """Has this turn see whether a queued run of the DAG may become active."""
        turn.to_activate[dag.dag_id] = dag

    async def _activate(self, turn: Turn) -> None:
        dags, turn.to_activate = turn.to_activate, {}
        for dag in dags.values():
            while (machine := dag.next_to_activate()) is not None:
                past = await self.committer.patiently(partial(self.book.past_of, machine))
                turn.touched[machine.run.run_id] = machine
                machine.handle(RunActivated(self.stamp(), past), turn.decision)
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
        if busy and self._views_due is None:
            loop = asyncio.get_running_loop()
            self._views_due = loop.call_later(VISIBLE_AFTER, self._write_views)
        return segments

    def _write_views(self) -> None:
        """Has waiting instances and counters of running runs written, for those who look."""
        self._views_due = None
        for machine in self.book.runs.values():
            if machine.run.state is RunState.RUNNING and machine.note_for_views(NOTED_AT_ONCE):
                self.do(partial(self._touch, machine=machine))

    def _touch(self, turn: Turn, machine: RunMachine) -> None:
        turn.touched[machine.run.run_id] = machine

    # ---------------------------------------------------------------------------- effects

    async def _carry_out(self, turn: Turn, batch: Batch) -> None:
        decision = turn.decision
        for learn in self.on_committed:
            learn(batch)
        if decision.start:
            await self._dispatcher.submit(decision.start)
        for timer in decision.timers:
            self._timers.arm(timer.at, Place(timer.run_id, timer.node))
        for go_on in decision.go_on:
            self.post(go_on.run_id, SpreadOn(self.stamp(), go_on.node))
        for _, accepted, answer in turn.answers:
            answer(accepted)
        if decision.cancel:
            await self._dispatcher.cancel(decision.cancel)
        self._tell(turn, batch)
        for machine in turn.touched.values():
            if machine.run.state in RUN_FINISHED and not machine.live:
                self.book.forget(machine)

    def _tell(self, turn: Turn, batch: Batch) -> None:
        """Tells all who want to know what has been committed."""
        if any(segment.outbox for segment in batch.segments):
            self.on_outbox()
        if self._live.is_watched:
            self._show(batch)
        for run_id in {run_id for run_id, _ in turn.decision.ended}:
            machine = self.book.runs.get(run_id)
            if machine is not None:
                for listener in self.on_run_ended:
                    listener(machine)

    def _show(self, batch: Batch) -> None:
        for segment in batch.segments:
            machine = self.book.runs.get(segment.run_id)
            if machine is None:
                continue
            run = machine.run
            if segment.run is not None:
                self._live.publish(LiveEvent("run", run.dag_id, run.dag_run_id, run=run))
            if segment.tasks or segment.made:
                self._live.publish_tasks(run, [*segment.tasks, *segment.made])

    def _on_timer(self, at: datetime, place: Place) -> None:
        self.post(place.run_id, TimerDue(self.stamp(), place.node, at))

    # --------------------------------------------------------------------------- repair

    def _built_on(self, refused: set[RunId], turn: Turn) -> set[RunId]:
        """Runs of which something may wait, or wait no longer, because of what was refused: those that look at their
        past. A run that is held up by what is cleared before it changes nothing of its own, and so is not touched.
        """
        ids = {machine.run.dag_id for run_id, machine in turn.touched.items() if run_id in refused}
        dags = [self.book.dags[dag_id] for dag_id in ids if dag_id in self.book.dags]
        return {run_id for dag in dags for run_id, machine in dag.machines.items() if machine.graph.past_nodes}

    async def _reload(self, run_ids: set[RunId]) -> None:
        """The database holds something else for these runs: believe it."""
        here = [machine for run_id in sorted(run_ids) if (machine := self.book.runs.get(run_id)) is not None]
        for machine in here:
            self.book.forget(machine)
            dag = self.book.dags[machine.run.dag_id]
            self.do(partial(self.plan, dag=dag))  # it may have had the place of a run that waits
        snapshots: list[RunSnapshot] = []
        for machine in here:
            load = partial(self._store.run_load_one, self.lease, machine.run.run_id)
            snapshot = await self.committer.patiently(load)
            if snapshot is not None and (snapshot.live or snapshot.run.state not in RUN_FINISHED):
                snapshots.append(snapshot)
        keys = await self.resume(snapshots)
        running = await self._dispatcher.adopt(keys)
        self.adopted(running)
        self.lost([k for k in keys if k not in running], "its run was loaded anew")

    def _resume_one(self, turn: Turn, machine: RunMachine, past: Mapping[str, bool]) -> None:
        self.book.add(machine)
        machine.resume(past, self.stamp(), turn.decision)
        turn.touched[machine.run.run_id] = machine
        for n in machine.live.values():
            task = machine.tasks[n]
            self.book.admission.adopt(Place(machine.run.run_id, n), task, machine.run.dag_id)
        self.plan(turn, self.book.dags[machine.run.dag_id])

    def _size_executors(self) -> None:
        """Before anything runs, an executor's free slots are all it has. A later reign finds some in use."""
        self._slots = self._slots or self._dispatcher.slots()
        for kind, free in self._slots.items():
            self.book.admission.resize(f"executor {kind!r}", -1 if free is None else free)
