"""The graph of a DAG as text, as Graphviz DOT and as Mermaid."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from tradewind.model.specs import DagSpec, TaskSpec

_RULE_OF_ALL: Final = "all_success"


class TreeRow(NamedTuple):
    """One line of the tree: what stands before the task, and whether the task was drawn before."""

    prefix: str
    task: TaskSpec
    again: bool


def tree_rows(spec: DagSpec) -> Iterator[TreeRow]:
    """The tree from the roots down. A task with several upstreams is drawn below the first of them and
    only named below the others.
    """
    downstream = downstream_of(spec)
    tasks = {task.task_id: task for task in spec.tasks}
    roots = [task.task_id for task in spec.tasks if not task.upstream]
    drawn: set[str] = set()
    stack: list[tuple[str, str, str]] = [(root, "", "") for root in reversed(roots)]
    while stack:
        task_id, indent, branch = stack.pop()
        again = task_id in drawn
        yield TreeRow(indent + branch, tasks[task_id], again)
        if again:
            continue
        drawn.add(task_id)
        below = indent + {"": "", "├── ": "│   ", "└── ": "    "}[branch]
        children = downstream[task_id]
        for place, child in reversed(list(enumerate(children))):
            stack.append((child, below, "└── " if place == len(children) - 1 else "├── "))


def as_tree(spec: DagSpec) -> Iterator[str]:
    """Lines of the tree; `(*)` marks a task whose own downstream tasks are drawn further up."""
    for prefix, task, again in tree_rows(spec):
        yield f"{prefix}{_label(task)}{' (*)' if again else ''}"


def as_dot(spec: DagSpec) -> str:
    """Graphviz DOT."""
    lines = [f"digraph {_quoted(spec.dag_id)} {{", "  rankdir=LR;", '  node [shape=rect, style="filled,rounded"];']
    for task in spec.tasks:
        look = f"label={_quoted(task.label or task.task_id)}, fillcolor={_quoted(task.ui_color)}"
        lines.append(f"  {_quoted(task.task_id)} [{look}, fontcolor={_quoted(task.ui_fgcolor)}];")
    labels = {(edge.upstream, edge.downstream): edge.text for edge in spec.edge_labels}
    for task in spec.tasks:
        for upstream in task.upstream:
            text = labels.get((upstream, task.task_id))
            look = f" [label={_quoted(text)}]" if text else ""
            lines.append(f"  {_quoted(upstream)} -> {_quoted(task.task_id)}{look};")
    return "\n".join([*lines, "}"]) + "\n"


def as_mermaid(spec: DagSpec) -> str:
    """A Mermaid flow chart, as Markdown pages draw it."""
    number = {task.task_id: f"t{place}" for place, task in enumerate(spec.tasks)}
    labels = {(edge.upstream, edge.downstream): edge.text for edge in spec.edge_labels}
    lines = ["flowchart LR"]
    lines += [f'  {number[task.task_id]}["{_mermaid(task.label or task.task_id)}"]' for task in spec.tasks]
    for task in spec.tasks:
        for upstream in task.upstream:
            text = labels.get((upstream, task.task_id))
            arrow = f'-->|"{_mermaid(text)}"|' if text else "-->"
            lines.append(f"  {number[upstream]} {arrow} {number[task.task_id]}")
    return "\n".join(lines) + "\n"


def downstream_of(spec: DagSpec) -> Mapping[str, list[str]]:
    """Task id to the ids directly downstream, in order of definition."""
    found: dict[str, list[str]] = {task.task_id: [] for task in spec.tasks}
    for task in spec.tasks:
        for upstream in task.upstream:
            found[upstream].append(task.task_id)
    return found


def _label(task: TaskSpec) -> str:
    rule = f", {task.trigger_rule}" if task.trigger_rule != _RULE_OF_ALL else ""
    return f"{task.task_id} [{task.operator}{rule}]"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _mermaid(text: str) -> str:
    return text.replace('"', "#quot;").replace("\n", "<br>")
