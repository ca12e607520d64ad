# pyright: reportUnusedExpression=false
"""DAGs: arguments, schedules, the serialized form."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from time import process_time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.authoring.dag import DAG
from tradewind.authoring.decorators import dag as dag_decorator
from tradewind.authoring.defaults import AuthoringDefaults, use_defaults
from tradewind.authoring.params import Param
from tradewind.authoring.scope import collecting_dags
from tradewind.authoring.task_group import TaskGroup
from tradewind.authoring.templating import render
from tradewind.model.errors import AuthoringError, NotFoundError, ParamValidationError
from tradewind.model.specs import DagSpec
from tradewind.standard.decorators import task
from tradewind.standard.empty import EmptyOperator
from tradewind.standard.python import PythonOperator

names = st.text("abcdefgh_-.", min_size=1, max_size=8)


@given(
    st.lists(names, unique=True, max_size=8),
    st.lists(names, unique=True, max_size=4),
    st.dictionaries(names, st.integers() | names, max_size=4),
    st.randoms(use_true_random=False),
)
def test_the_spec_goes_through_json_and_ignores_the_order_of_sets(
    ids: list[str], tags: list[str], params: dict[str, Any], random: Any
) -> None:
    def made(order: list[str], links: list[tuple[str, str]]) -> DagSpec:
        with DAG("d", start_date="2026-01-01", tags=set(order), params=params) as dag:
            tasks = {task_id: EmptyOperator(task_id=task_id, params={"s": {"b", "a", *tags}}) for task_id in ids}
        for up, down in links:
            tasks[up] >> tasks[down]
        return dag.to_spec()

    links = [(a, b) for n, a in enumerate(ids) for b in ids[n + 1 :] if random.random() < 0.5]
    shuffled_tags, shuffled_links = tags.copy(), links.copy()
    random.shuffle(shuffled_tags)
    random.shuffle(shuffled_links)
    spec = made(tags, links)
    assert DagSpec.from_json(spec.to_json()) == spec
    assert made(shuffled_tags, shuffled_links).content_hash() == spec.content_hash()


def test_params_keep_their_order_and_it_makes_no_version() -> None:
    def made(*names: str) -> DagSpec:
        return DAG("d", params=dict.fromkeys(names, 1)).to_spec()

    spec = made("zone", "area", "mode")
    assert list(DagSpec.from_json(spec.to_json()).params) == ["zone", "area", "mode"]
    assert spec.content_hash() == made("area", "mode", "zone").content_hash()
    assert b"order" not in made("area", "mode", "zone").to_json()


def test_another_process_gives_the_same_hash(tmp_path: Path) -> None:
    file = tmp_path / "pipeline.py"
    file.write_text(
        "from tradewind import DAG, EmptyOperator\n"
        "with DAG('d', schedule='@daily', start_date='2026-01-01', tags={'x', 'y'}, params={'s': {'q', 'r'}}) as dag:\n"
        "    ts = [EmptyOperator(task_id=c, owner=c) for c in 'abcdef']\n"
        "    EmptyOperator(task_id='end') << set(ts)\n"
        "print(dag.to_spec().content_hash())\n"
    )
    hashes = {
        subprocess.run(
            [sys.executable, str(file)],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(
    ("given_date", "instant"),
    [
        ("2026-01-01", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T10:00:00+02:00", datetime(2026, 1, 1, 8, tzinfo=UTC)),
        (date(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),
        (datetime(2026, 1, 1), datetime(2026, 1, 1, tzinfo=UTC)),  # noqa: DTZ001
        (datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin")), datetime(2026, 6, 30, 22, tzinfo=UTC)),
    ],
)
def test_start_dates(given_date: Any, instant: datetime) -> None:
    assert DAG("d", start_date=given_date).to_spec().start_date == instant


def test_the_zone_is_that_of_the_start_date() -> None:
    import pendulum

    berlin = pendulum.datetime(2026, 1, 1, tz="Europe/Berlin")
    assert DAG("d", start_date=berlin, schedule="0 6 * * *").to_spec().timezone == "Europe/Berlin"
    named = DAG("d", start_date="2026-01-01", timezone="Asia/Tokyo").to_spec()
    assert (named.timezone, named.start_date) == ("Asia/Tokyo", datetime(2025, 12, 31, 15, tzinfo=UTC))
    with use_defaults(AuthoringDefaults(timezone="Europe/Paris")):
        assert DAG("d", start_date="2026-01-01").to_spec().timezone == "Europe/Paris"


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        ({"schedule": "@daily"}, ["start_date"]),
        ({"schedule": timedelta(days=1)}, ["start_date"]),
        ({"schedule": "@daily", "schedule_interval": "@daily", "start_date": "2026-01-01"}, ["schedule_interval"]),
        ({"start_date": "2026-02-01", "end_date": "2026-01-01"}, ["end_date", "before"]),
        ({"colour": "red"}, ["'colour'"]),
        ({"max_active_runs": "many"}, ["max_active_runs", "'many'"]),
        ({"tags": "one"}, ["tags", "list"]),
        ({"timezone": "Mars/Olympus"}, ["timezone", "Mars/Olympus"]),
        ({"schedule": "every day", "start_date": "2026-01-01"}, ["every day"]),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], facts: list[str]) -> None:
    with pytest.raises(AuthoringError) as failure:
        DAG("a_dag", **arguments).to_spec()
    for fact in ["a_dag", *facts]:
        assert fact in str(failure.value)


def test_settings_of_the_spec() -> None:
    spec = DAG(
        "d",
        "a description",
        schedule="0 6 * * 1",
        start_date="2026-01-01",
        end_date="2026-12-31",
        catchup=True,
        max_active_runs=2,
        concurrency=50,
        dagrun_timeout=timedelta(hours=1),
        tags=["b", "a"],
        on_failure_callback=print,
        dag_display_name="The D",
    ).to_spec()
    assert (spec.description, spec.catchup) == ("a description", True)
    assert (spec.max_active_runs, spec.max_active_tasks) == (2, 50)
    assert (spec.dagrun_timeout, spec.tags, spec.callbacks, spec.display_name) == (
        3600.0,
        ("a", "b"),
        ("on_failure",),
        "The D",
    )
    assert spec.end_date == datetime(2026, 12, 31, tzinfo=UTC)
    assert spec.timetable.can_be_scheduled


def test_following_schedule() -> None:
    hourly = DAG("d", schedule="@hourly", start_date="2026-01-01")
    assert hourly.following_schedule(datetime(2026, 1, 1, 10, tzinfo=UTC)) == datetime(2026, 1, 1, 11, tzinfo=UTC)
    assert hourly.following_schedule(datetime(2026, 1, 1, 10, 30, tzinfo=UTC)) == datetime(2026, 1, 1, 11, tzinfo=UTC)
    assert DAG("d").following_schedule(datetime(2026, 1, 1, tzinfo=UTC)) is None


def test_dags_are_collected_bound_to_a_name_or_not() -> None:
    with collecting_dags() as found:
        with DAG("one"):
            EmptyOperator(task_id="a")
        with DAG("hidden", auto_register=False):
            pass

        @dag_decorator(schedule=None)
        def two() -> None:
            EmptyOperator(task_id="a")

        two()
        with pytest.raises(ZeroDivisionError), DAG("broken"):
            raise ZeroDivisionError
    assert [dag.dag_id for dag in found] == ["one", "two"]


def test_a_dag_function_takes_params() -> None:
    @dag_decorator("named", schedule=None, params={"size": Param(3, type="integer")})
    def pipeline(size: int = 5, place: str = "here") -> None:
        """What it does."""
        PythonOperator(task_id="a", python_callable=print, op_args=[size, place, f"in {place}"])

    dag = pipeline()
    assert (dag.dag_id, dag.doc_md, dag.fileloc) == ("named", "What it does.", __file__)
    assert dag.params.dump() == {"size": 3, "place": "here"}
    operator = dag.get_task("a").shallow_copy_for_run()
    render(operator, {"params": {"size": 7, "place": "there"}, "dag": dag})
    assert operator.__dict__["op_args"] == [7, "there", "in there"]


def test_scheduled_runs_need_params_that_fit() -> None:
    bad = DAG("d", schedule="@daily", start_date="2026-01-01", params={"n": Param("x", type="integer")})
    with pytest.raises(ParamValidationError, match=r"'d'.*'n'.*'x' is not of type 'integer'"):
        bad.to_spec()
    assert DAG("d", params={"n": Param("x", type="integer")}).to_spec().params == {
        "n": {"value": "x", "schema": {"type": "integer"}}
    }


def test_params_in_default_args_belong_to_the_dag() -> None:
    with DAG("d", params={"n": 1, "m": 2}, default_args={"params": {"n": 3}, "retries": 1}) as dag:
        operator = EmptyOperator(task_id="a")
    assert dag.params.dump() == {"n": 3, "m": 2}
    assert dag.default_args == {"retries": 1}
    assert not operator.params


def test_costs_grow_with_the_tasks_and_not_faster() -> None:
    def seconds(count: int) -> float:
        begun = process_time()
        with DAG("big") as dag:
            made = [EmptyOperator(task_id=f"t{n}") for n in range(count)]
        for n in range(100, count):
            for k in (0, 37, 74):
                made[n - n % 100 - 100 + (n + k) % 100] >> made[n]
        dag.to_spec().content_hash()
        dag.topological_sort()
        return process_time() - begun

    seconds(1000)
    assert seconds(16_000) < 16 * seconds(2_000)  # 8 times the tasks; squared costs would be 64 times


def test_look_ups() -> None:
    with DAG("d") as dag:
        a, b = EmptyOperator(task_id="a"), EmptyOperator(task_id="b")
    dag.set_dependency("a", "b")
    assert (dag.roots, dag.leaves, dag.has_task("a"), dag.task_count) == ([a], [b], True, 2)
    with pytest.raises(NotFoundError, match=r"Task c not found.*'d'"):
        dag.get_task("c")
    assert dag.test_cycle() is False


def test_task_functions_in_a_loop_get_numbers() -> None:
    with DAG("d") as dag:

        @task
        def step(n: int) -> int:
            return n

        for n in range(4):
            step(n)
        step.override(task_id="step__7")(1)
        step(9)
    assert dag.task_ids == ["step", "step__1", "step__2", "step__3", "step__7", "step__8"]


def test_display_names_are_labels() -> None:
    with DAG("d", start_date="2026-01-01", dag_display_name="The Ships") as dag:
        EmptyOperator(task_id="a", task_display_name="Ägir")
        with TaskGroup("g", group_display_name="The Group"):
            EmptyOperator(task_id="b")
            EmptyOperator(task_id="c", task_display_name="See")
    spec = dag.to_spec()
    assert (spec.display_name, [g.label for g in spec.groups]) == ("The Ships", ["The Group"])
    assert [t.label for t in spec.tasks] == ["Ägir", "b", "See"]
