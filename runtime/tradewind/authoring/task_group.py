"""Task groups: tasks that belong together, drawn as one box and connected as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Self, TypedDict, Unpack

from tradewind.authoring.arguments import reject_unknown
from tradewind.authoring.dag_arguments import mapping_needed, text_needed
from tradewind.authoring.ids import IdBook, check_group_key, check_key
from tradewind.authoring.nodes import (
    DagContainer,
    DagNode,
    Dependencies,
    Dependency,
    EdgeText,
    GroupNode,
    TaskNode,
    as_sequence,
)
from tradewind.authoring.scope import current_dag, enter_scope, group_for, leave_scope
from tradewind.model.errors import AuthoringError, DuplicateTaskIdError


class GroupLooks(TypedDict, total=False):
    """How a group is drawn, and what happens where its id is taken."""

    tooltip: str
    ui_color: str
    ui_fgcolor: str
    group_display_name: str | None
    add_suffix_on_collision: bool


class TaskGroup(GroupNode):
    """`with TaskGroup("load") as load:`; tasks made inside get ids such as `load.fetch`.

    `prefix_group_id=False` leaves the ids of the members alone. `default_args` apply to the
    members and are stronger than the DAG's. `first >> load >> last` waits for all that the group
    begins and ends with. Raises DuplicateTaskIdError where the id is taken, unless
    `add_suffix_on_collision` asks for `load__1`, `load__2` …
    """

    def __init__(
        self,
        group_id: str | None,
        prefix_group_id: bool = True,
        parent_group: GroupNode | None = None,
        dag: DagContainer | None = None,
        default_args: Mapping[str, Any] | None = None,
        **looks: Unpack[GroupLooks],
    ) -> None:
        unknown = looks.keys() - GroupLooks.__annotations__.keys()
        if unknown:
            reject_unknown(unknown, GroupLooks.__annotations__, f"TaskGroup {group_id!r}")
        where = f"TaskGroup {group_id!r}"
        mapping_needed(default_args or {}, f"{where}: default_args")
        text_needed(looks.get("tooltip", ""), f"{where}: tooltip")
        self.tooltip = looks.get("tooltip", "")
        self.ui_color = looks.get("ui_color", "CornflowerBlue")
        self.ui_fgcolor = looks.get("ui_fgcolor", "#000")
        self.group_display_name = looks.get("group_display_name")
        suffix = looks.get("add_suffix_on_collision", False)
        self.prefix_group_id = prefix_group_id
        self.default_args = dict(default_args or {})
        self.children: dict[str, DagNode] = {}
        self.upstream_group_ids: set[str] = set()
        self.downstream_group_ids: set[str] = set()
        self.upstream_task_ids = set()
        self.downstream_task_ids = set()
        self._group_id = group_id
        if group_id is None:
            self.dag = dag
            self._ids = IdBook()
        else:
            self._join(group_id, parent_group, dag, suffix=suffix)

    def _join(self, group_id: str, parent: GroupNode | None, dag: DagContainer | None, *, suffix: bool) -> None:
        check = check_group_key if self.prefix_group_id else check_key
        check(group_id, "TaskGroup: group_id")
        dag = dag or (parent.dag if parent is not None else current_dag())
        parent = parent or group_for(dag)
        if dag is None or not isinstance(parent, TaskGroup):
            raise AuthoringError(f"TaskGroup {group_id!r}: a task group has to be made inside a DAG")
        if parent.dag is not dag:
            raise AuthoringError(f"TaskGroup {group_id!r}: its parent group belongs to another DAG than {dag.dag_id!r}")
        self._ids = parent.ids
        if group_id in self._ids or parent.child_id(group_id) in self._ids:
            if not suffix:
                raise DuplicateTaskIdError(
                    f"DAG {dag.dag_id!r}: the id {group_id!r} of a task group has already been added to the DAG"
                )
            group_id = parent.free_label(group_id)
        self._group_id = group_id
        self.dag = dag
        self.task_group = parent
        self.default_args = {**parent.default_args, **self.default_args}
        parent.add(self)

    # ------------------------------------------------------------------ identity

    @property
    def ids(self) -> IdBook:
        """All ids of the DAG."""
        return self._ids

    @property
    def group_id(self) -> str | None:
        """The full id; None for the DAG's own group."""
        return None if self._group_id is None else self.node_id

    @property
    def node_id(self) -> str:
        """The full id; empty for the DAG's own group."""
        if self._group_id is None:
            return ""
        parent = self.task_group
        return parent.child_id(self._group_id) if parent is not None else self._group_id

    @property
    def label(self) -> str:
        """The id as given, without the parents' prefix."""
        return self._group_id or ""

    @property
    def is_root(self) -> bool:
        """Whether this is the DAG's own group."""
        return self._group_id is None

    @property
    def parent_group(self) -> GroupNode | None:
        """The group around this one."""
        return self.task_group

    @property
    def upstream_join_id(self) -> str:
        """Name of the node that gathers incoming edges in drawings."""
        return f"{self.node_id}.upstream_join_id"

    @property
    def downstream_join_id(self) -> str:
        """Name of the node that gathers outgoing edges in drawings."""
        return f"{self.node_id}.downstream_join_id"

    def child_id(self, label: str) -> str:
        """The full id of a member with this label."""
        if self.prefix_group_id and self._group_id is not None:
            return f"{self.node_id}.{label}"
        return label

    # ------------------------------------------------------------------ members

    def add(self, node: DagNode) -> None:
        """Takes a task or group in. Raises DuplicateTaskIdError where the id is taken."""
        node.task_group = self
        key = node.node_id
        if key in self._ids:
            kind = "task" if isinstance(node, TaskNode) else "task group"
            dag = f"DAG {self.dag.dag_id!r}: " if self.dag is not None else ""
            raise DuplicateTaskIdError(f"{dag}the {kind} id {key!r} has already been added to the DAG")
        self._ids.add(key)
        self.children[key] = node

    def get_child_by_label(self, label: str) -> DagNode:
        """The member with this label. Raises KeyError."""
        return self.children[self.child_id(label)]

    def free_label(self, label: str) -> str:
        """`label`, or `label__1`, `label__2` … whichever is free for a new member."""
        return self._ids.free(label, self.child_id(""))

    def __iter__(self) -> Iterator[TaskNode]:
        """All tasks of the group and of the groups inside, in order of definition."""
        stack: list[Iterator[DagNode]] = [iter(self.children.values())]
        while stack:
            for child in stack[-1]:
                if isinstance(child, GroupNode):
                    stack.append(iter(child.children.values()))
                    break
                if isinstance(child, TaskNode):
                    yield child
            else:
                stack.pop()

    iter_tasks = __iter__

    def groups(self) -> Iterator[TaskGroup]:
        """The groups inside, each before the groups inside it, in order of definition."""
        for child in self.children.values():
            if isinstance(child, TaskGroup):
                yield child
                yield from child.groups()

    def get_task_group_dict(self) -> dict[str | None, TaskGroup]:
        """This group and those inside it by full id."""
        return {group.group_id: group for group in (self, *self.groups())}

    def has_task(self, task: TaskNode) -> bool:
        """Whether the task is in this group or one inside it."""
        return any(member is task for member in self)

    @property
    def roots(self) -> Sequence[TaskNode]:
        """Tasks with nothing upstream inside the group."""
        return list(self.get_roots())

    @property
    def leaves(self) -> Sequence[TaskNode]:
        """Tasks with nothing downstream inside the group; what stands before teardowns instead of these."""
        return list(self.get_leaves())

    def get_roots(self) -> Iterator[TaskNode]:
        """Tasks with nothing upstream inside the group, in order of definition."""
        tasks = list(self)
        ids = {task.task_id for task in tasks}
        return (task for task in tasks if task.upstream_task_ids.isdisjoint(ids))

    def get_leaves(self) -> Iterator[TaskNode]:
        """Tasks with nothing downstream inside the group, in order of definition, each once.

        A teardown is no leaf: the tasks before it count in its place, so that what follows the
        group does not wait for cleaning up.
        """
        members = {task.task_id: task for task in self}
        seen: set[str] = set()
        for task in members.values():
            if task.downstream_task_ids.isdisjoint(members):
                for leaf in _before_teardowns(task, members):
                    if leaf.task_id not in seen:
                        seen.add(leaf.task_id)
                        yield leaf

    # ------------------------------------------------------------------ dependencies

    def set_upstream(self, other: Dependencies, edge_modifier: EdgeText | None = None) -> None:
        """Makes `other` run before what the group begins with."""
        self._relate_group(other, upstream=True, label=edge_modifier)

    def set_downstream(self, other: Dependencies, edge_modifier: EdgeText | None = None) -> None:
        """Makes `other` run after what the group ends with."""
        self._relate_group(other, upstream=False, label=edge_modifier)

    def _relate_group(self, other: Dependencies, *, upstream: bool, label: EdgeText | None) -> None:
        items = as_sequence(other, f"task group {self.node_id!r}")
        for item in items:
            self.note_relative(item, upstream=upstream, label=label)
        for task in list(self.get_roots() if upstream else self.get_leaves()):
            if upstream:
                task.set_upstream(items)
            else:
                task.set_downstream(items)

    def note_relative(self, other: Dependency, *, upstream: bool, label: EdgeText | None) -> None:
        """Keeps what is linked to the whole group, so that drawings show one edge instead of many."""
        if isinstance(other, TaskGroup):
            (self.upstream_group_ids if upstream else self.downstream_group_ids).add(other.node_id)
            (other.downstream_group_ids if upstream else other.upstream_group_ids).add(self.node_id)
            self._label(other.downstream_join_id if upstream else other.upstream_join_id, label, upstream=upstream)
            return
        for task in other.roots:
            (self.upstream_task_ids if upstream else self.downstream_task_ids).add(task.task_id)
            self._label(task.task_id, label, upstream=upstream)

    def _label(self, far_id: str, label: EdgeText | None, *, upstream: bool) -> None:
        if label is None or self.dag is None:
            return
        if upstream:
            self.dag.set_edge_info(far_id, self.upstream_join_id, label.text)
        else:
            self.dag.set_edge_info(self.downstream_join_id, far_id, label.text)

    # ------------------------------------------------------------------ context manager

    def __enter__(self) -> Self:
        if self.dag is None:
            raise AuthoringError(f"task group {self.node_id!r} belongs to no DAG")
        enter_scope(self.dag, self)
        return self

    def __exit__(self, *exc: object) -> None:
        leave_scope()

    def __repr__(self) -> str:
        return f"<TaskGroup {self.node_id!r}>"


def _before_teardowns(task: TaskNode, members: Mapping[str, TaskNode]) -> Iterator[TaskNode]:
    if not task.is_teardown:
        yield task
        return
    for task_id in sorted(task.upstream_task_ids & members.keys()):
        before = members[task_id]
        if before.is_teardown:
            yield from _before_teardowns(before, members)
        elif not before.is_setup and not _goes_on(before, members):
            yield before


def _goes_on(task: TaskNode, members: Mapping[str, TaskNode]) -> bool:
    """Whether more than teardowns follows inside the group."""
    return any(not members[task_id].is_teardown for task_id in task.downstream_task_ids & members.keys())
