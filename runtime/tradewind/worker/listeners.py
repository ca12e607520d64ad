"""Tells listeners of plug-ins about task instances, in the attempt: as callbacks that everybody has."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tradewind.authoring.listeners import hookimpl, is_listening, register_listener, tell

__all__ = ["hookimpl", "listening_to", "register_listener"]

_HOOK_OF: Final = {
    "on_execute": ("on_task_instance_running", "queued"),
    "on_success": ("on_task_instance_success", "running"),
    "on_skipped": ("on_task_instance_skipped", "running"),
    "on_failure": ("on_task_instance_failed", "running"),
    "on_retry": ("on_task_instance_failed", "running"),
}


def listening_to(name: str) -> tuple[Callable[[Any], object], ...]:
    """The callback that tells listeners of what the callbacks of this name are about; empty where nobody listens."""
    hook, previous = _HOOK_OF.get(name, ("", ""))
    return (partial(_tell, hook, previous),) if is_listening(hook) else ()


def _tell(hook: str, previous: str, context: Any) -> None:
    error = context.get("exception")
    tell(hook, task_instance=context["ti"], previous_state=previous, error=error, session=None)
