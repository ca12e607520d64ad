"""Admission: no limit is ever exceeded, nobody waits without a full limit, the best goes first."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.model.keys import RunId
from tradewind.model.specs import TaskSpec
from tradewind.rules.admission import PARALLELISM, Admission, Place

POOLS = {"pool 'a'": 3, "pool 'b'": 2}

tasks = st.builds(
    TaskSpec,
    task_id=st.sampled_from(["x", "y", "z"]),
    executor=st.sampled_from(["inline", "local"]),
    pool=st.sampled_from(["a", "b"]),
    pool_slots=st.integers(1, 3),
    priority_weight=st.integers(1, 3),
    max_active_tis_per_dag=st.sampled_from([None, 1, 2]),
    max_active_tis_per_dagrun=st.sampled_from([None, 1]),
)
offers = st.tuples(st.just("offer"), st.integers(1, 3), st.integers(0, 9), tasks)
frees = st.tuples(st.just("free"), st.integers(1, 3), st.integers(0, 9), st.none())
resizes = st.tuples(st.just("resize"), st.sampled_from([-1, 0, 1, 2, 5]), st.sampled_from([0, 1]), st.none())
ends = st.tuples(st.just("end"), st.integers(1, 3), st.just(0), st.none())


def fresh() -> Admission:
    admission = Admission()
    for name, size in POOLS.items():
        admission.resize(name, size)
    for kind in ("inline", "local"):
        admission.resize(f"executor {kind!r}", -1)
    admission.resize("max_active_tasks of DAG 'd'", 6)
    admission.resize(PARALLELISM, 4)
    return admission


class Book:
    """Who waits and who runs, counted the plain way."""

    def __init__(self) -> None:
        self.waiting: dict[Place, TaskSpec] = {}
        self.running: dict[Place, TaskSpec] = {}
        self.sizes = dict(POOLS)

    def room_for(self, place: Place, task: TaskSpec) -> bool:
        others = list(self.running.items())
        used = sum(t.pool_slots for _, t in others if t.pool == task.pool)
        size = self.sizes[f"pool {task.pool!r}"]
        same = [p for p, t in others if t.task_id == task.task_id]
        checks = [
            size < 0 or used + task.pool_slots <= size,
            len(others) < 6,
            task.executor == "inline" or sum(t.executor != "inline" for _, t in others) < 4,
            task.max_active_tis_per_dag is None or self._held(task, same, None) < task.max_active_tis_per_dag,
            task.max_active_tis_per_dagrun is None
            or self._held(task, same, place.run_id) < task.max_active_tis_per_dagrun,
        ]
        return all(checks)

    def _held(self, task: TaskSpec, same: list[Place], run_id: RunId | None) -> int:
        """Only those that have the limit count against it."""
        found = 0
        for place in same:
            other = self.running[place]
            has = other.max_active_tis_per_dag if run_id is None else other.max_active_tis_per_dagrun
            found += has is not None and run_id in (None, place.run_id)
        return found


def consistent(task: TaskSpec) -> TaskSpec:
    """All tasks of one id have the same limits, as in a DAG."""
    number = "xyz".index(task.task_id)
    return TaskSpec(
        task.task_id,
        executor=task.executor,
        pool=task.pool,
        pool_slots=task.pool_slots,
        priority_weight=task.priority_weight,
        max_active_tis_per_dag=(None, 1, 2)[number],
        max_active_tis_per_dagrun=(1, None, 1)[number],
    )


@settings(max_examples=200, deadline=None)
@given(st.lists(st.one_of(offers, offers, frees, frees, resizes), max_size=60))
def test_limits_hold_and_nobody_starves(steps: list[tuple[str, int, int, TaskSpec | None]]) -> None:
    admission, book = fresh(), Book()
    for kind, a, b, task in steps:
        place = Place(RunId(a), b)
        if kind == "offer" and task is not None:
            if place not in book.waiting and place not in book.running:
                book.waiting[place] = consistent(task)
            admission.offer(place, consistent(task), "d")
        elif kind == "free":
            book.waiting.pop(place, None)
            book.running.pop(place, None)
            admission.free(place)
        elif kind == "resize":
            name = sorted(POOLS)[b]
            book.sizes[name] = a
            admission.resize(name, a)
        for admitted in admission.admit():
            started = book.waiting.pop(admitted)
            assert book.room_for(admitted, started), f"no room for {started}"
            book.running[admitted] = started
        for waits, of in book.waiting.items():
            assert not book.room_for(waits, of), f"{of} waits for nothing: {admission.why_waiting(waits)}"
            assert "is full" in (admission.why_waiting(waits) or "")
        for name in POOLS:
            assert admission.used(name) == sum(
                t.pool_slots for t in book.running.values() if f"pool {t.pool!r}" == name
            )


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(0, 50)), min_size=1, unique=True))
def test_weight_then_age_of_the_run_then_order_of_definition(offered: list[tuple[int, int, int]]) -> None:
    """Whatever the order in which they were offered."""
    admission = fresh()
    admission.resize("pool 'a'", 0)
    weights: dict[Place, int] = {}
    for weight, run, node in offered:
        place = Place(RunId(run), node)
        if place not in weights:
            weights[place] = weight
            admission.offer(place, TaskSpec("x", pool="a", priority_weight=weight, executor="inline"), "d")
    assert list(admission.admit()) == []
    admission.resize("max_active_tasks of DAG 'd'", -1)
    admission.resize("pool 'a'", -1)
    admitted = list(admission.admit())
    assert admitted == sorted(weights, key=lambda place: (-weights[place], place.run_id, place.node))


PLACES = st.tuples(st.integers(1, 4), st.integers(0, 5))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("offer"), PLACES, st.integers(1, 3), st.integers(1, 3), st.sampled_from(["a", "b"])),
            st.tuples(st.sampled_from(["free", "free", "admit"]), PLACES, st.just(0), st.just(0), st.just("")),
        ),
        max_size=60,
    )
)
def test_the_best_of_all_dags_starts_next(steps: list[tuple[str, tuple[int, int], int, int, str]]) -> None:
    """At each moment the one that starts is the best of all for which there is room, whatever DAG it is of, however
    long it has waited, and whoever has been offered meanwhile or taken back.
    """
    admission, dates = fresh(), {1: 30.0, 2: 10.0, 3: 20.0, 4: 10.0}
    admission.resize("max_active_tasks of DAG 'odd'", 2)
    admission.resize("max_active_tasks of DAG 'even'", 2)
    waiting: dict[Place, TaskSpec] = {}
    running: dict[Place, TaskSpec] = {}

    def has_room(place: Place) -> bool:
        task = waiting[place]
        in_pool = sum(t.pool_slots for t in running.values() if t.pool == task.pool)
        in_dag = sum(other.run_id % 2 == place.run_id % 2 for other in running)
        return in_pool + task.pool_slots <= POOLS[f"pool {task.pool!r}"] and in_dag < 2

    for kind, (run, node), weight, slots, pool in steps:
        place = Place(RunId(run), node)
        if kind == "offer":
            task = TaskSpec("x", executor="inline", pool=pool, pool_slots=slots, priority_weight=weight)
            if place not in waiting and place not in running:
                waiting[place] = task
            admission.offer(place, task, "odd" if run % 2 else "even", dates[run])
            continue
        if kind == "free":
            waiting.pop(place, None)
            running.pop(place, None)
            admission.free(place)
        for started in admission.admit():
            best = min(
                (p for p in waiting if has_room(p)),
                key=lambda p: (-waiting[p].priority_weight, dates[p.run_id], p.run_id, p.node),
            )
            assert started == best
            running[started] = waiting.pop(started)
        assert not any(has_room(place) for place in waiting)
        assert sum(task.pool_slots for task in waiting.values()) >= sum(admission.demand(name) for name in POOLS)


def test_a_limit_that_needs_two_permits_asks_for_two() -> None:
    """What waits is counted in permits, so that a runtime asks its peers for enough."""
    admission = fresh()
    admission.resize("pool 'b'", 1)
    admission.offer(Place(RunId(1), 0), TaskSpec("x", pool="b", pool_slots=2, executor="inline"), "d")
    assert list(admission.admit()) == []
    assert admission.demand("pool 'b'") == 2


@pytest.mark.parametrize("pool", ["a", "b"])
def test_adopted_attempts_count_whether_or_not_there_is_room(pool: str) -> None:
    admission = fresh()
    for node in range(5):
        admission.adopt(Place(RunId(1), node), TaskSpec("x", pool=pool, executor="inline"), "d")
    admission.offer(Place(RunId(1), 9), TaskSpec("x", pool=pool, executor="inline"), "d")
    assert admission.used(f"pool {pool!r}") == 5
    assert list(admission.admit()) == []
    for node in range(5):
        admission.free(Place(RunId(1), node))
    assert list(admission.admit()) == [Place(RunId(1), 9)]
