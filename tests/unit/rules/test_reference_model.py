"""Random DAGs against the rules written a second time: after every event each state follows from the table.

The reference (`tests.simulation.reference`) knows no graph, no counts and no order of work: it looks at what
has ended above a task. What it says has to hold of the engine after every single end, skip and clearing.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import combinations
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulation.reference import RUN, WAIT, possible, says
from tests.unit.rules.machine_driver import Driver
from tradewind.model.events import TasksCleared
from tradewind.model.outcomes import Outcome
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.states import FINISHED, OutcomeKind, RunState, TaskState, TriggerRule

S, F, K, U = TaskState.SUCCESS, TaskState.FAILED, TaskState.SKIPPED, TaskState.UPSTREAM_FAILED
RULES: Final = tuple(rule for rule in TriggerRule if rule is not TriggerRule.ALL_DONE_SETUP_SUCCESS)
OUTCOMES: Final = (OutcomeKind.SUCCESS, OutcomeKind.SUCCESS, OutcomeKind.FAILED, OutcomeKind.SKIPPED)


@st.composite
def dags(draw: st.DrawFn) -> DagSpec:
    """Up to eight tasks; some of them a setup, work within its scope and its teardown."""
    size = draw(st.integers(1, 6))
    with_setup = draw(st.booleans())
    tasks: list[TaskSpec] = []
    if with_setup:
        tasks.append(TaskSpec("setup", is_setup=True))
    for n in range(size):
        known = [task.task_id for task in tasks]
        above = draw(st.lists(st.sampled_from(known), unique=True, max_size=4)) if known else []
        free = "setup" not in above  # what follows a setup directly must be all_success: else the import fails
        rule = draw(st.sampled_from(RULES)) if free else TriggerRule.ALL_SUCCESS
        tasks.append(TaskSpec(f"t{n}", upstream=tuple(sorted(above)), trigger_rule=rule))
    if with_setup:
        work = [task.task_id for task in tasks if "setup" in task.upstream]
        tasks.append(
            TaskSpec(
                "teardown",
                upstream=tuple(sorted({"setup", *work})),
                trigger_rule=TriggerRule.ALL_DONE_SETUP_SUCCESS,
                is_teardown=True,
                on_failure_fail_dagrun=draw(st.booleans()),
            )
        )
    return DagSpec("d", tasks=tuple(tasks))


class Checked:
    """One run, and what the table says of it after each event."""

    def __init__(self, spec: DagSpec, dice: random.Random) -> None:
        self.spec = spec
        self.dice = dice
        self.driver = Driver(spec)
        self.machine = self.driver.machines[0]
        self.before: list[TaskState] = list(self.machine.state)
        self.skippable: set[int] = set()
        """What a branch or short circuit has skipped at some time."""
        self.passed_over: dict[int, set[int]] = {}
        """What each of them has skipped right below it, while it stands."""

    def after_event(self) -> None:
        """Compares every task with the reference."""
        for n, task in enumerate(self.spec.tasks):
            was, state = self.before[n], self.machine.state[n]
            ended = tuple(s for u in task.upstream if (s := self.machine.state[self.driver.graph.index[u]]) in FINISHED)
            if was in FINISHED:
                skipped_after_all = was is U and state is K and n in self.skippable
                assert state is was or skipped_after_all, f"{task.task_id} was {was} and is {state}"
            elif state is TaskState.NONE and self.machine.run.state is RunState.RUNNING:
                assert self._may_wait(task, ended), f"{task.task_id} waits though {ended} have ended"
            elif was is TaskState.NONE and state is not was:
                self._begun_or_decided(n, task, ended)
        self.before = list(self.machine.state)

    def _begun_or_decided(self, n: int, task: TaskSpec, ended: tuple[TaskState, ...]) -> None:
        state = self.machine.state[n]
        if state in (K, U):
            reasons = self._verdicts(task, ended) | self._of_far_setups(n)
            if n in self.skippable:
                reasons.add(K)
            assert state in reasons, f"{task.task_id} became {state}; allowed {reasons}"
        else:
            assert RUN in self._verdicts(task, ended), f"{task.task_id} began though {ended} of {task.upstream}"

    def _verdicts(self, task: TaskSpec, ended: tuple[TaskState, ...]) -> set[TaskState]:
        if task.is_teardown:
            return {self._teardown(ended)} if len(ended) == len(task.upstream) else set()
        if len(ended) == len(task.upstream):
            return set(possible(task.trigger_rule, tuple(sorted(ended))))
        return {says(task.trigger_rule, seen, len(task.upstream)) for seen in self._seen(task)}

    def _seen(self, task: TaskSpec) -> Iterator[list[TaskState]]:
        """What may have ended above a task when it was judged within one event: all that had ended before it, and
        some of what has since.
        """
        index = self.driver.graph.index
        ups = [index[u] for u in task.upstream if self.machine.state[index[u]] in FINISHED]
        old = [self.machine.state[u] for u in ups if self.before[u] in FINISHED]
        new = [self.machine.state[u] for u in ups if self.before[u] not in FINISHED]
        for many in range(len(new) + 1):
            for some in combinations(new, many):
                yield [*old, *some]

    def _teardown(self, ended: tuple[TaskState, ...]) -> TaskState:
        setup = self.machine.state[self.driver.graph.index["setup"]]
        return {S: RUN, K: K}.get(setup, U)

    def _may_wait(self, task: TaskSpec, ended: tuple[TaskState, ...]) -> bool:
        if task.is_teardown:
            return len(ended) < len(task.upstream)
        far = self.driver.graph.far_setups.get(self.driver.graph.index[task.task_id], ())
        pending = any(self.machine.state[setup] not in FINISHED for setup in far)
        said = says(task.trigger_rule, ended, len(task.upstream))
        return said is WAIT or (pending and said is RUN)

    def _of_far_setups(self, n: int) -> set[TaskState]:
        setups = [self.machine.state[setup] for setup in self.driver.graph.far_setups.get(n, ())]
        allowed: set[TaskState] = set()
        if F in setups or U in setups:
            allowed.add(U)
        if K in setups:
            allowed.add(K)
        return allowed

    def end_one(self) -> None:
        """Ends a running task with some outcome."""
        attempt = self.dice.choice(list(self.driver.attempts))
        _, n = self.driver.attempts[attempt]
        outcome = Outcome(self.dice.choice(OUTCOMES))
        below = self.driver.graph.down[n]
        task = self.spec.tasks[n]
        if outcome.kind is OutcomeKind.SUCCESS and below and not (task.is_setup or task.is_teardown):
            luck = self.dice.random()
            if luck < 0.25:
                followed = self.dice.sample(below, self.dice.randrange(len(below) + 1))
                outcome = outcome._replace(branch=tuple(self.spec.tasks[d].task_id for d in followed))
                self.passed_over[n] = set(below) - set(followed) - self.driver.graph.descendants(followed)
                self.skippable |= self.passed_over[n]
            elif luck < 0.4:
                far = self.dice.random() < 0.5
                outcome = outcome._replace(short_circuit=True, ignore_downstream_trigger_rules=far)
                self.skippable |= self.driver.graph.descendants((n,)) if far else set(below)
                self.passed_over[n] = {d for d in below if not self.spec.tasks[d].is_teardown}
        self.driver.end(attempt, outcome)
        self.after_event()

    def clear_some(self) -> None:
        """Clears tasks that have ended, with all below them, as people do."""
        ended = [n for n, state in enumerate(self.machine.state) if state in FINISHED]
        if not ended:
            return
        chosen = {self.dice.choice(ended)}
        chosen |= {n for n in self.driver.graph.descendants(chosen) if self.machine.state[n] in FINISHED}
        self.driver.send(self.machine, TasksCleared(self.driver.stamp(), tuple(sorted(chosen))))
        if self.machine.run.state is RunState.QUEUED:
            self.driver.activate(self.machine)
        for n in chosen:
            self.before[n] = TaskState.NONE
            self.passed_over.pop(n, None)
        stands = set[int]().union(*self.passed_over.values())
        self.skippable -= chosen - stands
        self.after_event()
        assert all(self.machine.state[n] is K for n in chosen & stands)


def run_state_by_leaves(checked: Checked) -> RunState:
    """A run fails if something that counts, with nothing that counts below it, has failed."""

    def counts(task: TaskSpec) -> bool:
        return not task.is_teardown or task.on_failure_fail_dagrun

    tasks = checked.spec.tasks
    above = {up for task in tasks if counts(task) for up in task.upstream}
    leaves = [n for n, task in enumerate(tasks) if counts(task) and task.task_id not in above]
    if not leaves:
        leaves = [n for n in range(len(tasks)) if not checked.driver.graph.down[n]]
    return RunState.FAILED if any(checked.machine.state[n] in (F, U) for n in leaves) else RunState.SUCCESS


@settings(max_examples=1500, deadline=None)
@given(dags(), st.randoms(use_true_random=False), st.integers(0, 2))
def test_every_state_follows_from_the_table(spec: DagSpec, dice: random.Random, clearings: int) -> None:
    checked = Checked(spec, dice)
    checked.driver.activate(checked.machine)
    checked.after_event()
    while True:
        while checked.driver.attempts:
            checked.end_one()
            if clearings and dice.random() < 0.1:
                clearings -= 1
                checked.clear_some()
        assert checked.machine.run.state is run_state_by_leaves(checked)
        assert all(state in FINISHED for state in checked.machine.state)
        if not clearings:
            break
        clearings -= 1
        checked.clear_some()
