"""The reasons why a task does not run are those that hold it up."""

from __future__ import annotations

from datetime import timedelta

from tests.unit.rules.machine_driver import SOURCE, T0, run_row
from tests.unit.rules.waiting_driver import WaitingRun
from tradewind.model.attempts import Attempt
from tradewind.model.commands import Decision
from tradewind.model.events import Admitted, AttemptEnded, RunActivated, Stamp
from tradewind.model.keys import AttemptId
from tradewind.model.outcomes import EncodedValue, Outcome, Wait
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.states import OutcomeKind
from tradewind.model.waits import INPUT_KIND, SIGNAL_KIND
from tradewind.rules.admission import Admission, Place
from tradewind.rules.explain import reasons_not_running
from tradewind.rules.graph import Graph
from tradewind.rules.run_machine import RunMachine

SPEC = DagSpec(
    "d",
    tasks=(
        TaskSpec("first", retries=1, retry_delay=60.0),
        TaskSpec("second", upstream=("first",)),
        TaskSpec("careful", depends_on_past=True),
    ),
    max_active_runs=3,
)


def test_each_reason_in_its_time() -> None:
    machine, admission, decision = RunMachine(run_row(SPEC), Graph(SPEC), SOURCE), Admission(), Decision()

    def why(n: int, *, paused: bool = False) -> tuple[str, ...]:
        return reasons_not_running(machine, n, admission, paused=paused)

    assert why(0) == ("its run is queued: the DAG may have 3 active runs (max_active_runs)",)
    machine.handle(RunActivated(Stamp(T0, 1), {"careful": False}), decision)
    assert why(1) == ("trigger rule 'all_success' waits for first (scheduled)",)
    assert why(2) == ("depends_on_past: the previous run's instance has not ended as success or skipped",)

    admission.resize("executor 'local'", 1)
    admission.offer(Place(machine.run.run_id, 0), SPEC.tasks[0], "d")
    assert list(admission.admit()) == []
    assert why(0) == ("there is no pool 'default_pool'",)
    admission.resize("pool 'default_pool'", 0)
    assert why(0, paused=True) == ("the DAG is paused", "pool 'default_pool' is full: 0 of 0 in use")
    admission.resize("pool 'default_pool'", 1)
    assert list(admission.admit()) == [Place(machine.run.run_id, 0)]

    attempt = AttemptId(bytes(16))
    machine.handle(Admitted(Stamp(T0, 2), 0, attempt, starts_at_once=True), decision)
    assert isinstance(decision.start[0], Attempt)
    assert why(0) == ()
    failed = Outcome(OutcomeKind.FAILED)
    machine.handle(AttemptEnded(Stamp(T0, 3), attempt, failed, T0, T0), decision)
    again = (T0 + timedelta(seconds=60)).isoformat()
    assert why(0) == (f"it failed and is tried again at {again}",)


def test_what_a_deferred_task_waits_for() -> None:
    run = WaitingRun(DagSpec("d", tasks=(TaskSpec("a"), TaskSpec("b", upstream=("a",)))))
    noon = T0 + timedelta(hours=1)
    run.defer(
        "a",
        Wait("moment", EncodedValue(1, b'"noon"'), due=noon, key="sleep:0"),
        Wait("acme.queue", key="queue:0", deadline=noon),
        Wait(SIGNAL_KIND, key=f"{SIGNAL_KIND}:go:0"),
        Wait(INPUT_KIND, key=f"{INPUT_KIND}:Approve:0"),
    )

    def why(n: int) -> tuple[str, ...]:
        return reasons_not_running(run.machine, n, Admission(), paused=False)

    assert why(0) == (
        f"it waits until {noon.isoformat()}",
        f"it waits for its trigger 'acme.queue', until {noon.isoformat()} at the latest",
        "it waits for signal 'go'",
        "it waits for a person's answer to 'Approve'",
    )
    assert why(1) == ("trigger rule 'all_success' waits for a (deferred)",)
