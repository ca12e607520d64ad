"""The arguments that every operator takes: their types, their checks, their spelling.

An argument that is not given costs nothing: the default is an attribute of the class.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, Required, TypedDict, cast

from tradewind.authoring.dag_arguments import texts_needed
from tradewind.authoring.instants import duration, instant
from tradewind.authoring.nodes import DagContainer, GroupNode
from tradewind.authoring.params import ParamsDict
from tradewind.authoring.priority_strategy import strategy_rule
from tradewind.authoring.retry_policy import RetryPolicy, retry_policy
from tradewind.model.errors import AuthoringError
from tradewind.model.states import TriggerRule

Callback = Callable[..., Any]
Callbacks = Callback | Sequence[Callback]


class TaskSettings(TypedDict, total=False):
    """Arguments of `@task(…)` and of every operator, but for `task_id`. Durations may be numbers of seconds."""

    dag: DagContainer | None
    task_group: GroupNode | None
    default_args: Mapping[str, Any] | None
    owner: str
    start_date: datetime | date | str | None
    end_date: datetime | date | str | None
    depends_on_past: bool
    ignore_first_depends_on_past: bool
    wait_for_past_depends_before_skipping: bool
    wait_for_downstream: bool
    retries: int | None
    retry_delay: timedelta | float
    retry_exponential_backoff: bool
    max_retry_delay: timedelta | float | None
    execution_timeout: timedelta | float | None
    trigger_rule: TriggerRule | str
    priority_weight: int
    weight_rule: str
    pool: str | None
    pool_slots: int
    queue: str
    executor: str | None
    executor_config: Mapping[str, Any] | None
    max_active_tis_per_dag: int | None
    max_active_tis_per_dagrun: int | None
    task_concurrency: int | None
    params: Mapping[str, Any] | None
    do_xcom_push: bool
    multiple_outputs: bool
    on_execute_callback: Callbacks | None
    on_success_callback: Callbacks | None
    on_failure_callback: Callbacks | None
    on_retry_callback: Callbacks | None
    on_skipped_callback: Callbacks | None
    retry_policy: RetryPolicy | Mapping[Any, Any] | Callable[..., Any] | None
    pre_execute: Callback | None
    post_execute: Callable[[Any, Any], Any] | None
    on_lost: str
    max_lost: int
    exclusive: bool
    durable: bool
    sla: timedelta | None
    email: str | Sequence[str] | None
    email_on_retry: bool
    email_on_failure: bool
    inlets: Any
    outlets: Any
    run_as_user: str | None
    resources: Any
    doc: str | None
    doc_md: str | None
    doc_json: str | None
    doc_yaml: str | None
    doc_rst: str | None
    task_display_name: str | None
    map_index_template: str | None
    logger_name: str | None
    allow_nested_operators: bool


class OperatorArguments(TaskSettings, total=False):
    """Arguments of every operator."""

    task_id: Required[str]


OLD_SPELLINGS: Final[dict[str, str]] = {"task_concurrency": "max_active_tis_per_dag"}
IGNORED: Final = frozenset({"provide_context", "adhoc", "resources"})
"""Arguments of old Airflow versions that say nothing any more."""

_OLD_RULES: Final = {
    "dummy": TriggerRule.ALWAYS,
    "none_failed_or_skipped": TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS,
}
_WEIGHT_RULES: Final = ("downstream", "upstream", "absolute")
_MOST: Final = 1_000_000_000
"""Of what is counted: the database keeps four bytes, and clearing a task adds its retries to its tries."""


def trigger_rule(value: object, where: str) -> TriggerRule:
    """A trigger rule from itself or its name. Raises AuthoringError listing the rules."""
    text = value.value if isinstance(value, TriggerRule) else value
    if isinstance(text, str):
        if text in _OLD_RULES:
            return _OLD_RULES[text]
        try:
            return TriggerRule(text)
        except ValueError:
            pass
    allowed = ", ".join(rule.value for rule in TriggerRule)
    raise AuthoringError(f"{where}: there is no trigger rule {value!r}; it must be one of {allowed}")


def _weight_rule(value: object, where: str) -> str:
    text: object = getattr(value, "value", value)
    strategy = None if text in _WEIGHT_RULES else strategy_rule(value)
    if strategy is not None:
        return strategy
    if not isinstance(text, str) or text not in _WEIGHT_RULES:
        raise AuthoringError(f"{where}: {value!r} is none of {', '.join(_WEIGHT_RULES)}")
    return text


def _whole(least: int | None, *, none_allowed: bool = False) -> Callable[[object, str], int | None]:
    def check(value: object, where: str) -> int | None:
        if value is None and none_allowed:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            raise AuthoringError(f"{where}: a whole number is needed, not {value!r}")
        if least is not None and value < least:
            raise AuthoringError(f"{where}: {value} is too small; the least is {least}")
        if least is not None and value > _MOST:
            raise AuthoringError(f"{where}: {value} is too large; the most is {_MOST}")
        return value

    return check


def _retries(value: object, where: str) -> int:
    return _whole(0)(value, where) or 0 if value is not None else 0


def _maybe(check: Callable[[object, str], Any]) -> Callable[[object, str], Any]:
    return lambda value, where: None if value is None else check(value, where)


def _flag(value: object, where: str) -> bool:
    if not isinstance(value, bool):
        raise AuthoringError(f"{where}: True or False is needed, not {value!r}")
    return value


def _timedelta(value: object, where: str) -> timedelta | None:
    if value is not None and not isinstance(value, timedelta):
        raise AuthoringError(f"{where}: a timedelta is needed, not {value!r}")
    return value


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise AuthoringError(f"{where}: a text is needed, not {value!r}")
    return value


def callbacks(value: object, where: str) -> tuple[Callback, ...]:
    """One callback, several or none, as a tuple. Raises AuthoringError for what cannot be called."""
    if value is None:
        return ()
    listed = cast("Sequence[object]", value if isinstance(value, (list, tuple)) else (value,))
    for item in listed:
        if not callable(item):
            raise AuthoringError(f"{where}: {item!r} cannot be called")
    return cast("tuple[Callback, ...]", tuple(listed))


def _callable(value: object, where: str) -> Callable[..., Any]:
    if not callable(value):
        raise AuthoringError(f"{where}: {value!r} cannot be called")
    return value


def _on_lost(value: object, where: str) -> str:
    if not isinstance(value, str) or value not in ("retry", "fail"):
        raise AuthoringError(f"{where}: {value!r} is none of 'retry', 'fail'")
    return value


def _params(value: object, where: str) -> ParamsDict:
    if value is not None and not isinstance(value, Mapping):
        raise AuthoringError(f"{where}: a dict is needed, not {value!r}")
    return ParamsDict(cast("Mapping[str, Any] | None", value))


def _mapping(value: object, where: str) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        raise AuthoringError(f"{where}: a dict is needed, not {value!r}")
    return cast("Mapping[str, Any]", value or {})


def _pool(value: object, where: str) -> str:
    if value == "":
        raise AuthoringError(f"{where}: a pool's name has 1 to 250 characters")
    return "default_pool" if value is None else _text(value, where)


def _email(value: object, where: str) -> object:
    if value is not None:
        texts_needed(value, where)
    return value


def _listed(value: object, _where: str) -> object:
    """A list, which operators may add to; sets stay, since their order means nothing."""
    if isinstance(value, (set, frozenset)):
        return cast("object", value)
    if isinstance(value, (list, tuple)):
        return list(cast("Iterable[object]", value))
    return [] if value is None else [value]


def _as_given(value: object, _where: str) -> object:
    return value


_FLAGS: Final = frozenset(
    {"depends_on_past", "ignore_first_depends_on_past", "wait_for_past_depends_before_skipping", "wait_for_downstream"}
    | {"retry_exponential_backoff", "do_xcom_push", "multiple_outputs", "exclusive", "durable"}
)
_FREE: Final = frozenset(
    {"email_on_retry", "email_on_failure", "run_as_user", "logger_name"}
    | {"doc", "doc_md", "doc_json", "doc_yaml", "doc_rst", "task_display_name", "map_index_template"}
    | {"allow_nested_operators"}
)

CHECKS: Final[Mapping[str, Callable[[object, str], Any]]] = {
    "owner": _text,
    "start_date": _maybe(instant),
    "end_date": _maybe(instant),
    **dict.fromkeys(_FLAGS, _flag),
    "retries": _retries,
    "retry_delay": duration,
    "max_retry_delay": _maybe(duration),
    "execution_timeout": _maybe(duration),
    "trigger_rule": trigger_rule,
    "priority_weight": _whole(None),
    "weight_rule": _weight_rule,
    "pool": _pool,
    "pool_slots": _whole(1),
    "queue": _text,
    "executor": _maybe(_text),
    "executor_config": _mapping,
    "max_active_tis_per_dag": _whole(1, none_allowed=True),
    "max_active_tis_per_dagrun": _whole(1, none_allowed=True),
    "params": _params,
    "on_execute_callback": callbacks,
    "on_success_callback": callbacks,
    "on_failure_callback": callbacks,
    "on_retry_callback": callbacks,
    "on_skipped_callback": callbacks,
    "retry_policy": retry_policy,
    "pre_execute": _callable,
    "post_execute": _callable,
    "on_lost": _on_lost,
    "max_lost": _whole(0),
    "sla": _timedelta,
    "email": _email,
    "inlets": _listed,
    "outlets": _listed,
    **dict.fromkeys(_FREE, _as_given),
}
"""For each argument that is kept as an attribute: the check that also brings it into its kept form."""


class OwnList:
    """A class attribute that is an empty list of each object's own, made when it is first asked for."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, operator: object, owner: type | None = None) -> Any:
        return [] if operator is None else vars(operator).setdefault(self._name, [])


def reject_unknown(names: Iterable[str], known: Iterable[str], owner: str) -> None:
    """Raises AuthoringError naming the unknown arguments and what may have been meant."""
    known = list(known)
    parts: list[str] = []
    for name in sorted(names):
        close = difflib.get_close_matches(name, known, n=1)
        parts.append(f"{name!r} (did you mean {close[0]!r}?)" if close else repr(name))
    raise AuthoringError(f"{owner} does not take the argument{'s' if len(parts) > 1 else ''} {', '.join(parts)}")
