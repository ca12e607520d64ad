"""What may happen in the simulation: each action is drawn by dice and does something to the world."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from tests.simulation.dags import POOLS
from tests.simulation.journal import tasks_of
from tests.simulation.process import Process
from tests.simulation.waits import some_answer, some_end
from tests.simulation.world import World, ending
from tradewind.control_ports import TriggerRequest
from tradewind.model.durable import Step
from tradewind.model.outcomes import EncodedValue, Outcome
from tradewind.model.states import FINISHED, RUN_FINISHED, OutcomeKind
from tradewind.model.waits import WaitKey
from tradewind.rules.expanding import Expanding

Action = Callable[[World, random.Random], None]

_WILD: Final = (OutcomeKind.LOST, OutcomeKind.LOST, OutcomeKind.FAILED_FOR_GOOD, OutcomeKind.RESCHEDULED)


def _any_up(world: World, dice: random.Random) -> Process | None:
    up = world.up()
    return dice.choice(up) if up else None


def trigger_run(world: World, dice: random.Random) -> None:
    """Somebody wants a run."""
    process, dag_id = _any_up(world, dice), dice.choice(sorted(world.versions))
    if process is not None:
        request = TriggerRequest(dag_id, unpause=True)
        world.ask(process, f"trigger {dag_id}", lambda: process.runtime.control.run_trigger(request))


def mail_a_wish(world: World, dice: random.Random) -> None:
    """A wish for a run comes by mail, perhaps one that was sent before."""
    process, dag_id = _any_up(world, dice), dice.choice(sorted(world.versions))
    if process is not None:
        key = f"{dag_id}-{dice.randint(1, 4)}"
        world.mail(process, dag_id, key)
        world.mail(process, dag_id, key)


def end_attempt(world: World, dice: random.Random) -> None:
    """The body of one attempt ends, whichever."""
    running = world.cluster.running()
    if running:
        flight = dice.choice(running)
        world.end(flight, ending(flight, dice, _WILD + world.more_ends))


def end_many(world: World, dice: random.Random) -> None:
    """Several bodies end at once."""
    for _ in range(dice.randint(2, 5)):
        end_attempt(world, dice)


def answer_wait(world: World, dice: random.Random) -> None:
    """A trigger fires, whichever; some say it twice, and the second word must not count."""
    waiting = world.cluster.waiting()
    if waiting:
        flight = dice.choice(waiting)
        world.fire(flight, some_answer(dice), some_end(dice, flight.start.wait))
        if dice.random() < 0.1:
            flight.carrier.say(flight.start.key, some_answer(dice))


def take_step(world: World, dice: random.Random) -> None:
    """A durable attempt takes a step, or one again that it began."""
    by_name = {process.name: process for process in world.up()}
    running = [
        f
        for f in world.cluster.running()
        if f.attempt.task.is_async and not f.cancelled and f.carrier.runtime in by_name
    ]
    if running:
        flight = dice.choice(running)
        value = EncodedValue(1, dice.randbytes(4)) if dice.random() < 0.8 else None
        step = Step(f"s{dice.randint(1, 4)}", dice.randbytes(2), value)
        world.step(by_name[flight.carrier.runtime], flight, step)


def send_signal(world: World, dice: random.Random) -> None:
    """Somebody sends a signal to a durable task that has begun and has not ended: it may wait for it, or will."""
    process = _any_up(world, dice)
    places = [
        (run_id, row.task_id, row.map_index)
        for run_id, tables in world.database.runs.items()
        for row in tables.instance_rows()
        if row.state not in FINISHED and tasks_of(world.database, tables)[row.task_id].is_async
    ]
    if process is not None and places:
        world.signal(process, dice.choice(places[-8:]), dice.randbytes(8))


def answer_many(world: World, dice: random.Random) -> None:
    """Several triggers fire at once."""
    for _ in range(dice.randint(2, 4)):
        answer_wait(world, dice)


def answer_too_late(world: World, dice: random.Random) -> None:
    """An answer to a wait that was over long ago; nobody may take it, least of all the next wait under its key."""
    process = _any_up(world, dice)
    over: list[WaitKey] = []
    for key in [flight.start.key for flight in world.cluster.waits]:
        row = world.database.runs[key.run_id].waits.get((key.task_id, key.map_index, key.key))
        if row is not None and row.origin != key.origin and row.answer is None:
            over.append(key)
        elif row is None or row.origin != key.origin or row.answer is not None:
            over.insert(0, key)
    if process is not None and over:
        key = over[-1] if dice.random() < 0.7 else dice.choice(over)
        world.tell(f"{process.name} hears an answer to {key[2:]}, too late")
        process.waits.say(key, some_answer(dice))


def say_again(world: World, dice: random.Random) -> None:
    """An executor reports an end once more; or a different one, which must not count."""
    told = [flight for flight in world.cluster.flights.values() if flight.end is not None]
    if not told:
        return
    flight = dice.choice(told[-6:])
    world.tell(f"the end of {flight.attempt.key.task_id} is reported again")
    end = flight.end
    if end is not None and dice.random() < 0.5:
        flight.end = end._replace(outcome=Outcome(OutcomeKind.FAILED))
    flight.carrier.report(flight)
    flight.end = end


def wait(world: World, dice: random.Random) -> None:
    """Time goes by: moments mostly, hours at times."""
    world.pass_by(dice.choice((0.0, 0.001, 0.01, 0.1, 0.6, 1.0, 5.0, 5.0, 30.0, 90.0, 600.0)))


def pause(world: World, dice: random.Random) -> None:
    """A DAG is switched off or on."""
    process, dag_id = _any_up(world, dice), dice.choice(sorted(world.versions))
    paused = dice.random() < 0.5
    if process is not None:
        name = f"{'pause' if paused else 'unpause'} {dag_id}"
        world.ask(process, name, lambda: process.runtime.control.dag_pause(dag_id, paused=paused))


def clear(world: World, dice: random.Random) -> None:
    """Part of a run is to run again."""
    process, runs = _any_up(world, dice), world.runs()
    if process is None or not runs:
        return
    run = dice.choice(runs[-5:])
    spec = world.database.versions[run.dag_id, run.version_hash].spec
    tasks = [task.task_id for task in spec.tasks if dice.random() < 0.4]
    world.tainted.add(run.dag_run_id)
    world.journal.cleared.add(run.run_id)
    downstream = dice.random() < 0.7
    control = process.runtime.control
    indexes = {t: [dice.randint(0, 3)] for t in tasks if world.mapped and dice.random() < 0.3}
    name = f"clear {tasks} {indexes or ''} of {run.dag_run_id}"
    world.ask(
        process,
        name,
        lambda: control.instances_clear(run.dag_id, run.dag_run_id, tasks, downstream=downstream, map_indexes=indexes),
    )


def cancel(world: World, dice: random.Random) -> None:
    """A run is marked failed by hand."""
    runs = [run for run in world.runs() if run.state not in RUN_FINISHED]
    process = _any_up(world, dice)
    if process is not None and runs:
        run = dice.choice(runs)
        world.tainted.add(run.dag_run_id)
        world.journal.cancelled.add(run.run_id)
        control = process.runtime.control
        world.ask(process, f"cancel {run.dag_run_id}", lambda: control.run_cancel(run.dag_id, run.dag_run_id))


def new_version(world: World, dice: random.Random) -> None:
    """A DAG file changes."""
    process, dag_id = _any_up(world, dice), dice.choice(sorted(world.versions))
    if process is not None and process.lease is not None:
        world.versions[dag_id] += 1
        world.publish(process, dag_id)


def resize_pool(world: World, dice: random.Random) -> None:
    """A pool shrinks or grows."""
    pool, slots = dice.choice(sorted(POOLS)), dice.choice((2, 3, 6))
    if world.up() and all(not p.store.is_cut and not p.store.breaks for p in world.up()):
        world.resize(pool, slots)
        world.pass_by(0.2)


def kill(world: World, dice: random.Random) -> None:
    """A process is killed; what it had sent to the database may arrive yet. Another is started."""
    turning = [p for p in world.processes if not p.is_killed]
    if not turning:
        return
    process = dice.choice(turning)
    world.tell(f"{process.name} is killed")
    process.kill()
    late = dice.choice((None, 0.0, 0.5, 20.0))
    if late == 0.0:
        process.store.deliver_late()
    world.pass_by(dice.choice((0.0, 0.01, 1.0)))
    world.start_process()
    if late:
        world.pass_by(late)
        process.store.deliver_late()
    world.pass_by(0.01)


def freeze(world: World, dice: random.Random) -> None:
    """A process hangs; where others are there, it may be buried meanwhile."""
    turning = world.turning()
    if turning:
        process = dice.choice(turning)
        world.tell(f"{process.name} hangs")
        process.is_frozen = True
        if dice.random() < 0.5:
            world.pass_by(dice.choice((0.1, 2.0, 9.0, 25.0)))
            world.tell(f"{process.name} goes on")
            process.undisturb()


def thaw(world: World, dice: random.Random) -> None:
    """A process that hung goes on."""
    for process in world.processes:
        if process.is_frozen:
            world.tell(f"{process.name} goes on")
            process.undisturb()


def bury(world: World, dice: random.Random) -> None:
    """Somebody takes a process's lease away although it lives."""
    process = _any_up(world, dice)
    if process is not None and process.lease is not None:
        world.tell(f"{process.name} loses its lease")
        process.store.fence(process.lease)


