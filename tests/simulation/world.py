"""The whole simulated system: processes on one database, the outside world, and what must hold.

Everything follows from one seed, so a seed is a story that comes out the same each time.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from datetime import timedelta
from functools import partial
from typing import Any, Final

import orjson

from tests.simulation.checks import Inspector, unknown_permits
from tests.simulation.dags import POOLS, random_dag, source_of
from tests.simulation.journal import Journal
from tests.simulation.process import LEASE, Process
from tests.simulation.verdicts import final_findings
from tests.simulation.wait_checks import carried_twice
from tests.simulation.waits import SIGNAL, durable_waits, some_answer, some_end, some_waits
from tradewind.model.durable import Step
from tradewind.model.keys import RunId, RuntimeId
from tradewind.model.outcomes import CODEC_JSON, RETURN_KEY, EncodedValue, Outcome, XComPut
from tradewind.model.rows import ParsedFile, PoolRow, RunRow
from tradewind.model.specs import DagSpec
from tradewind.model.states import FINISHED, OutcomeKind, TaskState
from tradewind.model.waits import SIGNAL_KIND, Signal, WaitAnswer
from tradewind.store.memory import new_database
from tradewind.testing.simulated_executor import Flight
from tradewind.testing.simulated_waits import WaitCluster, WaitFlight
from tradewind.testing.virtual_time import VirtualTime

AT_MOST: Final = 120
"""Rounds of 30 s in which everything must have come to its end."""

Asked = Callable[[], Coroutine[Any, Any, Any]]


class Violation(AssertionError):
    """An invariant does not hold."""


class World:
    """Any number of processes; each DAG is published by one of them."""

    def __init__(
        self,
        seed: int,
        *,
        processes: int = 1,
        dags: int = 2,
        given: DagSpec | None = None,
        mapped: bool = False,
        waiting: bool = False,
        durable: bool = False,
    ) -> None:
        """`given` is used instead of random DAGs; its name must be d0. Random ones may have `mapped` tasks; with
        `waiting` attempts may defer, and tasks begin with triggers; `durable` ones take steps and get signals.
        """
        self.seed = seed
        self.mapped = mapped
        self.waiting = waiting or durable
        self.durable = durable
        self.given = given
        self.time = VirtualTime()
        self.database = new_database(self.time.now)
        for name, slots in POOLS.items():
            self.database.pools[name] = PoolRow(name, slots)
        self.cluster = WaitCluster(self.time.now)
        clean_up = random.Random(f"{seed}/triggers")
        self.cluster.seconds_to_go = lambda: clean_up.choice((0.0, 0.0, 0.01, 0.7, 12.0))
        self.journal = Journal(self.database, self.cluster)
        self.cluster.on_submit = self.journal.on_submit
        self.cluster.on_answer = self.journal.on_answer
        self.cluster.on_wait_answer = self.journal.waits.on_answer
        self.cluster.on_begin = self.journal.waits.on_begin
        self.processes: list[Process] = []
        self.story: list[str] = []
        self.mails: dict[str, int] = {}
        """Idempotency key to id of the mail that asked for a run."""
        self.tainted: set[str] = set()
        """dag_run_ids of runs that somebody cancelled or cleared: more than the rules decides their states."""
        for _ in range(processes):
            self.start_process()
        self.pass_by(0.1)
        self.versions = {f"d{n}": 1 for n in range(1 if given is not None else dags)}
        for number, dag_id in enumerate(self.versions):
            self.publish(self.processes[number % processes], dag_id)
        self.pass_by(0.1)

    # -- processes

    def start_process(self) -> Process:
        """One more process joins."""
        number = len(self.processes) + 1
        process = Process(f"p{number}", self.database, self.time, self.cluster, f"{self.seed}/{number}")
        process.store.on_batch = self.journal.on_batch
        process.store.on_conflict = self.journal.on_conflict
        process.store.on_bury = self._on_bury
        process.store.on_pool = self.journal.on_pool
        process.store.on_run = self.journal.on_run
        self.processes.append(process)
        self.tell(f"{process.name} starts")
        return process

    def turning(self) -> list[Process]:
        """Processes whose loops turn."""
        return [process for process in self.processes if process.is_turning]

    def up(self) -> list[Process]:
        """Processes that can be asked for something."""
        return [process for process in self.processes if process.is_up]

    def tell(self, what: str) -> None:
        """Notes a line of the story."""
        self.story.append(f"{self.time.seconds:10.3f}  {what}")

    def pass_by(self, seconds: float) -> None:
        """Lets time pass, then looks at everything."""
        self.time.pass_by([process.loop for process in self.turning()], seconds)
        self.check()

    @property
    def more_ends(self) -> tuple[OutcomeKind, ...]:
        """How attempts of this world may end beside the ordinary ways."""
        return (OutcomeKind.DEFERRED,) * 8 if self.waiting else ()

    def close(self) -> None:
        """Frees all loops."""
        for process in self.processes:
            process.close()

    # -- what happens to it

    def ask(self, process: Process, name: str, asked: Asked) -> None:
        """Somebody asks a process for something."""
        self.tell(f"{process.name}: {name}")
        process.ask(name, asked)

    def spec(self, dag_id: str) -> DagSpec:
        """The DAG as its file has it now."""
        if self.given is not None:
            return self.given
        dice = random.Random(f"{self.seed}/{dag_id}")
        version = self.versions[dag_id]
        return random_dag(dice, dag_id, version, mapped=self.mapped, waiting=self.waiting, durable=self.durable)

    def publish(self, process: Process, dag_id: str) -> None:
        """A DAG file is new or has changed."""
        spec = self.spec(dag_id)

        async def publish() -> None:
            file = ParsedFile(source_of(spec), (spec,))
            changed = await process.store.dag_publish(process.scheduler.lease, "main", [file])
            await process.runtime.refresh(changed)

        self.ask(process, f"publish {dag_id} version {self.versions[dag_id]}", publish)

    def mail(self, process: Process, dag_id: str, key: str) -> None:
        """Somebody asks for a run by mail; the same key again is the same wish."""

        async def send() -> None:
            body = orjson.dumps({"note": key, "unpause": True})
            self.mails[key] = await process.store.mail_send(dag_id, "trigger", body, key)

        self.ask(process, f"mail {key} for a run of {dag_id}", send)

    def resize(self, pool: str, slots: int) -> None:
        """A pool gets another size."""
        for process in self.up():
            self.ask(process, f"pool {pool} gets {slots}", partial(process.runtime.pool_set, PoolRow(pool, slots)))

    def end(self, flight: Flight, outcome: Outcome) -> None:
        """The body of an attempt ends."""
        self.tell(f"{flight.attempt.key.task_id} of {flight.attempt.run.dag_run_id} ends: {outcome.kind}")
        self.cluster.end(flight, outcome)

    def fire(self, flight: WaitFlight, answer: WaitAnswer, outcome: Outcome | None = None) -> None:
        """A trigger has an answer, which ends its task if there is an `outcome`."""
        end = "" if outcome is None else f" and ends it: {outcome.kind}"
        self.tell(f"the trigger of {flight.start.key[2:]} answers {answer}{end}")
        flight.carrier.fire(flight, answer, outcome)

    def signal(self, process: Process, place: tuple[RunId, str, int], data: bytes) -> None:
        """Somebody sends a signal to a durable task. No two are the same, whatever the dice say."""
        data += str(len(self.journal.waits.sent)).encode()
        value, run = EncodedValue(1, data), self.database.runs[place[0]].row
        self.journal.waits.sent.add(value)
        wish = Signal(*place[1:], SIGNAL_KIND, SIGNAL, value)

        async def send() -> None:
            await process.runtime.control.signal_send(run.dag_id, run.dag_run_id, wish)
            self.journal.durable.signal_sent(place, value)

        self.ask(process, f"signal {data!r} to {place[1:]} of {run.dag_run_id}", send)

    def step(self, process: Process, flight: Flight, step: Step) -> None:
        """A durable attempt takes a step."""
        key = flight.attempt.key

        async def put() -> None:
            await flight.carrier.services.step_put(key, step)
            self.journal.durable.step_kept((key.run_id, key.task_id, key.map_index), step)

        self.ask(process, f"{key.task_id} of {flight.attempt.run.dag_run_id} takes step {step.key}", put)

    def runs(self) -> list[RunRow]:
        """All runs as they are in the database."""
        return [tables.run() for tables in self.database.runs.values()]

    def _on_bury(self, dead: RuntimeId) -> None:
        for process in self.processes:
            if process.lease is not None and process.lease.runtime_id == dead and process.lives():
                self.journal.faults.append(f"{process.name} was declared dead, and lives")

    # -- what must hold

    def check(self) -> None:
        """Raises Violation with the story so far."""
        findings = [*self.journal.faults, *self.cluster.faults]
        for process in self.processes:
            findings += [f"{process.name}: {failure}" for failure in process.failures()]
        findings += self._mail_findings()
        if not findings and self.is_quiet():
            findings += carried_twice(p for p in self.processes if self.is_healthy(p) or p.lease is None)
        if not findings and self.is_quiet():
            for process in self.processes:
                if self.is_healthy(process):
                    inspector = Inspector(process, self.database, self.cluster)
                    findings += [f"{process.name}: {found}" for found in inspector.findings()]
        self.complain(findings)

    def _mail_findings(self) -> list[str]:
        notes = [run.note for run in self.runs()]
        return [f"mail {key} was carried out twice" for key in self.mails if notes.count(key) > 1]

    def complain(self, findings: list[str]) -> None:
        """Raises Violation if there are any."""
        if findings:
            story = "\n".join(self.story[-60:])
            raise Violation(f"seed {self.seed}: " + "; ".join(findings[:6]) + f"\n{story}\n{self.time.seconds:10.3f}")

    def is_quiet(self) -> bool:
        """Whether nothing is under way between processes and database."""
        return all(not p.store.in_flight for p in self.processes if not p.is_killed)

    def is_healthy(self, process: Process) -> bool:
        """Whether the process has a lease that is its own, and nothing disturbs it."""
        lease = process.lease
        if lease is None or not process.is_up or process.is_stopping or process.store.is_cut or process.store.owes:
            return False
        record = self.database.runtimes.get(lease.runtime_id)
        return record is not None and record.alive and record.epoch == lease.epoch

    # -- the end of the story

    def heal(self) -> None:
        """All faults end; at least one process lives."""
        self.tell("all faults end")
        for process in self.processes:
            process.undisturb()
            process.store.breaks.clear()
            process.store.refuses = 0
        if not any(not process.is_stopping for process in self.turning()):
            self.start_process()
        self.pass_by(2 * LEASE + 15)
        for process in self.processes if self.is_quiet() else ():
            if self.is_healthy(process):
                self.complain(list(unknown_permits(self.database, process)))

    def run_out(self) -> None:
        """Everything that runs ends, until all runs are final; then their states are judged."""
        self.heal()
        dice = random.Random(f"{self.seed}/end")
        for pool, slots in POOLS.items():
            self.resize(pool, slots)
        rounds_over = 0
        for _ in range(AT_MOST):
            self._open_everything()
            for flight in self.cluster.running():
                if flight.carrier.is_alive:
                    self.end(flight, ending(flight, dice, self.more_ends[:1]))
            self._signal_whoever_waits(dice)
            for trigger in self.cluster.waiting():
                self.fire(trigger, some_answer(dice), some_end(dice, trigger.start.wait))
            self.pass_by(30)
            rounds_over = rounds_over + 1 if self._is_over() else 0
            if rounds_over == 2:
                break
        else:
            self.complain(["it never comes to an end"])
        self.complain(final_findings(self.database, self.cluster, self.tainted))
        self.complain([f"the trigger of {f.start.key[2:]} runs for ever" for f in self.cluster.waits if f.is_there])
        unanswered = [key for key, mail_id in self.mails.items() if mail_id not in self.database.replies]
        self.complain([f"mail {key} was never answered" for key in unanswered])

    def _signal_whoever_waits(self, dice: random.Random) -> None:
        up = self.up()
        for run_id, tables in self.database.runs.items() if up else ():
            for row in tables.waits.values():
                if row.wait.kind == SIGNAL_KIND and row.answer is None:
                    self.signal(dice.choice(up), (run_id, row.task_id, row.map_index), dice.randbytes(8))

    def _open_everything(self) -> None:
        """Nothing new by schedule, nothing held up by a switch."""
        for dag in list(self.database.dags.values()):
            owner = next((p for p in self.up() if p.lease and p.lease.runtime_id == dag.owner), None)
            if owner is None or owner.store.is_cut:
                continue
            if dag.is_active:
                self._retire(owner, dag.dag_id)
            if dag.is_paused:
                pause = partial(owner.runtime.control.dag_pause, dag.dag_id, paused=False)
                self.ask(owner, f"unpause {dag.dag_id}", pause)

    def _retire(self, owner: Process, dag_id: str) -> None:
        async def retire() -> None:
            changed = await owner.store.dag_retire(owner.scheduler.lease, "main", [f"{dag_id}.py"])
            await owner.runtime.refresh(changed)

        self.ask(owner, f"retire {dag_id}", retire)

    def _is_over(self) -> bool:
        if any(flight.is_running and flight.carrier.is_alive for flight in self.cluster.flights.values()):
            return False
        if any(trigger.is_there for trigger in self.cluster.waits):
            return False
        if any(dag.is_paused or dag.is_active for dag in self.database.dags.values()):
            return False
        return all(
            row.state in FINISHED or row.state is TaskState.NONE
            for tables in self.database.runs.values()
            for row in tables.instance_rows()
        )


def ending(flight: Flight, dice: random.Random, more: tuple[OutcomeKind, ...] = ()) -> Outcome:
    """How the body of an attempt may end; `more` kinds beside the ordinary ones."""
    if flight.undoes:
        return Outcome(dice.choice((OutcomeKind.CANCELLED, OutcomeKind.CANCELLED, OutcomeKind.LOST)))
    kinds = (OutcomeKind.SUCCESS,) * 14 + (OutcomeKind.FAILED,) * 4 + (OutcomeKind.SKIPPED, OutcomeKind.TIMED_OUT)
    kind = dice.choice(kinds + more)
    if kind is OutcomeKind.DEFERRED and flight.attempt.task.is_async and dice.random() < 0.6:
        undo = flight.attempt.key.attempt[0] < 128
        return durable_waits(dice, flight.started_at, flight.attempt.resume, undo=undo)
    if kind is OutcomeKind.DEFERRED:
        return some_waits(dice, flight.started_at)
    if kind is OutcomeKind.RESCHEDULED:
        return Outcome(kind, reschedule_at=flight.started_at + timedelta(seconds=dice.randint(0, 120)))
    task = flight.attempt.task
    if kind is not OutcomeKind.SUCCESS:
        return Outcome(kind)
    outcome = Outcome(kind)
    if task.extra["kind"] == "short_circuit":
        outcome = Outcome(kind, short_circuit=dice.random() < 0.5, ignore_downstream_trigger_rules=dice.random() < 0.5)
    elif task.extra["kind"] == "branch":
        outcome = Outcome(kind, branch=tuple(t for t in task.extra["down"] if dice.random() < 0.5))
    return outcome._replace(**_pushed(dice)) if task.measured else outcome


def _pushed(dice: random.Random) -> dict[str, Any]:
    """What an attempt leaves behind for those who are mapped over it: mostly something."""
    if dice.random() < 0.1:
        return {}
    length = dice.randint(0, 5)
    return {"xcoms": (XComPut(RETURN_KEY, EncodedValue(CODEC_JSON, b"[]")),), "lengths": ((RETURN_KEY, length),)}
