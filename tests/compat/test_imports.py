"""Files that import Airflow's names get ours."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import time_machine

import tradewind
from tests.served_airflow import served_airflow
from tradewind.authoring.defaults import AuthoringDefaults, use_defaults
from tradewind.compat import NotServed, install, uninstall
from tradewind.compat.moved_names import MOVED
from tradewind.compat.names import MODULES
from tradewind.compat.provider_names import OF_PROVIDERS
from tradewind.model.errors import ConfigError


@pytest.fixture(autouse=True)
def served() -> Generator[None, None, None]:
    with served_airflow():
        yield


def run(text: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(text, "an_old_dag.py", "exec"), names)
    return names


@pytest.mark.parametrize("module", MODULES)
def test_every_name_of_the_table_is_there(module: str) -> None:
    served = importlib.import_module(module)
    for name in MODULES[module]:
        assert getattr(served, name) is not None, name


@pytest.mark.spec("1:P9", "1:D4", "2:0:Decorator")
@time_machine.travel(datetime(2026, 3, 1, 23, 59, 59, tzinfo=UTC), tick=False)
def test_a_file_of_the_book() -> None:
    names = run("""
import airflow
from airflow import DAG
from airflow.operators.bash import BashOperator
from airflow.operators.dummy_operator import DummyOperator
from airflow.operators.python import PythonOperator
from airflow.utils.decorators import apply_defaults
from airflow.models import BaseOperator

class Own(BaseOperator):
    template_fields = ("_path",)
    @apply_defaults
    def __init__(self, path, *args, **kwargs):
        super(Own, self).__init__(*args, **kwargs)
        self._path = path
    def execute(self, context):
        return self._path

dag = DAG(
    dag_id="rockets", start_date=airflow.utils.dates.days_ago(14), schedule_interval="@daily", concurrency=50,
    default_args={"owner": "me", "retries": 1},
)
get = BashOperator(task_id="get", bash_command="date", dag=dag)
do = PythonOperator(task_id="do", python_callable=print, provide_context=True, dag=dag)
own = Own(task_id="own", path="/x/{{ ds }}", dag=dag)
get >> [do, own] >> DummyOperator(task_id="end", dag=dag)
""")
    spec = names["dag"].to_spec()
    assert spec.start_date == datetime(2026, 2, 15, tzinfo=UTC)
    assert (spec.catchup, spec.max_active_tasks, spec.owners) == (True, 50, ("me",))
    assert {t.task_id: t.upstream for t in spec.tasks}["end"] == ("do", "own")
    assert names["dag"].fileloc == "an_old_dag.py"


def test_a_file_for_the_third_version_gets_its_defaults() -> None:
    names = run("""
from airflow.sdk import DAG, dag, task
with DAG("one", start_date=None) as one:
    @task
    def f(): ...
    f()
@dag
def two():
    f()
made = two()
""")
    assert not names["one"].catchup
    assert not names["made"].catchup
    assert names["one"].task_dict["f"].task_type == "@task"


def test_the_decorator_of_the_second_version_catches_up() -> None:
    names = run("""
