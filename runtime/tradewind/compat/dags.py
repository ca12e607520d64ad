"""DAGs as files for Airflow 2 mean them: where they say nothing, its defaults hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, Unpack

from tradewind.authoring import dag as native
from tradewind.authoring.decorators import DagFunction

P = ParamSpec("P")
R = TypeVar("R")


class DAG(native.DAG):
    """A DAG that makes up for missed runs unless `catchup=False` is given."""

    def __init__(self, dag_id: str, description: str | None = None, **settings: Unpack[native.DagSettings]) -> None:
        settings.setdefault("catchup", True)
        super().__init__(dag_id, description, **settings)


def dag(dag_id: Any = None, description: str | None = None, **settings: Any) -> Any:
    """`@dag` with the defaults of Airflow 2."""
    if callable(dag_id):
        return _decorated(dag_id, None, {})
    given = {"description": description, **settings} if description is not None else settings

    def decorate(function: Callable[P, object]) -> DagFunction[P]:
        return _decorated(function, dag_id, given)

    return decorate


def _decorated(function: Callable[P, object], dag_id: str | None, settings: dict[str, Any]) -> DagFunction[P]:
    given = {"catchup": True, **settings, "dag_id": dag_id or getattr(function, "__name__", "")}
    return DagFunction(function, given)


def apply_defaults(function: Callable[P, R]) -> Callable[P, R]:
    """Says nothing any more: every operator takes `default_args`."""
    return function
