"""`XCom.get_one`, `get_many`, `set`, `clear`, `delete`: values by name, from inside a task.

Every call asks the system through the running attempt, as `ti.xcom_pull` does. A task reads any value
and changes only its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from tradewind.authoring.access import CurrentAttempt, current_attempt
from tradewind.authoring.xcom import BaseXCom, check_xcom_key, decode, encode, has_backend, purge
from tradewind.model.errors import XComError
from tradewind.model.keys import UNMAPPED, RunId
from tradewind.model.outcomes import DELETED, RETURN_KEY


class XComRecord(NamedTuple):
    """One value with its name; `value` is decoded."""

    dag_id: str
    task_id: str
    run_id: str
    map_index: int
    key: str
    value: Any


class _Run(NamedTuple):
    number: RunId
    dag_id: str
    run_id: str
    logical_date: datetime


class XCom(BaseXCom):
    """Values by name, for code inside a task."""

    @classmethod
    def get_one(
        cls,
        *,
        key: str | None = RETURN_KEY,
        task_id: str | None = None,
        dag_id: str | None = None,
        run_id: str | None = None,
        map_index: int | None = None,
        include_prior_dates: bool = False,
        session: object = None,
    ) -> Any:
        """The value; None where there is none. What is left out is that of the running task."""
        del session
        current = _current()
        run = _run(current, dag_id, run_id, or_before=include_prior_dates)
        index = UNMAPPED if map_index is None else map_index
        while run is not None:
            task = task_id or current.attempt.key.task_id
            found = current.blocking.xcom_get(run.number, task, key or RETURN_KEY, index)
            if found is not None:
                return decode(found, _facts(run, task, key or RETURN_KEY, index))
            run = _before(current, run) if include_prior_dates else None
        return None

    @classmethod
    def get_value(cls, *, ti_key: Any, key: str | None = None, session: object = None) -> Any:
        """The value of a task instance's key `(DAG, task, run, …)`."""
        del session
        return cls.get_one(key=key or RETURN_KEY, dag_id=ti_key[0], task_id=ti_key[1], run_id=ti_key[2])

    @classmethod
    def get_many(
        cls,
        *,
        key: str | None = None,
        task_ids: str | Iterable[str] | None = None,
        dag_ids: str | Iterable[str] | None = None,
        run_id: str | None = None,
        include_prior_dates: bool = False,
        limit: int | None = None,
    ) -> list[XComRecord]:
        """The values of this key (default: `return_value`) of the named tasks, by default of every task of the run."""
        current = _current()
        records: list[XComRecord] = []
        for dag_id in _texts(dag_ids) or [current.attempt.run.dag_id]:
            run = _run(current, dag_id, run_id, or_before=include_prior_dates)
            while run is not None:
                records += _records(current, run, _texts(task_ids), key or RETURN_KEY)
                run = _before(current, run) if include_prior_dates else None
        return records if limit is None else records[:limit]

    @classmethod
    def set(
        cls,
        key: str,
        value: Any,
        *,
        task_id: str | None = None,
        dag_id: str | None = None,
        run_id: str | None = None,
        map_index: int | None = None,
        session: object = None,
    ) -> None:
        """Stores a value of the running task. Raises XComError for any other's."""
        del session
        current = _own("set", task_id, dag_id, run_id, map_index)
        check_xcom_key(key)
        where = f"XCom {key!r} of task {current.attempt.key.task_id!r}"
        current.blocking.xcom_put(current.attempt.key, key, encode(value, where=where, facts={"key": key}))

    @classmethod
    def delete(cls, xcoms: XComRecord | Iterable[XComRecord], session: object = None) -> None:
        """Deletes values of the running task that `get_many` has found. Raises XComError for any other's."""
        del session
        for one in [xcoms] if isinstance(xcoms, XComRecord) else xcoms:
            current = _own("delete", one.task_id, one.dag_id, one.run_id, one.map_index)
            _purge(current, one.key)
            current.blocking.xcom_put(current.attempt.key, one.key, DELETED)

    @classmethod
    def clear(
        cls,
        *,
        dag_id: str | None = None,
        task_id: str | None = None,
        run_id: str | None = None,
        map_index: int | None = None,
        session: object = None,
    ) -> None:
        """Deletes all values of the running task. Raises XComError for any other's."""
        del session
        current = _own("clear", task_id, dag_id, run_id, map_index)
        own = current.attempt.key
        for key in current.blocking.xcom_keys(own.run_id, own.task_id, own.map_index):
            _purge(current, key)
        current.blocking.xcom_put(current.attempt.key, "", DELETED)


