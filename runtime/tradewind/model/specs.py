"""The serialized form of a DAG: what the scheduler, the store and the web know of a DAG file.

A `DagSpec` is made by `authoring` from a live DAG in the process that parsed the file, travels
as canonical JSON (sorted, defaults left out) and is hashed: the same file always gives the same
`content_hash`, however its sets and dicts were ordered. Durations are seconds (float).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, Final, TypeGuard, cast

import orjson

from tradewind.model.assets import AssetUse, WatcherSpec
from tradewind.model.states import TriggerRule

Json = Any
"""A JSON value. `Any` because a recursive alias costs more in casts than it finds in errors."""

DEFAULT_POOL: Final = "default_pool"


@dataclass(frozen=True, slots=True)
class TimetableSpec:
    """A schedule as data: a registered kind and its JSON arguments.

    `summary` is the short text of lists (`@daily`, `0 0 * * *`, `None`); `description` a sentence.
    """

    kind: str
    args: Mapping[str, Json] = field(default_factory=dict[str, Json])
    summary: str = "None"
    description: str = ""
    can_be_scheduled: bool = True


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """One task as the engine needs it. `upstream` holds direct upstream task ids, sorted."""

    task_id: str
    operator: str = "BaseOperator"
    upstream: tuple[str, ...] = ()
    trigger_rule: TriggerRule = TriggerRule.ALL_SUCCESS
    executor: str = "local"
    is_async: bool = False
    is_empty: bool = False
    """Nothing to do (EmptyOperator without callbacks): the engine ends it without an attempt."""
    queue: str = "default"
    pool: str = DEFAULT_POOL
    pool_slots: int = 1
    priority_weight: int = 1
    """The effective total, clipped to 32 bits."""
    own_priority_weight: int = 1
    weight_rule: str = "downstream"
    retries: int = 0
    retry_delay: float = 300.0
    retry_exponential_backoff: bool = False
    max_retry_delay: float | None = None
    execution_timeout: float | None = None
    depends_on_past: bool = False
    ignore_first_depends_on_past: bool = True
    wait_for_downstream: bool = False
    max_active_tis_per_dag: int | None = None
    max_active_tis_per_dagrun: int | None = None
    is_setup: bool = False
    is_teardown: bool = False
    on_failure_fail_dagrun: bool = False
    start_date: datetime | None = None
    end_date: datetime | None = None
    group: str | None = None
    """Full id of the innermost task group."""
    owner: str = "airflow"
    label: str | None = None
    doc_md: str | None = None
    ui_color: str = "#fff"
    ui_fgcolor: str = "#000"
    template_fields: tuple[str, ...] = ()
    callbacks: tuple[str, ...] = ()
    """Names of callbacks set on the task: on_success, on_failure, on_retry, on_execute, on_skipped."""
    max_lost: int = 3
    """How often in a row the same try is queued again after its carrier died."""
    expands: Mapping[str, Json] | None = None
    """The length expression of the task's own `expand`; None: it has none. See `rules.mapping`."""
    measured: tuple[str, ...] = ()
    """XCom keys over which some task is mapped: an attempt that succeeds reports their lengths."""
    starts_deferred: Mapping[str, Json] | None = None
    """The wait with which each try begins, in place of an attempt: {kind, args, method, kwargs, timeout, due, after};
    `args` and `kwargs` are [codec, base64] or null, `timeout` seconds or null. A wait for a moment has its ISO form
    (`due`), or how many seconds after the try's begin it comes (`after`).
    """
    extra: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """What only views need (mapped, email, links …); not read by the rules."""


