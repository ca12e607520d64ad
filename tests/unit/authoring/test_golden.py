"""DAG texts give the structure, the weights and the messages that the recorded cases show."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.authoring.golden import START, STRUCTURE_HEAD, cases, run_text
from tradewind.authoring.dag import DAG
from tradewind.authoring.scope import collecting_dags
from tradewind.authoring.task_group import TaskGroup
from tradewind.model.errors import AuthoringError, DagCycleError, DuplicateTaskIdError, NotFoundError
from tradewind.standard.empty import EmptyOperator


def structure_of(dag: DAG) -> dict[str, Any]:
    return {
        "tasks": dag.task_ids,
        "edges": sorted([t.task_id, d] for t in dag.tasks for d in t.downstream_task_ids),
        "labels": sorted([up, down, text] for (up, down), text in dag.edge_labels.items()),
        "groups": {group.node_id: _group(group) for group in dag.task_group.groups()},
        "topological_order": [t.task_id for t in dag.topological_sort()],
        "roots": sorted(t.task_id for t in dag.roots),
        "leaves": sorted(t.task_id for t in dag.leaves),
    }


def _group(group: TaskGroup) -> dict[str, Any]:
    return {
        "children": sorted(group.children),
        "upstream_group_ids": sorted(group.upstream_group_ids),
        "downstream_group_ids": sorted(group.downstream_group_ids),
        "upstream_task_ids": sorted(group.upstream_task_ids),
        "downstream_task_ids": sorted(group.downstream_task_ids),
        "roots": sorted(t.task_id for t in group.get_roots()),
        "leaves": sorted(t.task_id for t in group.get_leaves()),
        "upstream_join_id": group.upstream_join_id,
        "downstream_join_id": group.downstream_join_id,
    }


@pytest.mark.parametrize("case", cases("structure.jsonl"), ids=lambda c: c["id"])
def test_structure(case: dict[str, Any]) -> None:
    dag = run_text(STRUCTURE_HEAD + case["body"] + "\n")["dag"]
    found = structure_of(dag)
    for name, expected in found.items():
        wanted: Any = case[name]
        if name in ("edges", "labels"):
            wanted = sorted(wanted)
        if name == "groups":
            wanted = {gid: {**g, "children": sorted(g["children"])} for gid, g in wanted.items()}
        assert expected == wanted, name


@pytest.mark.parametrize("case", cases("weights.jsonl"), ids=lambda c: c["id"])
def test_weights(case: dict[str, Any]) -> None:
    with DAG("d", start_date=START) as dag:
        for task in case["tasks"]:
            EmptyOperator(task_id=task["id"], **{k: v for k, v in task.items() if k != "id"})
    for up, down in case["edges"]:
        dag.set_dependency(up, down)
    assert {t.task_id: t.priority_weight for t in dag.to_spec().tasks} == case["priority_weight_total"]


@pytest.mark.parametrize("case", cases("setup_teardown.jsonl"), ids=lambda c: c["id"])
def test_edges_of_setups_and_teardowns(case: dict[str, Any]) -> None:
    with DAG("d", start_date=START) as dag:
        for task in case["tasks"]:
            rule = {"trigger_rule": task["trigger_rule"]} if "trigger_rule" in task else {}
            operator = EmptyOperator(task_id=task["id"], **rule)
            if task["kind"] == "setup":
                operator.as_setup()
    for up, down in case["edges"]:
        dag.set_dependency(up, down)
    for task in case["tasks"]:
        if task["kind"] == "teardown":
            given: dict[str, Any] = {}
            if task.get("setups"):
                given["setups"] = [dag.get_task(s) for s in task["setups"]]
            if task.get("on_failure_fail_dagrun") is not None:
                given["on_failure_fail_dagrun"] = task["on_failure_fail_dagrun"]
            dag.get_task(task["id"]).as_teardown(**given)
    assert sorted([t.task_id, d] for t in dag.tasks for d in t.downstream_task_ids) == sorted(case["edges_of_the_dag"])


FACTS: dict[str, tuple[type[Exception], list[str]]] = {
    "cycle": (DagCycleError, ["Cycle detected in DAG: d. Faulty task: b", "a -> b -> a"]),
    "duplicate_task_id": (DuplicateTaskIdError, ["'d'", "task id 'a' has already been added to the DAG"]),
    "missing_required_argument": (AuthoringError, ["missing keyword argument 'bash_command'", "'d'", "task_id: a"]),
    "unexpected_argument": (AuthoringError, ["EmptyOperator", "task_id: a", "'colour'", "'d'"]),
    "unknown_trigger_rule": (AuthoringError, ["must be one of", "all_done_setup_success", "'sometimes'", "'a'"]),
    "invalid_cron": (AuthoringError, ["'d'", "every day"]),
    "schedule_without_start_date": (AuthoringError, ["missing the start_date parameter", "'d'", "@daily"]),
    "dag_id_with_bad_characters": (AuthoringError, ["'a b'", "dashes, dots and underscores"]),
    "task_id_with_bad_characters": (AuthoringError, ["'a b!'", "dashes, dots and underscores"]),
    "group_id_clash": (DuplicateTaskIdError, ["'g'", "has already been added to the DAG", "'d'"]),
    "chain_of_unequal_lists": (AuthoringError, ["2 and 3", "length"]),
    "get_missing_task": (NotFoundError, ["Task nope not found", "'d'"]),
    "python_callable_not_callable": (AuthoringError, ["`python_callable` param must be callable", "task_id: a"]),
    "taskflow_missing_argument": (AuthoringError, ["missing a required argument: 'v'", "'c'"]),
    "sensor_bad_mode": (AuthoringError, ["'poke', 'reschedule'", "'wait'", "'a'", "'d'"]),
}


@pytest.mark.parametrize("name", FACTS)
def test_message(name: str) -> None:
    case = next(c for c in cases("cli_messages.json") if c["name"] == name)
    kind, facts = FACTS[name]
    with pytest.raises(kind) as failure:
        import_all(case["code"])
    for fact in facts:
        assert fact in str(failure.value)


def import_all(text: str) -> None:
    """What importing a file with this text does: its DAGs are defined and serialized."""
    with collecting_dags() as found:
        names = run_text(text)
    for dag in [*found, *names.values()]:
        if isinstance(dag, DAG):
            dag.to_spec()


def test_an_invalid_param_of_a_dag_without_schedule_is_no_error() -> None:
    case = next(c for c in cases("cli_messages.json") if c["name"] == "param_invalid")
    import_all(case["code"])
