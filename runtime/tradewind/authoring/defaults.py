"""Defaults that the configuration may change, kept where DAG files can reach them.

`config` lies above this package, so whoever loads DAG files hands the values down with
`use_defaults` before the first file is imported.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class AuthoringDefaults:
    """What holds where a DAG file says nothing.

    `timezone` is an IANA name; it applies to dates without a zone. `cron_intervals` and `delta_intervals`: runs of a
    cron text or a timedelta are about the interval before them, else about their moment (None: as the file is written
    for, the moment in Airflow 3). `xcom_max_bytes` is the largest
    encoded XCom. `xcom_backend` is the import path of a `BaseXCom` class, or empty. `xcom_allowed_classes`
    are patterns of the classes that stored values may name (empty: every class made for data);
    `xcom_pickling` allows pickle for values that JSON cannot hold.
    `max_map_length` is the longest value that a task can be mapped over. `max_partition_keys`: so many keys of runs
    the partition key of one event may become. `max_consecutive_failed_dag_runs`: after so many failed runs in a row
    a DAG is paused; 0: never.
    `hide_sensitive`: secrets are masked in logs; `sensitive_names` are further words (lower case) of names of
    secrets. `secrets_first`: secrets back ends are configured, so the runtime is asked before the environment.
    `look_ups` is the address where a runtime answers for variables and connections outside attempts.
    `plugins_folder` is the folder whose plug-ins are loaded before the first DAG file; empty: none.
    `base_url` is the address of the pages, for links; empty: not known.
    `deferrable`: operators that can defer do so where their tasks do not say.
    `operator_arguments` are arguments of every operator, weaker than any `default_args`.
    """

    timezone: str = "UTC"
    catchup: bool = False
    cron_intervals: bool | None = None
    delta_intervals: bool | None = None
    max_active_runs: int = 16
    max_active_tasks: int = 16
    xcom_max_bytes: int = 16 * 1024 * 1024
    xcom_backend: str = ""
    max_map_length: int = 1024
    max_partition_keys: int = 1000
    max_consecutive_failed_dag_runs: int = 0
    xcom_allowed_classes: tuple[str, ...] = ()
    xcom_pickling: bool = False
    hide_sensitive: bool = True
    sensitive_names: tuple[str, ...] = ()
    secrets_first: bool = False
    look_ups: str = ""
    plugins_folder: str = ""
    base_url: str = ""
    deferrable: bool = False
    operator_arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def with_intervals(self, by_file: bool) -> AuthoringDefaults:
        """The same, with what the file says where the configuration says nothing of intervals."""
        cron = by_file if self.cron_intervals is None else self.cron_intervals
        delta = by_file if self.delta_intervals is None else self.delta_intervals
        return replace(self, cron_intervals=cron, delta_intervals=delta)


_defaults: ContextVar[AuthoringDefaults] = ContextVar("tradewind_authoring_defaults")
_process_defaults = AuthoringDefaults()


def current_defaults() -> AuthoringDefaults:
    """The defaults in force for the file that is being imported or run."""
    return _defaults.get(_process_defaults)


@contextmanager
def use_defaults(defaults: AuthoringDefaults) -> Generator[None, None, None]:
    """These defaults inside the `with` block (and in tasks and threads that copy its context)."""
    token = _defaults.set(defaults)
    try:
        yield
    finally:
        _defaults.reset(token)
