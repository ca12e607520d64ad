# pyright: reportUnusedExpression=false, reportUnknownLambdaType=false
"""Mapped tasks and groups while a DAG is defined: edges, lengths, what is refused; and the part an instance gets."""

from __future__ import annotations

import itertools
import pickle
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.authoring.dag import DAG
from tradewind.authoring.decorators import task_group
from tradewind.authoring.expand_input import DictsInput, ListsInput
from tradewind.authoring.lazy_xcoms import ConcatenatedValues, LazyXComs, MappedValues, ZippedValues
from tradewind.authoring.mapped import MappedOperator
from tradewind.authoring.measuring import lengths_of, measured_length
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.task_group import TaskGroup
from tradewind.authoring.xcom_arg import XComArg
from tradewind.model.errors import (
    AuthoringError,
    SkipTask,
    UnmappableXComLengthPushed,
    UnmappableXComTypePushed,
    XComForMappingNotPushed,
)
from tradewind.model.specs import DagSpec, GroupSpec, TaskSpec
from tradewind.rules.lengths import measure
from tradewind.standard.bash import BashOperator
from tradewind.standard.decorators import setup, task, teardown
from tradewind.standard.empty import EmptyOperator
from tradewind.standard.python import PythonOperator


def a_dag(**settings: Any) -> DAG:
    return DAG("d", start_date="2026-01-01", **settings)


@task
def numbers() -> list[int]:
    return [1, 2, 3]


@task
def use(x: Any, y: Any = None) -> Any:
    return x, y


def a_result(x: Any) -> Any:
    return x


def spec_of(dag: DAG, task_id: str) -> TaskSpec:
    """The task as serialized, after a journey as JSON."""
    spec = DagSpec.from_json(dag.to_spec().to_json())
    assert spec == dag.to_spec()
    return next(t for t in spec.tasks if t.task_id == task_id)


# ------------------------------------------------------------------------------------------ lengths and edges


def test_literal_values_are_counted_at_once() -> None:
    with a_dag() as dag:
        use.expand(x=[1, 2])
        use.override(task_id="both").expand(x=[1, 2], y={"a": 1})
        use.override(task_id="dicts").expand_kwargs([{"x": 1}, {"x": 2, "y": 3}, {"x": 3}])
    assert spec_of(dag, "use").expands == {"n": 2}
    assert spec_of(dag, "both").expands == {"product": [{"n": 2}, {"n": 1}]}
    assert spec_of(dag, "dicts").expands == {"n": 3}


def test_results_of_tasks_give_expressions_edges_and_measures() -> None:
    with a_dag() as dag:
        ours = numbers()
        more = numbers.override(task_id="more")()
        use.expand(x=ours.map(str), y=more)
        use.override(task_id="zipped").expand(x=ours.zip(more))
        use.override(task_id="filled").expand(x=ours.zip(more, fillvalue=0))
        use.override(task_id="chained").expand(x=ours.concat(more).filter(bool))
        use.override(task_id="kwargs").expand_kwargs(ours)
        mapped = use.override(task_id="mapped").expand(x=ours["key"])
        use.override(task_id="again").expand(x=mapped)
    one, two = {"of": "numbers", "key": "return_value"}, {"of": "more", "key": "return_value"}
    assert spec_of(dag, "use").expands == {"product": [one, two]}
    assert spec_of(dag, "zipped").expands == {"min": [one, two]}
    assert spec_of(dag, "filled").expands == {"max": [one, two]}
    assert spec_of(dag, "chained").expands == {"sum": [one, two]}
    assert spec_of(dag, "kwargs").expands == one
    assert spec_of(dag, "again").expands == {"of": "mapped", "key": "return_value"}
    assert spec_of(dag, "zipped").upstream == ("more", "numbers")
    assert spec_of(dag, "numbers").measured == ("key", "return_value")
    assert spec_of(dag, "more").measured == ("return_value",)
    assert spec_of(dag, "mapped").measured == ()  # its instances are counted