from airflow.decorators import dag
@dag(schedule=None)
def two(): ...
@dag
def three(): ...
made = [two(), three()]
""")
    assert [made.catchup for made in names["made"]] == [True, True]


def test_what_is_not_served_is_named() -> None:
    with pytest.raises(NotServed, match=r"airflow\.models\.Nothing is not available in Tradewind"):
        run("from airflow.models import Nothing")
    with pytest.raises(
        NotServed, match=r"airflow\.settings\.Session is not available in Tradewind: use the `tradewind` command"
    ):
        run("from airflow.settings import Session")
    with pytest.raises(NotServed, match=r"airflow\.contrib\.nothing is not .*: its classes moved to provider packages"):
        run("from airflow.contrib.nothing import Nobody")
    with pytest.raises(NotServed, match=r"airflow\.models\.Pool is not available .*: pools are made with"):
        run("from airflow.models import Pool")
    with pytest.raises(NotServed, match=r"a task waits for a person without a trigger"):
        run("from airflow.providers.standard.triggers.hitl import HITLTrigger")
    with pytest.raises(NotServed, match=r"airflow\.nothing"):
        run("import airflow.nothing.at_all")


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("from airflow.operators import BashOperator", "import it from airflow.operators.bash"),
        ("from airflow.operators.bash import BashOperater", "did you mean 'BashOperator'?"),
        ("from airflow.models.serialized_dag import SerializedDagModel", "use the REST API instead of the database"),
        ("from airflow.api.common.trigger_dag import trigger_dag", "start runs with TriggerDagRunOperator"),
        ("from airflow.utils.dates import date_range", "make datetimes with pendulum"),
        ("from airflow.utils.dot_renderer import render_dag", "tasks have the context, other programs the REST API"),
    ],
)
def test_each_name_that_is_not_served_says_what_to_use(line: str, hint: str) -> None:
    with pytest.raises(NotServed) as raised:
        run(line)
    assert hint in str(raised.value)


def test_names_of_operators_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_FS_HERE", f'{{"conn_type": "fs", "extra": {{"path": "{tmp_path}"}}}}')
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    names = run("""
from airflow import settings
from airflow.configuration import AIRFLOW_HOME, get_airflow_home
from airflow.hooks.filesystem import FSHook
from airflow.hooks.subprocess import SubprocessHook
from airflow.lineage import AUTO
from airflow.lineage.entities import File, Table
from airflow.utils.timezone import from_timestamp, parse_timezone, utc_epoch
home = (AIRFLOW_HOME, get_airflow_home(), settings.AIRFLOW_HOME)
folders = (settings.DAGS_FOLDER, settings.PLUGINS_FOLDER, FSHook("fs_here").get_path())
done = SubprocessHook().run_command(["bash", "-c", "echo $A; pwd; echo last; exit 3"], env={"A": "1"}, cwd="/")
moments = (utc_epoch() == from_timestamp(0), parse_timezone(3600).utcoffset(None), str(parse_timezone("Europe/Paris")))
words = (File("s3://a/b").url, Table("d", "c", "n").name, AUTO, str(settings.TIMEZONE))
""")
    assert names["home"] == (str(tmp_path),) * 3
    assert names["folders"] == (f"{tmp_path}/dags", f"{tmp_path}/plugins", str(tmp_path))
    assert names["done"] == (3, "last")
    assert names["moments"] == (True, timedelta(hours=1), "Europe/Paris")
    assert names["words"] == ("s3://a/b", "n", "auto", "UTC")


def test_objects_of_all_kinds_are_inlets_and_outlets() -> None:
    dag = run("""
from airflow import DAG, Dataset
from airflow.decorators.python import python_task
from airflow.lineage.entities import File
with DAG("lineage", schedule=None):
    @python_task(inlets=[File("a"), Dataset("d")], outlets=File("b"))
    def move(): ...
    made = move().operator
""")["made"]
    assert [type(one).__name__ for one in (*dag.inlets, *dag.outlets)] == ["File", "Dataset", "File"]


async def test_an_operator_with_aexecute() -> None:
    operator = run("""
from airflow.sdk import DAG, BaseAsyncOperator
class Wait(BaseAsyncOperator):
    async def aexecute(self, context): return context["ds"]
with DAG("waits", schedule=None):
    made = Wait(task_id="w")
""")["made"]
    assert operator.is_async
    assert await operator.execute({"ds": "2026-01-01"}) == "2026-01-01"


@pytest.mark.spec("1:C9")
@pytest.mark.parametrize(("module", "names"), MOVED.items())
def test_what_provider_packages_hold_names_the_package(module: str, names: dict[str, str]) -> None:
    for name, place in names.items():
        home, _, attribute = place.partition(":")
        if attribute in OF_PROVIDERS.get(home, {}):
            run(f"from {module} import {name}\nassert {name}.__module__.startswith('tradewind_providers.')")
            continue
        with pytest.raises(ImportError, match=r"install the provider package|No module named 'kubernetes|kubernetes"):
            run(f"from {module} import {name}")
    with pytest.raises(NotServed, match=r"apache-airflow-providers-apache-hive, with `pip install --no-deps`"):
        run("from airflow.providers.apache.hive.operators.hive import HiveOperator")


@pytest.mark.spec("1:D4", "1:E16", "2:0:Dates", "2:0:Base classes")
@pytest.mark.parametrize(
    "text",
    [
        "from airflow.contrib.sensors.file_sensor import FileSensor",
        "from airflow.contrib.sensors.python_sensor import PythonSensor",
        "from airflow import DAG",
        "from airflow.models import DAG, BaseOperator, Connection, Variable",
        "from airflow.exceptions import AirflowSkipException",
        "from airflow.hooks.base_hook import BaseHook",
        "from airflow.hooks.base import BaseHook",
        "from airflow.operators.bash_operator import BashOperator",
        "from airflow.operators.dagrun_operator import TriggerDagRunOperator",
        "from airflow.operators.dummy_operator import DummyOperator",
        "from airflow.operators.dummy import DummyOperator",
        "from airflow.operators.latest_only_operator import LatestOnlyOperator",
        "from airflow.operators.python_operator import PythonOperator",
        "import airflow; airflow.utils.dates.days_ago(1)",
        "from airflow.utils.decorators import apply_defaults",
        "from airflow.utils import apply_defaults",
    ],
)
def test_every_spelling_of_the_book(text: str) -> None:
    assert run(text)


@pytest.mark.spec("2:0:Models", "2:0:Task groups")
def test_models_and_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_CITY", "Delft")
    names = run("""
