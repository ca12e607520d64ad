"""Small things of Airflow's that DAG files import: constants, enumerations, base classes without a body here."""

from __future__ import annotations

import enum
import importlib
import logging
import pkgutil
from collections.abc import Iterator
from functools import cached_property
from types import ModuleType
from typing import Any, ClassVar, Final, NamedTuple, cast

from tradewind.authoring.dag import DAG
from tradewind.model.states import FINISHED, RunState, TaskState

AIRFLOW_VERSION: Final = "2.11.2"
"""The version whose names and behaviour are served; provider packages ask for it."""


class WeightRule(enum.StrEnum):
    """Whose weights count: those of the tasks after, of the tasks before, or the own alone."""

    DOWNSTREAM = "downstream"
    UPSTREAM = "upstream"
    ABSOLUTE = "absolute"


class State:
    """States of tasks and runs by name; NONE is None, as in Airflow."""

    NONE: ClassVar[None] = None
    REMOVED: ClassVar[TaskState] = TaskState.REMOVED
    SCHEDULED: ClassVar[TaskState] = TaskState.SCHEDULED
    QUEUED: ClassVar[TaskState] = TaskState.QUEUED
    RUNNING: ClassVar[TaskState] = TaskState.RUNNING
    SUCCESS: ClassVar[TaskState] = TaskState.SUCCESS
    FAILED: ClassVar[TaskState] = TaskState.FAILED
    SKIPPED: ClassVar[TaskState] = TaskState.SKIPPED
    SHUTDOWN: ClassVar[TaskState] = TaskState.SHUTDOWN
    RESTARTING: ClassVar[TaskState] = TaskState.RESTARTING
    DEFERRED: ClassVar[TaskState] = TaskState.DEFERRED
    UP_FOR_RETRY: ClassVar[TaskState] = TaskState.UP_FOR_RETRY
    UP_FOR_RESCHEDULE: ClassVar[TaskState] = TaskState.UP_FOR_RESCHEDULE
    UPSTREAM_FAILED: ClassVar[TaskState] = TaskState.UPSTREAM_FAILED

    finished: ClassVar[frozenset[TaskState]] = frozenset(FINISHED)
    unfinished: ClassVar[frozenset[TaskState | None]] = frozenset({None, *set(TaskState) - FINISHED - {TaskState.NONE}})
    failed_states: ClassVar[frozenset[TaskState]] = frozenset({TaskState.FAILED, TaskState.UPSTREAM_FAILED})
    success_states: ClassVar[frozenset[TaskState]] = frozenset({TaskState.SUCCESS, TaskState.SKIPPED})
    task_states: ClassVar[tuple[TaskState | None, ...]] = (None, *(s for s in TaskState if s is not TaskState.NONE))
    dag_states: ClassVar[tuple[RunState, ...]] = tuple(RunState)


class AirflowParsingContext(NamedTuple):
    """For which of its DAGs and tasks a file is read; None: for all of them."""

    dag_id: str | None
    task_id: str | None


def get_parsing_context() -> AirflowParsingContext:
    """For files that make many DAGs and would leave out those that are not asked for. A file is read once, for all."""
    return AirflowParsingContext(None, None)


class DagRunType(enum.StrEnum):
    """How runs come about."""

    BACKFILL_JOB = "backfill"
    SCHEDULED = "scheduled"
    MANUAL = "manual"
    DATASET_TRIGGERED = "dataset_triggered"
    ASSET_TRIGGERED = "asset_triggered"


class ArgNotSet:
    """The class of `NOTSET`."""


NOTSET: Final = ArgNotSet()
"""Stands for "not given" where None means something."""


class LoggingMixin:
    """Gives a class `self.log`."""

    @cached_property
    def log(self) -> logging.Logger:
        """A logger with the name of the class."""
        cls = type(self)
        return logging.getLogger(f"{cls.__module__}.{cls.__qualname__}")


class BaseOperatorLink:
    """A link on a task's page. Accepted; links of operators are not shown here."""

    name: ClassVar[str] = ""
    operators: ClassVar[list[type[Any]]] = []

    def get_link(self, operator: Any, *, ti_key: Any = None) -> str:
        """The address."""
        raise NotImplementedError(f"{type(self).__name__} defines no get_link()")


def import_string(dotted_path: str) -> Any:
    """What `package.module.name` names. Raises ImportError."""
    module, _, name = dotted_path.rpartition(".")
    if not module:
        raise ImportError(f"{dotted_path!r} is no path of the form package.module.name")
    try:
        return getattr(importlib.import_module(module), name)
    except AttributeError as error:
        raise ImportError(f"module {module!r} has no {name!r}") from error


def iter_namespace(ns: ModuleType) -> Iterator[pkgutil.ModuleInfo]:
    """The modules of a package."""
    return pkgutil.iter_modules(ns.__path__, f"{ns.__name__}.")


def qualname(of: Any, use_qualname: bool = False, exclude_module: bool = False) -> str:
    """Module and name of a class or function; of an object, those of its class."""
    thing: Any = of if hasattr(of, "__name__") else cast("object", of).__class__
    name: str = thing.__qualname__ if use_qualname else thing.__name__
    return name if exclude_module else f"{thing.__module__}.{name}"


def is_valid_dotpath(path: object) -> bool:
    """Whether it is a text of names with dots between."""
    return isinstance(path, str) and all(part.isidentifier() for part in path.split("."))


def is_venv_installed() -> bool:
    """Whether virtual environments can be made here: always, with the standard library's `venv`."""
    return True


def check_cycle(dag: DAG) -> None:
    """Raises DagCycleError where tasks of the DAG depend on each other in a circle."""
    dag.test_cycle()


def accepted(function: Any) -> Any:
    """A decorator that changes nothing: what it marks is called by name."""
    return function