def _current() -> CurrentAttempt:
    current = current_attempt.get(None)
    if current is None:
        raise XComError("no task is running here: XComs are reached inside tasks, or through the REST API")
    return current


def _run(current: CurrentAttempt, dag_id: str | None, run_id: str | None, *, or_before: bool = False) -> _Run | None:
    """The run of this id. `or_before`: where the other DAG has no run like ours, its latest that is not later."""
    here = current.attempt.run
    if dag_id in (None, here.dag_id) and run_id in (None, here.dag_run_id):
        return _Run(here.run_id, here.dag_id, here.dag_run_id, here.logical_date)
    row = current.blocking.run_find(dag_id or here.dag_id, run_id or here.dag_run_id)
    if row is None and or_before and run_id is None:
        row = current.blocking.run_before(dag_id or here.dag_id, here.logical_date + timedelta.resolution)
    return None if row is None else _Run(row.run_id, row.dag_id, row.dag_run_id, row.logical_date)


def _before(current: CurrentAttempt, run: _Run) -> _Run | None:
    row = current.blocking.run_before(run.dag_id, run.logical_date)
    return None if row is None else _Run(row.run_id, row.dag_id, row.dag_run_id, row.logical_date)


def _texts(given: str | Iterable[str] | None) -> list[str]:
    if given is None:
        return []
    return [given] if isinstance(given, str) else list(given)


def _facts(run: _Run, task_id: str, key: str, index: int) -> Mapping[str, Any]:
    return {"key": key, "task_id": task_id, "dag_id": run.dag_id, "run_id": run.run_id, "map_index": index}


def _records(current: CurrentAttempt, run: _Run, task_ids: list[str], key: str) -> list[XComRecord]:
    wanted = set(task_ids)
    places = [
        (row.task_id, row.map_index)
        for row in current.blocking.instance_list(run.number)
        if not wanted or row.task_id in wanted
    ]
    found: list[XComRecord] = []
    for task_id, index in places:
        encoded = current.blocking.xcom_get(run.number, task_id, key, index)
        if encoded is not None:
            value = decode(encoded, _facts(run, task_id, key, index))
            found.append(XComRecord(run.dag_id, task_id, run.run_id, index, key, value))
    return found


def _own(what: str, task_id: str | None, dag_id: str | None, run_id: str | None, index: int | None) -> CurrentAttempt:
    """The running attempt, if the names are its own."""
    current = _current()
    run, key = current.attempt.run, current.attempt.key
    own = (run.dag_id, key.task_id, run.dag_run_id, key.map_index)
    asked = (dag_id or own[0], task_id or own[1], run_id or own[2], own[3] if index is None else index)
    if asked != own:
        raise XComError(
            f"XCom.{what}: a task changes its own values only; this is {own[0]}.{own[1]} in run {own[2]}, "
            f"asked for was {asked[0]}.{asked[1]} in run {asked[2]}"
        )
    return current


def purge_left_over(current: CurrentAttempt) -> None:
    """Before a task runs again: what earlier tries have left with a back end of one's own goes. Raises XComError."""
    if not has_backend() or current.attempt.resume is not None:
        return
    own = current.attempt.key
    for key in current.blocking.xcom_keys(own.run_id, own.task_id, own.map_index):
        _purge(current, key)
        current.blocking.xcom_put(own, key, DELETED)


def _purge(current: CurrentAttempt, key: str) -> None:
    """Tells a back end of one's own that its value goes."""
    run, at = current.attempt.run, current.attempt.key
    found = current.blocking.xcom_get(run.run_id, at.task_id, key, at.map_index)
    if found is not None:
        here = _Run(run.run_id, run.dag_id, run.dag_run_id, run.logical_date)
        purge(found, _facts(here, at.task_id, key, at.map_index))