from airflow.models import Connection, Variable
from airflow.utils.task_group import TaskGroup
from airflow import DAG
made = Connection(conn_id="api", conn_type="http", host="host", login="me", password="pw", port=5000)
city = Variable.get("CITY")
with DAG("d", schedule=None) as dag:
    with TaskGroup("shelf", tooltip="Books") as group:
        pass
""")
    assert names["made"].get_uri() == "http://me:pw@host:5000"
    assert names["city"] == "Delft"
    assert (names["group"].group_id, names["group"].tooltip) == ("shelf", "Books")


def test_configuration_by_airflows_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__MINE__LIMIT", "3")
    conf = run("from airflow.configuration import conf")["conf"]
    assert (conf.getint("mine", "limit"), conf.get("mine", "other", fallback="x")) == (3, "x")
    assert conf.getint("core", "parallelism") == 32
    assert conf.getboolean("core", "load_examples", fallback=True) in (True, False)
    with use_defaults(AuthoringDefaults(base_url="https://flows.example.com")):
        assert conf.get("webserver", "BASE_URL") == conf.get("api", "base_url") == "https://flows.example.com"
    assert conf.get("api", "base_url").startswith("http")
    assert conf.getsection("mine") == {"limit": "3"}
    assert not conf.has_option("mine", "nothing")
    with pytest.raises(ConfigError, match=r"\[mine/nothing\] not found in config"):
        conf.get("mine", "nothing")


def test_small_things() -> None:
    names = run("""
from airflow.utils.state import State, DagRunState, TaskInstanceState
from airflow.utils.types import NOTSET, DagRunType
from airflow.utils.weight_rule import WeightRule
from airflow.utils.log.logging_mixin import LoggingMixin
from airflow.utils.module_loading import import_string
from airflow.utils.dag_parsing_context import AirflowParsingContext
from airflow import __version__
from airflow.sdk import get_parsing_context
from airflow.sdk.definitions.asset import Asset
from airflow.datasets import Dataset
""")
    assert names["get_parsing_context"]() == names["AirflowParsingContext"](dag_id=None, task_id=None)
    state = names["State"]
    assert state.NONE is None
    assert state.SUCCESS in state.finished
    assert None in state.unfinished
    assert names["WeightRule"].ABSOLUTE == "absolute"
    assert names["import_string"]("datetime.datetime") is datetime
    with pytest.raises(ImportError, match="has no 'nothing'"):
        names["import_string"]("datetime.nothing")
    assert names["LoggingMixin"]().log.name.endswith("LoggingMixin")
    assert names["__version__"].startswith("2.")
    assert issubclass(names["Dataset"], names["Asset"])


def test_provider_packages_beside_it_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall()
    package = tmp_path / "airflow" / "providers" / "acme"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("from airflow.models import BaseOperator\nclass Acme(BaseOperator): ...\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    assert install()
    acme = importlib.import_module("airflow.providers.acme")
    assert issubclass(acme.Acme, tradewind.BaseOperator)
    del sys.modules["airflow.providers.acme"]


def test_a_real_airflow_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uninstall()
    (tmp_path / "airflow").mkdir()
    (tmp_path / "airflow" / "__init__.py").write_text("real = True\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    importlib.invalidate_caches()
    assert not install()
    assert importlib.import_module("airflow").real
    del sys.modules["airflow"]
    assert install(force=True)
    assert importlib.import_module("airflow").DAG is not None