def test_a_dict_of_another_task_in_a_list_is_not_measured() -> None:
    with a_dag() as dag:
        use.expand_kwargs([{"x": 1}, numbers()])
    assert spec_of(dag, "use").expands == {"n": 2}
    assert spec_of(dag, "use").upstream == ("numbers",)
    assert spec_of(dag, "numbers").measured == ()


def test_common_arguments_and_operators_draw_edges_too() -> None:
    with a_dag(default_args={"retries": 4}) as dag:
        first, second = numbers(), numbers.override(task_id="second")()
        use.partial(y=[first]).expand(x=[second])
        bash = BashOperator.partial(task_id="bash", env={"A": first}, pool="p").expand(bash_command=["a", "b"])
        EmptyOperator(task_id="end") << bash
    assert spec_of(dag, "use").upstream == ("numbers", "second")
    found = spec_of(dag, "bash")
    assert (found.operator, found.upstream, found.pool, found.retries) == ("BashOperator", ("numbers",), "p", 4)
    assert (found.template_fields, found.executor, found.expands) == (("bash_command", "env", "cwd"), "local", {"n": 2})
    assert spec_of(dag, "end").upstream == ("bash",)


def test_async_functions_are_known_before_there_is_an_instance() -> None:
    async def wait(x: int) -> int:
        return x

    with a_dag() as dag:
        task(wait).expand(x=[1])
        PythonOperator.partial(task_id="classic", python_callable=wait).expand(op_args=[[1], [2]])
        PythonOperator.partial(task_id="plain", python_callable=len).expand(op_args=[["a"], ["b"]])
    kinds = {t.task_id: (t.is_async, t.executor) for t in dag.to_spec().tasks}
    assert kinds == {"wait": (True, "inline"), "classic": (True, "inline"), "plain": (False, "local")}


def test_mapping_over_the_results_of_a_mapped_group_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    @task_group(group_id="given")
    def giving(v: Any) -> Any:
        return use(v)

    with DAG("warned", schedule=None):
        results: Any = giving.expand(v=[1, 2])
        use.override(task_id="over").expand(x=results.map(str))
        group.override(group_id="again").expand(v=results)
    warned = [record.message for record in caplog.records]
    assert len(warned) == 2
    assert warned[0].startswith(
        "task 'over' is mapped over what 'given.use' returns, which is in the mapped group 'given'"
    )
    assert warned[1].startswith("task group 'again' is mapped over")


def test_a_task_of_a_group_over_results_cannot_run_always() -> None:
    @task_group
    def group(v: Any) -> None:
        EmptyOperator(task_id="at_once", trigger_rule="always")

    @task
    def make() -> list[int]:
        return [1]

    with a_dag():
        group.expand(v=[1, 2])
        with pytest.raises(AuthoringError, match=r"task 'group__1.at_once': Task-generated .* trigger rule 'always'"):
            group.expand(v=make())


def test_a_mapped_group_waits_for_what_it_is_mapped_over() -> None:
    with a_dag() as dag:

        @task_group
        def section(v: Any, w: Any = None) -> XComArg:
            """One for each number."""
            begin = use(v, y=w)
            return use.override(task_id="end")(begin)

        out = section.partial(w=0).expand(v=numbers())
        use.override(task_id="all")(out)
        assert isinstance(section.override(group_id="other").expand_kwargs([{"v": 1}]), XComArg)
    groups: dict[str, GroupSpec] = {g.group_id: g for g in dag.to_spec().groups}
    assert groups["section"].expands == {"of": "numbers", "key": "return_value"}
    assert groups["section"].tooltip == "One for each number."
    assert groups["other"].expands == {"n": 1}
    assert spec_of(dag, "section.use").upstream == ("numbers",)
    assert spec_of(dag, "section.end").upstream == ("section.use",)
    assert spec_of(dag, "all").upstream == ("section.end",)
    assert dag.task_group_dict["section"].upstream_task_ids == {"numbers"}


