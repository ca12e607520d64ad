"""Mapped tasks in the run machine: expansion, what looks at what, clearing, taking over."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.mapped_dags import map_some
from tests.simulation.mapped_reference import MappedReference
from tests.simulation.reference import RUN, possible
from tests.unit.rules.mapped_driver import FAILED, SKIPPED, SUCCESS, MappedRun, Place, pushed
from tradewind.model.outcomes import RETURN_KEY, Outcome
from tradewind.model.specs import DagSpec, GroupSpec, TaskSpec
from tradewind.model.states import FINISHED, OutcomeKind, RunState, TaskState, TriggerRule
from tradewind.rules.admission import Admission
from tradewind.rules.expanding import Expanding
from tradewind.rules.explain import reasons_not_running
from tradewind.rules.trigger_rules import Verdict

OF_A = {"of": "a", "key": RETURN_KEY}
SIMPLE = DagSpec(
    "d",
    tasks=(
        TaskSpec("a", measured=(RETURN_KEY,)),
        TaskSpec("m", upstream=("a",), expands=OF_A),
        TaskSpec("z", upstream=("m",), trigger_rule=TriggerRule.NONE_FAILED),
    ),
)
GROUPED = DagSpec(
    "d",
    tasks=(
        TaskSpec("a", measured=(RETURN_KEY,)),
        TaskSpec("first", upstream=("a",), group="g"),
        TaskSpec("second", upstream=("first",), group="g"),
        TaskSpec("z", upstream=("second",), trigger_rule=TriggerRule.ALL_DONE),
    ),
    groups=(GroupSpec("g", children=("first", "second"), expands=OF_A),),
)


def test_a_task_gets_its_instances_when_the_length_is_known() -> None:
    run = MappedRun(SIMPLE)
    assert run.states() == {("a", -1): "running", ("m", -1): "none", ("z", -1): "none"}
    before = run.commits
    run.end("a", outcome=pushed(3))
    assert run.commits == before + 1  # the end, the expansion and the starts are one commit
    assert run.states() == {("a", -1): "success", **{("m", i): "running" for i in range(3)}, ("z", -1): "none"}
    run.run_all(lambda place: SKIPPED if place[1] == 1 else SUCCESS)
    assert run.states()["z", -1] == "success"
    assert run.machine.run.state is RunState.SUCCESS


@pytest.mark.parametrize(
    ("outcome", "state", "run_state"),
    [(pushed(0), "skipped", "success"), (SUCCESS, "upstream_failed", "failed"), (FAILED, "upstream_failed", "failed")],
)
def test_a_task_without_instances(outcome: Outcome, state: str, run_state: str) -> None:
    """Length 0, no value, no success: the task's own row says so."""
    run = MappedRun(SIMPLE)
    run.end("a", outcome=outcome)
    run.run_all(lambda _: SUCCESS)
    assert run.states()["m", -1] == state
    assert run.machine.run.state == run_state


def test_instances_of_a_group_look_at_their_own_index() -> None:
    run = MappedRun(GROUPED)
    run.end("a", outcome=pushed(3))
    assert [p for p in run.running if p[0] == "first"] == [("first", 0), ("first", 1), ("first", 2)]
    run.end("first", 2)
    run.end("first", 0, FAILED)
    assert {p: s for p, s in run.states().items() if p[0] == "second"} == {
        ("second", 0): "upstream_failed",
        ("second", 1): "none",
        ("second", 2): "running",
    }
    run.end("first", 1)
    run.run_all(lambda _: SUCCESS)
    assert run.states()["z", -1] == "success"


def test_a_branch_in_a_group_skips_its_own_index() -> None:
    tasks = (*GROUPED.tasks[:3], TaskSpec("other", upstream=("first",), group="g"), GROUPED.tasks[3])
    run = MappedRun(DagSpec("d", tasks=tasks, groups=GROUPED.groups))
    run.end("a", outcome=pushed(2))
    run.end("first", 0, Outcome(OutcomeKind.SUCCESS, branch=("other",)))
    run.end("first", 1, Outcome(OutcomeKind.SUCCESS, branch=("second",)))
    states = run.states()
    assert [states["second", i] for i in (0, 1)] == ["skipped", "running"]
    assert [states["other", i] for i in (0, 1)] == ["running", "skipped"]


