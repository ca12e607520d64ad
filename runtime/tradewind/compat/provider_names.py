"""Names of Airflow's provider packages that stand for our own: used where the package itself is not installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _ours(module: str, *names: str, **others: str) -> dict[str, str]:
    """The names of a module of ours, and others that stand for one of them."""
    place = f"tradewind_providers.{module}"
    return {name: f"{place}:{name}" for name in names} | {name: f"{place}:{ours}" for name, ours in others.items()}


_HTTP_HOOKS: Final = _ours("http.hook", "HttpHook", "HttpAsyncHook")
_HTTP_OPERATORS: Final = _ours(
    "http.operators", "HttpOperator", "SimpleHttpOperator", SimpleHTTPOperator="HttpOperator"
)
_HANDLERS: Final = _ours("sql.handlers", "fetch_all_handler", "fetch_one_handler", "return_single_query_results")
_SQL_OPERATORS: Final = {
    **_ours("sql.operators", "BaseSQLOperator", "BranchSQLOperator", "SQLExecuteQueryOperator"),
    **_ours("sql.checks", "SQLCheckOperator", "SQLIntervalCheckOperator", "SQLThresholdCheckOperator"),
    **_ours("sql.checks", "SQLValueCheckOperator"),
    **_HANDLERS,
}

OF_PROVIDERS: Final[Mapping[str, Mapping[str, str]]] = {
    "airflow.providers.common.sql.hooks.handlers": _HANDLERS,
    "airflow.providers.common.sql.hooks.sql": {**_ours("sql.hook", "DbApiHook"), **_HANDLERS},
    "airflow.providers.common.sql.operators.sql": _SQL_OPERATORS,
    "airflow.providers.common.sql.sensors.sql": _ours("sql.sensors", "SqlSensor"),
    "airflow.providers.http.hooks.http": _HTTP_HOOKS,
    "airflow.providers.http.operators.http": _HTTP_OPERATORS,
    "airflow.providers.http.sensors.http": _ours("http.sensors", "HttpSensor"),
    "airflow.providers.http.triggers.http": _ours("http.triggers", "HttpSensorTrigger"),
    "airflow.providers.postgres.hooks.postgres": _ours("postgres.hook", "PostgresHook"),
    "airflow.providers.postgres.operators.postgres": _ours("postgres.operators", "PostgresOperator"),
}
