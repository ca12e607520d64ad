"""What people wish of a DAG that this runtime owns: run it, pause it, run parts again, stop it.

Each wish returns once it is committed. One that came by mail is done away with in the very
transaction that applies it, and its answer kept for whoever sent it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial

import orjson

from tradewind.control_ports import LiveEvent, TriggerRequest
from tradewind.model.batch import DagChange, MailDone
from tradewind.model.errors import ConflictError, NotFoundError, TryAgain
from tradewind.model.events import RunCancelled, SignalSent, TasksCleared
from tradewind.model.keys import RunId
from tradewind.model.rows import DagRow, InstanceRow, RunRow
from tradewind.model.states import FINISHED, RUN_FINISHED, RunState, TaskState
from tradewind.model.waits import Signal
from tradewind.ports import Store
from tradewind.rules.explain import reasons_not_running
from tradewind.rules.run_machine import RunMachine
from tradewind.services.instances_chosen import Cleared, node_of, nodes_to_clear, one_node_of
from tradewind.services.live import LiveHub
from tradewind.services.owned_dag import OwnedDag
from tradewind.services.planner import RunPlanner
from tradewind.services.scheduler import Scheduler
from tradewind.services.turn import Turn


class OwnerWishes:
    """Carries out wishes on owned DAGs. `mail_id`: the inbox row that the wish came as."""

    def __init__(self, store: Store, scheduler: Scheduler, planner: RunPlanner, live: LiveHub) -> None:
        self._store = store
        self._scheduler = scheduler
        self._planner = planner
        self._live = live
        planner.pause = partial(self.pause, paused=True)

    def owns(self, dag_id: str) -> bool:
        """Whether wishes for this DAG are carried out here."""
        return dag_id in self._scheduler.book.dags

    async def trigger(self, request: TriggerRequest, mail_id: int | None = None) -> RunRow:
        """As `Control.run_trigger`."""
        dag = self._dag(request.dag_id)
        if request.unpause and dag.row.is_paused:
            await self.pause(request.dag_id, paused=False)
        reply = None
        if mail_id is not None:
            reply = (mail_id, _ok(dag_run_id=request.dag_run_id))
        return await self._planner.trigger(request, reply)

    async def pause(self, dag_id: str, *, paused: bool, mail_id: int | None = None) -> DagRow:
        """As `Control.dag_pause`."""

        def switch(turn: Turn) -> None:
            dag = self._dag(dag_id)
            dag.row = dataclasses.replace(dag.row, is_paused=paused)
            self._scheduler.book.admission.resize(dag.limit_name, dag.limit_size)
            turn.change_dag(DagChange(dag_id, is_paused=paused))
            turn.plan(dag)
            _answer(turn, mail_id, _ok())

        await self._scheduler.intake.ask(switch)
        dag = self._dag(dag_id)
        self._planner.plan(dag_id)
        self._live.publish(LiveEvent("dag", dag_id, dag=dag.row))
        return dag.row

    async def clear(
        self, dag_id: str, dag_run_id: str, which: Cleared, mail_id: int | None = None
    ) -> list[InstanceRow]:
        """As `Control.instances_clear`."""
        wanted: set[str] = set()

        def clear(turn: Turn, dag: OwnedDag, machine: RunMachine) -> None:
            nodes = nodes_to_clear(machine, which)
            wanted.update(machine.tasks[n].task_id for n in nodes)
            event = TasksCleared(self._scheduler.intake.stamp(), nodes)
            self._scheduler.handle(turn, machine.run.run_id, event)
            if machine.run.state is RunState.QUEUED:
                dag.enqueue(machine)
                turn.plan(dag)
            _answer(turn, mail_id, _ok(task_ids=sorted(wanted)))

        run = await self._ask_of_run(dag_id, dag_run_id, clear)
        rows = await self._store.instance_list(run.run_id)
        return [row for row in rows if row.task_id in wanted]

    async def cancel(self, dag_id: str, dag_run_id: str, mail_id: int | None = None) -> RunRow:
        """As `Control.run_cancel`."""

        def cancel(turn: Turn, _: OwnedDag, machine: RunMachine) -> None:
            event = RunCancelled(self._scheduler.intake.stamp(), "it was marked failed by hand")
            self._scheduler.handle(turn, machine.run.run_id, event)
            _answer(turn, mail_id, _ok())

        return await self._ask_of_run(dag_id, dag_run_id, cancel)

    async def signal(self, dag_id: str, dag_run_id: str, signal: Signal, mail_id: int | None = None) -> bool:
        """As `Control.signal_send`."""
        taken: list[bool] = []

        def send(turn: Turn, _: OwnedDag, machine: RunMachine) -> None:
            node = one_node_of(machine, signal.task_id, signal.map_index)
            state = machine.state[node]
            if state in FINISHED or state is TaskState.NONE:
                said = "has not begun" if state is TaskState.NONE else f"has ended: {state}"
                raise ConflictError(f"task {signal.task_id!r} of run {dag_run_id!r} takes no signal: it {said}")
            if signal.asked and not machine.asks(node, signal.asked):
                said = f"task {signal.task_id!r} of run {dag_run_id!r} does not wait for {signal.name!r} any more"
                raise ConflictError(f"{said}: it was answered meanwhile, or goes on without")
            event = SignalSent(self._scheduler.intake.stamp(), node, signal.kind, signal.name, signal.value)
            self._scheduler.handle(turn, machine.run.run_id, event)
            taken.append(machine.state[node] is not state)
            _answer(turn, mail_id, _ok(resumed=taken[0]))

        await self._ask_of_run(dag_id, dag_run_id, send)
        return taken[0]

    async def why_waiting(
        self, dag_id: str, dag_run_id: str, which: tuple[str, int], mail_id: int | None = None
    ) -> tuple[str, ...]:
        """As `Control.why_waiting`."""
        dag = self._dag(dag_id)
        machine = self._scheduler.book.find(dag_id, dag_run_id)
        if machine is None:
            row = await self._store.run_get(dag_id, dag_run_id)
            if row is None:
                raise NotFoundError(f"DAG {dag_id!r} has no run {dag_run_id!r}")
            reasons: tuple[str, ...] = (f"its run has ended: {row.state}",)
        else:
            node = node_of(machine, *which)
            admission = self._scheduler.book.admission
            reasons = reasons_not_running(machine, node, admission, paused=dag.row.is_paused)
        if mail_id is not None:
            await self._scheduler.intake.ask(lambda turn: _answer(turn, mail_id, _ok(reasons=reasons)))
        return reasons

    async def look_at_assets(self, mail: Mapping[int, str]) -> None:
        """Events of assets have come into the queues of these DAGs; all the mail is answered in one commit."""
        for dag_id in dict.fromkeys(mail.values()):
            self._planner.plan(dag_id)

        def answer(turn: Turn) -> None:
            for mail_id in mail:
                _answer(turn, mail_id, _ok())

        await self._scheduler.intake.ask(answer)

    async def refuse(self, mail_id: int, error: Exception) -> None:
        """Answers a mail with the error that its wish met."""
        body = orjson.dumps({"error": {"kind": type(error).__name__, "message": str(error)}})
        await self._scheduler.intake.ask(lambda turn: _answer(turn, mail_id, body))

    async def acknowledge(self, mail_id: int) -> None:
        """Answers a mail that asked for nothing but attention."""
        await self._scheduler.intake.ask(lambda turn: _answer(turn, mail_id, _ok()))

    def _dag(self, dag_id: str) -> OwnedDag:
        dag = self._scheduler.book.dags.get(dag_id)
        if dag is None:
            raise NotFoundError(f"there is no DAG {dag_id!r}")
        return dag

    async def _ask_of_run(
        self, dag_id: str, dag_run_id: str, job: Callable[[Turn, OwnedDag, RunMachine], None]
    ) -> RunRow:
        """Has the job done on a run, in a turn; the run as it is then. Raises TryAgain where another runtime took the
        DAG over meanwhile.
        """
        found: list[RunMachine] = []
        while not found:  # one that ended before its turn came has left the memory, and is brought back
            run_id = (await self._machine(dag_id, dag_run_id)).run.run_id
            await self._scheduler.intake.ask(partial(self._do_if_here, dag_id, run_id, job, found))
        return found[0].run

    def _do_if_here(
        self,
        dag_id: str,
        run_id: RunId,
        job: Callable[[Turn, OwnedDag, RunMachine], None],
        found: list[RunMachine],
        turn: Turn,
    ) -> None:
        dag, machine = self._scheduler.book.dags.get(dag_id), self._scheduler.book.runs.get(run_id)
        if dag is None:
            raise TryAgain(f"DAG {dag_id!r} has just been taken over by another runtime: ask once more")
        if machine is not None:
            turn.touched[run_id] = machine
            job(turn, dag, machine)
            found.append(machine)

    async def _machine(self, dag_id: str, dag_run_id: str) -> RunMachine:
        """The run in memory, brought back from the store if it has ended."""
        dag = self._dag(dag_id)
        machine = self._scheduler.book.find(dag.dag_id, dag_run_id)
        if machine is not None:
            return machine
        row = await self._store.run_get(dag.dag_id, dag_run_id)
        snapshot = None
        if row is not None:
            snapshot = await self._store.run_load_one(self._scheduler.lease, row.run_id)
        if snapshot is None:
            raise NotFoundError(f"DAG {dag.dag_id!r} has no run {dag_run_id!r}")
        machine = self._scheduler.book.find(dag_id, dag_run_id)  # somebody else may have asked meanwhile
        if machine is not None:
            return machine
        self._dag(dag_id)
        if snapshot.live or snapshot.run.state not in RUN_FINISHED:
            raise TryAgain(f"run {dag_run_id!r} of DAG {dag_id!r} is just being taken in: ask once more")
        return self._scheduler.bring_back(snapshot)


def _answer(turn: Turn, mail_id: int | None, reply: bytes) -> None:
    if mail_id is not None:
        turn.mail.append(MailDone(mail_id, reply))


def _ok(**facts: object) -> bytes:
    return orjson.dumps({"ok": facts})