@dataclass(frozen=True, slots=True)
class EdgeLabel:
    """`a >> Label("text") >> b`."""

    upstream: str
    downstream: str
    text: str


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A task group: `children` are task ids and full group ids, in order of definition."""

    group_id: str
    parent: str | None = None
    label: str | None = None
    tooltip: str = ""
    ui_color: str = "CornflowerBlue"
    ui_fgcolor: str = "#000"
    children: tuple[str, ...] = ()
    expands: Mapping[str, Json] | None = None
    """The length expression of a mapped group; None: the group is not mapped."""


@dataclass(frozen=True, slots=True)
class DagSpec:
    """One version of a DAG. Tasks stand in order of definition."""

    dag_id: str
    tasks: tuple[TaskSpec, ...] = ()
    timetable: TimetableSpec = field(default_factory=lambda: TimetableSpec("none"))
    timezone: str = "UTC"
    start_date: datetime | None = None
    end_date: datetime | None = None
    catchup: bool = False
    max_active_runs: int = 16
    max_active_tasks: int = 16
    dagrun_timeout: float | None = None
    fail_stop: bool = False
    is_paused_upon_creation: bool | None = None
    tags: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    description: str | None = None
    display_name: str | None = None
    doc_md: str | None = None
    params: Mapping[str, Json] = field(default_factory=dict[str, Json])
    """Param name to {value, schema, description}, in the order of the file."""
    groups: tuple[GroupSpec, ...] = ()
    edge_labels: tuple[EdgeLabel, ...] = ()
    callbacks: tuple[str, ...] = ()
    """Names of DAG callbacks that are set: on_success, on_failure."""
    extra: Mapping[str, Json] = field(default_factory=dict[str, Json])
    assets: tuple[AssetUse, ...] = ()
    """What the schedule and the tasks say about assets: by role, task, kind and reference."""
    watchers: tuple[WatcherSpec, ...] = ()
    """Those of all its assets, sorted."""

    def to_json(self) -> bytes:
        """Canonical JSON: keys sorted, fields that hold their default left out. After it the order of the params,
        where that is another one.
        """
        return self.serialized()[0]

    @staticmethod
    def from_json(raw: bytes | str) -> DagSpec:
        """The spec that `to_json` wrote. Unknown fields raise TypeError."""
        data = cast("dict[str, Any]", orjson.loads(raw))
        data["tasks"] = _tasks_from(data.get("tasks", []))
        data["groups"] = tuple(GroupSpec(**_tuples(g)) for g in data.get("groups", ()))
        data["edge_labels"] = tuple(EdgeLabel(**e) for e in data.get("edge_labels", ()))
        data["assets"] = tuple(AssetUse(**use) for use in data.get("assets", ()))
        data["watchers"] = tuple(WatcherSpec(**watcher) for watcher in data.get("watchers", ()))
        if order := data.pop(_PARAMS_ORDER, None):
            data["params"] = {name: data["params"][name] for name in order}
        if "timetable" in data:
            data["timetable"] = TimetableSpec(**data["timetable"])
        _instants(data)
        return DagSpec(**_tuples(data))

    def content_hash(self) -> str:
        """SHA-256 of the canonical JSON, as 64 hexadecimal digits."""
        return self.serialized()[1]

    def serialized(self) -> tuple[bytes, str]:
        """`to_json()` and `content_hash()`. The order of the params is not hashed: no run depends on it, and params
        that a file has from a set come in another order each time.
        """
        canonical = orjson.dumps(_plain(self), option=orjson.OPT_SORT_KEYS)
        digest = hashlib.sha256(canonical).hexdigest()
        order = list(self.params)
        if order == sorted(order):
            return canonical, digest
        return b'%s,"%s":%s}' % (canonical[:-1], _PARAMS_ORDER.encode(), orjson.dumps(order)), digest


_PARAMS_ORDER: Final = "params_order"


@dataclass(frozen=True, slots=True)
class DagSource:
    """Where a DAG version comes from: its bundle, the bundle's version and the file in it."""

    bundle: str
    bundle_version: str
    fileloc: str
    """Absolute path as parsed; the file that a worker loads."""
    relative_fileloc: str


def _tasks_from(tasks: list[Any]) -> tuple[TaskSpec, ...]:
    """The tasks, equal values shared: of the parts of a hundred thousand tasks few differ, and the
    ids that stand in `upstream` are those of other tasks. Each raw task is let go as it is taken in.
    """
    shared: dict[Any, Any] = {}
    nothing: Mapping[str, Json] = {}
    for n, data in enumerate(tasks):
        if "trigger_rule" in data:
            data["trigger_rule"] = TriggerRule(data["trigger_rule"])
        _instants(data)
        values = {name: _share(value, shared) for name, value in data.items()}
        values.setdefault("extra", nothing)
        tasks[n] = TaskSpec(**values)
    return tuple(tasks)


def _share(value: Any, shared: dict[Any, Any]) -> Any:
    """The equal text, or tuple of texts, that is here already, where there is one; lists become tuples."""
    if isinstance(value, str):
        return shared.setdefault(value, value)
    if not _is_list(value):
        return value
    items = tuple(value)
    if not all(isinstance(item, str) for item in items):  # 1 and True are equal, and not the same
        return items
    if items not in shared:
        items = tuple([shared.setdefault(item, item) for item in items])
    return shared.setdefault(items, items)


def _is_list(value: Any) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _instants(data: dict[str, Any]) -> None:
    for name in ("start_date", "end_date"):
        if data.get(name) is not None:
            data[name] = datetime.fromisoformat(data[name])


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {k: tuple(v) if _is_list(v) else v for k, v in data.items()}


def _plain(value: Any) -> Any:
    """Dataclasses as dicts without their defaults; everything else as orjson takes it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names, defaults, read = _fields_of(type(value))
        return {
            name: item if isinstance(item, _AS_IT_IS) else _plain(item)
            for name, default, item in zip(names, defaults, read(value), strict=True)
            if item is not default and item != default
        }
    if isinstance(value, (tuple, list)):
        items = cast("tuple[Any, ...]", value)
        return items if all(isinstance(item, str) for item in items) else [_plain(item) for item in items]
    if isinstance(value, datetime):
        return value.isoformat()
    return value


_AS_IT_IS: Final = (str, int, float)


@cache
def _fields_of(kind: type[Any]) -> tuple[list[str], list[Any], Callable[[Any], tuple[Any, ...]]]:
    """Names and defaults of a dataclass with two fields or more, and what reads them all at once."""
    names: list[str] = []
    defaults: list[Any] = []
    for f in dataclasses.fields(kind):
        names.append(f.name)
        made = f.default_factory() if f.default_factory is not dataclasses.MISSING else f.default
        defaults.append(made)  # MISSING where there is none: no value is equal to that
    return names, defaults, attrgetter(*names)