def test_mapped_over_mapped_counts_the_values_that_were_stored() -> None:
    tasks = (
        TaskSpec("m", expands={"n": 4}, measured=(RETURN_KEY,)),
        TaskSpec("n", upstream=("m",), expands={"of": "m", "key": RETURN_KEY}, trigger_rule=TriggerRule.ALL_DONE),
    )
    run = MappedRun(DagSpec("d", tasks=tasks))
    outcomes = [pushed(7), SUCCESS, FAILED, pushed(1)]
    for index, outcome in enumerate(outcomes):
        run.restore()
        run.end("m", index, outcome)
    assert sorted(run.running) == [("n", 0), ("n", 1)]


@pytest.mark.parametrize(("length", "states"), [(2, "rrx"), (3, "rrr"), (5, "rrrrr")])
def test_a_cleared_task_has_what_upstream_then_gives(length: int, states: str) -> None:
    """Fewer: the others are removed and count no longer. More: they are made."""
    run = MappedRun(SIMPLE)
    run.end("a", outcome=pushed(3))
    run.run_all(lambda _: pushed(1))
    run.clear(("a", -1), ("m", -1), ("z", -1))
    run.restore()
    run.end("a", outcome=pushed(length))
    marks = {"running": "r", "removed": "x"}
    assert "".join(marks[state] for place, state in run.states().items() if place[0] == "m") == states
    run.run_all(lambda _: SUCCESS)
    assert run.states()["z", -1] == "success"
    assert run.machine.run.state is RunState.SUCCESS


def test_cleared_to_nothing_and_back() -> None:
    run = MappedRun(SIMPLE)
    run.end("a", outcome=pushed(3))
    run.run_all(lambda _: SUCCESS)
    for length, expected in ((0, {("m", -1): "skipped"}), (2, {("m", 0): "running", ("m", 1): "running"})):
        run.clear(("a", -1), ("m", -1), ("z", -1))
        run.end("a", outcome=pushed(length))
        assert {p: s for p, s in run.states().items() if p[0] == "m"} == expected
        run.restore()
    run.run_all(lambda _: SUCCESS)
    assert run.machine.run.state is RunState.SUCCESS


def test_a_single_instance_is_cleared_alone() -> None:
    run = MappedRun(SIMPLE)
    run.end("a", outcome=pushed(3))
    run.run_all(lambda place: FAILED if place == ("m", 1) else SUCCESS)
    assert run.states()["z", -1] == "upstream_failed"
    run.clear(("m", 1), ("z", -1))
    assert list(run.running) == [("m", 1)]
    assert [run.states()["m", i] for i in (0, 2)] == ["success", "success"]
    run.run_all(lambda _: SUCCESS)
    assert run.machine.run.state is RunState.SUCCESS


def test_an_instance_that_runs_and_is_no_longer_wanted_is_ended_first() -> None:
    run = MappedRun(SIMPLE)
    run.end("a", outcome=pushed(3))
    run.clear(("a", -1), ("m", 0), ("m", 2))
    assert run.cancelled == [("m", 0), ("m", 2)]
    run.end("a", outcome=pushed(1))
    run.end("m", 0, Outcome(OutcomeKind.CANCELLED))
    assert run.states()["m", 2] == "restarting"
    run.end("m", 2, Outcome(OutcomeKind.CANCELLED))
    assert run.states()["m", 2] == "removed"


def test_a_large_expansion_takes_several_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sees it before the last one, and whoever takes over in between comes to the same."""
    monkeypatch.setattr(Expanding, "at_once", 4)
    for restored_after in range(5):
        run = MappedRun(SIMPLE)
        run.end("a", outcome=pushed(11))
        for step in range(5):
            if step == restored_after:
                run.restore()
            assert [i for t, i in run.states() if t == "m"] in ([-1], list(range(11)))
            run.spread_once()
        run.spread()
        run.run_all(lambda _: SUCCESS)
        assert Counter(run.states().values()) == {"success": 13}


def test_a_length_that_changes_during_a_large_expansion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Expanding, "at_once", 4)
    run = MappedRun(SIMPLE)
    run.end("a", outcome=pushed(11))
    run.clear(("a", -1))
    run.spread()
    assert [place for place in run.rows if place[0] == "m"] == [("m", -1)]
    run.end("a", outcome=pushed(5))
    run.spread()
    assert sorted(i for t, i in run.rows if t == "m") == list(range(5))


def test_an_end_costs_the_out_degree_not_the_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one of very many instances does is judged once a downstream task."""
    run = MappedRun(SIMPLE)
    run.end("a", outcome=pushed(1500))
    judged = Counter[int]()
    judge = run.machine.judge

    def counting(n: int) -> Verdict:
        judged[n] += 1
        return judge(n)

    monkeypatch.setattr(run.machine, "judge", counting)
    for index in range(100):
        run.end("m", index)
    assert judged == {2: 100}


