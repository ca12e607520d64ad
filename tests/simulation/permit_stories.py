"""Short stories about the limits that several runtimes share: nothing of them is lost, nothing given out twice."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace

from tests.simulation.checks import unknown_permits
from tests.simulation.process import Process
from tests.simulation.world import World
from tradewind.control_ports import TriggerRequest
from tradewind.model.outcomes import Outcome
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.states import OutcomeKind

SMALL = "pool 'small'"
SUCCESS = Outcome(OutcomeKind.SUCCESS)


@contextmanager
def two_runtimes(executor: str = "remote", *, tasks: int = 1) -> Generator[World]:
    """The first runs the `tasks` of a DAG, one or two, on both slots of the pool `small`."""
    t0 = TaskSpec("t0", executor=executor, pool="small", pool_slots=2 // tasks, extra={"kind": "plain", "down": []})
    spec = DagSpec(
        "d0",
        tasks=tuple(replace(t0, task_id=f"t{n}") for n in range(tasks)),
        is_paused_upon_creation=False,
        max_active_runs=4,
    )
    world = World(1, processes=2, given=spec)
    try:
        control = world.processes[0].runtime.control
        world.ask(world.processes[0], "trigger", lambda: control.run_trigger(TriggerRequest("d0")))
        world.pass_by(10)
        wants(world, {1: 2})
        yield world
    finally:
        world.close()


def wants(world: World, shares: dict[int, int]) -> None:
    """The store has granted so many permits of the pool to each runtime, by its number among the processes; and of
    this and every other limit each counts with what it was granted.
    """
    found: dict[int, int] = {}
    for process in world.up():
        world.complain(list(unknown_permits(world.database, process)))
        granted = world.database.grants.get(SMALL, {}).get(process.scheduler.lease.runtime_id, 0)
        if granted:
            found[world.processes.index(process) + 1] = granted
    world.complain([] if found == shares else [f"the slots are granted so: {found}, not {shares}"])


def ends(world: World) -> None:
    """The task that runs ends well, or one of them."""
    world.end(world.cluster.running()[0], SUCCESS)


def _breaks_at(process: Process, call: str, *, reply: bool) -> None:
    """The next call of this name breaks off: before it was carried out, or after, with its reply lost."""
    travel = process.store.on_call
    assert travel is not None

    async def find(name: str, done: bool) -> None:
        if name == call and done is reply:
            process.store.on_call = travel
            process.store.breaks.append(done)
        await travel(name, done)

    process.store.on_call = find


def _given_back(*, reply: bool) -> None:
    with two_runtimes(tasks=2) as world:
        _breaks_at(world.processes[0], "grant_return", reply=reply)
        ends(world)
        world.pass_by(10)
        wants(world, {1: 1})
        world.run_out()


def permits_whose_way_back_broke_off() -> None:
    """An idle permit goes back, and the connection breaks before the store has it: it is given back later."""
    _given_back(reply=False)


def permits_that_went_back_unheard() -> None:
    """The store has it back and its reply gets lost: it is not given back twice, in place of one that is in use."""
    _given_back(reply=True)


def permits_that_came_unheard() -> None:
    """The store has granted some and its reply gets lost; by then nobody needs them any more."""
    with two_runtimes() as world:
        ends(world)
        world.pass_by(10)
        first = world.processes[0]
        _breaks_at(first, "grant_take", reply=True)
        control = first.runtime.control
        world.ask(first, "trigger", lambda: control.run_trigger(TriggerRequest("d0")))
        while not world.database.grants[SMALL]:
            world.pass_by(0.05)
        world.journal.cancelled.add(world.runs()[-1].run_id)
        world.tainted.add(world.runs()[-1].dag_run_id)
        world.ask(first, "cancel", lambda: control.run_cancel("d0", world.runs()[-1].dag_run_id))
        world.pass_by(10)
        wants(world, {})
        world.run_out()


def permits_that_were_inherited() -> None:
    """A runtime dies with permits that nobody needs any more, while two others live: they are given back."""
    with two_runtimes("local") as world:
        world.start_process()
        world.pass_by(5)
        world.processes[0].kill()
        world.pass_by(3)
        for flight in world.cluster.running():
            world.end(flight, SUCCESS)
        world.pass_by(20)
        wants(world, {})
        world.run_out()


def left_while_an_attempt_runs_on_elsewhere() -> None:
    """A runtime leaves; its attempt on another machine still holds its slots, from then until its next owner has it."""
    with two_runtimes() as world:
        first, second = world.processes
        travel, seen = second.store.on_call, list[int]()
        assert travel is not None

        async def look(name: str, done: bool) -> None:
            if name == "dag_claim":
                seen.append(sum(world.database.grants[SMALL].values()))
            await travel(name, done)

        second.store.on_call = look
        first.stop()
        world.pass_by(20)
        world.complain([] if seen == [2, 2] else [f"before and after its DAG was claimed {seen} slots are granted"])
        wants(world, {2: 2})
        ends(world)
        world.run_out()


class Neighbours(World):
    """Three runtimes with a DAG each, of one task that takes both slots of the pool `small`; attempts of the first
    outlive it.
    """

    def spec(self, dag_id: str) -> DagSpec:
        """As its file has it."""
        executor = "remote" if dag_id == "d0" else "inline"
        t0 = TaskSpec("t0", executor=executor, pool="small", pool_slots=2, extra={"kind": "plain", "down": []})
        return DagSpec(dag_id, tasks=(t0,), is_paused_upon_creation=False)

    def trigger(self, number: int) -> None:
        """A run of the DAG of this process, counted from 0."""
        process, dag_id = self.processes[number], f"d{number}"
        control = process.runtime.control
        self.ask(process, f"trigger {dag_id}", lambda: control.run_trigger(TriggerRequest(dag_id)))

    def cut_after_its_claim(self, process: Process) -> None:
        """The first claim of this process comes to pass, and then it is cut off."""
        travel = process.store.on_call
        assert travel is not None

        async def cut(name: str, done: bool) -> None:
            if name == "dag_claim" and done:
                process.store.on_call = travel
                process.store.is_cut = True
            await travel(name, done)

        process.store.on_call = cut


def permits_that_came_before_what_uses_them() -> None:
    """A runtime claims the DAGs of a dead one, and their permits with them, and loses the database before it has loaded
    the attempt that uses them. What waits there does not start on them.
    """
    for tenths in (0, 5):  # looks at the limits and at peers fall differently
        world = Neighbours(tenths, processes=3, dags=3)
        try:
            world.trigger(0)
            world.pass_by(10)
            world.trigger(1)
            world.trigger(2)
            world.pass_by(10 + tenths / 10)
            wants(world, {1: 2})
            for process in world.processes[1:]:
                world.cut_after_its_claim(process)
            world.processes[0].kill()
            while not (cut := [process for process in world.processes if process.store.is_cut]):
                world.pass_by(0.1)
            world.pass_by(0.4)
            cut[0].store.is_cut = False
            for _ in range(30):
                world.pass_by(0.1)
            if (running := len(world.cluster.running())) != 1:
                world.complain([f"{running} attempts run at once"])
            world.run_out()
        finally:
            world.close()


ALL = (
    permits_whose_way_back_broke_off,
    permits_that_went_back_unheard,
    permits_that_came_unheard,
    permits_that_were_inherited,
    left_while_an_attempt_runs_on_elsewhere,
    permits_that_came_before_what_uses_them,
)
