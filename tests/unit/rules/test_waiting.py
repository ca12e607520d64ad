"""Deferred instances: what they wait for, how they go on, and that nothing of them is left behind."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.rules.machine_driver import T0
from tests.unit.rules.waiting_driver import WaitingRun
from tradewind.model.outcomes import EncodedValue, Outcome, Wait, XComPut
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.states import FINISHED, OutcomeKind, RunState, TaskState
from tradewind.model.waits import WaitAnswer

QUEUE = Wait("acme.queue", EncodedValue(1, b'{"queue":"q"}'), "go_on", EncodedValue(1, b'{"n":1}'))
DONE = Outcome(OutcomeKind.SUCCESS)
_S = TaskState


def run_of(*tasks: TaskSpec) -> WaitingRun:
    return WaitingRun(DagSpec("d", tasks=tasks))


def simple(**options: object) -> WaitingRun:
    return run_of(TaskSpec("a", **options), TaskSpec("b", upstream=("a",)))  # type: ignore[arg-type]


def test_an_event_resumes_the_task_with_its_method_and_payload() -> None:
    run = simple()
    run.defer("a", QUEUE)
    assert run.state("a") is _S.DEFERRED
    assert run.instances["a"].ended_at is None
    (key,) = run.keys("a")
    run.fire(key, b'"hello"')
    attempt = run.attempt_of("a")
    assert attempt.resume is not None
    assert attempt.resume.method == "go_on"
    assert attempt.resume.kwargs == QUEUE.kwargs
    assert attempt.resume.answer == WaitAnswer(EncodedValue(1, b'"hello"'))
    assert attempt.key.try_number == 1
    run.end("a", DONE)
    assert run.state("b") is _S.RUNNING
    assert not run.waits


def test_a_moment_needs_no_trigger() -> None:
    run = simple()
    moment = EncodedValue(1, b'"noon"')
    run.defer("a", QUEUE._replace(kind="moment", args=moment, due=T0 + timedelta(seconds=30)))
    assert not run.running
    run.pass_by(29)
    assert run.state("a") is _S.DEFERRED
    run.pass_by(1)
    resume = run.attempt_of("a").resume
    assert resume is not None
    assert resume.answer.event == moment


def test_a_wait_that_takes_too_long_resumes_the_task_to_fail() -> None:
    run = simple()
    run.defer("a", QUEUE._replace(deadline=T0 + timedelta(seconds=5)))
    run.pass_by(5)
    (key,) = run.ending
    assert not run.attempts, "its trigger has not gone yet"
    run.gone(key)
    resume = run.attempt_of("a").resume
    assert resume is not None
    assert resume.answer == WaitAnswer(error="Trigger timeout", timed_out=True)
    assert not run.running


@pytest.mark.parametrize(
    ("kind", "state"),
    [(OutcomeKind.SUCCESS, _S.SUCCESS), (OutcomeKind.SKIPPED, _S.SKIPPED), (OutcomeKind.FAILED, _S.FAILED)],
)
def test_a_trigger_may_end_its_task(kind: OutcomeKind, state: TaskState) -> None:
    run = simple()
    run.defer("a", QUEUE)
    (key,) = run.keys("a")
    put = XComPut("k", EncodedValue(1, b"1"))
    run.fire(key, outcome=Outcome(kind, (put,)))
    assert run.state("a") is state
    assert not run.waits


def test_a_retry_begins_from_the_top() -> None:
    run = simple(retries=1, retry_delay=10.0)
    run.defer("a", QUEUE)
    run.fire(run.keys("a")[0])
    run.end("a", Outcome(OutcomeKind.FAILED))
    assert not run.waits
    run.pass_by(10)
    attempt = run.attempt_of("a")
    assert (attempt.resume, attempt.key.try_number) == (None, 2)


def test_a_lost_attempt_goes_on_where_the_try_stood() -> None:
    run = simple()
    run.defer("a", QUEUE)
    run.fire(run.keys("a")[0], b'"once"')
    run.crash()
    resume = run.attempt_of("a").resume
    assert resume is not None
    assert resume.answer.event == EncodedValue(1, b'"once"')
    assert run.attempt_of("a").key.try_number == 1


def test_clearing_waits_for_the_trigger_to_be_gone() -> None:
    run = simple()
    run.defer("a", QUEUE)
    (key,) = run.keys("a")
    run.clear("a")
    assert run.state("a") is _S.RESTARTING
    assert not run.attempts
    run.crash()
    assert run.state("a") is _S.RESTARTING
    assert list(run.ending) == [key]
    run.gone(key)
    assert run.attempt_of("a").resume is None


def test_what_a_trigger_says_while_it_goes_is_too_late_and_not_its_end() -> None:
    run = simple()
    run.defer("a", QUEUE)
    (key,) = run.keys("a")
    late = run.running[key]
    run.clear("a")
    run.running[key] = late
    run.fire(key)
    assert run.state("a") is _S.RESTARTING
    run.gone(key)
    assert run.attempt_of("a").resume is None


def test_a_cleared_wait_for_a_moment_starts_at_once() -> None:
    run = simple()
    run.defer("a", QUEUE._replace(due=T0 + timedelta(days=1)))
    run.clear("a")
    assert run.attempt_of("a").resume is None
    assert not run.waits


def test_a_cancelled_run_ends_when_its_triggers_are_gone() -> None:
    run = simple()
    run.defer("a", QUEUE)
    (key,) = run.keys("a")
    run.cancel_run()
    assert run.row.state is RunState.FAILED
    assert run.state("a") is _S.DEFERRED
    run.crash()
    run.gone(key)
    assert (run.state("a"), run.state("b")) == (_S.FAILED, _S.SKIPPED)


def test_fail_stop_ends_what_waits() -> None:
    run = WaitingRun(DagSpec("d", tasks=(TaskSpec("a"), TaskSpec("b")), fail_stop=True))
    run.defer("a", QUEUE)
    run.end("b", Outcome(OutcomeKind.FAILED))
    (key,) = run.ending
    run.gone(key)
    assert run.state("a") is _S.FAILED
    assert run.row.state is RunState.FAILED


def test_a_task_may_begin_with_its_trigger() -> None:
    run = simple(retries=1, retry_delay=1.0, starts_deferred={"kind": "acme.queue", "args": None, "method": "go_on"})
    assert run.state("a") is _S.DEFERRED
    assert not run.attempts
    (first,) = run.keys("a")
    run.fire(first)
    run.end("a", Outcome(OutcomeKind.FAILED))
    run.pass_by(1)
    assert run.state("a") is _S.DEFERRED
    (second,) = run.keys("a")
    assert second != first
    run.fire(second)
    assert run.attempt_of("a").key.try_number == 2
    run.end("a", DONE)
    assert run.state("b") is _S.RUNNING


def test_of_several_waits_the_first_answer_resumes_and_the_others_go_on() -> None:
    run = simple()
    one, two = (Wait("acme.queue", method="", key=key) for key in ("one", "two"))
    run.defer("a", one, two)
    by_key = {key.key: key for key in run.keys("a")}
    run.fire(by_key["one"], b"1")
    resume = run.attempt_of("a").resume
    assert resume is not None
    assert resume.answers == (("one", WaitAnswer(EncodedValue(1, b"1"))),)
    run.fire(by_key["two"], b"2")
    run.defer("a", two)
    resume = run.attempt_of("a").resume
    assert resume is not None
    assert dict(resume.answers) == {
        "one": WaitAnswer(EncodedValue(1, b"1")),
        "two": WaitAnswer(EncodedValue(1, b"2")),
    }
    run.end("a", DONE)
    assert not run.waits


def test_an_outdated_event_changes_nothing() -> None:
    run = simple()
    run.defer("a", QUEUE)
    (key,) = run.keys("a")
    late = run.running[key]
    run.fire(key)
    run.defer("a", QUEUE)
    run.running[key] = late
    run.fire(key)
    assert run.state("a") is _S.DEFERRED


@given(seed=st.integers(0, 2**32))
@settings(max_examples=400, deadline=None)
def test_whatever_happens_each_wait_is_waited_for_and_the_run_ends(seed: int) -> None:
    draw = random.Random(seed)
    tasks = [
        TaskSpec("a", retries=1, retry_delay=1.0),
        TaskSpec("b", upstream=("a",), starts_deferred={"kind": "k", "method": "m", "timeout": 50.0}),
        TaskSpec("c", max_lost=10),
        TaskSpec("d", upstream=("c",), starts_deferred={"kind": "k", "method": "m", "after": 5.0}),
    ]
    run = WaitingRun(DagSpec("d", tasks=tuple(tasks), fail_stop=draw.random() < 0.2))
    for _ in range(draw.randrange(5, 40)):
        _something(run, draw)
        run.check()
    for _ in range(200):
        if run.row.state in (RunState.SUCCESS, RunState.FAILED) and not run.machine.waits and not run.attempts:
            break
        for key in list(run.ending):
            run.gone(key)
        for key in list(run.running):
            if key in run.running:
                run.fire(key)
        for attempt in list(run.attempts.values()):
            run.end(attempt.key.task_id, DONE)
        run.pass_by(60)
        run.check()
    assert all(run.state(task.task_id) in FINISHED for task in tasks)
    assert not run.waits
    assert not run.running


def _something(run: WaitingRun, draw: random.Random) -> None:
    live = [attempt.key.task_id for attempt in run.attempts.values()]
    what = draw.choice(["end", "end", "defer", "defer", "fire", "fire", "gone", "time", "clear", "crash", "cancel"])
    if what == "end" and live:
        kind = draw.choice([OutcomeKind.SUCCESS, OutcomeKind.SUCCESS, OutcomeKind.FAILED, OutcomeKind.LOST])
        run.end(draw.choice(live), Outcome(kind))
    elif what == "defer" and live:
        run.defer(draw.choice(live), *_some_waits(run, draw))
    elif what == "fire" and run.running:
        key = draw.choice(list(run.running))
        run.fire(key, outcome=DONE if draw.random() < 0.2 else None)
    elif what == "gone" and run.ending:
        run.gone(draw.choice(list(run.ending)))
    elif what == "time":
        run.pass_by(draw.choice([0.5, 5, 30]))
    elif what == "clear":
        run.clear(*draw.sample(["a", "b", "c", "d"], draw.randrange(1, 3)))
    elif what == "crash":
        run.crash()
    elif what == "cancel" and draw.random() < 0.1:
        run.cancel_run()


def _some_waits(run: WaitingRun, draw: random.Random) -> list[Wait]:
    keys = [""] if draw.random() < 0.5 else draw.sample(["x", "y", "z"], draw.randrange(1, 4))
    waits: list[Wait] = []
    for key in keys:
        due = run.now + timedelta(seconds=10) if draw.random() < 0.3 else None
        deadline = run.now + timedelta(seconds=draw.choice([0, 20])) if draw.random() < 0.3 else None
        undo = bool(key) and draw.random() < 0.3
        waits.append(Wait("k", method="" if key else "m", due=due, deadline=deadline, key=key, undo=undo))
    return waits


SLEEP = Wait("tradewind.moment", due=T0 + timedelta(days=1), key="sleep", undo=True)


def test_what_has_something_to_undo_does_so_before_it_starts_anew() -> None:
    run = simple()
    run.defer("a", SLEEP)
    run.clear("a")
    assert run.state("a") is _S.RESTARTING
    undoing = run.attempt_of("a")
    assert undoing.resume is not None
    assert undoing.resume.undoes
    run.end("a", Outcome(OutcomeKind.CANCELLED))
    assert run.attempt_of("a").resume is None
    assert run.attempt_of("a").key.try_number == 2


def test_an_undoing_attempt_that_is_lost_is_made_again() -> None:
    run = simple()
    run.defer("a", SLEEP)
    run.cancel_run()
    run.crash()
    undoing = run.attempt_of("a").resume
    assert undoing is not None
    assert undoing.undoes
    run.end("a", Outcome(OutcomeKind.CANCELLED))
    assert (run.state("a"), run.state("b")) == (_S.FAILED, _S.SKIPPED)
    assert not run.waits


@pytest.mark.parametrize("early", [False, True])
def test_a_signal_goes_on_in_the_method_that_its_wait_names(early: bool) -> None:
    run = simple()
    value = EncodedValue(1, b'"yes"')
    wait = Wait("tradewind.signal", method="go_on", kwargs=EncodedValue(1, b"{}"), key="tradewind.signal:go:0")
    if early:
        run.signal("a", "go", value)
    run.defer("a", wait)
    if not early:
        assert run.machine.asks(0, wait.key)
        run.signal("a", "go", value)
    assert not run.machine.asks(0, wait.key)
    resume = run.attempt_of("a").resume
    assert resume is not None
    assert (resume.method, resume.kwargs, resume.answer) == ("go_on", wait.kwargs, WaitAnswer(value))


def test_a_retry_asks_again_where_a_method_goes_on_with_the_answer() -> None:
    run = simple(retries=1)
    run.defer("a", Wait("tradewind.signal", method="go_on", key="tradewind.signal:go:0"))
    run.signal("a", "go", EncodedValue(1, b"0"))
    run.end("a", Outcome(OutcomeKind.FAILED))
    run.pass_by(3600)
    assert run.attempt_of("a").resume is None


@pytest.mark.parametrize("early", [True, False])
def test_a_signal_answers_the_wait_of_its_name_whenever_it_comes(early: bool) -> None:
    run = simple()
    wait = Wait("tradewind.signal", key="tradewind.signal:go:0")
    value = EncodedValue(1, b'"yes"')
    if early:
        run.signal("a", "go", value)
        run.defer("a", wait)
    else:
        run.defer("a", wait)
        run.signal("a", "other", value)
        assert run.state("a") is _S.DEFERRED
        run.crash()
        run.signal("a", "go", value)
    resume = run.attempt_of("a").resume
    assert resume is not None
    assert dict(resume.answers)["tradewind.signal:go:0"] == WaitAnswer(value)


def test_a_passing_answer_is_not_kept() -> None:
    run = simple()
    run.defer("a", Wait("tradewind.moment", due=T0 + timedelta(seconds=1), key="~poll:1"))
    run.pass_by(1)
    run.defer("a", Wait("tradewind.moment", due=T0 + timedelta(seconds=9), key="~poll:2"))
    assert [key for _, key in run.waits] == ["~poll:2"]