def test_names_are_counted_and_settings_kept() -> None:
    with a_dag() as dag, TaskGroup("g"):
        result = use.override(retries=2, map_index_template="{{ task.op_kwargs['x'] }}").expand(x=[1])
        use.expand(x=[1])
        with_doc = task(test_names_are_counted_and_settings_kept).expand_kwargs([{}])
    assert dag.task_ids == ["g.use", "g.use__1", "g.test_names_are_counted_and_settings_kept"]
    assert isinstance(result.operator, MappedOperator)
    assert (spec_of(dag, "g.use").retries, spec_of(dag, "g.use__1").retries) == (2, 0)
    assert with_doc.operator.label == "test_names_are_counted_and_settings_kept"


def test_setups_and_teardowns_can_be_mapped() -> None:
    with a_dag() as dag:
        make = setup(use).expand(x=[1, 2])
        clean = teardown(on_failure_fail_dagrun=True)(a_result).override(task_id="clean").expand(x=make)
        with make:
            use.override(task_id="work")(1)
        make >> clean
    assert spec_of(dag, "use").is_setup
    found = spec_of(dag, "clean")
    assert (found.is_teardown, found.trigger_rule.value) == (True, "all_done_setup_success")
    use.is_setup = False


# ------------------------------------------------------------------------------------------ what is refused


