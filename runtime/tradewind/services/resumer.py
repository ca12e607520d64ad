"""Goes on with runs as the store has them: of DAGs that were taken over, and of runs whose commit was refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from tradewind.model.attempts import AttemptKey, WaitStart
from tradewind.model.events import AttemptEnded
from tradewind.model.keys import RunId
from tradewind.model.outcomes import Outcome
from tradewind.model.rows import Lease, RunSnapshot
from tradewind.model.states import RUN_FINISHED, OutcomeKind
from tradewind.ports import Clock, Store
from tradewind.rules.admission import Place
from tradewind.rules.run_machine import RunMachine
from tradewind.services.committer import Committer
from tradewind.services.dispatcher import Dispatcher
from tradewind.services.intake import Intake
from tradewind.services.owned_dag import OwnedDag
from tradewind.services.run_book import RunBook
from tradewind.services.turn import Turn


class Resumer:
    """Rebuilds runs from the store's rows; their attempts are adopted by an executor, or lost."""

    def __init__(
        self, store: Store, clock: Clock, book: RunBook, intake: Intake, committer: Committer, dispatcher: Dispatcher
    ) -> None:
        self._store = store
        self._clock = clock
        self._book = book
        self._intake = intake
        self._committer = committer
        self._dispatcher = dispatcher

    async def go_on(
        self,
        snapshots: Sequence[RunSnapshot],
        reason: str,
        arrived: Iterable[str] = (),
        carried: Sequence[WaitStart] = (),
    ) -> None:
        """Goes on with unfinished runs, by which all those of the DAGs in `arrived` are here. Live attempts that no
        executor here carries are lost, for `reason`. Of the waits that are `carried` here already, those that the
        store does not have (any longer) are ended.
        """
        keys = await self._resume(snapshots, carried)
        for dag_id in arrived:
            dag = self._book.dags.get(dag_id)
            if dag is not None:
                self._intake.do(partial(_open, dag=dag))
        running = await self._dispatcher.adopt(keys)
        self._adopted(running)
        self._lost([key for key in keys if key not in running], reason)

    async def reload(self, lease: Lease, run_ids: set[RunId]) -> None:
        """The database holds something else for these runs: believe it."""
        here = [machine for run_id in sorted(run_ids) if (machine := self._book.runs.get(run_id)) is not None]
        for machine in here:
            self._book.forget(machine)
            dag = self._book.dags[machine.run.dag_id]
            self._intake.do(partial(Turn.plan, dag=dag))  # it may have had the place of a run that waits
        carried = self._dispatcher.waits_of(run_ids)
        snapshots: list[RunSnapshot] = []
        for machine in here:
            load = partial(self._store.run_load_one, lease, machine.run.run_id)
            snapshot = await self._committer.patiently(load)
            if snapshot is not None and (snapshot.live or snapshot.waits or snapshot.run.state not in RUN_FINISHED):
                snapshots.append(snapshot)
        await self.go_on(snapshots, "its run was loaded anew", carried=carried)
        left = {snapshot.run.run_id for snapshot in snapshots}
        self._dispatcher.end_waits([start for start in carried if start.key.run_id not in left])

    def built_on(self, refused: set[RunId], turn: Turn) -> set[RunId]:
        """Runs of which something may wait, or wait no longer, because of what was refused: those that look at their
        past. A run that is held up by what is cleared before it changes nothing of its own, and so is not touched.
        """
        ids = {machine.run.dag_id for run_id, machine in turn.touched.items() if run_id in refused}
        dags = [self._book.dags[dag_id] for dag_id in ids if dag_id in self._book.dags]
        return {run_id for dag in dags for run_id, machine in dag.machines.items() if machine.graph.past_nodes}

    def _adopted(self, keys: Iterable[AttemptKey]) -> None:
        """These attempts of an earlier life run on here. Those that were to be ended are told so again."""
        self._intake.do(partial(self._end_unwanted, run_ids={key.run_id for key in keys}))

    async def _resume(self, snapshots: Sequence[RunSnapshot], carried: Sequence[WaitStart]) -> list[AttemptKey]:
        """Takes the runs in with the next turn. Returns their live attempts."""
        machines = {snapshot.run.run_id: self._book.rebuild(snapshot) for snapshot in snapshots}
        asking = [partial(self._book.past_of, machine, machines) for machine in machines.values()]
        past = [await self._committer.patiently(ask) for ask in asking]
        for machine, settled in zip(machines.values(), past, strict=True):
            mine = [start for start in carried if start.key.run_id == machine.run.run_id]
            self._intake.do(partial(self._resume_one, machine=machine, past=settled, carried=mine))
        return [
            AttemptKey(a.attempt, a.run_id, a.task_id, a.map_index, a.try_number)
            for snapshot in snapshots
            for a in snapshot.live
        ]

    def _resume_one(
        self, turn: Turn, machine: RunMachine, past: Mapping[str, bool], carried: Sequence[WaitStart]
    ) -> None:
        self._book.add(machine)
        machine.send_strangers_away(carried, turn.decision)
        machine.resume(past, self._intake.stamp(), turn.decision)
        turn.touched[machine.run.run_id] = machine
        for n in machine.live.values():
            if not machine.is_undoing(n):
                self._book.admission.adopt(Place(machine.run.run_id, n), machine.tasks[n], machine.run.dag_id)
        turn.plan(self._book.dags[machine.run.dag_id])

    def _end_unwanted(self, turn: Turn, run_ids: set[RunId]) -> None:
        for run_id in run_ids:
            machine = self._book.runs.get(run_id)
            if machine is not None:
                turn.decision.cancel += machine.unwanted()

    def _lost(self, keys: Sequence[AttemptKey], reason: str) -> None:
        """Reports attempts whose carrier is gone."""
        now = self._clock.now()
        for key in keys:
            outcome = Outcome(OutcomeKind.LOST, reason=reason)
            event = AttemptEnded(self._intake.stamp(), key.attempt, outcome, None, now)
            self._intake.post(key.run_id, event)


def _open(turn: Turn, dag: OwnedDag) -> None:
    dag.is_arriving = False
    turn.plan(dag)
