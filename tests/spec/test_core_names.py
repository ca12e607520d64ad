"""Names of the core in the places where both versions of Airflow have them, side by side."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

import pytest

from tests.served_airflow import served_airflow
from tradewind.authoring.connection import Connection


@pytest.fixture(autouse=True)
def served() -> Iterator[None]:
    with served_airflow():
        yield


def found(path: str) -> Any:
    """What `from module import name` gives for `module.name`."""
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


def all_one(*paths: str) -> Any:
    """All of these paths lead to one thing."""
    first, *others = (found(path) for path in paths)
    assert all(other is first for other in others), paths
    return first


@pytest.mark.spec(
    "3:12c:airflow.sensors.filesystem.FileSensor",
    "3:12c:airflow.sensors.python.PythonSensor",
    "3:12c:airflow.DAG",
    "3:12c:airflow.exceptions.AirflowSkipException",
    "3:12c:airflow.hooks.base_hook.BaseHook",
)
def test_sensors_dag_skipping_and_hooks() -> None:
    for name, module in (("FileSensor", "filesystem"), ("PythonSensor", "python")):
        old = "file_sensor" if name == "FileSensor" else "python_sensor"
        sensor = all_one(f"airflow.sensors.{module}.{name}", f"airflow.contrib.sensors.{old}.{name}")
        assert sensor.__name__ == name
    assert all_one("airflow.DAG", "airflow.models.DAG").__name__ == "DAG"
    with pytest.raises(found("airflow.exceptions.AirflowSkipException"), match="not today"):
        raise found("airflow.exceptions.AirflowSkipException")("not today")
    hook = all_one("airflow.hooks.base_hook.BaseHook", "airflow.hooks.base.BaseHook")
    assert callable(hook.get_connection)


@pytest.mark.spec(
    "3:12c:airflow.models.BaseOperator",
    "3:12c:airflow.operators.bash.BashOperator",
    "3:12c:airflow.operators.dagrun_operator.TriggerDagRunOperator",
    "3:12c:airflow.operators.dummy_operator.DummyOperator",
    "3:12c:airflow.operators.latest_only.LatestOnlyOperator",
)
def test_operators() -> None:
    base = found("airflow.models.BaseOperator")
    for name, *modules in (
        ("BashOperator", "bash", "bash_operator"),
        ("TriggerDagRunOperator", "dagrun_operator", "trigger_dagrun"),
        ("DummyOperator", "dummy_operator", "dummy"),
        ("LatestOnlyOperator", "latest_only", "latest_only_operator"),
    ):
        operator = all_one(*(f"airflow.operators.{module}.{name}" for module in modules))
        assert issubclass(operator, base)
    assert found("airflow.models.Connection") is Connection
    assert callable(found("airflow.models.Variable").get)


OWN = """
from airflow.models import BaseOperator
from airflow.utils.decorators import apply_defaults

class Own(BaseOperator):
    @apply_defaults
    def __init__(self, *, bucket, **kwargs):
        super().__init__(**kwargs)
        self.bucket = bucket
"""


@pytest.mark.spec(
    "3:12c:airflow.operators.python.PythonOperator",
    "3:12c:airflow.utils",
    "3:12c:airflow.utils.decorators.apply_defaults",
    "3:O06",
    "3:O07",
)
def test_python_dates_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    assert all_one("airflow.operators.python.PythonOperator", "airflow.operators.python_operator.PythonOperator")
    airflow = importlib.import_module("airflow")
    assert airflow.utils.dates.days_ago(2) < airflow.utils.dates.days_ago(1), "`import airflow` alone is enough"
    apply_defaults = all_one("airflow.utils.decorators.apply_defaults", "airflow.utils.apply_defaults")

    assert callable(apply_defaults)
    names: dict[str, Any] = {}
    exec(compile(OWN, "an_operator.py", "exec"), names)
    with airflow.DAG("d", schedule=None, default_args={"bucket": "from the defaults"}):
        assert names["Own"](task_id="t").bucket == "from the defaults"
    monkeypatch.setenv("AIRFLOW_CONN_CITIBIKE", "http://citibike:cycling@citibike_api:5000?period=minute")
    hook = found("airflow.hooks.base.BaseHook")
    for known in (hook.get_connection("citibike"), hook.get_connection(conn_id="citibike")):
        assert (known.host, known.port, known.login, known.password) == ("citibike_api", 5000, "citibike", "cycling")
        assert known.extra_dejson == {"period": "minute"}
        assert known.get_uri() == "http://citibike:cycling@citibike_api:5000/?period=minute"


@pytest.mark.spec("3:12c:airflow.providers.postgres.hooks.postgres.PostgresHook", "3:F16")
def test_what_a_missing_package_would_bring_names_it_and_stops_nothing() -> None:
    """PostgreSQL has ours; a name of a package that is not installed is an error of the file that wants it."""
    all_one("airflow.providers.postgres.hooks.postgres.PostgresHook", "airflow.hooks.postgres_hook.PostgresHook")
    with pytest.raises(ImportError, match="apache-airflow-providers-microsoft-azure"):
        found("airflow.providers.microsoft.azure.hooks.wasb.WasbHook")
    assert found("airflow.operators.bash.BashOperator")
