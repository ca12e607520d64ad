"""A `fail_stop` DAG: the first failure ends all but the teardowns."""

from __future__ import annotations

from collections.abc import Mapping

from tests.unit.rules.machine_driver import SOURCE, T0, run_row
from tradewind.model.commands import Decision
from tradewind.model.events import Admitted, AttemptEnded, RunActivated, Stamp, TasksCleared
from tradewind.model.keys import AttemptId
from tradewind.model.outcomes import Outcome
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.states import OutcomeKind, RunState, TaskState, TriggerRule
from tradewind.rules.graph import Graph
from tradewind.rules.run_machine import RunMachine

SPEC = DagSpec(
    "d",
    tasks=(
        TaskSpec("setup", is_setup=True),
        TaskSpec("fails", upstream=("setup",)),
        TaskSpec("runs", upstream=("setup",), retries=3),
        TaskSpec("after", upstream=("runs",)),
        TaskSpec("lost", upstream=("setup",)),
        TaskSpec(
            "teardown",
            upstream=("after", "fails", "lost", "setup"),
            is_teardown=True,
            trigger_rule=TriggerRule.ALL_DONE_SETUP_SUCCESS,
        ),
    ),
    fail_stop=True,
)


class Run:
    def __init__(self, spec: DagSpec) -> None:
        self.machine = RunMachine(run_row(spec), Graph(spec), SOURCE)
        self.decision = Decision()
        self.machine.handle(RunActivated(Stamp(T0, 1), {}), self.decision)
        self.admit()

    def admit(self) -> None:
        ready, self.decision.ready = self.decision.ready, []
        for one in ready:
            key = AttemptId(one.node.to_bytes(16, "big"))
            self.machine.handle(Admitted(Stamp(T0, 2), one.node, key, True), self.decision)
        self.machine.flush()

    def end(self, task_id: str, kind: OutcomeKind) -> None:
        n = self.machine.graph.index[task_id]
        key = AttemptId(n.to_bytes(16, "big"))
        self.machine.handle(AttemptEnded(Stamp(T0, 3), key, Outcome(kind), T0, T0), self.decision)
        self.admit()

    def states(self) -> Mapping[str, TaskState]:
        return {task.task_id: self.machine.state[n] for n, task in enumerate(self.machine.graph.tasks)}


def test_what_runs_is_ended_and_what_waits_is_skipped() -> None:
    run = Run(SPEC)
    run.end("setup", OutcomeKind.SUCCESS)
    run.end("fails", OutcomeKind.FAILED)
    assert [key.task_id for key in run.decision.cancel] == ["runs", "lost"]
    assert run.states()["after"] is TaskState.SKIPPED
    run.end("runs", OutcomeKind.FAILED)  # its retries do not count any more
    run.end("lost", OutcomeKind.LOST)
    assert run.states() == {
        "setup": TaskState.SUCCESS,
        "fails": TaskState.FAILED,
        "runs": TaskState.FAILED,
        "after": TaskState.SKIPPED,
        "lost": TaskState.FAILED,
        "teardown": TaskState.RUNNING,
    }
    run.end("teardown", OutcomeKind.SUCCESS)
    assert run.machine.run.state is RunState.FAILED


def test_a_failed_teardown_stops_the_others_as_any_task_does() -> None:
    teardowns = (TaskSpec("t", is_teardown=True), TaskSpec("u", is_teardown=True))
    spec = DagSpec("d", tasks=(*teardowns, TaskSpec("a"), TaskSpec("b", upstream=("a",))), fail_stop=True)
    run = Run(spec)
    run.end("t", OutcomeKind.FAILED)
    assert [key.task_id for key in run.decision.cancel] == ["a"]
    assert run.states()["u"] is TaskState.RUNNING
    assert run.states()["b"] is TaskState.SKIPPED


def test_what_was_told_to_end_when_it_was_cleared_is_not_told_again() -> None:
    run = Run(SPEC)
    run.end("setup", OutcomeKind.SUCCESS)
    run.machine.handle(TasksCleared(Stamp(T0, 4), (run.machine.graph.index["runs"],)), run.decision)
    run.end("fails", OutcomeKind.FAILED)
    assert sorted(key.task_id for key in run.decision.cancel) == ["lost", "runs"]
    run.end("runs", OutcomeKind.CANCELLED)
    assert run.states()["runs"] is TaskState.FAILED, "it does not begin anew"
