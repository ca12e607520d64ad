"""DAG files in the manner of Airflow's own examples, in the spellings of its three versions: they load and run.

The files are in `dags/`; a run is one of `tradewind dags test --no-wait`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tradewind.authoring.dag import DAG
from tradewind.bundles.loader import load_file
from tradewind.trial import TrialReport, try_dag
from tradewind.trial_time import SkippingLoop

HERE = Path(__file__).parent / "dags"
FRIDAY = datetime(2024, 1, 5, tzinfo=UTC)

pytestmark = pytest.mark.blocks_the_loop


def dags_of(name: str) -> Mapping[str, DAG]:
    found = load_file(HERE / f"{name}.py").dags
    for dag in found.values():
        dag.to_spec()
    return found


def ran(name: str, dag_id: str) -> tuple[TrialReport, dict[str, str]]:
    """The report of a run, and the states other than success by task."""
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        report = runner.run(try_dag(dags_of(name)[dag_id], logical_date=FRIDAY))
    instances = [
        (f"{i.task_id}[{i.map_index}]" if i.map_index >= 0 else i.task_id, i.state.value) for i in report.instances
    ]
    return report, {task: state for task, state in instances if state != "success"}


EXPECTED: dict[tuple[str, str], tuple[str, dict[str, str]]] = {
    ("old_spellings", "old_spellings"): ("success", {"right": "skipped", "never": "skipped"}),
    ("taskflow", "orders_taskflow"): ("success", {}),
    ("taskflow", "branches_and_groups"): (
        "success",
        {"drop": "skipped", "skipped": "skipped", "after_skipped": "skipped", "off": "skipped"},
    ),
    ("taskflow", "setups_and_teardowns"): ("failed", {"work": "failed"}),
    ("third_version", "sdk_classic"): ("success", {"early": "skipped", "weekend": "skipped", "left_out": "skipped"}),
    ("third_version", "sdk_mapping"): ("success", {}),
    ("third_version", "sdk_produces"): ("success", {}),
    ("third_version", "sdk_consumes"): ("success", {}),
    ("own_classes", "own_classes"): ("success", {"late": "failed", "soft": "skipped", "after_soft": "skipped"}),
    ("other_dags", "starts_another"): ("failed", {"start": "failed"}),
    ("other_dags", "waits_for_another"): ("failed", {"waits": "failed"}),
}


@pytest.mark.parametrize(("name", "dag_id"), EXPECTED)
def test_it_runs_to_these_states(name: str, dag_id: str) -> None:
    report, others = ran(name, dag_id)
    assert (report.run.state.value, others) == EXPECTED[name, dag_id], report.errors


def test_every_dag_of_the_files_is_expected() -> None:
    found = {(path.stem, dag_id) for path in HERE.glob("*.py") for dag_id in dags_of(path.stem)}
    assert found == set(EXPECTED)


@pytest.mark.spec("2:0:Template/context names", "1:P3", "2:0:Operators")
def test_values_of_old_files() -> None:
    results = ran("old_spellings", "old_spellings")[0].results
    assert results["push", -1] == {"made": 4, "next": "2024-01-05"}
    assert results["pull", -1] == [True, "20240105"]
    assert str(results["say", -1]).split() == ["2024-01-04", "2024", "True"]


def test_values_of_taskflow() -> None:
    results = ran("taskflow", "orders_taskflow")[0].results
    assert results["load", -1] == [2473.4, 3, True]
    results = ran("taskflow", "branches_and_groups")[0].results
    assert (results["shown", -1], results["say", -1]) == ("there", "done")


def test_values_of_the_third_version() -> None:
    results = ran("third_version", "sdk_mapping")[0].results
    assert (results["total", -1], results["partly", -1], results["grouped", -1]) == (9, 42, 7)
    assert [results["pairs", n] for n in (0, 1)] == ["1", "2"]
    assert ran("third_version", "sdk_classic")[0].results["call", -1] == [3, True]


def test_classes_of_ones_own() -> None:
    report, _ = ran("own_classes", "own_classes")
    assert report.results["shop", -1] == ["/in/2024-01-05", "shop_default", "2024-01-05"]
    tries = {row.task_id: row.try_number for row in report.instances}
    assert (tries["third"], tries["late"]) == (1, 1)
    spec = {task.task_id: task for task in dags_of("own_classes")["own_classes"].to_spec().tasks}
    assert (spec["shop"].priority_weight, spec["after"].priority_weight) == (4, 7)


def test_another_dag_that_is_not_there_is_named() -> None:
    assert "nobody_has_it" in ran("other_dags", "starts_another")[0].errors["start"]
