"""What a run does besides following its trigger rules."""

from __future__ import annotations

from datetime import timedelta

import pytest

from tests.unit.rules.machine_driver import T0, Driver
from tradewind.model.commands import Decision
from tradewind.model.events import AttemptEnded, RunActivated, Stamp, TimerDue
from tradewind.model.moments import LAST_MOMENT
from tradewind.model.outcomes import Outcome
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.states import OutcomeKind, RunState, TaskState, TriggerRule
from tradewind.rules.following import LONGEST_STORY, WHOLE_RUN


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


ABOVE_T = (TaskSpec("bad"), TaskSpec("choice"), TaskSpec("t", upstream=("bad", "choice")))


@pytest.mark.parametrize(
    "chosen",
    [
        Outcome(OutcomeKind.SUCCESS, branch=()),
        Outcome(OutcomeKind.SUCCESS, short_circuit=True, ignore_downstream_trigger_rules=False),
    ],
)
@pytest.mark.parametrize("choice_first", [True, False])
def test_what_a_branch_skips_is_skipped_whatever_failed_beside_it(chosen: Outcome, choice_first: bool) -> None:
    """`upstream_failed` is no result: a skip takes its place. What follows is judged by it, what has ended stays."""
    tasks = (
        *ABOVE_T,
        TaskSpec("slow"),
        TaskSpec("waits", upstream=("slow", "t"), trigger_rule=TriggerRule.ALL_DONE),
        TaskSpec("skips", upstream=("slow", "t"), trigger_rule=TriggerRule.NONE_SKIPPED),
        TaskSpec("began", upstream=("t",), trigger_rule=TriggerRule.ONE_FAILED),
    )
    driver = Driver(DagSpec("d", tasks=tasks))
    machine = driver.machines[0]
    driver.activate(machine)
    by_name = {tasks[n].task_id: attempt for attempt, (_, n) in driver.attempts.items()}
    ends = [("bad", Outcome(OutcomeKind.FAILED)), ("choice", chosen)]
    for name, outcome in reversed(ends) if choice_first else ends:
        driver.end(by_name[name], outcome)
    assert driver.states(machine) == {
        "bad": "failed",
        "choice": "success",
        "t": "skipped",
        "slow": "running",
        "waits": "none",
        "skips": "skipped",
        "began": "skipped" if choice_first else "running",
    }
    driver.end(by_name["slow"], Outcome(OutcomeKind.SUCCESS))
    driver.run_all(lambda _machine, _n: Outcome(OutcomeKind.SUCCESS), lambda _: 0)
    assert machine.run.state is RunState.SUCCESS
    assert machine.unfinished == 0
    assert not machine.counts.get(TaskState.UPSTREAM_FAILED)


def test_a_skip_in_place_of_upstream_failed_lets_the_next_run_go_on() -> None:
    """Of its past a task asks whether it ended well, and skipped is well."""
    tasks = (*ABOVE_T[:2], TaskSpec("t", upstream=("bad", "choice"), depends_on_past=True))
    driver = Driver(DagSpec("d", tasks=tasks))
    machine = driver.machines[0]
    driver.activate(machine, {"t": True})
    bad, choice = driver.attempts
    driver.end(bad, Outcome(OutcomeKind.FAILED))
    decision = Decision()
    machine.handle(AttemptEnded(driver.stamp(), choice, Outcome(OutcomeKind.SUCCESS, branch=()), T0, T0), decision)
    assert ("t", TaskState.SKIPPED) in [(s.task_id, s.state) for s in decision.settled]


