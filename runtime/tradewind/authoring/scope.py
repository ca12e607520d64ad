"""Which DAG and which task group a `with` block has opened.

Context variables, not globals: two files may be imported in two threads of one process.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from tradewind.authoring.nodes import DagContainer, GroupNode


class Scope(NamedTuple):
    """The DAG and group that new tasks join, and the scope around it."""

    dag: DagContainer
    group: GroupNode
    outer: Scope | None


_scope: ContextVar[Scope | None] = ContextVar("tradewind_scope", default=None)
_detached: ContextVar[bool] = ContextVar("tradewind_detached", default=False)
_found: ContextVar[list[DagContainer] | None] = ContextVar("tradewind_found_dags", default=None)


def current_dag() -> DagContainer | None:
    """The DAG of the innermost open `with` block."""
    scope = _scope.get()
    return scope.dag if scope is not None else None


def group_for(dag: DagContainer | None) -> GroupNode | None:
    """The open task group, where it belongs to `dag`; else the root group of `dag`."""
    scope = _scope.get()
    if scope is not None and (dag is None or scope.dag is dag):
        return scope.group
    return dag.task_group if dag is not None else None


def enter_scope(dag: DagContainer, group: GroupNode) -> None:
    """Opens a block; `leave_scope` closes it."""
    _scope.set(Scope(dag, group, _scope.get()))


def leave_scope() -> None:
    """Closes the innermost block."""
    scope = _scope.get()
    _scope.set(scope.outer if scope is not None else None)


@contextmanager
def detached() -> Generator[None, None, None]:
    """Operators that are made inside join no DAG and draw no edges: instances of mapped tasks, at run time."""
    scope, mark = _scope.set(None), _detached.set(True)
    try:
        yield
    finally:
        _detached.reset(mark)
        _scope.reset(scope)


def is_detached() -> bool:
    """Whether operators are being made that join no DAG."""
    return _detached.get()


def note_dag(dag: DagContainer) -> None:
    """Remembers a DAG that a `with` block or a `@dag` call has completed, for the file's loader."""
    found = _found.get()
    if found is not None and dag not in found:
        found.append(dag)


@contextmanager
def collecting_dags() -> Generator[list[DagContainer], None, None]:
    """The DAGs that `with DAG(…)` blocks and `@dag` calls complete inside, bound to a name or not."""
    found: list[DagContainer] = []
    token = _found.set(found)
    outer = _scope.get()
    _scope.set(None)
    try:
        yield found
    finally:
        _found.reset(token)
        _scope.set(outer)