def test_why_a_mapped_task_waits() -> None:
    run = MappedRun(SIMPLE)
    admission = Admission()
    why = reasons_not_running(run.machine, 1, admission, paused=False)
    assert why == (
        "trigger rule 'all_success' waits for a (running)",
        "its length is not known before the end of a (running)",
    )
    run.end("a", outcome=pushed(2))
    run.end("m", 1)
    why = reasons_not_running(run.machine, 2, admission, paused=False)
    assert why == ("trigger rule 'none_failed' waits for m[0] (running)",)


_RULES = [rule for rule in TriggerRule if rule is not TriggerRule.ALL_DONE_SETUP_SUCCESS]


@st.composite
def dags(draw: st.DrawFn) -> DagSpec:
    """Two to five tasks, some of them mapped."""
    count = draw(st.integers(2, 5))
    tasks = [
        TaskSpec(
            f"t{n}",
            upstream=tuple(f"t{u}" for u in range(n) if draw(st.booleans())),
            trigger_rule=draw(st.sampled_from([TriggerRule.ALL_SUCCESS, TriggerRule.ALL_DONE, *_RULES])),
        )
        for n in range(count)
    ]
    found, groups = map_some(random.Random(draw(st.integers(0, 10_000))), tasks)
    return DagSpec("d", tasks=tuple(found), groups=groups)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(spec=dags(), data=st.data())
def test_every_run_comes_to_what_the_reference_says(spec: DagSpec, data: st.DataObject) -> None:
    """In any order of ends, with another runtime taking over at any time."""
    run = MappedRun(spec)
    pushes: dict[Place, Outcome] = {}

    def outcome_of(place: Place) -> Outcome:
        if data.draw(st.integers(0, 4)) == 0:
            run.restore()
        choice = data.draw(st.sampled_from(["push", "push", "none", "fail", "skip"]))
        if choice == "push":
            pushes[place] = pushed(data.draw(st.integers(0, 3)))
        return pushes.get(place) or {"none": SUCCESS, "fail": FAILED, "skip": SKIPPED}[choice]

    run.run_all(outcome_of, lambda n: data.draw(st.integers(0, n - 1)))
    states = {place: TaskState(state) for place, state in run.states().items()}
    assert all(state in FINISHED for state in states.values()), states
    reference = MappedReference(spec)
    stored = {task_id: 0 for task_id, index in states if index >= 0 or states[task_id, index] is TaskState.SKIPPED}
    lengths: dict[str, int] = {}
    for (task_id, index), outcome in pushes.items():
        if index >= 0:
            stored[task_id] += 1
        else:
            lengths[task_id] = outcome.lengths[0][1]
    for task in spec.tasks:
        indexes = sorted(i for t, i in states if t == task.task_id)
        mapped = reference.expression(task) is not None
        wanted = reference.length(task, lengths, stored) if mapped else None
        assert indexes == [-1] or (mapped and indexes == list(range(wanted or 0)))
        for index in indexes:
            ups = Counter(reference.upstream(states, (task.task_id, index)))
            few = tuple(sorted(s for s, count in ups.items() for _ in range(min(count, 2))))
            allowed = set(possible(task.trigger_rule, few))
            if RUN in allowed:
                allowed |= {TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED}
            if mapped:
                sources = set(reference.source_states(states, task))
                allowed |= {TaskState.UPSTREAM_FAILED} if wanted is None or sources & _BAD else set()
                allowed |= {TaskState.SKIPPED} if wanted == 0 or TaskState.SKIPPED in sources else set()
            assert states[task.task_id, index] in allowed, (task, index, states)


_BAD = {TaskState.FAILED, TaskState.UPSTREAM_FAILED}
