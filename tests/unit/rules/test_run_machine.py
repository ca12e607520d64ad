"""What a run does besides following its trigger rules."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.rules.machine_driver import T0, Driver
from tradewind.model.commands import Decision
from tradewind.model.events import RunActivated, Stamp, TimerDue
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.states import RunState, TaskState
from tradewind.rules.following import WHOLE_RUN


def test_a_run_that_takes_longer_than_its_timeout_fails() -> None:
    spec = DagSpec("d", tasks=(TaskSpec("a"), TaskSpec("b", upstream=("a",))), dagrun_timeout=60.0)
    driver = Driver(spec)
    machine = driver.machines[0]
    decision = Decision()
    machine.handle(RunActivated(Stamp(T0, 1), {}), decision)
    (timer,) = decision.timers
    assert (timer.at, timer.node) == (T0 + timedelta(seconds=60), WHOLE_RUN)

    earlier = TimerDue(Stamp(timer.at, 2), WHOLE_RUN, timer.at - timedelta(seconds=1))
    machine.handle(earlier, decision)
    assert str(machine.run.state) == "running"  # a timer of another life of this run

    machine.handle(TimerDue(Stamp(timer.at, 3), WHOLE_RUN, timer.at), decision)
    assert machine.run.state is RunState.FAILED
    assert machine.state[1] is TaskState.SKIPPED
    assert decision.ended == [(machine.run.run_id, RunState.FAILED)]
