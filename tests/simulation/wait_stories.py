"""Short stories about waits, told on purpose."""

from __future__ import annotations

from tests.simulation.stories import SUCCESS, clear, one_task, running, state
from tests.simulation.world import World
from tradewind.model.outcomes import EncodedValue, Outcome, Wait
from tradewind.model.states import OutcomeKind, TaskState
from tradewind.model.waits import WaitAnswer
from tradewind.testing.simulated_executor import Flight
from tradewind.testing.simulated_waits import WaitFlight

QUEUE = Wait("acme.queue", EncodedValue(1, b"{}"), "go_on")
DEFERS = Outcome(OutcomeKind.DEFERRED, waits=(QUEUE,))
HELLO = WaitAnswer(EncodedValue(1, b'"hello"'))


def trigger(world: World) -> WaitFlight:
    """The trigger that runs."""
    (flight,) = world.cluster.waiting()
    return flight


def wants(world: World, *states: TaskState) -> None:
    """The task is in one of these states."""
    world.complain([] if state(world) in states else [f"it is {state(world)}, not {states}"])


def killed(world: World, seconds: float = 10) -> None:
    """The only process dies; another comes and takes over."""
    world.processes[-1].kill()
    world.start_process()
    world.pass_by(seconds)


def carried_on_and_answered_after_a_crash() -> None:
    """The runtime dies while the task waits: the next one carries the wait on, and its answer resumes the task."""
    with one_task() as world:
        world.end(running(world), DEFERS)
        world.pass_by(0.1)
        wants(world, TaskState.DEFERRED)
        killed(world)
        world.fire(trigger(world), HELLO)
        world.pass_by(0.1)
        resume = running(world).attempt.resume
        world.complain([] if resume is not None and resume.answer == HELLO else [f"it goes on with {resume}"])
        killed(world)  # and so does the one that goes on
        resume = running(world).attempt.resume
        world.complain([] if resume is not None and resume.answer == HELLO else [f"lost, it goes on with {resume}"])
        world.end(running(world), SUCCESS)
        world.run_out()


def cancelled_while_it_waits_and_nobody_is_there() -> None:
    """The run was cancelled and the runtime dies before the trigger is gone: the next one sees it to its end."""
    with one_task() as world:
        world.cluster.seconds_to_go = lambda: 12.0
        world.end(running(world), DEFERS)
        world.pass_by(0.1)
        run, control = world.runs()[0], world.processes[0].runtime.control
        world.tainted.add(run.dag_run_id)
        world.journal.cancelled.add(run.run_id)
        world.ask(world.processes[0], "cancel", lambda: control.run_cancel("d0", run.dag_run_id))
        world.pass_by(0.1)
        wants(world, TaskState.DEFERRED)
        killed(world, 30)
        wants(world, TaskState.FAILED)


def cancelled_while_it_waits_and_cleared_in_part() -> None:
    """The run was cancelled, and begins again because of another task, when the runtime dies before the trigger is
    gone: the next one ends it all the same.
    """
    with one_task(more=("t1",)) as world:
        world.cluster.seconds_to_go = lambda: 12.0
        world.end(running(world), DEFERS)
        world.pass_by(0.1)
        cancel(world)
        world.journal.cleared.add(world.runs()[0].run_id)
        run, control = world.runs()[0], world.processes[0].runtime.control
        world.ask(world.processes[0], "clear", lambda: control.instances_clear("d0", run.dag_run_id, ["t1"]))
        world.pass_by(0.1)
        wants(world, TaskState.DEFERRED)
        killed(world, 30)
        wants(world, TaskState.FAILED)
        world.run_out()


def cleared_while_it_waits() -> None:
    """It starts anew when its trigger is gone, and not before; the runtime dies in between."""
    with one_task() as world:
        world.cluster.seconds_to_go = lambda: 12.0
        world.end(running(world), DEFERS)
        world.pass_by(0.1)
        clear(world)
        wants(world, TaskState.RESTARTING)
        killed(world)
        wants(world, TaskState.RESTARTING)
        world.pass_by(15)
        wants(world, TaskState.RUNNING)
        world.complain([] if running(world).attempt.resume is None else ["it does not begin from the top"])
        world.run_out()


