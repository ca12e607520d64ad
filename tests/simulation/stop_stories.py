"""Short stories about DAGs that stop at the first failure: what was to end ends, whoever owns the run by then."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from tests.simulation.stories import FAILED, LOST
from tests.simulation.wait_stories import DEFERS, QUEUE, killed
from tests.simulation.world import World
from tradewind.control_ports import TriggerRequest
from tradewind.model.outcomes import Outcome
from tradewind.model.specs import DagSpec, Json, TaskSpec
from tradewind.model.states import OutcomeKind, RunState
from tradewind.testing.simulated_executor import Flight


@contextmanager
def stopped(executor: str, first: Outcome | None = None) -> Generator[World]:
    """Of two tasks that ran, t0 has just failed; t1, with retries, has come to its `first` end before or runs still."""
    extra: dict[str, Json] = {"kind": "plain", "down": []}
    t1 = TaskSpec("t1", executor=executor, retries=2, retry_delay=0.0, extra=extra)
    t0, t2 = TaskSpec("t0", extra=extra), TaskSpec("t2", upstream=("t1",), extra=extra)
    world = World(1, given=DagSpec("d0", tasks=(t0, t1, t2), is_paused_upon_creation=False, fail_stop=True))
    world.cluster.seconds_to_go = lambda: 12.0
    try:
        control = world.processes[0].runtime.control
        world.ask(world.processes[0], "trigger", lambda: control.run_trigger(TriggerRequest("d0")))
        world.pass_by(0.1)
        if first is not None:
            world.end(attempt(world, "t1"), first)
            world.pass_by(0.1)
        world.end(attempt(world, "t0"), FAILED)
        world.pass_by(0.1)
        yield world
        wants(world, {"t0": "failed", "t1": "failed", "t2": "skipped"})
        (run,) = world.runs()
        world.complain([] if run.state is RunState.FAILED else [f"its run is {run.state}"])
        world.run_out()
    finally:
        world.close()


def attempt(world: World, task_id: str) -> Flight:
    """The attempt of a task that runs."""
    found = [flight for flight in world.cluster.running() if flight.attempt.key.task_id == task_id]
    world.complain([] if len(found) == 1 else [f"{task_id} has {len(found)} attempts"])
    return found[0]


def wants(world: World, states: dict[str, str]) -> None:
    """The tasks are in these states."""
    (tables,) = world.database.runs.values()
    found = {row.task_id: row.state.value for row in tables.instance_rows()}
    world.complain([] if found == states else [f"the tasks are {found}, not {states}"])


def told_again_to_end() -> None:
    """The runtime dies right after it has told what runs to end; the next one tells it again."""
    with stopped("remote") as world:
        running = attempt(world, "t1")
        killed(world, 4)
        world.complain([] if running.cancelled else ["it was not told to end"])
        world.pass_by(4)


def fails_after_a_crash() -> None:
    """It fails by itself before it hears of it: its retries do not count any more, nor do they after a crash."""
    with stopped("remote") as world:
        killed(world, 1)
        world.end(attempt(world, "t1"), FAILED)
        world.pass_by(4)


def lost_with_its_runtime() -> None:
    """It dies with the runtime: it is not queued again."""
    with stopped("local") as world:
        killed(world)


def lost_with_something_to_undo() -> None:
    """It undoes what it had begun when it was stopped, again when that is lost, and is not tried again then."""
    undone = DEFERS._replace(waits=(QUEUE._replace(key="x", undo=True),))
    with stopped("local", undone) as world:
        world.end(attempt(world, "t1"), LOST)
        world.pass_by(1)
        killed(world)
        undoing = attempt(world, "t1")
        world.complain([] if undoing.undoes else ["it does not undo anything"])
        world.end(undoing, Outcome(OutcomeKind.CANCELLED))
        world.pass_by(20)


def waits_for_a_trigger() -> None:
    """It waits, and its trigger has not gone when the runtime dies: the next one ends it, and the task with it."""
    with stopped("local", DEFERS) as world:
        killed(world, 4)
        left = [flight for flight in world.cluster.waits[1:] if not flight.is_ending]
        world.complain([f"the trigger of {flight.start.key[2:]} was not ended" for flight in left])
        world.pass_by(15)


def cleared_while_it_is_stopped() -> None:
    """Somebody wants it again: it begins anew when it is gone, with all its retries, though t0 has failed."""
    with stopped("remote") as world:
        (run,) = world.runs()
        world.tainted.add(run.dag_run_id)
        world.journal.cleared.add(run.run_id)
        control = world.processes[0].runtime.control
        world.ask(world.processes[0], "clear", lambda: control.instances_clear("d0", run.dag_run_id, ["t1"]))
        world.pass_by(4)
        killed(world)
        for _ in range(3):
            again = attempt(world, "t1")
            world.complain([] if again.attempt.max_tries == 4 else [f"it has {again.attempt.max_tries} tries"])
            world.end(again, FAILED)
            world.pass_by(5)
        (tables,) = world.database.runs.values()
        world.complain([f"{row.task_id} is {row.state}" for row in tables.instance_rows() if row.state.value == "none"])


ALL = (
    told_again_to_end,
    fails_after_a_crash,
    lost_with_its_runtime,
    lost_with_something_to_undo,
    waits_for_a_trigger,
    cleared_while_it_is_stopped,
)
