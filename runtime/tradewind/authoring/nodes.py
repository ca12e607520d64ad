"""What stands on either side of `>>`: tasks, groups, results of tasks, labels.

`TaskNode`, `GroupNode` and `DagContainer` are what these know of each other; `BaseOperator`,
`TaskGroup` and `DAG` are built on them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, TypeAlias, TypeVar, cast

from tradewind.authoring.trigger_kinds import TriggerSource
from tradewind.model.errors import AuthoringError


class Dependency(ABC):
    """Anything that can be put before or after something else."""

    __slots__ = ()

    @property
    @abstractmethod
    def roots(self) -> Sequence[TaskNode]:
        """Tasks that must wait for what is put upstream of this."""

    @property
    @abstractmethod
    def leaves(self) -> Sequence[TaskNode]:
        """Tasks that what is put downstream of this must wait for."""

    @abstractmethod
    def set_upstream(self, other: Dependencies, edge_modifier: EdgeText | None = None) -> None:
        """Makes `other` (one or a list) run before this."""

    @abstractmethod
    def set_downstream(self, other: Dependencies, edge_modifier: EdgeText | None = None) -> None:
        """Makes `other` (one or a list) run after this."""

    def note_relative(self, other: Dependency, *, upstream: bool, label: EdgeText | None) -> None:
        """Told to the far side when an edge is drawn from `other`; groups keep it for their drawing."""
        del other, upstream, label

    def __rshift__(self, other: Other) -> Other:
        self.set_downstream(other)
        return other

    def __lshift__(self, other: Other) -> Other:
        self.set_upstream(other)
        return other

    def __rrshift__(self: Me, other: Sequence[Dependency]) -> Me:
        self.set_upstream(other)
        return self

    def __rlshift__(self: Me, other: Sequence[Dependency]) -> Me:
        self.set_downstream(other)
        return self


class EdgeText(Dependency):
    """A label on its way to an edge."""

    text: str


Dependencies: TypeAlias = Dependency | Sequence[Dependency]
Other = TypeVar("Other", bound=Dependencies)
Me = TypeVar("Me", bound=Dependency)


def as_sequence(items: object, what: str) -> Sequence[Dependency]:
    """One or many as a sequence. Raises AuthoringError for what cannot be a dependency."""
    if isinstance(items, Dependency):
        return (items,)
    if isinstance(items, (list, tuple, set, frozenset)):
        listed = list(cast("Sequence[object]", items))
        for item in listed:
            if not isinstance(item, Dependency):
                raise AuthoringError(_not_a_node(item, what))
        return cast("list[Dependency]", listed)
    raise AuthoringError(_not_a_node(items, what))


def _not_a_node(item: object, what: str) -> str:
    hint = ""
    if callable(item):
        hint = "; a function decorated with @task must be called to become a task"
    return (
        f"{what}: dependencies are drawn between tasks, task groups, results of @task calls and lists of them, "
        f"not {type(item).__name__} {item!r}{hint}"
    )


class DagNode(Dependency):
    """A task or a task group: a node of the DAG with an id."""

    dag: DagContainer | None = None
    task_group: GroupNode | None = None
    upstream_task_ids: set[str]
    downstream_task_ids: set[str]

    @property
    @abstractmethod
    def node_id(self) -> str:
        """The id, unique within the DAG."""

    @property
    def label(self) -> str:
        """The id without the prefix of its groups."""
        group = self.task_group
        if group is not None and group.prefix_group_id and not group.is_root:
            return self.node_id[len(group.node_id) + 1 :]
        return self.node_id

    @property
    def dag_id(self) -> str:
        """Id of the node's DAG; empty where it has none yet."""
        return self.dag.dag_id if self.dag is not None else ""

    def has_dag(self) -> bool:
        """Whether the node belongs to a DAG."""
        return self.dag is not None

    def get_dag(self) -> DagContainer | None:
        """The node's DAG, if it has one."""
        return self.dag

    @property
    def upstream_list(self) -> list[TaskNode]:
        """Tasks directly upstream, by id."""
        return self._tasks(self.upstream_task_ids)

    @property
    def downstream_list(self) -> list[TaskNode]:
        """Tasks directly downstream, by id."""
        return self._tasks(self.downstream_task_ids)

    def get_direct_relative_ids(self, upstream: bool = False) -> set[str]:
        """Ids of the tasks directly upstream or downstream."""
        return self.upstream_task_ids if upstream else self.downstream_task_ids

    def get_direct_relatives(self, upstream: bool = False) -> list[TaskNode]:
        """The tasks directly upstream or downstream."""
        return self.upstream_list if upstream else self.downstream_list

    def get_flat_relative_ids(self, upstream: bool = False) -> set[str]:
        """Ids of all tasks upstream or downstream, however far."""
        if self.dag is None:
            return set()
        found: set[str] = set()
        tasks = self.dag.task_dict
        stack = list(self.get_direct_relative_ids(upstream))
        while stack:
            task_id = stack.pop()
            if task_id not in found:
                found.add(task_id)
                stack.extend(tasks[task_id].get_direct_relative_ids(upstream))
        return found

    def get_flat_relatives(self, upstream: bool = False) -> list[TaskNode]:
        """All tasks upstream or downstream, however far, by id."""
        return self._tasks(self.get_flat_relative_ids(upstream))

    def set_upstream(self, other: Dependencies, edge_modifier: EdgeText | None = None) -> None:
        """Makes `other` (one or a list) run before this task."""
        self._relate(other, upstream=True, label=edge_modifier)

    def set_downstream(self, other: Dependencies, edge_modifier: EdgeText | None = None) -> None:
        """Makes `other` (one or a list) run after this task."""
        self._relate(other, upstream=False, label=edge_modifier)

    def _relate(self, other: Dependencies, *, upstream: bool, label: EdgeText | None) -> None:
        far: list[TaskNode] = []
        for item in as_sequence(other, self.node_id):
            item.note_relative(self, upstream=not upstream, label=label)
            far.extend(item.leaves if upstream else item.roots)
        if not far:
            return
        dag = self._shared_dag(far)
        for task in far:
            if task.dag is None:
                dag.add_task(task)
            before, after = (task, self) if upstream else (self, task)
            before.downstream_task_ids.add(after.node_id)
            after.upstream_task_ids.add(before.node_id)
            if label is not None:
                dag.set_edge_info(before.node_id, after.node_id, label.text)

    def _shared_dag(self, far: Sequence[TaskNode]) -> DagContainer:
        """The one DAG of this node and those; a node without a DAG joins it."""
        shared = self.dag
        for node in far:
            if node.dag is None or node.dag is shared:
                continue
            if shared is not None:
                raise AuthoringError(
                    f"tasks of two DAGs cannot depend on each other: {self.node_id!r} is in DAG {shared.dag_id!r}, "
                    f"{node.node_id!r} in DAG {node.dag.dag_id!r}; use an ExternalTaskSensor or TriggerDagRunOperator"
                )
            shared = node.dag
        if shared is None:
            names = ", ".join(repr(node.node_id) for node in (self, *far))
            raise AuthoringError(f"dependency between tasks that belong to no DAG yet: {names}; give one of them dag=")
        if self.dag is None:
            shared.add_node(self)
        return shared

    def _tasks(self, task_ids: set[str]) -> list[TaskNode]:
        if self.dag is None:
            raise AuthoringError(f"task {self.node_id!r} belongs to no DAG yet")
        tasks = self.dag.task_dict
        return [tasks[task_id] for task_id in sorted(task_ids)]


