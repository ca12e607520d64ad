# pyright: reportUnusedExpression=false
"""Operators: arguments, `default_args`, copies, setups and teardowns."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tradewind.authoring.dag import DAG
from tradewind.authoring.defaults import AuthoringDefaults, use_defaults
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.sensor import BaseSensorOperator
from tradewind.authoring.task_group import TaskGroup
from tradewind.model.errors import AuthoringError, DuplicateTaskIdError
from tradewind.model.states import TriggerRule
from tradewind.standard.bash import BashOperator
from tradewind.standard.empty import EmptyOperator
from tradewind.standard.python import PythonOperator


class Fetch(BaseOperator):
    """Keeps dates of its own under the names of the base, as many operators do."""

    template_fields: Sequence[str] = ("_start_date", "_output_path")

    def __init__(self, conn_id: str, output_path: str, start_date: Any = "{{ ds }}", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._conn_id = conn_id
        self._output_path = output_path
        self._start_date = start_date

    def execute(self, context: Any) -> str:
        return self._output_path


class Asking(BaseOperator):
    async def execute(self, context: Any) -> int:
        return 1


def test_default_args_reach_every_constructor_and_the_call_wins() -> None:
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    given = {"retries": 2, "retry_delay": 60, "owner": "ops", "start_date": begun, "conn_id": "movies", "nobody": 1}
    with DAG("d", default_args=given, schedule="@daily"):
        without_conn_id: Any = Fetch
        fetch: Fetch = without_conn_id(task_id="fetch", output_path="/out", retries=5)
        other = Fetch(task_id="other", output_path="/out", start_date="2020-01-01", conn_id="own")
    assert (fetch.retries, fetch.retry_delay, fetch.owner) == (5, timedelta(seconds=60), "ops")
    assert fetch.__dict__["_conn_id"] == "movies"
    assert fetch.__dict__["_start_date"] == "{{ ds }}"  # a template as default is the operator's own meaning
    assert fetch.start_date == begun  # and the base still gets its date
    assert (other.__dict__["_conn_id"], other.__dict__["_start_date"]) == ("own", "2020-01-01")
    assert other.start_date == begun


def test_default_args_of_groups_configuration_and_call() -> None:
    with (
        use_defaults(AuthoringDefaults(operator_arguments={"retries": 1, "queue": "q1", "pool_slots": 2})),
        DAG("d", default_args={"retries": 2, "owner": "dag"}),
        TaskGroup("outer", default_args={"owner": "outer"}),
        TaskGroup("inner", default_args={"retries": 4}),
    ):
        task = EmptyOperator(task_id="t", default_args={"pool_slots": 3})
    assert (task.retries, task.owner, task.queue, task.pool_slots) == (4, "outer", "q1", 3)


def test_default_args_fill_required_arguments_and_sensor_arguments() -> None:
    with DAG("d", default_args={"bash_command": "true", "poke_interval": 5, "mode": "reschedule", "env": {"A": "b"}}):
        without_command: Any = BashOperator
        bash: BashOperator = without_command(task_id="bash")
        sensor = BaseSensorOperator(task_id="sensor", poke_interval=7)
    assert (bash.bash_command, bash.env) == ("true", {"A": "b"})
    assert (sensor.poke_interval, sensor.mode) == (7.0, "reschedule")


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        ({"retries": "2"}, ["retries", "'2'"]),
        ({"retries": -1}, ["retries", "-1"]),
        ({"retries": 10**10}, ["retries", "too large", "1000000000"]),
        ({"retry_delay": "soon"}, ["retry_delay", "'soon'"]),
        ({"weight_rule": "heavy"}, ["weight_rule", "downstream"]),
        ({"pool_slots": 0}, ["pool_slots"]),
        ({"on_failure_callback": "f"}, ["on_failure_callback", "'f'"]),
        ({"start_date": "yesterday"}, ["start_date", "'yesterday'", "ISO 8601"]),
        ({"sla": 5}, ["sla", "timedelta"]),
        ({"retrys": 1}, ["'retrys'", "did you mean 'retries'"]),
    ],
)
def test_a_bad_argument_is_named(arguments: dict[str, Any], facts: list[str]) -> None:
    with DAG("d"), pytest.raises(AuthoringError) as failure:
        EmptyOperator(task_id="a_task", **arguments)
    for fact in ["a_task", "EmptyOperator", *facts]:
        assert fact in str(failure.value)


def test_old_spellings_are_understood() -> None:
    with DAG("d"):
        rule = EmptyOperator(task_id="a", trigger_rule="dummy")
        count = EmptyOperator(task_id="b", task_concurrency=2)
        given: Any = {"task_id": "c", "python_callable": print, "provide_context": True}
        PythonOperator(**given)
    assert rule.trigger_rule is TriggerRule.ALWAYS
    assert count.max_active_tis_per_dag == 2


def test_an_id_is_unique_in_its_dag() -> None:
    with DAG("d") as dag:
        EmptyOperator(task_id="a")
        with pytest.raises(DuplicateTaskIdError, match=r"'d'.*'a'"):
            EmptyOperator(task_id="a")
        with pytest.raises(DuplicateTaskIdError, match=r"'d'.*'a'"):
            TaskGroup("a")
    assert dag.task_ids == ["a"]


def test_the_copy_for_a_run_leaves_the_dags_operator_alone() -> None:
    with DAG("d"):
        first = BashOperator(task_id="first", bash_command="date")
        args = [1, first.output, {"k": [first.output]}]
        second = PythonOperator(task_id="second", python_callable=print, op_args=args)
    copied = second.shallow_copy_for_run()
    refs = copied.xcom_refs()
    assert refs == [first.output]
    copied.resolve_inputs({refs[0]: "{{ not rendered }}"})
    assert copied.op_args == [1, "{{ not rendered }}", {"k": ["{{ not rendered }}"]}]
    assert second.op_args == [1, first.output, {"k": [first.output]}]
    assert second.upstream_task_ids == {"first"}
    assert copied.dag is second.dag


def test_async_operators_run_in_the_loop_by_default() -> None:
    with DAG("d") as dag:
        Asking(task_id="a")
        Asking(task_id="b", executor="local")
        EmptyOperator(task_id="c")
        EmptyOperator(task_id="e", on_success_callback=print)
    a, b, c, e = dag.to_spec().tasks
    assert (a.executor, a.is_async, a.is_empty) == ("inline", True, False)
    assert (b.executor, b.is_async) == ("local", True)
    assert (c.executor, c.is_async, c.is_empty) == ("local", False, True)
    assert (e.is_empty, e.callbacks) == (False, ("on_success",))


def test_teardowns() -> None:
    with DAG("d") as dag:
        make, work, clean, after = (EmptyOperator(task_id=x) for x in ("make", "work", "clean", "after"))
        with TaskGroup("g") as group:
            EmptyOperator(task_id="inside") >> EmptyOperator(task_id="tidy").as_teardown()
    make >> work >> clean.as_teardown(setups=make, on_failure_fail_dagrun=True)
    group >> after
    assert (make.is_setup, clean.is_teardown, clean.trigger_rule) == (True, True, TriggerRule.ALL_DONE_SETUP_SUCCESS)
    assert make.downstream_task_ids == {"work", "clean"}
    assert after.upstream_task_ids == {"g.inside"}
    spec = {t.task_id: t for t in dag.to_spec().tasks}
    assert spec["clean"].on_failure_fail_dagrun
    with pytest.raises(AuthoringError, match="is a setup"):
        make.as_teardown()


def test_a_with_block_of_setup_and_teardown() -> None:
    with DAG("d"):
        make, clean = EmptyOperator(task_id="make"), EmptyOperator(task_id="clean")
        with clean.as_teardown(setups=make):
            one, two = EmptyOperator(task_id="one"), EmptyOperator(task_id="two")
            one >> two
            with EmptyOperator(task_id="inner").as_setup() as inner:
                EmptyOperator(task_id="three")
    assert make.downstream_task_ids == {"one", "clean", "inner"}
    assert clean.upstream_task_ids == {"two", "make"}
    assert inner.downstream_task_ids == {"three"}


def test_what_follows_a_setup_needs_all_success() -> None:
    with DAG("d") as dag:
        EmptyOperator(task_id="make").as_setup() >> EmptyOperator(task_id="work", trigger_rule="all_done")
    with pytest.raises(AuthoringError, match=r"'work' follows the setup 'make'.*ALL_SUCCESS"):
        dag.to_spec()


def test_fail_stop_needs_all_success() -> None:
    with DAG("d", fail_stop=True) as dag:
        EmptyOperator(task_id="a", trigger_rule="one_failed")
    with pytest.raises(AuthoringError, match=r"'a'.*'one_failed'.*fail_stop"):
        dag.to_spec()


def test_an_operator_without_dag_can_be_made_and_called() -> None:
    assert Fetch(task_id="t", conn_id="c", output_path="/x").execute({}) == "/x"


def test_inlets_and_outlets_are_lists_of_each_task_s_own() -> None:
    one, other = EmptyOperator(task_id="one"), EmptyOperator(task_id="other")
    one.outlets.append("a")
    assert (one.inlets, one.outlets, other.outlets) == ([], ["a"], [])
    given = EmptyOperator(task_id="given", inlets="text", outlets=("a", "b"))
    assert (given.inlets, given.outlets) == (["text"], ["a", "b"])
    assert EmptyOperator(task_id="none", inlets=None).inlets == []
