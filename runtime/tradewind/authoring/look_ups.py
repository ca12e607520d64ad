"""Where variables and connections come from: the environment first, then the system.

Inside an attempt the system is asked through `current_attempt`; outside of one (a DAG file that
is being imported) through what the process offers as `outside_services`, or through the runtime
that imports the file. The system asks the secrets back ends, if any are configured, and these come
before the environment: then it is asked first.
"""

from __future__ import annotations

import os
from contextvars import ContextVar
from typing import Protocol

from tradewind.authoring.access import current_attempt
from tradewind.authoring.defaults import current_defaults
from tradewind.model.errors import AuthoringError


class ValueReads(Protocol):
    """Answers for variables and connections."""

    def variable_get(self, key: str) -> str | None:
        """The variable's text; None where there is none."""
        ...

    def connection_get(self, conn_id: str) -> str | None:
        """The connection as JSON text or URI; None where there is none."""
        ...


class ValueServices(ValueReads, Protocol):
    """The part of `BlockingServices` that variables and connections need."""

    def variable_set(self, key: str, value: str | None, description: str | None = None) -> None:
        """Stores a variable; None deletes it."""
        ...


outside_services: ContextVar[ValueServices | None] = ContextVar("tradewind_outside_services", default=None)
"""What answers where no attempt is running: set by the command line and by tests of DAG files."""


def services() -> ValueServices | None:
    """Whoever answers for the code that is running now; None: only the environment."""
    running = current_attempt.get(None)
    return running.blocking if running is not None else outside_services.get()


def reads() -> ValueReads | None:
    """As `services`, and where there are none the runtime that imports the file; None: only the environment."""
    running = services()
    if running is not None or not current_defaults().look_ups:
        return running
    from tradewind.authoring.outside import runtime_answers  # sockets: few processes need them

    return runtime_answers()


def asks_system_first() -> bool:
    """Whether the environment comes second, after secrets back ends."""
    return current_defaults().secrets_first


def from_environment(kind: str, name: str) -> tuple[str, str] | None:
    """The value and the name of the first of TRADEWIND_<kind>_<NAME> and AIRFLOW_<kind>_<NAME> that is set."""
    for prefix in ("TRADEWIND", "AIRFLOW"):
        variable = f"{prefix}_{kind}_{name.upper()}"
        value = os.environ.get(variable)
        if value is not None:
            return value, variable
    return None


def set_variable(key: str, value: str | None, description: str | None = None) -> None:
    """Stores or deletes a variable. Raises AuthoringError where nothing can store it."""
    if value is not None and not 0 < len(key) <= 250:
        raise AuthoringError(f"a variable's key has 1 to 250 characters, not {len(key)}: {key[:40]!r}")
    running = services()
    if running is None:
        raise AuthoringError(
            f"variable {key!r} cannot be changed here: no task is running. Change variables inside a task, "
            "or with `tradewind variables set`"
        )
    running.variable_set(key, value, description)
