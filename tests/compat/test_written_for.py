"""Where Airflow 2 and 3 differ by default, a DAG file gets those of the version that it is written for."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tradewind.authoring.defaults import AuthoringDefaults, use_defaults
from tradewind.authoring.written_for import written_for
from tradewind.bundles.loader import DagFileError, load_file
from tradewind.rules.due import due_runs

DAGS = """
from datetime import datetime, timedelta

cron = DAG("cron", schedule="0 6 * * *", start_date=datetime(2024, 1, 1))
delta = DAG("delta", schedule=timedelta(hours=5), start_date=datetime(2024, 1, 1))
"""
THIRD = "from airflow.providers.standard.operators.empty import EmptyOperator\nfrom airflow.sdk import DAG\n"
SECOND = "from airflow import DAG\n"
NATIVE = "from tradewind import DAG\n"
INTERVALS = ("cron_data_interval", "delta_data_interval")
MOMENTS = ("cron_trigger", "delta_trigger")


def found_in(folder: Path, head: str) -> tuple[tuple[str, ...], set[bool]]:
    file = folder / "dags.py"
    file.write_text(head + DAGS)
    dags = load_file(file).dags.values()
    return tuple(dag.timetable_spec().kind for dag in dags), {dag.catchup for dag in dags}


@pytest.mark.parametrize(
    ("head", "kinds", "catchup"), [(THIRD, MOMENTS, False), (SECOND, INTERVALS, True), (NATIVE, INTERVALS, False)]
)
def test_defaults_of_the_version(tmp_path: Path, head: str, kinds: tuple[str, ...], catchup: bool) -> None:
    assert found_in(tmp_path, head) == (kinds, {catchup})


UNSTARTED = """
from datetime import timedelta

cron = DAG("cron", schedule="@daily"{more})
delta = DAG("delta", schedule=timedelta(hours=5){more})
"""


def test_moments_need_no_start_in_files_for_airflow_3(tmp_path: Path) -> None:
    file = tmp_path / "dags.py"
    file.write_text(THIRD + UNSTARTED.format(more=""))
    specs = [dag.to_spec() for dag in load_file(file).dags.values()]
    assert [spec.timetable.kind for spec in specs] == list(MOMENTS)
    now = datetime(2026, 1, 5, 12, tzinfo=UTC)
    daily, five_hours = (due_runs(spec, None, now, 9) for spec in specs)
    assert (list(daily.runs), daily.wake_at) == ([], datetime(2026, 1, 6, tzinfo=UTC))
    assert [run.logical_date for run in five_hours.runs] == [now]


@pytest.mark.parametrize(("head", "more"), [(SECOND, ""), (NATIVE, ""), (THIRD, ", catchup=True")])
def test_intervals_and_what_is_made_up_for_need_a_start(tmp_path: Path, head: str, more: str) -> None:
    file = tmp_path / "dags.py"
    file.write_text(head + UNSTARTED.format(more=more))
    with pytest.raises(DagFileError, match="missing the start_date parameter"):
        load_file(file)


@pytest.mark.parametrize(("head", "kind"), [("airflow.sdk", "cron_trigger"), ("tradewind", "cron_data_interval")])
def test_an_asset_follows_its_file_too(tmp_path: Path, head: str, kind: str) -> None:
    file = tmp_path / "dags.py"
    file.write_text(f"from {head} import asset\n@asset(schedule='@daily')\ndef one(): ...\n")
    (dag,) = load_file(file).dags.values()
    assert dag.timetable_spec().kind == kind


@pytest.mark.parametrize("intervals", [True, False])
def test_the_configuration_comes_first(tmp_path: Path, intervals: bool) -> None:
    with use_defaults(AuthoringDefaults(cron_intervals=intervals, delta_intervals=intervals)):
        for head in (THIRD, SECOND, NATIVE):
            assert found_in(tmp_path, head)[0] == (INTERVALS if intervals else MOMENTS)


def test_a_file_that_is_run_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "alone.py"
    shown = "print(cron.timetable_spec().kind, delta.timetable_spec().kind)\n"
    file.write_text("import tradewind.compat\ntradewind.compat.install()\n" + THIRD + DAGS + shown)
    said = subprocess.run([sys.executable, str(file)], capture_output=True, text=True, check=True, env=os.environ)
    assert said.stdout.split() == list(MOMENTS)


@pytest.mark.parametrize(
    ("source", "version"),
    [
        (b"try:\n    from airflow.sdk import DAG\nexcept ImportError:\n    from airflow import DAG\n", 3),
        (b"import airflow\n", 2),
        (b"from airflow.sdk.definitions.dag import dag\n", 3),
        (b"import airflow_client\n# from airflow import DAG\n", None),
    ],
)
def test_what_a_source_is_written_for(source: bytes, version: int | None) -> None:
    assert written_for(source) == version
