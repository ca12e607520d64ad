"""`BaseHook`: what hooks to outside systems are derived from."""

from __future__ import annotations

import importlib.metadata
import logging
from collections.abc import Callable, Iterable
from functools import cache, cached_property
from importlib.metadata import EntryPoint
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from tradewind.authoring.connection import Connection
from tradewind.authoring.provider_packages import hook_class
from tradewind.model.errors import NotFoundError

HOOKS_GROUP: Final = "tradewind.hooks"
"""Entry points by the type of connection: which class is its hook."""


class BaseHook:
    """A client of an outside system, made from a connection.

    Define `get_conn`; what it returns is yours (a session, a client, a tuple). Look connections up when
    they are needed, not when the hook is made: hooks may be made while a DAG file is imported.
    """

    conn_name_attr: ClassVar[str] = "conn_id"
    """The argument of the hook that takes the connection's id."""
    default_conn_name: ClassVar[str] = ""
    conn_type: ClassVar[str] = ""
    hook_name: ClassVar[str] = ""

    def __init__(self, source: object = None, logger_name: str | None = None) -> None:
        """`source` is accepted for hooks that were written for Airflow 1."""
        del source
        self._logger_name = logger_name

    @cached_property
    def log(self) -> logging.Logger:
        """A logger with the name of the class; inside an attempt it writes to the task's log."""
        cls = type(self)
        given: str | None = getattr(self, "_logger_name", None)
        return logging.getLogger(given or f"{cls.__module__}.{cls.__qualname__}")

    @classmethod
    def get_connection(cls, conn_id: str) -> Connection:
        """The connection of that id. Raises NotFoundError, and ValueError where it cannot be read."""
        return Connection.get(conn_id)

    @classmethod
    async def aget_connection(cls, conn_id: str) -> Connection:
        """`get_connection` for code on an event loop."""
        return await Connection.aget(conn_id)

    @classmethod
    def get_connections(cls, conn_id: str) -> list[Connection]:
        """The connection of that id, as a list of one."""
        return [cls.get_connection(conn_id)]

    @classmethod
    def get_hook(cls, conn_id: str, hook_params: dict[str, Any] | None = None) -> BaseHook:
        """The hook for the connection's type. Raises NotFoundError where no installed package has one."""
        return hook_of(cls.get_connection(conn_id), hook_params, packages_first=True)

    def get_conn(self) -> Any:
        """What the hook works with. To be defined by each hook."""
        raise NotImplementedError(
            f"{type(self).__name__} does not define get_conn(): write `def get_conn(self)` that returns what the "
            "hook works with"
        )

    def close(self) -> None:
        """Gives back what the hook holds. Does nothing unless the hook defines it; twice is allowed."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@cache
def _own_class(ask: Callable[..., Iterable[EntryPoint]], conn_type: str) -> EntryPoint | None:
    """The entry point for a type of connection, as `importlib.metadata` has it: reading that takes milliseconds."""
    return next(iter(ask(group=HOOKS_GROUP, name=conn_type)), None)


def hook_of(
    connection: Connection, hook_params: dict[str, Any] | None = None, *, packages_first: bool = False
) -> BaseHook:
    """A hook for the connection. Raises NotFoundError where no installed package has one for its type.

    Of a type that both we and a provider package for Airflow have, ours is taken, unless `packages_first`: operators of
    such a package work with its own hook only.
    """
    conn_type = connection.conn_type or ""
    own = _own_class(importlib.metadata.entry_points, conn_type)
    cls: Any = hook_class(conn_type) if packages_first or own is None else None
    if cls is None and own is not None:
        cls = own.load()
    if cls is None:
        raise NotFoundError(
            f"no installed package has a hook for connections of type {connection.conn_type!r} (connection "
            f"{connection.conn_id!r}): install the provider, or make the hook from its own class"
        )
    hook: BaseHook = cls(**{cls.conn_name_attr: connection.conn_id}, **(hook_params or {}))
    return hook
