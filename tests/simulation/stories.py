"""Short stories told on purpose: what chance brings about too seldom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from tests.simulation.dags import every_ten_minutes
from tests.simulation.world import World
from tradewind.control_ports import TriggerRequest
from tradewind.model.outcomes import RETURN_KEY, Outcome
from tradewind.model.specs import DagSpec, Json, TaskSpec
from tradewind.model.states import OutcomeKind, TaskState
from tradewind.testing.simulated_executor import Flight
from tradewind.testing.virtual_time import EPOCH

FAILED = Outcome(OutcomeKind.FAILED)
LOST = Outcome(OutcomeKind.LOST)
SUCCESS = Outcome(OutcomeKind.SUCCESS)


@contextmanager
def one_task(executor: str = "local", retries: int = 0, more: Sequence[str] = ()) -> Generator[World]:
    """A world with one run of one task, which is running, and `more` tasks after it."""
    task = TaskSpec("t0", executor=executor, retries=retries, retry_delay=60.0, extra={"kind": "plain", "down": []})
    after = tuple(TaskSpec(name, upstream=("t0",), extra={"kind": "plain", "down": []}) for name in more)
    world = World(1, given=DagSpec("d0", tasks=(task, *after), is_paused_upon_creation=False))
    try:
        control = world.processes[0].runtime.control
        world.ask(world.processes[0], "trigger", lambda: control.run_trigger(TriggerRequest("d0")))
        world.pass_by(0.1)
        yield world
    finally:
        world.close()


def clear(world: World) -> None:
    """The task is to run again."""
    run = world.runs()[0]
    world.tainted.add(run.dag_run_id)
    world.journal.cleared.add(run.run_id)
    process = world.up()[0]
    control = process.runtime.control
    world.ask(process, "clear", lambda: control.instances_clear("d0", run.dag_run_id, ["t0"]))
    world.pass_by(0.1)


def running(world: World) -> Flight:
    """The attempt that runs."""
    (flight,) = world.cluster.running()
    return flight


def state(world: World) -> TaskState:
    """The state of the task in the database."""
    (tables,) = world.database.runs.values()
    return tables.instance_rows()[0].state


def cleared_while_it_waits_to_be_tried_again() -> None:
    """Cleared 10 s after its failure it starts at once; the next failure waits its own 60 s, not the rest of
    the first.
    """
    with one_task(retries=2) as world:
        world.end(running(world), FAILED)
        world.pass_by(10)
        clear(world)
        world.end(running(world), FAILED)
        world.pass_by(55)
        world.complain([] if state(world) is TaskState.UP_FOR_RETRY else ["it did not wait for its own time"])
        world.pass_by(10)
        world.end(running(world), SUCCESS)
        world.run_out()


def killed_while_an_attempt_is_being_ended() -> None:
    """The runtime dies right after it has told an attempt to end; the next one tells it again."""
    with one_task("remote") as world:
        clear(world)
        world.processes[0].kill()
        world.start_process()
        world.pass_by(3)
        world.complain([] if state(world) is TaskState.RESTARTING else [f"it is {state(world)}"])
        world.pass_by(3)
        world.complain([] if state(world) is TaskState.RUNNING else [f"it does not run again, it is {state(world)}"])
        world.run_out()


def the_only_run_is_ended_while_nobody_is_there() -> None:
    """A run was cancelled and its attempt lives on when the runtime dies: the next one sees it to its end."""
    with one_task("remote") as world:
        run, control = world.runs()[0], world.processes[0].runtime.control
        world.tainted.add(run.dag_run_id)
        world.journal.cancelled.add(run.run_id)
        world.ask(world.processes[0], "cancel", lambda: control.run_cancel("d0", run.dag_run_id))
        world.pass_by(0.1)
        world.processes[0].kill()
        world.start_process()
        world.pass_by(10)
        world.complain([] if state(world) is TaskState.FAILED else [f"it is {state(world)}"])


def lost_again_and_again() -> None:
    """The same try is queued again three times; then the task has failed."""
    with one_task() as world:
        for _ in range(4):
            world.end(running(world), LOST)
            world.pass_by(0.1)
        world.complain([] if state(world) is TaskState.FAILED else [f"it is {state(world)}"])


def cleared_and_fewer_instances_than_before() -> None:
    """A mapped task is cleared with the task that it is mapped over, which then gives less, and the runtime dies
    in between: what is too much is removed, and does not run.
    """
    plain: dict[str, Json] = {"kind": "plain", "down": []}
    tasks = (
        TaskSpec("t0", measured=(RETURN_KEY,), extra=plain),
        TaskSpec("t1", upstream=("t0",), expands={"of": "t0", "key": RETURN_KEY}, extra=plain),
    )
    world = World(1, given=DagSpec("d0", tasks=tasks, is_paused_upon_creation=False))
    try:
        control = world.processes[0].runtime.control
        world.ask(world.processes[0], "trigger", lambda: control.run_trigger(TriggerRequest("d0")))
        for length in (3, 1):
            world.pass_by(0.1)
            world.end(running(world), Outcome(OutcomeKind.SUCCESS, lengths=((RETURN_KEY, length),)))
            world.pass_by(0.1)
            world.processes[-1].kill()
            world.start_process()
            world.pass_by(10)
            for flight in world.cluster.running():
                world.end(flight, SUCCESS)
            world.pass_by(0.1)
            if length == 3:
                clear(world)
        world.complain(_not_as_wanted(world, {"success": 1, "removed": 2}))
    finally:
        world.close()


def the_weightiest_of_all_dags_goes_first() -> None:
    """Where slots are short, what has become ready just now does not pass what is worth more and waits, whatever
    DAG it is of; of equal weight the earlier logical date goes first, whichever run was there first.
    """
    plain: dict[str, Json] = {"kind": "plain", "down": []}
    light = (
        TaskSpec("t0", pool="small", pool_slots=2, extra=plain),
        TaskSpec("t1", upstream=("t0",), pool="small", pool_slots=2, priority_weight=3, extra=plain),
    )
    world = World(1, given=DagSpec("d0", tasks=light, is_paused_upon_creation=False))
    try:
        process = world.processes[0]
        trigger = process.runtime.control.run_trigger
        world.ask(process, "trigger d0", lambda: trigger(TriggerRequest("d0", dag_run_id="now")))
        world.pass_by(0.1)
        heavy = TaskSpec("heavy", pool="small", pool_slots=2, priority_weight=5, extra=plain)
        world.given = DagSpec("d1", tasks=(heavy,), is_paused_upon_creation=False)
        world.versions["d1"] = 1
        world.publish(process, "d1")
        world.pass_by(0.1)
        for day in (2, 1):
            wish = TriggerRequest("d1", logical_date=EPOCH + timedelta(days=day), dag_run_id=f"day {day}")
            world.ask(process, wish.dag_run_id or "", partial(trigger, wish))
            world.pass_by(0.1)
        order: list[str] = []
        for _ in range(4):
            attempt = running(world).attempt
            order.append(f"{attempt.key.task_id} of {attempt.run.dag_run_id}")
            world.end(running(world), SUCCESS)
            world.pass_by(0.1)
        expected = ["t0 of now", "heavy of day 1", "heavy of day 2", "t1 of now"]
        world.complain([] if order == expected else [f"they start in the order {order}, not {expected}"])
    finally:
        world.close()


def slas_of_runs_that_have_failed() -> None:
    """They are told when their moment comes, also where the runtime has died meanwhile and another one looks back."""
    task = TaskSpec("t0", extra={"kind": "plain", "down": [], "sla": 900.0})
    spec = DagSpec(
        "d0",
        tasks=(task,),
        timetable=every_ten_minutes(),
        start_date=EPOCH,
        catchup=True,
        is_paused_upon_creation=False,
    )
    world = World(1, given=spec)

    def told() -> list[float]:
        return sorted((row.miss.due - EPOCH).total_seconds() for row in world.database.missed.values())

    try:
        for seconds in (600.5, 600):
            world.pass_by(seconds)
            world.end(running(world), FAILED)
        world.pass_by(290)
        world.complain([] if told() == [] else [f"too early: {told()}"])
        world.pass_by(20)
        world.complain([] if told() == [1500.0] else [f"one is due: {told()}"])
        world.processes[0].kill()
        world.pass_by(900)
        world.start_process()
        world.pass_by(20)
        world.complain([] if told() == [1500.0, 2100.0] else [f"two are due: {told()}"])
    finally:
        world.close()


def _not_as_wanted(world: World, wanted: dict[str, int]) -> list[str]:
    (tables,) = world.database.runs.values()
    rows = [(row.state.value, row.map_index) for row in tables.instance_rows() if row.task_id == "t1"]
    found = dict(Counter(state for state, _ in rows))
    return [] if found == wanted else [f"the instances are {rows}"]


ALL = (
    the_weightiest_of_all_dags_goes_first,
    slas_of_runs_that_have_failed,
    cleared_while_it_waits_to_be_tried_again,
    killed_while_an_attempt_is_being_ended,
    the_only_run_is_ended_while_nobody_is_there,
    lost_again_and_again,
    cleared_and_fewer_instances_than_before,
)
