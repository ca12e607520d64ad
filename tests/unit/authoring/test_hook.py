"""Hooks: made without arguments, used with `with`, closed; connections looked up when they are needed."""

from __future__ import annotations

from typing import Any

import pytest

from tradewind import BaseHook, Connection
from tradewind.model.errors import NotFoundError


class MovielensHook(BaseHook):
    def __init__(self, conn_id: str, retry: int = 3) -> None:
        super().__init__()
        self._conn_id = conn_id
        self._retry = retry
        self._session: list[str] | None = None
        self.closed = 0

    def get_conn(self) -> tuple[list[str], str]:
        if self._session is None:
            config = self.get_connection(self._conn_id)
            schema, host, port = config.schema or "http", config.host or "localhost", config.port or 5000
            self._session = [f"{schema}://{host}:{port}", config.login or "nobody"]
        return self._session, self._session[0]

    def close(self) -> None:
        self.closed += 1
        self._session = None


@pytest.mark.spec("2:C-10", "2:C-11", "2:C-13", "2:C-15", "2:C-16")
def test_a_hook_as_people_write_them(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = MovielensHook("movielens")  # no look-up yet
    with pytest.raises(NotFoundError, match="AIRFLOW_CONN_MOVIELENS"):
        hook.get_conn()
    monkeypatch.setenv("AIRFLOW_CONN_MOVIELENS", "http://airflow:airflow@movielens:5001/https")
    with hook as same:
        assert same is hook
        session, url = same.get_conn()
        assert (session, url) == (["https://movielens:5001", "airflow"], "https://movielens:5001")
        monkeypatch.setenv("AIRFLOW_CONN_MOVIELENS", "http://other")
        assert same.get_conn()[0] is session, "kept by the hook"
    assert hook.closed == 1


@pytest.mark.spec("2:C-12")
def test_connections_on_class_and_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DB", "postgres://h")
    for place in (BaseHook, BaseHook(), BaseHook(source=None), MovielensHook("db")):
        assert place.get_connection("db").host == "h"
        assert [found.conn_id for found in place.get_connections("db")] == ["db"]


def test_what_a_hook_does_not_define() -> None:
    with pytest.raises(NotImplementedError, match=r"BaseHook does not define get_conn\(\)"):
        BaseHook().get_conn()
    BaseHook().close()
    assert MovielensHook("x").log.name == f"{__name__}.MovielensHook"


class ShellHook(BaseHook):
    conn_name_attr = "shell_conn_id"

    def __init__(self, shell_conn_id: str, more: int = 0) -> None:
        super().__init__()
        self.got = (shell_conn_id, more)


def test_the_hook_of_a_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_S", "shell://h")

    class Point:
        def load(self) -> type[BaseHook]:
            return ShellHook

    def points(*, group: str, name: str | None = None) -> list[Any]:
        return [Point()] if (group, name) == ("tradewind.hooks", "shell") else []

    monkeypatch.setattr("importlib.metadata.entry_points", points)
    hook = Connection.get("s").get_hook(hook_params={"more": 2})
    assert isinstance(hook, ShellHook)
    assert hook.got == ("s", 2)
    assert isinstance(BaseHook.get_hook("s"), ShellHook)
    with pytest.raises(NotFoundError, match="no installed package has a hook for connections of type 'odd'"):
        Connection("x", conn_type="odd").get_hook()