class TaskNode(DagNode):
    """A task as groups and DAGs see it."""

    task_id: str
    is_setup: bool = False
    is_teardown: bool = False
    is_mapped: bool = False
    """Whether the task is expanded into instances by itself (not by a group around it)."""

    @property
    def node_id(self) -> str:
        """The task id."""
        return self.task_id

    @property
    def roots(self) -> Sequence[TaskNode]:
        """The task itself."""
        return (self,)

    @property
    def leaves(self) -> Sequence[TaskNode]:
        """The task itself."""
        return (self,)


class GroupNode(DagNode):
    """A task group as its members see it."""

    prefix_group_id: bool
    default_args: Mapping[str, Any]
    children: dict[str, DagNode]

    @property
    @abstractmethod
    def is_root(self) -> bool:
        """Whether this is the DAG's own, nameless group."""

    @abstractmethod
    def child_id(self, label: str) -> str:
        """The full id of a member with this label."""

    @abstractmethod
    def free_label(self, label: str) -> str:
        """`label`, or `label__1`, `label__2` … whichever is free for a new member."""

    @abstractmethod
    def add(self, node: DagNode) -> None:
        """Takes a task or group in. Raises DuplicateTaskIdError where the id is taken."""


class DagContainer(ABC):
    """A DAG as its tasks and groups see it."""

    dag_id: str
    fileloc: str
    default_args: Mapping[str, Any]
    start_date: datetime | None
    end_date: datetime | None
    trigger_source: TriggerSource | None = None
    """Where the classes of its triggers come from; None: the DAG was not made by loading a file."""

    @property
    @abstractmethod
    def task_dict(self) -> Mapping[str, TaskNode]:
        """All tasks by id, in order of definition."""

    @property
    @abstractmethod
    def task_group(self) -> GroupNode:
        """The DAG's own, nameless group."""

    @property
    @abstractmethod
    def timezone(self) -> tzinfo:
        """The zone that the DAG's schedule is computed in."""

    @abstractmethod
    def add_task(self, task: TaskNode) -> None:
        """Takes a task in. Raises DuplicateTaskIdError where its id is taken."""

    def add_node(self, node: DagNode) -> None:
        """Takes in a task that has no DAG yet."""
        if not isinstance(node, TaskNode):
            raise AuthoringError(f"task group {node.node_id!r} belongs to no DAG; make it inside `with DAG(…)`")
        self.add_task(node)

    @abstractmethod
    def set_edge_info(self, upstream_id: str, downstream_id: str, label: str) -> None:
        """Puts a text on an edge of the drawing."""