class Own(BaseOperator):
    """Takes two arguments of its own."""

    template_fields: Sequence[str] = ("path",)

    def __init__(self, *, path: str, size: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path, self.size = path, size

    def execute(self, context: Any) -> tuple[str, int]:
        return self.path, self.size


@task_group
def group(v: Any) -> None:
    use(v)


@task_group
def nesting(v: Any) -> None:
    group.expand(v=[1])


@task_group
def expanding(v: Any) -> None:
    use.expand(x=v)


class untyped:  # noqa: N801 - a type checker would refuse what is tried here
    """What is mapped wrongly below."""

    use: Any = use
    numbers: Any = numbers
    group: Any = group
    grouped: Any = task_group


REFUSED: list[tuple[Any, str]] = [
    (lambda: untyped.use.expand(), "'use'.*no arguments to expand against"),
    (lambda: untyped.use.expand(x=5), "'use'.*unexpected type 'int' for keyword argument 'x'"),
    (lambda: untyped.use.expand(x="text"), "unexpected type 'str'"),
    (lambda: untyped.use.expand(x={1, 2}), "unexpected type 'set'"),
    (lambda: untyped.use.expand(z=[1]), "'use'.expand.. got an unexpected keyword argument 'z'"),
    (lambda: untyped.use.partial(a=1, b=2), "'use'.partial.. got unexpected keyword arguments 'a', 'b'"),
    (lambda: untyped.use.partial(x=1).expand(x=[1]), "mapping already partial argument: x"),
    (lambda: untyped.use.partial(x=1).partial(x=2), "duplicate partial argument: x"),
    (lambda: untyped.use.partial(x=1)(), "is not called, it is expanded"),
    (lambda: untyped.use.partial(y=1).expand_kwargs([{"x": 1, "y": 2}]), "mapping already partial argument: y"),
    (lambda: untyped.use.expand(y=[1]), "missing a required argument: 'x'"),
    (lambda: untyped.use.expand_kwargs([{"y": 1}]), "missing a required argument: 'x'"),
    (lambda: untyped.use.expand_kwargs([{"x": 1, "q": 1}]), "unexpected keyword argument 'q'"),
    (lambda: untyped.use.expand_kwargs({"x": [1]}), r"expected XComArg or list\[dict\], not dict"),
    (lambda: untyped.use.expand_kwargs([1]), r"expected XComArg or list\[dict\], not list\[int\]"),
    (
        lambda: untyped.use.override(trigger_rule="always").expand(x=untyped.numbers()),
        "'expand' is not allowed with trigger rule 'alw",
    ),
    (
        lambda: untyped.use.override(trigger_rule="always").expand_kwargs([{"x": untyped.numbers()}]),
        "'expand_kwargs' is not allowed",
    ),
    (lambda: untyped.numbers().map(untyped.use), "must be a plain function, not a @task operator"),
    (lambda: untyped.numbers().map(5), "needs a function, not 5"),
    (lambda: untyped.numbers().zip([1]), r"zip\(\) takes results of other tasks, not list \[1\]"),
    (lambda: str(untyped.numbers().map(len)), "cannot stand in a text"),
    (lambda: untyped.numbers().map(len)["a"], "has no keys"),
    (lambda: Own.partial(path="x"), "Own.partial.*missing keyword argument 'task_id'"),
    (lambda: Own.partial(task_id="a", colour=1), "Own 'a'.partial.. got an unexpected keyword argument 'colour'"),
    (lambda: Own.partial(task_id="a").expand(), "no arguments to expand against"),
    (lambda: Own.partial(task_id="a").expand(size=[1]), "Own 'a': missing keyword argument 'path'"),
    (lambda: Own.partial(task_id="a", path="x").expand(path=["y"]), "unmappable or already specified argument: path"),
    (lambda: Own.partial(task_id="a").expand(path=["y"], task_id=["b"]), "already specified argument: task_id"),
    (lambda: Own.partial(task_id="a").expand(path=["y"], retries=[1], pool=["p"]), "arguments: pool, retries"),
    (lambda: Own.partial(task_id="a").expand(path="abc"), "unexpected type 'str' for keyword argument 'path'"),
    (lambda: Own.partial(task_id="a").expand_kwargs([{"path": "x", "queue": "q"}]), "specified argument: queue"),
    (lambda: untyped.group.expand(), "'group'.*no arguments to expand against"),
    (lambda: untyped.group.expand(w=[1]), "'group'.expand.. got an unexpected keyword argument 'w'"),
    (lambda: untyped.group.partial(v=1).expand(v=[1]), "mapping already partial argument: v"),
    (lambda: untyped.grouped(lambda **k: None).expand_kwargs([{}]), r"with \* or \*\* is not supported"),
    (lambda: expanding.expand(v=[1]), "operator expansion in an expanded task group is not yet supported"),
    (lambda: nesting.expand(v=[1]), "inside the mapped task group 'nesting' is not supported"),
    (lambda: untyped.grouped(group_id="g")(lambda v: f"{v}").expand(v=[1]), "cannot stand in a text"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED)
def test_what_cannot_be_mapped_is_refused(make: Any, message: str) -> None:
    with a_dag(), pytest.raises(AuthoringError, match=message):
        make()


def test_a_called_function_says_how_to_map() -> None:
    with a_dag(), pytest.raises(AttributeError, match=r"has been made already.*numbers\.expand\("):
        numbers().expand(x=[1])


@pytest.mark.parametrize(
    "partial", [lambda: use.partial(x=1), lambda: Own.partial(task_id="a"), lambda: group.partial(v=1)]
)
def test_a_partial_without_expand_is_an_import_error(partial: Any) -> None:
    with a_dag() as dag:
        forgotten = partial()
    with pytest.raises(AuthoringError, match="was never mapped"):
        dag.to_spec()
    del forgotten


def test_a_partial_may_be_refined_and_used_again() -> None:
    with a_dag() as dag:
        some = use.partial(y=1)
        some.expand(x=[1])
        some.expand(x=[2])
        group.partial().expand(v=[1])
        numbers.override(task_id="n").partial().expand_kwargs([{}])
    assert dag.task_ids == ["use", "use__1", "group.use", "n"]
    dag.to_spec()


def test_a_dag_that_stops_at_failures_takes_no_other_trigger_rule() -> None:
    with a_dag(fail_stop=True) as dag:
        use.override(trigger_rule="all_done").expand(x=[1])
    with pytest.raises(AuthoringError, match="'use' has trigger_rule 'all_done'"):
        dag.to_spec()


# ------------------------------------------------------------------------------------------ instances


def test_the_last_argument_varies_fastest_and_dicts_give_pairs() -> None:
    values = ListsInput({"x": [1, 2], "y": {"a": 5, "b": 6}})
    found = [values.element(index, lambda ref: None).arguments for index in range(4)]
    assert found == [{"x": x, "y": y} for x in (1, 2) for y in (("a", 5), ("b", 6))]
    with pytest.raises(IndexError, match="have become fewer; now there are 4"):
        values.element(4, lambda ref: None)


part = st.lists(st.integers(0, 9), min_size=1, max_size=4)


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), part, min_size=1), st.lists(st.booleans(), max_size=4))
def test_instances_are_all_combinations_in_order(lists: dict[str, list[int]], remote: list[bool]) -> None:
    """As many as the length expression says, whether the values are literal or come from tasks."""
    values: dict[XComArg, list[int]] = {}
    given_values: dict[str, Any] = {}
    for (name, items), is_remote in zip(lists.items(), [*remote, *[False] * 4], strict=False):
        if is_remote:
            values[XComArg(EmptyOperator(task_id=name))] = items
        given_values[name] = list(values)[-1] if is_remote else items
    source = ListsInput(given_values)
    known = {ref.operator.task_id: len(items) for ref, items in values.items()}
    count = measure(source.length(), lambda wanted: known[wanted.task_id])
    assert count is not None
    found = [tuple(source.element(index, values.__getitem__).arguments.values()) for index in range(count)]
    assert found == list(itertools.product(*lists.values()))


