# pyright: reportUnusedExpression=false
"""Dependencies: every notation draws the same edges; circles and orders."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.authoring.dag import DAG
from tradewind.authoring.edges import Label, chain, chain_linear, cross_downstream
from tradewind.authoring.ordering import find_cycle
from tradewind.authoring.task_group import TaskGroup
from tradewind.authoring.weights import Weighted, total_weights
from tradewind.model.errors import AuthoringError, DagCycleError
from tradewind.standard.empty import EmptyOperator

Edge = tuple[int, int]

forward_edges = st.integers(2, 12).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(
            st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda e: e[0] < e[1]),
            max_size=30,
        ),
    )
)


def dag_of(count: int, edges: list[Edge], notations: list[int] | None = None, order: list[int] | None = None) -> DAG:
    """A DAG of `count` tasks, drawn edge by edge, each in its notation (0 to 9)."""
    with DAG("d") as dag:
        made = {n: EmptyOperator(task_id=f"t{n}") for n in (order or range(count))}
    for place, (up, down) in enumerate(edges):
        a, b = made[up], made[down]
        match (notations or [0])[place % len(notations or [0])]:
            case 0:
                a >> b
            case 1:
                b << a
            case 2:
                a >> [b]
            case 3:
                [a] >> b
            case 4:
                b << [a]
            case 5:
                a.set_downstream(b)
            case 6:
                b.set_upstream([a])
            case 7:
                chain(a, b)
            case 8:
                a.output >> b.output
            case _:
                cross_downstream([a], [b])
    return dag


def edges_of(dag: DAG) -> set[tuple[str, str]]:
    return {(t.task_id, d) for t in dag.tasks for d in t.downstream_task_ids}


@given(forward_edges, st.lists(st.integers(0, 9), min_size=1, max_size=10))
def test_every_notation_draws_the_same_edges(graph: tuple[int, list[Edge]], notations: list[int]) -> None:
    count, edges = graph
    dag = dag_of(count, edges, notations)
    assert edges_of(dag) == {(f"t{a}", f"t{b}") for a, b in edges}
    for task in dag.tasks:
        assert all(task.task_id in dag.get_task(up).downstream_task_ids for up in task.upstream_task_ids)


@given(forward_edges, st.randoms(use_true_random=False))
def test_the_topological_order_puts_upstream_first(graph: tuple[int, list[Edge]], random: Any) -> None:
    count, edges = graph
    order = list(range(count))
    random.shuffle(order)
    dag = dag_of(count, edges, order=order)
    place = {task.task_id: n for n, task in enumerate(dag.topological_sort())}
    assert len(place) == count
    assert all(place[a] < place[b] for a, b in edges_of(dag))


@given(forward_edges, st.data())
def test_a_circle_is_found_and_shown(graph: tuple[int, list[Edge]], data: st.DataObject) -> None:
    count, edges = graph
    dag = dag_of(count, edges)
    assert find_cycle(dag.task_dict) is None
    if not edges:
        return
    up, down = data.draw(st.sampled_from(edges))
    dag.set_dependency(f"t{down}", f"t{up}")
    circle = find_cycle(dag.task_dict)
    assert circle is not None
    assert circle[0] == circle[-1]
    drawn = edges_of(dag)
    assert all((a, b) in drawn for a, b in pairwise(circle))
    with pytest.raises(DagCycleError, match="in DAG: d"):
        dag.to_spec()


@given(
    forward_edges,
    st.lists(st.integers(-1000, 1000), min_size=12, max_size=12),
    st.lists(st.sampled_from(["downstream", "upstream", "absolute"]), min_size=12, max_size=12),
)
def test_weights_are_sums_over_all_relatives(
    graph: tuple[int, list[Edge]], weights: list[int], rules: list[str]
) -> None:
    count, edges = graph
    dag = dag_of(count, edges)
    tasks = [
        Weighted(weights[n], rules[n], [int(u[1:]) for u in dag.get_task(f"t{n}").upstream_task_ids])
        for n in range(count)
    ]
    for n, total in enumerate(total_weights(tasks)):
        relatives: set[str] = set()
        if rules[n] != "absolute":
            relatives = dag.get_task(f"t{n}").get_flat_relative_ids(upstream=rules[n] == "upstream")
        assert total == weights[n] + sum(weights[int(r[1:])] for r in relatives)


def test_weights_over_several_blocks_and_many_values() -> None:
    count = 20_000
    tasks = [Weighted(n % 37 - 5, "downstream", [u for u in (n - 1, n - 2) if u >= 0]) for n in range(count)]
    totals = total_weights(tasks)
    expected = 0
    for n in reversed(range(count)):
        expected += tasks[n].weight
        assert totals[n] == expected


def test_weights_are_clipped_to_32_bits() -> None:
    assert total_weights([Weighted(2**31 - 1, "downstream", []), Weighted(5, "downstream", [0])])[0] == 2**31 - 1
    assert total_weights([Weighted(-(2**31), "downstream", []), Weighted(-5, "downstream", [0])])[0] == -(2**31)


def test_lists_and_chains() -> None:
    with DAG("d") as dag:
        a, b, c, d, e = (EmptyOperator(task_id=x) for x in "abcde")
        f, g, h = (EmptyOperator(task_id=x) for x in "fgh")
    a >> [b, c] >> d
    chain(a, [e, f], [g, h], d)
    assert edges_of(dag) == {
        *(("a", x) for x in "bcef"),
        ("b", "d"),
        ("c", "d"),
        ("e", "g"),
        ("f", "h"),
        ("g", "d"),
        ("h", "d"),
    }


def test_chain_linear_joins_all_with_all() -> None:
    with DAG("d") as dag:
        a, b, c, d = (EmptyOperator(task_id=x) for x in "abcd")
    chain_linear([a, b], [c, d])
    assert edges_of(dag) == {("a", "c"), ("a", "d"), ("b", "c"), ("b", "d")}


def test_groups_stand_on_either_side() -> None:
    with DAG("d") as dag:
        before, after = EmptyOperator(task_id="before"), EmptyOperator(task_id="after")
        with TaskGroup("g", default_args={"retries": 3}, tooltip="two in a row") as group:
            EmptyOperator(task_id="one") >> EmptyOperator(task_id="two", retries=1)
    before >> group >> after
    assert edges_of(dag) == {("before", "g.one"), ("g.one", "g.two"), ("g.two", "after")}
    assert (dag.get_task("g.one").retries, dag.get_task("g.two").retries) == (3, 1)
    spec = dag.to_spec()
    assert spec.groups[0].children == ("g.one", "g.two")
    assert [(t.task_id, t.group, t.label) for t in spec.tasks if t.group] == [
        ("g.one", "g", "one"),
        ("g.two", "g", "two"),
    ]


def test_a_label_is_kept_in_both_directions() -> None:
    with DAG("d") as dag:
        a, b, c, d = (EmptyOperator(task_id=x) for x in "abcd")
    a >> Label("down") >> b
    c << Label("up") << b
    c.set_downstream(d, edge_modifier=Label("called"))
    assert [(e.upstream, e.downstream, e.text) for e in dag.to_spec().edge_labels] == [
        ("a", "b", "down"),
        ("b", "c", "up"),
        ("c", "d", "called"),
    ]


def test_tasks_of_two_dags_cannot_be_joined() -> None:
    a = EmptyOperator(task_id="a", dag=DAG("one"))
    b = EmptyOperator(task_id="b", dag=DAG("two"))
    with pytest.raises(AuthoringError, match=r"'a' is in DAG 'one', 'b' in DAG 'two'"):
        a >> b


def test_a_task_without_dag_joins_the_other_ones() -> None:
    dag = DAG("d")
    a = EmptyOperator(task_id="a", dag=dag)
    b = EmptyOperator(task_id="b")
    a >> b
    assert dag.task_ids == ["a", "b"]
    with pytest.raises(AuthoringError, match="no DAG yet"):
        EmptyOperator(task_id="c") >> EmptyOperator(task_id="e")


def test_what_is_no_task_is_named() -> None:
    with DAG("d"):
        a = EmptyOperator(task_id="a")
        nonsense: Any = print
        with pytest.raises(AuthoringError, match=r"a: dependencies are drawn between .* must be called"):
            a >> nonsense


def test_what_follows_a_group_follows_what_stands_last_before_its_teardowns() -> None:
    """Not every task that a teardown waits for: only those after which nothing but teardowns comes."""
    with DAG("d", schedule=None):
        with TaskGroup("g") as group:
            begin, first, second, side, clean, sweep = (
                EmptyOperator(task_id=name) for name in ("begin", "first", "second", "side", "clean", "sweep")
            )
            begin.set_downstream([first, side])
            first.set_downstream(second)
            for task in (first, second, side):
                task.set_downstream(clean)
            clean.set_downstream(sweep)
            begin.as_setup()
            clean.as_teardown(setups=begin)
            sweep.as_teardown()
        after = EmptyOperator(task_id="after")
        group.set_downstream(after)
    assert sorted(after.upstream_task_ids) == ["g.second", "g.side"]
