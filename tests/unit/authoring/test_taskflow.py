# pyright: reportUnusedExpression=false, reportUnknownLambdaType=false, reportUnknownArgumentType=false
"""`@task` and its relatives; calling functions with what their signatures ask for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.authoring.task_behind import operator_of
from tradewind.authoring.branching import branch_ids
from tradewind.authoring.current_context import get_current_context
from tradewind.authoring.dag import DAG
from tradewind.authoring.decorators import task_group
from tradewind.authoring.python_call import call_arguments
from tradewind.authoring.task_group import TaskGroup
from tradewind.model.errors import AuthoringError, TaskFailed
from tradewind.standard.decorators import setup, task, teardown
from tradewind.standard.empty import EmptyOperator
from tradewind.standard.python import BranchPythonOperator, PythonOperator

CONTEXT = {"ds": "2026-01-01", "ti": "the ti", "params": {"n": 1}, "execution_date": "now"}


class Adding:
    def __call__(self, x: int, ds: str) -> tuple[int, str]:
        return x, ds


@pytest.mark.parametrize(
    ("function", "args", "kwargs", "result"),
    [
        (lambda: "nothing", [], {}, "nothing"),
        (lambda execution_date: execution_date, [], {}, "now"),
        (lambda execution_date, **context: (execution_date, sorted(context)), [], {}, ("now", ["ds", "params", "ti"])),
        (lambda **kwargs: sorted(kwargs), [], {"mine": 1}, ["ds", "execution_date", "mine", "params", "ti"]),
        (lambda names, execution_date, **_: (names, execution_date), [], {"names": {"a"}}, ({"a"}, "now")),
        (lambda x, y=2, *, ti: (x, y, ti), [1], {}, (1, 2, "the ti")),
        (lambda ds: ds, ["mine"], {}, "mine"),
        (lambda ds: ds, [], {"ds": "mine"}, "mine"),
        (lambda x, batch_size=1000, **_: (x, batch_size), [], {"x": 1}, (1, 1000)),
        (lambda *args: args, [1, 2], {}, (1, 2)),
        (Adding(), [5], {}, (5, "2026-01-01")),
        (len, [[1, 2]], {}, 2),
    ],
)
def test_a_signature_gets_what_it_asks_for(
    function: Callable[..., Any], args: list[Any], kwargs: dict[str, Any], result: Any
) -> None:
    positional, named = call_arguments(function, args, kwargs, CONTEXT)
    assert function(*positional, **named) == result


def test_an_argument_that_nobody_has_is_named() -> None:
    def greet(name: str, *, to: str) -> None: ...

    with pytest.raises(TypeError, match=r"greet\(\) asks for 'name', 'to', which is neither"):
        call_arguments(greet, [], {}, CONTEXT)


def test_calls_are_checked_when_the_dag_is_defined() -> None:
    @task
    def needs(value: int, ti: Any, ds: str) -> None: ...

    with DAG("d") as dag:
        needs(1)  # type: ignore[call-overload]  # ti and ds come from the context
        untyped: Any = needs
        with pytest.raises(AuthoringError, match=r"'needs__1': missing a required argument: 'value'"):
            untyped()
        with pytest.raises(AuthoringError, match=r"unexpected keyword argument 'valu'"):
            untyped(1, valu=1)
    assert dag.task_ids == ["needs"]


def test_settings_documents_and_overrides() -> None:
    @task(retries=2, task_id="named", multiple_outputs=False)
    def produce(n: int = 1) -> dict[str, int]:
        """Makes a number.

        Slowly.
        """
        return {"n": n}

    @task
    def outputs() -> dict[str, int]:
        return {}

    with DAG("d") as dag:
        produce()
        produce.override(task_id="other", retries=5, pool="p")(3)
        refs = outputs()
        PythonOperator(task_id="user", python_callable=print, op_args=[refs["n"]])
    named, other, out = (dag.get_task(x) for x in ("named", "other", "outputs"))
    assert (named.retries, named.doc_md, named.multiple_outputs) == (2, "Makes a number.\n\nSlowly.", False)
    assert (other.retries, other.pool) == (5, "p")
    assert out.multiple_outputs
    assert dag.get_task("user").upstream_task_ids == {"outputs"}
    assert produce.function(4) == {"n": 4}


def test_async_functions_run_in_the_loop() -> None:
    @task
    async def here() -> int:
        return 1

    @task(executor="local")
    async def there() -> int:
        return 1

    @task.sensor(poke_interval=1, timeout=5, mode="reschedule")
    async def wait() -> bool:
        return True

    with DAG("d") as dag:
        here() >> there() >> wait()
    a, b, c = dag.to_spec().tasks
    assert [(t.executor, t.is_async) for t in (a, b, c)] == [("inline", True), ("local", True), ("inline", True)]


async def test_an_async_callable_is_awaited() -> None:
    async def double(x: int, ds: str) -> tuple[int, str]:
        return 2 * x, ds

    operator = PythonOperator(task_id="t", python_callable=double, op_kwargs={"x": 4})
    assert await operator.execute(CONTEXT) == (8, "2026-01-01")


async def test_the_context_can_be_had_from_anywhere_below_a_task() -> None:
    def below() -> Any:
        return get_current_context()["ds"]

    async def later() -> Any:
        return below()

    assert PythonOperator(task_id="t", python_callable=below).execute(CONTEXT) == "2026-01-01"
    assert await PythonOperator(task_id="t", python_callable=later).execute(CONTEXT) == "2026-01-01"
    with pytest.raises(AuthoringError, match="no task is running here"):
        get_current_context()


def test_templates_dict_is_an_argument() -> None:
    def rank(templates_dict: dict[str, str], n: int) -> tuple[str, int]:
        return templates_dict["path"], n

    operator = PythonOperator(task_id="t", python_callable=rank, op_kwargs={"n": 3}, templates_dict={"path": "x"})
    assert operator.execute(CONTEXT) == ("x", 3)


def test_kinds_that_do_not_exist_are_named() -> None:
    anything: Any = task
    with pytest.raises(AttributeError, match=r"there is no @task\.bsh; there are @task, @task\.bash.* @task\.python"):
        _ = anything.bsh
    with pytest.raises(AuthoringError, match="decorates functions"):
        anything(5)
    with pytest.raises(AuthoringError, match="is decorated already"):
        anything(anything(print))


def test_setup_and_teardown_functions() -> None:
    @setup
    def make() -> int:
        return 1

    @teardown(on_failure_fail_dagrun=True)
    def clean(n: int) -> None: ...

    @task
    def work(n: int) -> None: ...

    with DAG("d") as dag:
        made = make()
        with clean(made).as_teardown(setups=made):
            work(made)
    tasks = {t.task_id: t for t in dag.to_spec().tasks}
    assert tasks["make"].is_setup
    assert tasks["clean"].is_teardown
    assert set(tasks["clean"].upstream) == {"make", "work"}


def test_task_groups_of_functions() -> None:
    @task
    def produce() -> int:
        return 1

    @task_group(tooltip="two", default_args={"retries": 7})
    def section(n: int) -> Any:
        return PythonOperator(task_id="inside", python_callable=print, op_args=[n, produce()]).output

    @task_group
    def quiet() -> None:
        """Says nothing."""
        EmptyOperator(task_id="q")

    with DAG("d") as dag:
        section(section(0)) >> quiet() >> EmptyOperator(task_id="end")
        section.override(group_id="third")(1)
    assert list(dag.task_group_dict) == ["section", "section__1", "quiet", "third"]
    assert dag.get_task("section__1.inside").upstream_task_ids == {"section.inside", "section__1.produce"}
    assert dag.get_task("end").upstream_task_ids == {"quiet.q"}
    assert dag.get_task("third.inside").retries == 7
    assert dag.task_group_dict["quiet"].tooltip == "Says nothing."


def test_what_a_branch_returns() -> None:
    with DAG("d") as dag:
        branch = BranchPythonOperator(task_id="b", python_callable=lambda: None)
        x, y = EmptyOperator(task_id="x"), EmptyOperator(task_id="y")
        with TaskGroup("g") as group:
            EmptyOperator(task_id="one") >> EmptyOperator(task_id="two")
        branch >> [x, y, group]
    assert dag.get_task("b") is branch
    assert branch_ids(branch, None) == ()
    assert branch_ids(branch, "x") == ("x",)
    assert branch_ids(branch, ["y", "x"]) == ("x", "y")
    assert branch_ids(branch, {"g", "x"}) == ("g.one", "x")
    for wrong, fact in (
        ("nope", r"Invalid tasks found: 'nope'\. Directly downstream: g\.one, x, y"),
        (5, "but got 'int'"),
        ([5], "returned 5"),
        ({"x": 1}, "but got 'dict'"),
    ):
        with pytest.raises(TaskFailed, match=fact):
            branch_ids(branch, wrong)


def test_a_task_of_a_call_can_be_had() -> None:
    @task
    def produce() -> int:
        return 1

    assert operator_of(produce()).task_type == "@task"
