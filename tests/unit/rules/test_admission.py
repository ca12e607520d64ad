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
