"""Why a task instance is not running: the rules' own reasons, in sentences.

What decides also explains: the same counts, limits and past that hold a task up are read here, so an
explanation cannot differ from what happens.
"""

from __future__ import annotations

from typing import Final

from tradewind.model import task_states as _S
from tradewind.model.outcomes import Wait
from tradewind.model.states import FINISHED, RUN_FINISHED, RunState
from tradewind.model.waits import INPUT_KIND, SIGNAL_KIND
from tradewind.rules.admission import Admission, Place
from tradewind.rules.run_machine import RunMachine
from tradewind.rules.run_mapping import RunMapping
from tradewind.rules.trigger_rules import Verdict

NAMED_AT_MOST: Final = 5
"""Upstream tasks that a reason names; of more it gives the number."""


def reasons_not_running(machine: RunMachine, n: int, admission: Admission, *, paused: bool) -> tuple[str, ...]:
    """Every reason why task `n` of the run is not running now. Empty: it runs."""
    state, run = machine.state[n], machine.run
    if state in (_S.RUNNING, _S.RESTARTING):
        return ()
    if state in FINISHED:
        return (f"it has ended: {state}",)
    found: list[str] = []
    if run.state in RUN_FINISHED:
        return (f"its run has ended: {run.state}",)
    if paused:
        found.append("the DAG is paused")
    if run.state is RunState.QUEUED:
        limit = machine.graph.spec.max_active_runs
        found.append(f"its run is queued: the DAG may have {limit} active runs (max_active_runs)")
    elif state is _S.QUEUED:
        found.append(f"executor {machine.tasks[n].executor!r} has it and has not begun")
    elif state is _S.SCHEDULED:
        found.append(admission.why_waiting(Place(run.run_id, n)) or "it is about to start")
    elif state in (_S.UP_FOR_RETRY, _S.UP_FOR_RESCHEDULE):
        due = machine.active[n].due_at
        what = "it failed and is tried again" if state is _S.UP_FOR_RETRY else "it looks again"
        found.append(f"{what} at {due.isoformat() if due is not None else 'a time not known'}")
    elif state is _S.DEFERRED:
        found.extend(_awaited(pending.wait) for pending in machine.waits.get(n, ()) if pending.answer is None)
    else:
        found.extend(_upstream_reasons(machine, n))
    return tuple(found)


def _awaited(wait: Wait) -> str:
    """What a deferred instance waits for."""
    if wait.due is not None:
        return f"it waits until {wait.due.isoformat()}"
    name = wait.key.removeprefix(f"{wait.kind}:").rpartition(":")[0]
    if wait.kind == SIGNAL_KIND:
        what = f"signal {name!r}"
    elif wait.kind == INPUT_KIND:
        what = f"a person's answer to {name!r}"
    else:
        what = f"its trigger {wait.kind!r}"
    limit = "" if wait.deadline is None else f", until {wait.deadline.isoformat()} at the latest"
    return f"it waits for {what}{limit}"


def _upstream_reasons(machine: RunMachine, n: int) -> list[str]:
    graph, mapping, found = machine.graph, machine.mapping, list[str]()
    task = n if mapping is None else mapping.task_of(n)
    ups = graph.up[n] if mapping is None else [u for up in graph.up[task] for u in mapping.seen_from(n, up)]
    waiting = [u for u in ups if machine.state[u] not in FINISHED]
    if machine.judge(n) is Verdict.WAIT and waiting:
        rule = graph.rules[task].value
        found.append(f"trigger rule {rule!r} waits for {_named(machine, waiting)}")
    setups = [s for s in machine.far_setups(n, task) if machine.state[s] not in FINISHED]
    if setups:
        found.append(f"its set-up is not done: {_named(machine, setups)}")
    if mapping is not None and mapping.is_waiting_to_expand(n):
        found.extend(_length_reasons(machine, mapping, n))
    if machine.is_held_by_past(n):
        what = "wait_for_downstream" if graph.tasks[task].wait_for_downstream else "depends_on_past"
        found.append(f"{what}: the previous run's instance has not ended as success or skipped")
    return found


def _length_reasons(machine: RunMachine, mapping: RunMapping, n: int) -> list[str]:
    if n in mapping.spreading:
        length, done = mapping.spreading[n]
        return [f"it is being expanded: {done} of {length} instances are made"]
    asked = [machine.graph.index[source.task_id] for source in mapping.plan.sources[n]]
    open_ones = [u for task in asked for u in mapping.nodes_of(task) if machine.state[u] not in FINISHED]
    return [f"its length is not known before the end of {_named(machine, open_ones)}"] if open_ones else []


def _named(machine: RunMachine, nodes: list[int]) -> str:
    shown = [f"{_name(machine, u)} ({machine.state[u]})" for u in nodes[:NAMED_AT_MOST]]
    more = len(nodes) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")


def _name(machine: RunMachine, n: int) -> str:
    index = machine.maps[n]
    return machine.tasks[n].task_id + (f"[{index}]" if index >= 0 else "")
