"""Listeners: functions of plug-ins that are told what happens to task instances, runs and assets.

A listener is a module or an object whose functions carry the mark `hookimpl` and one of these names::

    on_task_instance_running/success/failed/skipped (previous_state, task_instance, error)
    on_dag_run_running/success/failed               (dag_run, msg)
    on_starting, before_stopping                    (component)
    on_asset_changed (asset), on_dataset_changed    (dataset)

Each names the arguments that it wants. What they raise is logged and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, TypeVar, overload

from tradewind.authoring.calling import called_by_name
from tradewind.model.errors import AuthoringError

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

HOOKS: Final = frozenset(
    {f"on_task_instance_{state}" for state in ("running", "success", "failed", "skipped")}
    | {f"on_dag_run_{state}" for state in ("running", "success", "failed")}
    | {"on_starting", "before_stopping", "on_asset_changed", "on_dataset_changed"}
)
_MARKS: Final = ("tradewind_impl", "airflow_impl")
"""What `hookimpl` puts on a function; the second is the mark of pluggy's `HookimplMarker("airflow")`."""

_listening: dict[str, list[Callable[..., Any]]] = {}
_registered: list[object] = []


@overload
def hookimpl(function: F) -> F: ...


@overload
def hookimpl(function: None = None, **options: Any) -> Callable[[F], F]: ...


def hookimpl(function: F | None = None, **options: Any) -> F | Callable[[F], F]:
    """Marks a function as one that listens. Options of pluggy's (`tryfirst` …) are accepted and not used."""
    if function is None:
        return hookimpl
    setattr(function, _MARKS[0], options or True)
    return function


def register_listener(listener: object) -> None:
    """Has the marked functions of a module or an object called from now on, in this process. Twice is once.

    Raises AuthoringError where a marked function has a name that nothing is told by.
    """
    if any(listener is known for known in _registered):
        return
    found: dict[str, Callable[..., Any]] = {}
    for name in dir(listener):
        function: object = getattr(listener, name, None)
        if not callable(function) or not any(hasattr(function, mark) for mark in _MARKS):
            continue
        if name not in HOOKS:
            raise AuthoringError(
                f"listener {listener!r}: nothing is told by the name {name!r}; the names are {', '.join(sorted(HOOKS))}"
            )
        found[name] = function
    _registered.append(listener)
    for name, function in found.items():
        _listening.setdefault(name, []).append(function)


def forget_listeners() -> None:
    """Unregisters all."""
    _registered.clear()
    _listening.clear()


def is_listening(*names: str) -> bool:
    """Whether anybody listens to one of these (to anything, without names)."""
    return any(name in _listening for name in names) if names else bool(_listening)


def tell(name: str, **offered: Any) -> None:
    """Calls whoever listens. What they raise is logged."""
    for function in _listening.get(name, ()):
        try:
            called_by_name(function, {}, offered)
        except Exception:
            log.exception("listener %s failed", getattr(function, "__qualname__", function))