def outage(world: World, dice: random.Random) -> None:
    """A process cannot reach the database for a while."""
    process = _any_up(world, dice)
    if process is not None:
        world.tell(f"{process.name} is cut off")
        process.store.is_cut = True
        if dice.random() < 0.7:
            world.pass_by(dice.choice((0.01, 0.5, 3.0, 20.0)))
            world.tell(f"{process.name} is connected again")
            process.undisturb()


def break_connection(world: World, dice: random.Random) -> None:
    """The next write breaks off: before it was carried out, or after, with its reply lost."""
    process = _any_up(world, dice)
    if process is not None:
        reply = dice.random() < 0.6
        world.tell(f"{process.name}: the next {'reply' if reply else 'request'} gets lost")
        process.store.breaks.append(reply)


def refuse_batch(world: World, dice: random.Random) -> None:
    """The database will find that rows of the next batch are not as expected."""
    process = _any_up(world, dice)
    if process is not None:
        world.tell(f"{process.name}: the next batch is refused")
        process.store.refuses = 1


def slow_database(world: World, dice: random.Random) -> None:
    """Writes take their time from now on."""
    latency = dice.choice((0.0, 0.005, 0.05))
    for process in world.processes:
        process.store.latency = latency


def one_more(world: World, dice: random.Random) -> None:
    """Another process joins."""
    if len([p for p in world.processes if not p.is_killed and not p.main.done()]) < 3:
        world.start_process()


