# pyright: reportUnusedExpression=false
"""Mapped tasks carried out by the whole machine in memory: their arguments, what others get of them, how they end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from tradewind import DAG, BaseOperator, BashOperator, EmptyOperator, SkipTask, get_current_context, task, task_group
from tradewind.authoring.task_instance import TaskInstance
from tradewind.trial import TrialReport, try_dag


def a_dag() -> DAG:
    return DAG("mapping", start_date="2026-01-01")


def states(report: TrialReport, task_id: str) -> list[str]:
    rows = sorted((row for row in report.instances if row.task_id == task_id), key=lambda row: row.map_index)
    return [row.state.value for row in rows]


def results(report: TrialReport, task_id: str) -> list[Any]:
    """What the instances returned, by map index."""
    return [value for (name, _), value in sorted(report.results.items()) if name == task_id]


@task
def numbers() -> list[int]:
    return [4, 5, 6]


@task
async def total(values: Iterable[int]) -> int:
    return sum(values)


async def test_plain_and_async_functions_are_mapped_and_summed_up() -> None:
    with a_dag() as dag:

        @task
        def double(x: int) -> int:
            return 2 * x

        @task
        async def add(x: int, y: int) -> int:
            return x + y

        doubled = double.expand(x=numbers())
        added = add.partial(y=100).expand(x=doubled)
        again = add.override(task_id="again").expand(x=added.map(lambda n: -n), y=[1, 2])
        total(added)
        total.override(task_id="of_pairs")(again)
    report = await try_dag(dag)
    assert report.errors == {}
    assert results(report, "double") == [8, 10, 12]
    assert results(report, "add") == [108, 110, 112]
    assert results(report, "again") == [-107, -106, -109, -108, -111, -110]
    assert (results(report, "total"), results(report, "of_pairs")) == ([330], [-651])


async def test_templates_are_rendered_for_each_instance_and_results_are_not() -> None:
    with a_dag() as dag:

        @task
        def commands() -> list[str]:
            return ["echo '{{ ds }}'"]

        @task
        def show(x: str, y: str) -> list[str]:
            return [x, y]

        echo = BashOperator.partial(task_id="echo", env={"DAY": "{{ ds }}"}, append_env=True)
        echo.expand(bash_command=['echo "$DAY {{ ti.map_index }}"', "echo two {{ ds_nodash }}"])
        BashOperator.partial(task_id="data").expand(bash_command=commands())
        show.partial(y="{{ ti.map_index }}").expand(x=["{{ ds }}", "b"])
    report = await try_dag(dag)
    day = report.run.logical_date.date().isoformat()
    assert report.errors == {}
    assert results(report, "echo") == [f"{day} 0", f"two {day.replace('-', '')}"]
    assert results(report, "data") == ["{{ ds }}"]
    assert results(report, "show") == [[day, "0"], ["b", "1"]]


class Paired(BaseOperator):
    """Keeps what its constructor got."""

    template_fields: Sequence[str] = ("left",)

    def __init__(self, *, left: Any, right: Any = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.left, self.right = left, right

    async def execute(self, context: Any) -> Any:
        return self.left, self.right, context["ti"].map_index, context["expanded_ti_count"]


async def test_operators_of_ones_own_are_made_for_each_instance() -> None:
    with a_dag() as dag:
        pairs = numbers().zip(numbers.override(task_id="others")())
        Paired.partial(task_id="paired", right="r").expand(left=pairs)

        @task
        def settings() -> list[dict[str, Any]]:
            return [{"left": 1}, {"left": 2, "right": "own"}]

        Paired.partial(task_id="from_dicts").expand_kwargs(settings())
    report = await try_dag(dag)
    assert report.errors == {}
    assert results(report, "paired") == [((n, n), "r", index, 3) for index, n in enumerate([4, 5, 6])]
    assert results(report, "from_dicts") == [(1, None, 0, 2), (2, "own", 1, 2)]


async def test_filter_and_skip_leave_instances_out() -> None:
    def not_five(n: int) -> int:
        if n == 5:
            raise SkipTask("no fives")
        return n

    with a_dag() as dag:

        @task
        async def keep(x: int) -> int:
            return x

        kept = keep.expand(x=numbers().map(not_five))
        few = keep.override(task_id="few").expand(x=numbers.override(task_id="more")().filter(lambda n: n > 5))
        total.override(trigger_rule="none_failed")(kept)
        total.override(task_id="of_few", trigger_rule="all_done")(few)
    report = await try_dag(dag)
    assert states(report, "keep") == ["success", "skipped", "success"]
    assert states(report, "few") == ["skipped", "skipped", "success"]
    assert (results(report, "total"), results(report, "of_few")) == ([10], [6])


async def test_a_mapped_group_goes_depth_first_and_keeps_to_its_index() -> None:
    seen: list[str] = []

    with a_dag() as dag:

        @task
        async def begin(x: int, extra: int = 0) -> int:
            seen.append(f"begin {x}")
            return x * 10 + extra

        @task
        def finish(x: int, original: int) -> str:
            seen.append(f"finish {original}")
            return f"{original}: {x}"

        @task_group
        def each(value: int, extra: int = 3) -> Any:
            return finish(begin(value, extra=extra), original=value)

        out = each.expand(value=numbers())
        kwargs = each.override(group_id="dicts").expand_kwargs([{"value": 1}, {"value": 2, "extra": 5}])

        @task
        def gather(x: Sequence[str], y: Sequence[str]) -> list[list[str]]:
            return [list(x), list(y)]

        gather(out, kwargs)
    report = await try_dag(dag)
    assert report.errors == {}
    assert results(report, "gather") == [[["4: 43", "5: 53", "6: 63"], ["1: 13", "2: 25"]]]
    assert len(seen) == 10


async def test_values_are_pulled_by_index() -> None:
    pulled: dict[str, Any] = {}

    with a_dag() as dag:

        @task
        def some(x: int) -> int | None:
            return None if x == 5 else x

        @task
        def look(ti: TaskInstance) -> None:
            pulled["all"] = list(ti.xcom_pull("some"))
            pulled["one"] = ti.xcom_pull("some", map_indexes=2)
            pulled["none"] = ti.xcom_pull("some", map_indexes=1, default="nothing")
            pulled["some"] = ti.xcom_pull("some", map_indexes=[2, 0, 1])
            pulled["tasks"] = ti.xcom_pull(["numbers", "some"])
            pulled["zero"] = ti.xcom_pull("nobody")
            pulled["length"] = len(ti.xcom_pull("some"))

        @task
        async def look_async(ti: TaskInstance) -> None:
            values = await ti.pull("some")
            pulled["async"] = (values[0], values[-1], list(values), values == [4, 6])

        @task
        def nothing(x: int) -> None: ...

        mapped = some.expand(x=numbers())
        mapped >> [look(), look_async()]  # pyright: ignore[reportCallIssue]  # ti comes from the context
        nothing.override(task_id="nobody").expand(x=[1])
    report = await try_dag(dag)
    assert report.errors == {}
    assert pulled == {
        "all": [4, 6],
        "one": 6,
        "none": "nothing",
        "some": [6, 4, None],
        "tasks": [[4, 5, 6], 4, 6],
        "zero": None,
        "length": 2,
        "async": (4, 6, [4, 6], True),
    }


async def test_instances_have_labels_of_their_own() -> None:
    called: list[str] = []

    def told(context: dict[str, Any]) -> None:
        called.append(context["ti"].rendered_map_index)

    with a_dag() as dag:

        @task(map_index_template="{{ word }} {{ task.op_kwargs['x'] }}", on_failure_callback=told)
        def say(x: str) -> None:
            get_current_context()["word"] = "hello"  # type: ignore[index]  # the context of a task can be added to
            if x == "bad":
                raise ValueError("bad")

        say.expand(x=["a", "bad"])

        @task(map_index_template="{{ nowhere }}")
        async def wrong(x: int) -> None: ...

        wrong.expand(x=[1])
    report = await try_dag(dag)
    labels = {
        (a.task_id, a.map_index): a.detail["map_index_label"]
        for a in report.attempts
        if a.task_id == "say" and a.detail
    }
    assert labels[("say", 0)] == "hello a"
    assert labels[("say", 1)] == "hello bad"
    assert called == ["hello bad"]
    assert "'nowhere' is undefined" in report.errors["wrong[0]"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (5, "UnmappableXComTypePushed: unmappable return type 'int'"),
        ("text", "unmappable return type 'str'"),
        (None, "XComForMappingNotPushed: task 'make' did not push XCom for task mapping"),
        (list(range(5)), "UnmappableXComLengthPushed: unmappable return value length: 5 > 4"),
    ],
)
async def test_a_result_that_cannot_be_mapped_over_fails_its_task(
    value: Any, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "4")
    with a_dag() as dag:

        @task
        def make() -> Any:
            return value

        @task
        def use(x: Any) -> Any:
            return x

        use.expand(x=make())
    report = await try_dag(dag)
    assert message in report.errors["make"]
    assert (states(report, "make"), states(report, "use")) == (["failed"], ["upstream_failed"])


async def test_a_result_within_a_mapped_group_has_to_be_one_to_map_over_too() -> None:
    with a_dag() as dag:

        @task
        def make(v: int) -> Any:
            return v if v else [v]

        @task
        def use(x: Any) -> Any:
            return x

        @task_group
        def group(v: int) -> Any:
            return make(v)

        use.expand(x=group.expand(v=[0, 1]))
    report = await try_dag(dag)
    assert states(report, "group.make") == ["success", "failed"]
    assert "unmappable return type 'int'" in report.errors["group.make[1]"]
    assert states(report, "use") == ["upstream_failed"]


@pytest.mark.parametrize("rule", ["one_success", "one_done"])
@pytest.mark.parametrize("fails", [False, True])
async def test_a_task_over_several_results_waits_for_all_of_them(rule: str, fails: bool) -> None:
    with a_dag() as dag:

        @task
        def source() -> list[int]:
            return [1, 2]

        @task
        def work(x: int) -> int:
            if fails and x == 1:
                raise ValueError("made to fail")
            return x

        @task(trigger_rule=rule)
        def use(x: Any) -> Any:
            return x

        first = source()
        use.expand(x=work.expand(x=first).concat(first))
    report = await try_dag(dag)
    assert results(report, "use") == ([2, 1, 2] if fails else [1, 2, 1, 2])


async def test_values_under_other_keys_are_mapped_over() -> None:
    with a_dag() as dag:

        @task(multiple_outputs=True)
        def parts() -> dict[str, Any]:
            return {"a": [1, 2], "b": {"k": "v"}}

        @task
        async def push(ti: TaskInstance) -> None:
            await ti.push("mine", ["x", "y"])

        @task
        def use(x: Any) -> Any:
            return x

        found = parts()
        use.expand(x=found["a"])
        use.override(task_id="pairs").expand(x=found["b"])
        use.override(task_id="pushed").expand(x=push()["mine"])  # pyright: ignore[reportCallIssue, reportUnknownArgumentType]  # ti comes from the context
    report = await try_dag(dag)
    assert report.errors == {}
    assert results(report, "use") == [1, 2]
    assert results(report, "pairs") == [("k", "v")]
    assert results(report, "pushed") == ["x", "y"]


async def test_setups_and_teardowns_are_mapped_too() -> None:
    with a_dag() as dag:

        @task
        async def make(x: int) -> int:
            return x

        @task
        async def work(x: int) -> int:
            if x == 2:
                raise ValueError("two")
            return x

        @task_group
        def each(value: int) -> None:
            made = make(value).as_setup()
            with make.override(task_id="clean")(value).as_teardown(setups=made):
                work(value)

        each.expand(value=[1, 2])
        whole = make.override(task_id="whole").expand(x=[1, 2]).as_setup()
        work.override(task_id="part").expand(x=whole) >> make.override(task_id="end")(3).as_teardown(setups=whole)
    report = await try_dag(dag)
    assert (states(report, "each.work"), states(report, "part")) == (["success", "failed"], ["success", "failed"])
    assert (states(report, "each.clean"), states(report, "end")) == (["success", "success"], ["success"])
    assert report.run.state.value == "failed"


async def test_errors_of_an_instance_name_it() -> None:
    with a_dag() as dag:

        @task
        def dicts() -> list[Any]:
            return [{"x": 1}, 5, {"x": 1, "z": 1}]

        @task
        def use(x: Any) -> Any:
            return x

        use.expand_kwargs(dicts())
        EmptyOperator.partial(task_id="empty").expand_kwargs([{}, {}])
    report = await try_dag(dag)
    assert states(report, "use") == ["success", "failed", "failed"]
    assert states(report, "empty") == ["success", "success"]
    assert "expects a list[dict], not list[int]" in report.errors["use[1]"]
    assert "'z'" in report.errors["use[2]"]
