"""Sub-DAGs of old DAG files: a DAG made into a task group of another."""

from __future__ import annotations

from typing import Any, Unpack, cast

from tradewind.authoring.arguments import OperatorArguments, reject_unknown
from tradewind.authoring.dag import DAG
from tradewind.authoring.nodes import DagContainer, DagNode, GroupNode, TaskNode
from tradewind.authoring.scope import current_dag
from tradewind.authoring.task_group import TaskGroup
from tradewind.model.errors import AuthoringError

_OF_RUNS = frozenset({"session", "conf", "propagate_skipped_state", "mode", "poke_interval", "timeout", "soft_fail"})
"""Arguments about the run of its own that a sub-DAG had."""


class SubDagArguments(OperatorArguments, total=False):
    """Arguments beside the sub-DAG; those that are no places say nothing: the group has no task of its own."""

    session: Any
    conf: Any
    propagate_skipped_state: Any
    mode: str
    poke_interval: Any
    timeout: Any
    soft_fail: bool


class SubDagOperator(TaskGroup):
    """Takes the tasks of `subdag` into the DAG as a task group: `a` becomes `section.a`.

    The sub-DAG's id has to be `parent.section`. It has no schedule, no runs and no limits of its own any more.
    Raises AuthoringError.
    """

    def __init__(self, *, subdag: DAG, **arguments: Unpack[SubDagArguments]) -> None:
        given = cast("dict[str, Any]", arguments)
        task_id: str = given.get("task_id", "")
        unknown = given.keys() - OperatorArguments.__annotations__.keys() - _OF_RUNS
        if unknown:
            reject_unknown(unknown, OperatorArguments.__annotations__, f"SubDagOperator {task_id!r}")
        parent: GroupNode | None = given.get("task_group")
        dag: DagContainer | None = given.get("dag") or (parent.dag if parent is not None else current_dag())
        if not isinstance(dag, DAG):
            raise AuthoringError(
                f"SubDagOperator {task_id!r}: Please pass in the `dag` param or call within a DAG context"
            )
        inner = cast("object", subdag)
        if not isinstance(inner, DAG):
            raise AuthoringError(f"SubDagOperator {task_id!r}: subdag has to be a DAG, not {inner!r}")
        expected = f"{dag.dag_id}.{task_id}"
        if subdag.dag_id != expected:
            raise AuthoringError(
                "The subdag's dag_id should have the form '{parent_dag_id}.{this_task_id}'. "
                f"Expected {expected!r}; received {subdag.dag_id!r}."
            )
        super().__init__(task_id, parent_group=parent, dag=dag, tooltip=subdag.description or "")
        self.task_id = task_id
        self.subdag = subdag
        self._take_in(dag)

    def _take_in(self, dag: DAG) -> None:
        tasks = self.subdag.tasks
        labels = dict(self.subdag.edge_labels)
        old_ids = [task.task_id for task in tasks]
        for node in list(self.subdag.root.children.values()):
            self._move(node, self)
        new_ids = {old: task.task_id for old, task in zip(old_ids, tasks, strict=True)}
        for task in tasks:
            task.upstream_task_ids = {new_ids[old] for old in task.upstream_task_ids}
            task.downstream_task_ids = {new_ids[old] for old in task.downstream_task_ids}
            task.dag = None
            dag.add_task(task)
        for (before, after), text in labels.items():
            if before in new_ids and after in new_ids:
                dag.set_edge_info(new_ids[before], new_ids[after], text)
        self.subdag.is_subdag = True

    def _move(self, node: DagNode, into: TaskGroup) -> None:
        if isinstance(node, TaskNode):
            node.task_id = into.child_id(node.label)
            node.task_group = into
            return
        if not isinstance(node, TaskGroup):
            raise AuthoringError(f"SubDagOperator {self.task_id!r}: {node!r} cannot be taken in")
        group = TaskGroup(
            node.label, prefix_group_id=node.prefix_group_id, parent_group=into, dag=into.dag, tooltip=node.tooltip,
            ui_color=node.ui_color, ui_fgcolor=node.ui_fgcolor,
        )  # fmt: skip
        for child in list(node.children.values()):
            self._move(child, group)
