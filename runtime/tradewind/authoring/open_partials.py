"""Calls of `.partial()` that nothing has expanded: almost always a forgotten `.expand()`."""

from __future__ import annotations

from weakref import WeakKeyDictionary

from tradewind.authoring.nodes import DagContainer

_open: WeakKeyDictionary[DagContainer, dict[int, tuple[object, str]]] = WeakKeyDictionary()


def note_partial(dag: DagContainer | None, partial: object, name: str) -> None:
    """Remembers a partial that was made inside a DAG."""
    if dag is not None:
        _open.setdefault(dag, {})[id(partial)] = (partial, name)


def note_expanded(dag: DagContainer | None, partial: object) -> None:
    """Forgets it."""
    if dag is not None:
        _open.get(dag, {}).pop(id(partial), None)


def never_expanded(dag: DagContainer) -> list[str]:
    """Names of the partials that are still open."""
    return [name for _, name in _open.get(dag, {}).values()]
