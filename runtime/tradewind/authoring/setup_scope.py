"""`with setup_task:` and `with teardown_task:`: tasks made inside run between setup and teardown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextvars import ContextVar

from tradewind.authoring.nodes import TaskNode
from tradewind.model.errors import AuthoringError


class SetupBlock:
    """One open `with` block: its setups, its teardowns and the work tasks made inside."""

    def __init__(self, marked: Sequence[TaskNode]) -> None:
        if not marked or not (all(t.is_setup for t in marked) or all(t.is_teardown for t in marked)):
            names = ", ".join(repr(t.task_id) for t in marked)
            raise AuthoringError(f"`with` needs setup tasks only or teardown tasks only; got {names or 'nothing'}")
        self.setups: list[TaskNode] = []
        self.teardowns: list[TaskNode] = []
        if marked[0].is_setup:
            self.setups = list(marked)
            self.teardowns = _partners(marked, upstream=False)
        else:
            self.teardowns = list(marked)
            self.setups = _partners(marked, upstream=True)
        self.work: list[TaskNode] = []

    def close(self, outer: SetupBlock | None) -> None:
        """Draws the edges: setups before the first tasks, teardowns after the last, outer around inner."""
        work = [task for task in self.work if not (task.is_setup or task.is_teardown)]
        if work:
            first = [task for task in work if not task.upstream_task_ids] or work[:1]
            last = [task for task in work if not task.downstream_task_ids] or work[-1:]
            _edges(self.setups, first)
            _edges(last, self.teardowns)
        if outer is not None:
            _edges(outer.setups, self.setups)
            _edges(self.teardowns, outer.teardowns)


_blocks: ContextVar[tuple[SetupBlock, ...]] = ContextVar("tradewind_setup_blocks", default=())


def open_block(marked: Sequence[TaskNode]) -> None:
    """Opens a block for these setups or these teardowns."""
    _blocks.set((*_blocks.get(), SetupBlock(marked)))


def close_block() -> None:
    """Closes the innermost block and draws its edges."""
    *outer, block = _blocks.get()
    _blocks.set(tuple(outer))
    block.close(outer[-1] if outer else None)


def join_open_block(task: TaskNode) -> None:
    """Told of each new task: it is the work of the innermost open block."""
    blocks = _blocks.get()
    if blocks:
        blocks[-1].work.append(task)


def add_to_open_block(task: TaskNode) -> None:
    """Takes in a task that was made outside. Raises AuthoringError where no block is open."""
    blocks = _blocks.get()
    if not blocks:
        raise AuthoringError(f"task {task.task_id!r} cannot be added: no setup or teardown block is open")
    blocks[-1].work.append(task)


def _partners(marked: Iterable[TaskNode], *, upstream: bool) -> list[TaskNode]:
    """The teardowns directly after these setups, or the setups directly before these teardowns."""
    found: dict[str, TaskNode] = {}
    for task in marked:
        if task.dag is None:
            continue
        for task_id in sorted(task.get_direct_relative_ids(upstream)):
            other = task.dag.task_dict[task_id]
            if other.is_setup if upstream else other.is_teardown:
                found[task_id] = other
    return list(found.values())


def _edges(before: Iterable[TaskNode], after: Iterable[TaskNode]) -> None:
    followers = list(after)
    for task in before:
        for follower in followers:
            if follower.task_id not in task.downstream_task_ids:
                task.set_downstream(follower)