def loaded_anew_while_a_trigger_goes() -> None:
    """Its deadline has passed and its trigger is going when a batch of its run is refused: it waits for it still."""
    with one_task() as world:
        world.cluster.seconds_to_go = lambda: 12.0
        deadline = world.time.now().replace(microsecond=0)
        world.end(running(world), DEFERS._replace(waits=(QUEUE._replace(deadline=deadline),)))
        world.pass_by(0.1)
        wants(world, TaskState.SCHEDULED, TaskState.NONE)
        (tables,) = world.database.runs.values()
        process = world.processes[0]
        reload = process.scheduler.resumer.reload(process.scheduler.lease, {tables.row.run_id})
        world.ask(process, "its run is loaded anew", lambda: reload)
        world.pass_by(5)
        wants(world, TaskState.SCHEDULED, TaskState.NONE)
        world.pass_by(10)
        wants(world, TaskState.RUNNING)
        world.run_out()


def answered_while_it_is_loaded_anew() -> None:
    """Answered in the turn in which its run is loaded anew: the trigger, which has fired, is not begun again."""
    with one_task() as world:
        world.end(running(world), DEFERS)
        world.pass_by(0.1)
        (tables,) = world.database.runs.values()
        process = world.processes[0]
        reload = process.scheduler.resumer.reload(process.scheduler.lease, {tables.row.run_id})
        world.ask(process, "its run is loaded anew", lambda: reload)
        world.fire(trigger(world), HELLO)
        world.pass_by(0.1)
        world.end(running(world), SUCCESS)
        world.run_out()


def cleared_with_something_to_undo() -> None:
    """It undoes at once what it had begun, again where the runtime dies meanwhile, and only then begins anew."""
    with one_task() as world:
        world.cluster.seconds_to_go = lambda: 1.0
        world.end(running(world), DEFERS._replace(waits=(QUEUE._replace(key="x", undo=True),)))
        world.pass_by(0.1)
        clear(world)
        wants(world, TaskState.RESTARTING)
        world.complain([] if running(world).undoes else ["it does not undo anything"])
        killed(world)
        wants(world, TaskState.RESTARTING)
        undoing = running(world)
        world.complain([] if undoing.undoes else ["it does not undo anything when that was lost"])
        world.end(undoing, Outcome(OutcomeKind.CANCELLED))
        world.pass_by(3)
        wants(world, TaskState.RUNNING)
        world.complain([] if running(world).attempt.resume is None else ["it does not begin from the top"])
        world.end(running(world), SUCCESS)
        world.run_out()


def cancel(world: World) -> None:
    """Its run is marked failed by hand."""
    run, process = world.runs()[0], world.up()[0]
    world.tainted.add(run.dag_run_id)
    world.journal.cancelled.add(run.run_id)
    world.ask(process, "cancel", lambda: process.runtime.control.run_cancel("d0", run.dag_run_id))
    world.pass_by(0.1)


def undoes(world: World) -> Flight:
    """The attempt that runs, which has to undo something."""
    found = [flight for flight in world.cluster.running() if flight.undoes]
    world.complain([] if len(found) == 1 else [f"{len(found)} attempts undo something"])
    return found[0]


UNDONE = DEFERS._replace(waits=(QUEUE._replace(key="x", undo=True),))


def cancelled_with_something_to_undo() -> None:
    """Its run is cancelled: it undoes what it had begun, again when that is lost; its trigger does not come back."""
    with one_task() as world:
        world.cluster.seconds_to_go = lambda: 1.0
        world.end(running(world), UNDONE)
        world.pass_by(0.1)
        cancel(world)
        world.end(undoes(world), Outcome(OutcomeKind.LOST))
        world.pass_by(5)
        killed(world)
        undoing = undoes(world)
        world.complain([f"the trigger of {f.start.key[2:]} runs" for f in world.cluster.waiting()])
        world.end(undoing, Outcome(OutcomeKind.CANCELLED))
        world.pass_by(3)
        wants(world, TaskState.FAILED)
        world.run_out()


def adopted_while_it_undoes() -> None:
    """What undoes something on another machine is adopted by the next runtime, and asks for no limit there either."""
    with one_task("remote") as world:
        world.end(running(world), UNDONE)
        world.pass_by(0.1)
        cancel(world)
        undoing = undoes(world)
        killed(world)
        admission = world.up()[0].scheduler.book.admission
        world.complain([] if undoes(world) is undoing else ["it was not adopted"])
        world.complain([] if not admission.used("parallelism") else ["it takes the place of another"])
        world.end(undoing, Outcome(OutcomeKind.CANCELLED))
        world.pass_by(3)
        wants(world, TaskState.FAILED)
        world.run_out()


ALL = (
    carried_on_and_answered_after_a_crash,
    cancelled_while_it_waits_and_nobody_is_there,
    cancelled_while_it_waits_and_cleared_in_part,
    cleared_while_it_waits,
    loaded_anew_while_a_trigger_goes,
    answered_while_it_is_loaded_anew,
    cleared_with_something_to_undo,
    cancelled_with_something_to_undo,
    adopted_while_it_undoes,
)
