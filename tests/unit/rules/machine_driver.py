"""Drives run machines by hand: every ready task is admitted at once, ends come in a given order."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from tradewind.model.commands import Decision
from tradewind.model.events import (
    Admitted,
    AttemptEnded,
    PastSettled,
    RunActivated,
    RunEvent,
    Stamp,
)
from tradewind.model.keys import AttemptId, RunId
from tradewind.model.outcomes import Outcome
from tradewind.model.rows import RunRow
from tradewind.model.specs import DagSource, DagSpec, TaskSpec
from tradewind.model.states import OutcomeKind, RunState, RunType, TaskState, TriggerRule
from tradewind.rules.graph import Graph
from tradewind.rules.run_machine import RunMachine

T0 = datetime(2024, 1, 1, tzinfo=UTC)
SOURCE = DagSource("folder", "v1", "dag.py", "dag.py")
KINDS = {
    "success": OutcomeKind.SUCCESS,
    "fail": OutcomeKind.FAILED,
    "skip": OutcomeKind.SKIPPED,
}


def spec_of(case: Mapping[str, Any]) -> DagSpec:
    """The DAG of a golden case."""
    upstream: dict[str, set[str]] = {task["id"]: set() for task in case["tasks"]}
    for a, b in case.get("edges_of_the_dag", case["edges"]):
        upstream[b].add(a)
    return DagSpec(
        "d",
        tasks=tuple(
            TaskSpec(
                task["id"],
                upstream=tuple(sorted(upstream[task["id"]])),
                trigger_rule=TriggerRule(
                    "all_done_setup_success"
                    if task.get("kind") == "teardown"
                    else task.get("trigger_rule", "all_success")
                ),
                is_setup=task.get("kind") == "setup",
                is_teardown=task.get("kind") == "teardown",
                on_failure_fail_dagrun=bool(task.get("on_failure_fail_dagrun")),
                depends_on_past=bool(task.get("depends_on_past") or task.get("wait_for_downstream")),
                wait_for_downstream=bool(task.get("wait_for_downstream")),
                ignore_first_depends_on_past=bool(task.get("ignore_first_depends_on_past", True)),
            )
            for task in case["tasks"]
        ),
    )


def run_row(spec: DagSpec, number: int = 1, state: RunState = RunState.QUEUED) -> RunRow:
    """A run of the DAG: number 1 on the first day, and so on."""
    start = T0 + timedelta(days=number - 1)
    return RunRow(
        RunId(number),
        spec.dag_id,
        f"scheduled__{start.isoformat()}",
        spec.content_hash(),
        RunType.SCHEDULED,
        state,
        start,
        start,
        start + timedelta(days=1),
        T0,
        T0,
    )


def outcome_of(task: Mapping[str, Any], wish: str) -> Outcome:
    """What the task of a golden case reports when it runs."""
    if wish != "success":
        return Outcome(KINDS[wish])
    if task.get("kind") == "branch":
        chosen = task["returns"]
        ids = [chosen] if isinstance(chosen, str) else (chosen or [])
        return Outcome(OutcomeKind.SUCCESS, branch=tuple(ids))
    if task.get("kind") == "short_circuit" and not task["condition"]:
        return Outcome(
            OutcomeKind.SUCCESS,
            short_circuit=True,
            ignore_downstream_trigger_rules=task["ignore_downstream_trigger_rules"],
        )
    return Outcome(OutcomeKind.SUCCESS)


class Driver:
    """One or more runs of one DAG, driven to the end."""

    def __init__(self, spec: DagSpec, runs: int = 1) -> None:
        self.graph = Graph(spec)
        self.machines = [RunMachine(run_row(spec, k + 1), self.graph, SOURCE) for k in range(runs)]
        self.ticks = itertools.count(1)
        self.attempts: dict[AttemptId, tuple[RunMachine, int]] = {}

    def stamp(self) -> Stamp:
        tick = next(self.ticks)
        return Stamp(T0 + timedelta(seconds=tick), tick, 0.5)

    def send(self, machine: RunMachine, event: RunEvent) -> None:
        """Handles the event and all admissions and past events that follow from it."""
        decision = Decision()
        machine.handle(event, decision)
        self._follow(machine, decision)

    def _follow(self, machine: RunMachine, decision: Decision) -> None:
        for ready in decision.ready:
            if machine.state[ready.node] is TaskState.SCHEDULED:
                attempt = AttemptId(next(self.ticks).to_bytes(16, "big"))
                self.attempts[attempt] = (machine, ready.node)
                self.send(machine, Admitted(self.stamp(), ready.node, attempt, True))
        machine.flush()

    def activate(self, machine: RunMachine, past: Mapping[str, bool] | None = None) -> None:
        self.send(machine, RunActivated(self.stamp(), past or {}))

    def end(self, attempt: AttemptId, outcome: Outcome) -> None:
        machine, _ = self.attempts.pop(attempt)
        stamp = self.stamp()
        self.send(machine, AttemptEnded(stamp, attempt, outcome, T0, stamp.at))

    def settle_past(self, machine: RunMachine, task_id: str) -> None:
        self.send(machine, PastSettled(self.stamp(), task_id))

    def run_all(
        self,
        wish: Callable[[RunMachine, int], Outcome],
        pick: Callable[[Sequence[tuple[RunMachine, int]]], int],
        after: Callable[[], Iterable[None]] | None = None,
    ) -> None:
        """Ends running attempts, one at a time, in the order that `pick` chooses."""
        while self.attempts:
            live = list(self.attempts.items())
            attempt, (machine, n) = live[pick([place for _, place in live])]
            self.end(attempt, wish(machine, n))
            if after is not None:
                for _ in after():
                    pass

    def states(self, machine: RunMachine) -> dict[str, str]:
        return {task.task_id: machine.state[n].value for n, task in enumerate(self.graph.tasks)}