@given(st.lists(part, min_size=1, max_size=3), st.booleans())
def test_zips_and_concatenations_are_as_long_as_they_say(parts: list[list[int]], fill: bool) -> None:
    refs = [XComArg(EmptyOperator(task_id=f"t{number}")) for number in range(len(parts))]
    values = dict(zip(refs, parts, strict=True))
    first, *others = refs
    zipped = first.zip(*others, fillvalue=None) if fill else first.zip(*others)
    for arg, expected in (
        (zipped.map(str), list(itertools.zip_longest(*parts) if fill else zip(*parts, strict=False))),
        (first.concat(*others), list(itertools.chain(*parts))),
    ):
        resolved: Any = arg.resolved(values.__getitem__)
        length = measure(arg.length(), lambda wanted: len(parts[int(wanted.task_id[1:])]))
        assert length == len(resolved) == len(expected)
        if others and arg is not zipped:
            assert [str(value) for value in resolved] == [str(value) for value in expected]


def test_values_of_other_tasks_are_marked_as_data() -> None:
    with a_dag():
        ref = numbers()
    element = ListsInput({"x": ["{{ ds }}"], "y": ref}).element(1, lambda _: ["a", "{{ b }}"])
    assert element.arguments == {"x": "{{ ds }}", "y": "{{ b }}"}
    assert element.pulled == ("{{ b }}",)
    assert element.total == 2
    with pytest.raises(TypeError, match=r"expand\(y=…\) needs a list or a dict, not NoneType"):
        ListsInput({"y": ref}).element(0, lambda _: None)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], r"expects a list\[dict\], not list\[int\]"),
        ({"x": 1}, r"expects a list\[dict\], not dict"),
        ("ab", r"expects a list\[dict\], not str"),
        ([{1: 2}], "have to be texts, not 1"),
    ],
)
def test_dicts_of_another_task_are_checked_by_the_instance(value: Any, message: str) -> None:
    with a_dag():
        ref = numbers()
    with pytest.raises(TypeError, match=message):
        DictsInput(ref).element(0, lambda _: value)


def test_an_instance_is_made_of_common_and_own_arguments() -> None:
    with a_dag(default_args={"size": 7, "retries": 2}) as dag:
        ref = numbers()
        mapped = Own.partial(task_id="own", pool="p").expand(path=ref)
        ref >> EmptyOperator(task_id="other")
    assert isinstance(mapped, MappedOperator)
    before = set(mapped.upstream_task_ids), list(dag.task_dict)
    own = mapped.unmapped(1, lambda _: ["a", "b"]).operator
    assert isinstance(own, Own)
    assert (own.task_id, own.path, own.size, own.retries, own.pool, own.dag) == ("own", "b", 7, 2, "p", dag)
    assert own.upstream_task_ids == {"numbers"}
    assert (set(mapped.upstream_task_ids), list(dag.task_dict)) == before