@pytest.mark.parametrize("order", ["d1 after", "after d1"])
def test_what_follows_from_one_end_is_judged_step_by_step(order: str) -> None:
    """`after` is as far from the end as `d1`: it sees the skip, not yet what `d1` comes to."""
    names = {
        "a": TaskSpec("a"),
        "bad": TaskSpec("bad"),
        "d1": TaskSpec("d1", upstream=("a", "bad"), trigger_rule=TriggerRule.ONE_SUCCESS),
        "after": TaskSpec("after", upstream=("a", "d1")),
        "last": TaskSpec("last", upstream=("after", "d1")),
    }
    tasks = tuple(names[name] for name in ("a", "bad", *order.split(), "last"))
    driver = Driver(DagSpec("d", tasks=tasks))
    machine = driver.machines[0]
    driver.activate(machine)
    a, bad = driver.attempts
    driver.end(bad, Outcome(OutcomeKind.FAILED))
    driver.end(a, Outcome(OutcomeKind.SKIPPED))
    states = driver.states(machine)
    assert (states["d1"], states["after"], states["last"]) == ("upstream_failed", "skipped", "upstream_failed")


@pytest.mark.parametrize("kind", [OutcomeKind.FAILED, OutcomeKind.RESCHEDULED])
def test_what_waits_for_its_next_try_or_look_is_skipped(kind: OutcomeKind) -> None:
    """It has come to nothing yet, and nobody wants it any more; its timer finds nothing to do."""
    tasks = (
        TaskSpec("other"),
        TaskSpec("choice"),
        TaskSpec("t", upstream=("choice", "other"), trigger_rule=TriggerRule.ONE_DONE, retries=1),
    )
    driver = Driver(DagSpec("d", tasks=tasks))
    machine = driver.machines[0]
    driver.activate(machine)
    other, choice = driver.attempts
    driver.end(other, Outcome(OutcomeKind.SUCCESS))
    due = T0 + timedelta(days=1)
    (t,) = [attempt for attempt, (_, n) in driver.attempts.items() if n == 2]
    driver.end(t, Outcome(kind, reschedule_at=due if kind is OutcomeKind.RESCHEDULED else None))
    assert driver.states(machine)["t"] in ("up_for_retry", "up_for_reschedule")
    due = machine.active[2].due_at or due
    driver.end(choice, Outcome(OutcomeKind.SUCCESS, branch=()))
    assert driver.states(machine)["t"] == "skipped"
    assert machine.run.state is RunState.SUCCESS
    driver.send(machine, TimerDue(driver.stamp(), 2, due))
    assert driver.states(machine)["t"] == "skipped"


FOREVER = timedelta.max.total_seconds()


def test_settings_beyond_the_calendar_are_bounded_by_it() -> None:
    wait = {"kind": "t", "timeout": FOREVER}
    tasks = (TaskSpec("failing", retries=1, retry_delay=FOREVER), TaskSpec("deferred", starts_deferred=wait))
    driver = Driver(DagSpec("d", tasks=tasks, dagrun_timeout=FOREVER))
    machine = driver.machines[0]
    driver.activate(machine)
    [attempt] = driver.attempts
    driver.end(attempt, Outcome(OutcomeKind.FAILED))
    assert driver.states(machine) == {"failing": "up_for_retry", "deferred": "deferred"}
    assert [machine.active[n].due_at for n in (0, 1)] == [LAST_MOMENT, LAST_MOMENT]


def test_of_a_long_story_the_beginning_and_the_end_are_kept() -> None:
    driver = Driver(DagSpec("d", tasks=(TaskSpec("a"),)))
    machine = driver.machines[0]
    driver.activate(machine)
    first = machine.active[0].story[:2]
    for _ in range(LONGEST_STORY):
        [attempt] = driver.attempts
        driver.end(attempt, Outcome(OutcomeKind.RESCHEDULED, reschedule_at=T0))
        driver.send(machine, TimerDue(driver.stamp(), 0, T0))
    story = machine.active[0].story
    assert len(story) < LONGEST_STORY + 10
    assert story[:2] == first
    assert [state for state, _, _ in story[-3:]] == ["up_for_reschedule", "scheduled", "running"]


def test_a_try_may_be_lost_many_times_in_a_row() -> None:
    driver = Driver(DagSpec("d", tasks=(TaskSpec("a", max_lost=1_000),)))
    machine = driver.machines[0]
    driver.activate(machine)
    for _ in range(130):
        [attempt] = driver.attempts
        driver.end(attempt, Outcome(OutcomeKind.LOST))
    assert (machine.lost[0], driver.states(machine)) == (130, {"a": "running"})