def leave(world: World, dice: random.Random) -> None:
    """A process drains and leaves; another comes."""
    process = _any_up(world, dice)
    if process is not None:
        world.tell(f"{process.name} stops")
        process.stop()
        world.pass_by(dice.choice((0.0, 1.0, 10.0)))
        world.start_process()
        world.pass_by(0.01)


PEOPLE: Final[tuple[Action, ...]] = (
    trigger_run, trigger_run, trigger_run, mail_a_wish, pause, clear, cancel, new_version, resize_pool
)  # fmt: skip
WORK: Final[tuple[Action, ...]] = (end_attempt, end_attempt, end_attempt, end_many, say_again, wait, wait, wait)
TRIGGERS: Final[tuple[Action, ...]] = (answer_wait, answer_wait, answer_many, answer_too_late)
DURABLE: Final[tuple[Action, ...]] = (take_step, take_step, send_signal)
FAULTS: Final[tuple[Action, ...]] = (
    kill,
    freeze,
    thaw,
    bury,
    outage,
    break_connection,
    refuse_batch,
    slow_database,
    leave,
)


def random_story(
    seed: int,
    *,
    processes: int = 1,
    steps: int = 60,
    faults: bool = True,
    mapped: bool = False,
    waiting: bool = False,
    durable: bool = False,
) -> World:
    """A whole story, from the first process to the last run's end. Raises Violation.

    With `mapped` tasks an expansion of more than two instances takes several commits. `waiting`: tasks defer.
    `durable`: and some of these are durable.
    """
    dice = random.Random(seed)
    world = World(seed, processes=processes, dags=dice.randint(1, 3), mapped=mapped, waiting=waiting, durable=durable)
    work = (*WORK, *(TRIGGERS if world.waiting else ()), *(DURABLE if durable else ()))
    at_once, Expanding.at_once = Expanding.at_once, 2 if mapped else Expanding.at_once
    try:
        for _ in range(steps):
            draw = dice.random()
            actions = work if draw < 0.6 else PEOPLE if draw < 0.85 or not faults else FAULTS
            dice.choice(actions)(world, dice)
            world.pass_by(0.0 if dice.random() < 0.5 else 0.01)
        world.run_out()
    finally:
        Expanding.at_once = at_once
        world.close()
    return world
