"""Tasks that the file does not have any more: removed in place of started, and what follows goes on without them."""

from __future__ import annotations

import pytest

from tests.unit.rules.machine_driver import Driver, spec_of
from tradewind.model.events import TasksCleared
from tradewind.model.outcomes import Outcome
from tradewind.model.rows import InstanceRow
from tradewind.model.states import OutcomeKind, RunState
from tradewind.rules.run_machine import RunMachine

GOOD = Outcome(OutcomeKind.SUCCESS)


def chain(rule: str = "all_success") -> Driver:
    """`a` before `b` before `c`; `d` stands beside `b`."""
    tasks = [{"id": "a"}, {"id": "b"}, {"id": "c", "trigger_rule": rule}, {"id": "d"}]
    return Driver(spec_of({"tasks": tasks, "edges": [["a", "b"], ["b", "c"], ["a", "d"], ["d", "c"]]}))


def to_the_end(driver: Driver) -> dict[str, str]:
    driver.run_all(lambda machine, n: GOOD, lambda places: 0)
    return driver.states(driver.machines[0])


@pytest.mark.parametrize("rule", ["all_success", "one_success", "none_failed", "all_done", "none_skipped"])
def test_what_follows_does_not_count_it(rule: str) -> None:
    driver = chain(rule)
    machine = driver.machines[0]
    driver.activate(machine)
    machine.gone = frozenset({"b"})
    assert to_the_end(driver) == {"a": "success", "b": "removed", "c": "success", "d": "success"}
    assert machine.run.state is RunState.SUCCESS


def test_what_runs_goes_on_and_is_removed_before_its_next_try() -> None:
    driver = chain()
    machine = driver.machines[0]
    driver.activate(machine)
    machine.gone = frozenset({"a", "b", "c", "d"})
    (attempt,) = driver.attempts
    driver.end(attempt, GOOD)
    assert driver.states(machine) == {"a": "success", "b": "removed", "c": "removed", "d": "removed"}
    assert machine.run.state is RunState.SUCCESS


def test_a_task_that_is_there_again_can_be_cleared() -> None:
    driver = chain()
    machine = driver.machines[0]
    driver.activate(machine)
    machine.gone = frozenset({"b"})
    to_the_end(driver)
    machine.gone = frozenset()
    rows = restored(driver)
    assert (rows.state, rows.removed_upstream) == (machine.state, machine.removed_upstream)
    nodes = tuple(machine.graph.index[name] for name in ("b", "c"))
    driver.send(machine, TasksCleared(driver.stamp(), nodes))
    driver.activate(machine)
    assert to_the_end(driver) == dict.fromkeys("abcd", "success")


def restored(driver: Driver) -> RunMachine:
    """The run as another owner finds it."""
    before = driver.machines[0]
    after = RunMachine(before.run, driver.graph, before.facts.source)
    tasks = driver.graph.tasks
    after.restore([InstanceRow(before.run.run_id, t.task_id, state=before.state[n]) for n, t in enumerate(tasks)])
    return after
