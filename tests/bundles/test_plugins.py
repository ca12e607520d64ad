"""The plug-ins folder."""

from __future__ import annotations

import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tradewind.authoring import macros
from tradewind.authoring.defaults import AuthoringDefaults, use_defaults
from tradewind.bundles import plugins
from tradewind.bundles.loader import load_file, mentions_dag
from tradewind.config import load_config
from tradewind.services.bundle_sources import bundles_of
from tradewind.trial import try_dag

PLUGIN = """
from datetime import timedelta
from airflow.plugins_manager import AirflowPlugin
from airflow.timetables.base import DagRunInfo, DataInterval, Timetable

def shout(text):
    return text.upper() + "!"

class EveryOtherDay(Timetable):
    def infer_manual_data_interval(self, *, run_after):
        return DataInterval(run_after - timedelta(days=2), run_after)

    def next_dagrun_info(self, *, last_automated_data_interval, restriction):
        start = last_automated_data_interval.end if last_automated_data_interval else restriction.earliest
        return DagRunInfo.interval(start, start + timedelta(days=2))

class Mine(AirflowPlugin):
    name = "mine"
    macros = [shout]
    timetables = [EveryOtherDay]
    flask_blueprints = ["a page"]
    appbuilder_views = [{"name": "a view"}]
"""

DAG = """
from airflow import DAG
from airflow.operators.bash import BashOperator
from mine_of_a_test import EveryOtherDay

with DAG("uses", schedule=EveryOtherDay(), start_date="2024-01-01") as dag:
    BashOperator(task_id="say", bash_command="echo {{ macros.mine.shout('hi') }}")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Generator[Path, None, None]:
    place = tmp_path / "plugins"
    place.mkdir()
    (place / "mine_of_a_test.py").write_text(PLUGIN)
    yield place
    sys.path[:] = [path for path in sys.path if path != str(place)]
    sys.modules.pop("mine_of_a_test", None)
    if hasattr(macros, "mine"):
        delattr(macros, "mine")
    vars(plugins)["_loaded"].pop(str(place), None)


@pytest.mark.blocks_the_loop
async def test_macros_and_timetables_of_a_plugin(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """They are there for the DAG file and for its tasks; pages are refused in one sentence."""
    (folder / "broken.py").write_text("import nothing_of_the_kind\n")
    (folder / ".hidden.py").write_text("1 / 0\n")
    file = folder.parent / "uses.py"
    file.write_text(DAG)
    with use_defaults(AuthoringDefaults(plugins_folder=str(folder))):
        dag = load_file(file).dags["uses"]
        load_file(file)
    assert dag.timetable_spec().summary == "EveryOtherDay"
    report = await try_dag(dag)
    assert report.results["say", -1] == "HI!"
    said = [record.getMessage() for record in caplog.records if record.name == plugins.__name__]
    assert sum("flask_blueprints, appbuilder_views: Tradewind has no place for these" in text for text in said) == 1
    found = plugins.loaded_plugins()[str(folder)]
    assert [(p.name, p.macros, p.timetables) for p in found.plugins] == [("mine", ("shout",), ("EveryOtherDay",))]
    assert "No module named 'nothing_of_the_kind'" in found.errors[str(folder / "broken.py")]


def test_a_plugin_file_is_loaded_like_a_dag_file_so_that_its_errors_are_seen(folder: Path) -> None:
    config = load_config(folder.parent, {"dags.load_examples": False}, environ={})
    assert [bundle.name for bundle in bundles_of(config)] == ["dags", "plugins"]
    assert config.authoring_defaults().plugins_folder == str(folder)
    assert mentions_dag(b"from airflow.plugins_manager import AirflowPlugin")
    elsewhere = load_config(folder.parent, environ={"AIRFLOW__CORE__PLUGINS_FOLDER": "/elsewhere"})
    assert str(elsewhere.dags.plugins_folder) == "/elsewhere"


def test_a_plugin_without_a_name(folder: Path) -> None:
    (folder / "mine_of_a_test.py").write_text(PLUGIN.replace('name = "mine"', ""))
    assert "has no `name`" in plugins.load_plugins(folder).errors[str(folder / "mine_of_a_test.py")]