def test_strict_dicts_may_not_replace_common_arguments() -> None:
    with a_dag():
        strict = Own.partial(task_id="strict", path="p").expand_kwargs(numbers())
        loose = Own.partial(task_id="loose", path="p").expand_kwargs(numbers.override(task_id="n")(), strict=False)
    assert isinstance(strict, MappedOperator)
    assert isinstance(loose, MappedOperator)
    with pytest.raises(AuthoringError, match="unmappable or already specified argument: path"):
        strict.unmapped(0, lambda _: [{"path": "q"}])
    own = loose.unmapped(0, lambda _: [{"path": "q"}]).operator
    assert isinstance(own, Own)
    assert own.path == "q"


# ------------------------------------------------------------------------------------------ sequences and lengths


def test_a_lazy_sequence_fetches_what_is_looked_at_once() -> None:
    asked: list[list[int]] = []

    def fetch(indexes: Sequence[int]) -> list[str]:
        asked.append(list(indexes))
        return [f"v{index}" for index in indexes]

    values = LazyXComs([0, 2, 5], fetch)
    assert len(values) == 3
    assert asked == []
    assert (values[1], values[-1], values[1:]) == ("v2", "v5", ["v2", "v5"])
    assert asked == [[2], [5]]
    assert list(values) == ["v0", "v2", "v5"]
    assert asked == [[2], [5], [0]]
    assert values == ["v0", "v2", "v5"]
    assert values == ("v0", "v2", "v5")
    assert values != ["v0"]
    assert "v5" in values
    assert list(reversed(values)) == ["v5", "v2", "v0"]
    assert values.count("v2") == 1
    assert (str(values), repr(values)) == ("['v0', 'v2', 'v5']", "LazyXComs(3 values)")
    assert pickle.loads(pickle.dumps(values)) == ["v0", "v2", "v5"]
    with pytest.raises(IndexError, match="3 values"):
        values[3]
    with pytest.raises(TypeError):
        hash(values)


def test_long_sequences_are_fetched_in_parts() -> None:
    sizes: list[int] = []

    def fetch(indexes: Sequence[int]) -> Sequence[int]:
        sizes.append(len(indexes))
        return indexes

    assert sum(LazyXComs(range(150), fetch)) == sum(range(150))
    assert sizes == [64, 64, 22]


def test_derived_sequences() -> None:
    assert list(MappedValues([1, 2], [str, lambda text: text * 2])) == ["11", "22"]
    assert ZippedValues([[1, 2], ["a"]], None) == [(1, "a")]
    assert ZippedValues([[1, 2], ["a"]], (None,)) == [(1, "a"), (2, None)]
    assert ConcatenatedValues([[1], [], [2, 3]]) == [1, 2, 3]
    assert ConcatenatedValues([[1], [2, 3]])[-1] == 3


def test_resolving_references_composes() -> None:
    with a_dag():
        one, two = numbers(), numbers.override(task_id="two")()
    values: dict[Any, Any] = {one: {"a": 1}, two: [2, 3]}
    both = one.concat(two).map(str).zip(two, fillvalue="-")
    assert list(both.resolved(values.__getitem__)) == [("('a', 1)", 2), ("2", 3), ("3", "-")]  # type: ignore[call-overload]  # resolved values are objects
    kept = two.filter(lambda n: n > 2).resolved(values.__getitem__)
    assert isinstance(kept, MappedValues)
    assert kept[1] == 3
    with pytest.raises(SkipTask, match="is false for this value"):
        kept[0]


def test_lengths_are_measured_and_limited() -> None:
    with a_dag():
        operator = EmptyOperator(task_id="e", multiple_outputs=True)
    assert measured_length({"a": 1}) == 1
    assert lengths_of(operator, ["return_value", "k"], {"k": (1, 2)}, {}) == (("return_value", 1), ("k", 2))
    assert lengths_of(operator, ["k"], None, {"k": 9}) == (("k", 9),)
    with pytest.raises(UnmappableXComTypePushed, match="unmappable return type 'int'"):
        lengths_of(operator, ["return_value"], 5, {})
    with pytest.raises(UnmappableXComLengthPushed, match="1025 > 1024"):
        measured_length(range(1025))
    with pytest.raises(XComForMappingNotPushed, match="did not push XCom for task mapping; return an empty list"):
        lengths_of(operator, ["return_value"], None, {})
