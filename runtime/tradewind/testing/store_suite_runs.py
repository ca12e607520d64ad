"""What DAG versions, runs, views and named things promise."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, overload

import pytest

from tradewind.instance_ports import InstanceFilter, ManyRuns, XComFilter
from tradewind.model.errors import BatchConflict, StoreError
from tradewind.model.keys import RunId
from tradewind.model.rows import ConnectionRow, InstanceRow, PoolRow, RunRow, ScheduleCursor, UserRow, VariableRow
from tradewind.model.specs import DagSpec
from tradewind.model.states import OutcomeKind, RunState, RunType, TaskState
from tradewind.ports import RunFilter
from tradewind.testing.store_world import (
    NOON,
    NewStore,
    World,
    attempt_id,
    closed,
    file_of,
    instances_of,
    json_value,
    moved,
    new_world,
    opened,
    run_row,
    source_of,
    spec_of,
    xcom,
)

ODD_TEXTS = ("a\0b", "\ud83d alone \udc80", "🦀 é 中文", "'; DROP TABLE x; --", "%s $1 :name {x}", "")
"""Texts that users write and databases stumble over."""


class ManyInstances(Sequence[InstanceRow]):
    """Instances that are made when somebody looks at them."""

    def __init__(self, run: RunRow, count: int) -> None:
        self._run = run
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> InstanceRow: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[InstanceRow]: ...
    def __getitem__(self, index: int | slice) -> InstanceRow | Sequence[InstanceRow]:
        if isinstance(index, slice):
            return [self[number] for number in range(self._count)[index]]
        return InstanceRow(self._run.run_id, f"task_{index:06}", max_tries=index % 3)

    def __iter__(self) -> Iterator[InstanceRow]:
        return (self[number] for number in range(self._count))


class PublishSuite:
    """`dag_publish` and `dag_retire`."""

    async def test_a_file_never_makes_a_second_version(self, new_store: NewStore) -> None:
        """The same content is the same version, whatever came between."""
        world = await new_world(new_store)
        one, two = world.spec, spec_of("etl", "a", "b", "c")
        store, lease = world.store, world.lease
        publish: list[tuple[DagSpec, list[str]]] = [
            (one, []),
            (two, ["etl"]),
            (two, []),
            (one, ["etl"]),
            (two, ["etl"]),
            (one, ["etl"]),
        ]
        for spec, changed in publish:
            assert await store.dag_publish(lease, "main", [file_of("etl.py", spec)]) == changed
        dag = await store.dag_get("etl")
        assert dag is not None
        assert (dag.version_number, dag.version_hash) == (1, one.content_hash())
        version = await store.dag_version_get("etl", two.content_hash())
        assert version is not None
        assert (version.number, version.spec) == (2, two)
        current = await store.dag_version_get("etl")
        assert current is not None
        assert (current.number, current.spec, current.source) == (1, one, source_of("etl.py"))
        assert await store.dag_version_get("etl", "0" * 64) is None
        assert await store.dag_version_get("ghost") is None
        lines, total = await store.dag_version_list("etl", 1)
        assert ([line.number for line in lines], total) == ([2], 2)
        [line], _ = await store.dag_version_list("etl", 1, 1)
        assert (line.version_hash, line.source) == (one.content_hash(), source_of("etl.py"))
        assert await store.dag_version_list("ghost", 5) == ([], 0)

    async def test_params_stand_as_in_the_file_and_their_order_makes_no_version(self, new_store: NewStore) -> None:
        """Publishing them in another order changes what is kept of the version, and nothing else."""
        world = await new_world(new_store)
        for order in (["zone", "area"], ["area", "zone"], ["zone", "area"]):
            spec = replace(world.spec, params={name: {"schema": {}, "value": 1} for name in order})
            await world.store.dag_publish(world.lease, "main", [file_of("etl.py", spec)])
            version = await world.store.dag_version_get("etl")
            assert version is not None
            assert (version.number, list(version.spec.params)) == (2, order)

    async def test_new_dags_are_paused_unless_they_say_otherwise(self, new_store: NewStore) -> None:
        """Later publications leave the switch alone."""
        world = await new_world(new_store)
        specs = [
            spec_of("unset"),
            spec_of("paused", paused=True),
            spec_of("live", paused=False),
        ]
        assert await world.store.dag_publish(world.lease, "main", [file_of("f.py", *specs)]) == [
            "live",
            "paused",
            "unset",
        ]
        assert {d.dag_id: d.is_paused for d in await world.store.dag_list()} == {
            "etl": True,
            "live": False,
            "paused": True,
            "unset": True,
        }
        again = spec_of("live", "x", paused=True)
        await world.store.dag_publish(world.lease, "main", [file_of("f.py", again)])
        dag = await world.store.dag_get("live")
        assert dag is not None
        assert (dag.is_paused, dag.owner, dag.is_active) == (False, world.lease.runtime_id, True)

    async def test_dags_that_a_file_no_longer_defines_are_inactive(self, new_store: NewStore) -> None:
        """And active again when they come back; moving to another file of the same publication keeps them."""
        world = await new_world(new_store)
        store, lease = world.store, world.lease
        x, y = spec_of("x"), spec_of("y")
        await store.dag_publish(lease, "main", [file_of("f.py", x, y)])
        assert await store.dag_publish(lease, "main", [file_of("f.py", x)]) == ["y"]
        assert await store.dag_publish(lease, "main", [file_of("f.py", x)]) == []
        assert {d.dag_id: d.is_active for d in await store.dag_list()} == {"etl": True, "x": True, "y": False}
        assert await store.dag_publish(lease, "main", [file_of("f.py", y), file_of("g.py", x)]) == ["x", "y"]
        assert {d.dag_id: d.is_active for d in await store.dag_list()} == {"etl": True, "x": True, "y": True}
        assert await store.dag_publish(lease, "main", [file_of("f.py", y)]) == []
        assert await store.dag_retire(lease, "main", ["g.py", "never.py"]) == ["x"]
        assert await store.dag_retire(lease, "main", ["g.py"]) == []

    async def test_import_errors_are_set_and_cleared(self, new_store: NewStore) -> None:
        """A broken file keeps its DAGs; mending or removing it takes the error away."""
        world = await new_world(new_store)
        store, lease = world.store, world.lease
        assert await store.dag_publish(lease, "main", [file_of("etl.py", error="line 3\0: \udc80")]) == []
        [error] = await store.import_error_list()
        assert (error.bundle, error.relative_fileloc, error.fileloc) == ("main", "etl.py", "/dags/etl.py")
        assert error.stack_trace == "line 3\0: \udc80"
        dag = await store.dag_get("etl")
        assert dag is not None
        assert (dag.has_import_errors, dag.is_active) == (True, True)
        await store.dag_publish(lease, "main", [file_of("etl.py", error="another")])
        [second] = await store.import_error_list()
        assert (second.stack_trace, second.import_error_id) == ("another", error.import_error_id)
        await store.dag_publish(lease, "main", [file_of("etl.py", world.spec)])
        assert await store.import_error_list() == []
        assert not (await store.dag_list())[0].has_import_errors
        await store.dag_publish(lease, "main", [file_of("bad.py", error="x")])
        await store.dag_retire(lease, "main", ["bad.py"])
        assert await store.import_error_list() == []

    async def test_code_is_kept_with_its_version(self, new_store: NewStore) -> None:
        """The text as last seen with that version."""
        world = await new_world(new_store)
        store, lease, two = world.store, world.lease, spec_of("etl", "z")
        await store.dag_publish(lease, "main", [file_of("etl.py", world.spec, code="one 🦀\0")])
        await store.dag_publish(lease, "main", [file_of("etl.py", two, code="two")])
        assert await store.dag_code_get("etl") == "two"
        assert await store.dag_code_get("etl", world.spec.content_hash()) == "one 🦀\0"
        assert await store.dag_code_get("ghost") is None


class RunSuite:
    """Creation and reading of runs."""

    async def test_a_run_is_created_once(self, new_store: NewStore) -> None:
        """A second one of that id changes nothing, but cursor and mail are applied."""
        world = await new_world(new_store)
        store, lease = world.store, world.lease
        run = await world.run()
        mail_id = await store.mail_send("etl", "trigger", b"{}", "k")
        cursor = ScheduleCursor(NOON, NOON, NOON, NOON, NOON, NOON)
        again = replace(run, run_id=RunId(50), note="other")
        assert not await store.run_create(lease, again, instances_of(again, world.spec), cursor, (mail_id, b"no"))
        assert await store.run_get("etl", run.dag_run_id) == run
        assert await store.run_by_id(RunId(50)) is None
        assert await store.instance_list(RunId(50)) == []
        dag = await store.dag_get("etl")
        assert dag is not None
        assert dag.cursor == cursor
        assert await store.mail_reply(mail_id) == b"no"

    async def test_a_run_id_is_used_once(self, new_store: NewStore) -> None:
        """By one DAG run for ever."""
        world = await new_world(new_store)
        run = await world.run()
        few: list[InstanceRow] = []
        for many in (few, ManyInstances(run, 2_100)):
            with pytest.raises(BatchConflict) as refused:
                await world.store.run_create(world.lease, replace(run, dag_run_id="other"), many)
            assert refused.value.run_ids == (run.run_id,)
        assert len(await world.store.instance_list(run.run_id)) == 2

    async def test_all_of_a_run_comes_back(self, new_store: NewStore) -> None:
        """Every field, with the oddest texts."""
        world = await new_world(new_store)
        for number, text in enumerate(ODD_TEXTS, 1):
            run = replace(
                run_row(number, world.spec),
                conf=json_value(text),
                note=text,
                run_key=text,
                partition_date=NOON,
                external_trigger=True,
                counts={"none": 2},
                started_at=NOON,
                ended_at=NOON + timedelta(microseconds=1),
            )
            assert await world.store.run_create(world.lease, run, [])
            assert await world.store.run_by_id(run.run_id) == run
            assert await world.store.run_get("etl", run.dag_run_id) == run

    async def test_a_name_that_cannot_be_stored_is_refused(self, new_store: NewStore) -> None:
        """With an error that says so, not with a lost connection."""
        world = await new_world(new_store)
        with pytest.raises(StoreError, match="cannot store"):
            await world.store.run_create(world.lease, replace(run_row(1, world.spec), dag_run_id="a\0b"), [])
        await world.run(2)

    @pytest.mark.parametrize("count", [0, 1, 2_000, 2_001, 5_003])
    async def test_runs_of_any_size(self, new_store: NewStore, count: int) -> None:
        """Small or in bulk: all instances are there, in order, and the cursor has moved."""
        world = await new_world(new_store)
        run = run_row(1, world.spec)
        cursor = ScheduleCursor(NOON, NOON, None, None, None, None)
        many = ManyInstances(run, count)
        assert await world.store.run_create(world.lease, run, many, cursor)
        assert await world.store.instance_list(run.run_id) == list(many)
        dag = await world.store.dag_get("etl")
        assert dag is not None
        assert dag.cursor == cursor
        assert not await world.store.run_create(world.lease, replace(run, run_id=RunId(2)), ManyInstances(run, count))

    async def test_lists_are_filtered_ordered_and_paged(self, new_store: NewStore) -> None:
        """With the number of all that fit."""
        world = await new_world(new_store)
        states = (RunState.SUCCESS, RunState.RUNNING, RunState.QUEUED, RunState.FAILED, RunState.RUNNING)
        for number, state in enumerate(states, 1):
            row = replace(run_row(number, world.spec, state=state), started_at=NOON if number % 2 else None)
            await world.store.run_create(world.lease, row, [])

        async def ids(where: RunFilter) -> tuple[list[int], int]:
            rows, total = await world.store.run_list(where)
            return [row.run_id for row in rows], total

        some = (RunState.RUNNING, RunState.FAILED)
        assert await ids(RunFilter()) == ([5, 4, 3, 2, 1], 5)
        assert await ids(RunFilter(dag_id="ghost")) == ([], 0)
        assert await ids(RunFilter(states=some, order_by="run_id")) == ([2, 4, 5], 3)
        assert await ids(RunFilter(states=())) == ([], 0)
        assert await ids(RunFilter(limit=2, offset=1)) == ([4, 3], 5)
        assert await ids(RunFilter(limit=2, offset=9)) == ([], 5)
        assert await ids(RunFilter(order_by="state")) == ([3, 2, 5, 1, 4], 5)
        assert await ids(RunFilter(order_by="started_at")) == ([1, 3, 5, 2, 4], 5)
        assert await ids(RunFilter(order_by="-started_at")) == ([5, 3, 1, 4, 2], 5)
        assert await ids(RunFilter(order_by="-dag_run_id")) == ([5, 4, 3, 2, 1], 5)
        hours = [NOON + timedelta(hours=number) for number in (2, 3)]
        assert await ids(RunFilter(logical_from=hours[0], logical_to=hours[1])) == ([3, 2], 2)
        names = (run_row(2, world.spec).dag_run_id, run_row(5, world.spec).dag_run_id)
        assert await ids(RunFilter(dag_ids=("etl", "ghost"), dag_run_ids=(*names, "other"))) == ([5, 2], 2)
        assert await ids(RunFilter(dag_ids=("ghost",))) == ([], 0)
        assert await ids(RunFilter(types=(RunType.BACKFILL,))) == ([], 0)
        assert await ids(RunFilter(types=(run_row(1, world.spec).run_type, RunType.BACKFILL), limit=1)) == ([5], 5)
        assert await ids(RunFilter(started=(NOON, NOON))) == ([5, 3, 1], 3)
        assert await ids(RunFilter(started=(hours[0], None))) == ([], 0)
        assert await ids(RunFilter(ended=(None, hours[0]))) == ([], 0), "none has ended"
        with pytest.raises(StoreError, match="cannot be ordered by 'note'"):
            await ids(RunFilter(order_by="note"))

    async def test_pages_of_task_instances(self, new_store: NewStore) -> None:
        """Every condition, every order; without a value last, equal ones by task id and map index."""
        world = await new_world(new_store)
        run = run_row(1, world.spec)

        def row(name: str, index: int, state: TaskState, began: int | None, took: int | None) -> InstanceRow:
            start = None if began is None else NOON + timedelta(minutes=began)
            end = None if start is None or took is None else start + timedelta(minutes=took)
            return InstanceRow(run.run_id, name, index, state, started_at=start, ended_at=end, try_number=began or 0)

        rows = {
            "a": row("a", -1, TaskState.SUCCESS, 3, 1),
            "b": row("b", -1, TaskState.FAILED, 1, 5),
            "c": row("c", -1, TaskState.RUNNING, 2, None),
            "d": row("d", -1, TaskState.NONE, None, None),
            "m0": row("m", 0, TaskState.SUCCESS, 1, 2),
            "m1": row("m", 1, TaskState.SUCCESS, 4, 2),
            "x": row("x", -1, TaskState.SCHEDULED, None, None),
            "hidden": row("x", 0, TaskState.NONE, None, None),
        }
        await world.store.run_create(world.lease, run, list(rows.values()))
        names = {(row.task_id, row.map_index): name for name, row in rows.items()}

        async def page(**conditions: Any) -> str:
            found, total = await world.store.instance_page(InstanceFilter(run.run_id, **conditions))
            assert total >= len(found)
            return " ".join(names[row.task_id, row.map_index] for row in found)

        assert await page() == "a b c d m0 m1 x"
        assert await page(task_ids=("m", "a")) == "a m0 m1"
        assert await page(states=(TaskState.NONE, TaskState.FAILED)) == "b d"
        tally = await world.store.instance_tally((TaskState.SUCCESS, TaskState.NONE))
        assert {(one.dag_id, one.task_id, one.state.value, one.number) for one in tally} == {
            ("etl", "a", "success", 1),
            ("etl", "d", "none", 1),
            ("etl", "m", "success", 2),
        }
        assert await page(mapped_only=True) == "m0 m1"
        assert await page(map_index=1) == "m1"
        at = [NOON + timedelta(minutes=minute) for minute in range(5)]
        assert await page(started=(at[2], at[3])) == "a c"
        assert await page(ended=(at[4], None)) == "a b m1"
        assert await page(lasted=(None, 120.0)) == "a m0 m1"
        assert await page(lasted=(121.0, None)) == "b"
        assert await page(order_by="started_at") == "b m0 c a m1 d x"
        assert await page(order_by="-started_at") == "m1 a c b m0 d x"
        assert await page(order_by="duration") == "a m0 m1 b c d x"
        assert await page(order_by="state") == "b c x a m0 m1 d"
        assert await page(order_by="-task_id") == "x m0 m1 d c b a"
        assert await page(order_by="-map_index") == "m1 m0 a b c d x"
        found, total = await world.store.instance_page(InstanceFilter(run.run_id, limit=2, offset=5))
        assert ([names[row.task_id, row.map_index] for row in found], total) == (["m1", "x"], 7)
        with pytest.raises(StoreError, match="cannot be ordered by 'pool'"):
            await page(order_by="pool")

    async def test_task_instances_of_many_runs(self, new_store: NewStore) -> None:
        """Runs in the order of their numbers, narrowed by their names, dates and versions; with their last attempts."""
        world = await new_world(new_store)
        one, two = await world.run(1), await world.run(2)
        await world.apply(
            world.segment(one, moved("b", TaskState.NONE, TaskState.SUCCESS)),
            world.segment(two, moved("a", TaskState.NONE, TaskState.RUNNING, attempt=attempt_id("x"))),
        )
        segment = world.segment(two)
        segment.opened.append(opened("a", attempt_id("x")))
        await world.apply(segment)

        async def page(many: ManyRuns, **conditions: Any) -> str:
            found, total = await world.store.instance_page(InstanceFilter(many, **conditions))
            assert total >= len(found)
            return " ".join(f"{row.task_id}{1 if row.run_id == one.run_id else 2}" for row in found)

        tasks = sorted(task.task_id for task in world.spec.tasks)
        every = " ".join(f"{name}{number}" for name in tasks for number in (1, 2))
        assert await page(ManyRuns()) == every
        assert await page(ManyRuns(("etl",)), task_ids=("a",)) == "a1 a2"
        assert await page(ManyRuns(("other",))) == ""
        assert await page(ManyRuns(dag_run_ids=(two.dag_run_id,)), task_ids=("a", "b")) == "a2 b2"
        assert await page(ManyRuns(logical=(None, one.logical_date)), task_ids=("a",)) == "a1"
        assert await page(ManyRuns(), states=(TaskState.SUCCESS, TaskState.RUNNING), order_by="-task_id") == "b1 a2"
        assert await page(ManyRuns(tasks=((one.version_hash, "b"), ("unknown", "a")))) == "b1 b2"
        assert await page(ManyRuns(tasks=())) == ""
        assert await page(ManyRuns(), limit=1, offset=1) == every.split()[1]
        runs = await world.store.run_many([two.run_id, one.run_id, RunId(5)])
        assert sorted(run.dag_run_id for run in runs) == sorted([one.dag_run_id, two.dag_run_id])
        assert await world.store.run_versions() == [("etl", one.version_hash)]
        assert await world.store.run_versions(["other"]) == []
        rows = await world.store.instance_list(two.run_id)
        assert [(found.task_id, found.attempt) for found in await world.store.attempt_latest(rows)] == [
            ("a", attempt_id("x"))
        ]

    async def test_the_past_of_tasks(self, new_store: NewStore) -> None:
        """Latest earlier runs, by logical date, not by creation."""
        world = await new_world(new_store)
        two, one = await world.run(2, state=RunState.SUCCESS), await world.run(1, state=RunState.FAILED)
        three = run_row(3, world.spec)
        await world.store.run_create(world.lease, three, [InstanceRow(three.run_id, "a", state=TaskState.SKIPPED)])
        await world.apply(
            world.segment(one, moved("a", TaskState.NONE, TaskState.SUCCESS)),
            world.segment(two, moved("b", TaskState.NONE, TaskState.SUCCESS)),
        )
        store, before = world.store, three.logical_date + timedelta(minutes=1)
        past = await store.past_states("etl", before, ["a", "b", "new"])
        assert {task: (row.run_id, row.state) for task, row in past.items()} == {
            "a": (3, TaskState.SKIPPED),
            "b": (2, TaskState.SUCCESS),
        }
        assert await store.past_states("etl", one.logical_date, ["a"]) == {}
        found = await store.task_success_before("etl", "a", before)
        assert found is not None
        assert (found[0].run_id, found[1].task_id, found[1].state) == (1, "a", TaskState.SUCCESS)
        assert await store.task_success_before("etl", "a", one.logical_date) is None
        assert await _before(world, three) == (2, 1, 2)
        assert await store.run_before("etl", one.logical_date) is None

    async def test_mapped_instances_are_told_apart(self, new_store: NewStore) -> None:
        """By their map index, in order."""
        world = await new_world(new_store)
        run = run_row(1, world.spec)
        rows = [InstanceRow(run.run_id, "m", index) for index in (10, 2, 0)]
        await world.store.run_create(world.lease, run, rows)
        keys = [attempt_id(f"m{index}") for index in (2, 10)]
        segment = world.segment(
            run, *(moved("m", TaskState.NONE, TaskState.RUNNING, map_index=index) for index in (2, 10))
        )
        segment.opened += [opened("m", key, map_index=index) for key, index in zip(keys, (2, 10), strict=True)]
        segment.xcoms.append(xcom("m", "k", "ten", map_index=10))
        await world.apply(segment)
        assert [(r.map_index, r.state) for r in await world.store.instance_list(run.run_id)] == [
            (0, TaskState.NONE),
            (2, TaskState.RUNNING),
            (10, TaskState.RUNNING),
        ]
        assert await world.store.xcom_get(run.run_id, "m", "k") is None
        assert await world.store.xcom_get(run.run_id, "m", "k", 10) == json_value("ten")
        assert await world.store.xcom_indexes(run.run_id, "m", "k") == [10]
        assert await world.store.xcom_many(run.run_id, "m", "k", [2, 10]) == [None, json_value("ten")]
        assert [entry.key for entry in await world.store.xcom_list(run.run_id, "m", 10)] == ["k"]
        assert await world.store.xcom_list(run.run_id, "m", 2) == []
        assert [a.attempt for a in await world.store.attempt_list(run.run_id, "m", 10)] == keys[1:]
        segment = world.segment(run)
        segment.closed.append(closed(keys[0], OutcomeKind.SKIPPED))
        await world.apply(segment)
        assert [a.kind for a in await world.store.attempt_list(run.run_id)] == [OutcomeKind.SKIPPED, None]

    async def test_pages_of_xcoms(self, new_store: NewStore) -> None:
        """By task, map index and key, with how many there are, and without their values."""
        world = await new_world(new_store)
        run = run_row(1, world.spec)
        await world.store.run_create(world.lease, run, [InstanceRow(run.run_id, "m", index) for index in range(3)])
        segment = world.segment(run)
        segment.xcoms += [xcom("m", key, f"{key}{index}", map_index=index) for index in (2, 0, 1) for key in ("k", "j")]
        segment.xcoms.append(xcom("a", "k", "plain"))
        await world.apply(segment)

        async def page(**where: Any) -> tuple[list[tuple[str, int, str]], int]:
            entries, total = await world.store.xcom_page(XComFilter(run.run_id, **where))
            assert not any(entry.value.data for entry in entries)
            return [(entry.task_id, entry.map_index, entry.key) for entry in entries], total

        assert await page(limit=3) == ([("a", -1, "k"), ("m", 0, "j"), ("m", 0, "k")], 7)
        assert await page(offset=6) == ([("m", 2, "k")], 7)
        assert await page(task_id="m", key="k", limit=1, offset=1) == ([("m", 1, "k")], 3)
        assert await page(task_id="m", map_index=2) == ([("m", 2, "j"), ("m", 2, "k")], 2)
        assert await page(task_id="b") == ([], 0)

    @pytest.mark.parametrize("text", ODD_TEXTS)
    async def test_odd_texts_as_keys_and_values(self, new_store: NewStore, text: str) -> None:
        """One odd value does not harm those that are committed with it."""
        world = await new_world(new_store)
        run = await world.run()
        key = await world.start(run, "a")
        segment = world.segment(run, moved("a", TaskState.RUNNING, TaskState.SUCCESS))
        segment.xcoms += [xcom("a", f"k{text}", text), xcom("b", "plain", "1")]
        segment.closed.append(closed(key)._replace(hostname=text))
        await world.apply(segment)
        assert await world.store.xcom_get(run.run_id, "a", f"k{text}") == json_value(text)
        assert [e.key for e in await world.store.xcom_list(run.run_id)] == [f"k{text}", "plain"]
        assert [a.hostname for a in await world.store.attempt_list(run.run_id)] == [text]


class NamedSuite:
    """Pools, variables, connections, users."""

    async def test_pools(self, new_store: NewStore) -> None:
        """There is a default one from the beginning."""
        store = await new_store()
        assert [(pool.name, pool.slots) for pool in await store.pool_list()] == [("default_pool", 128)]
        pool = PoolRow("big", -1, "no limit\0", include_deferred=True)
        await store.pool_set(PoolRow("big", 1))
        await store.pool_set(pool)
        assert (await store.pool_list())[0] == pool
        assert await store.pool_delete("big")
        assert not await store.pool_delete("big")

    @pytest.mark.parametrize("text", ODD_TEXTS)
    async def test_secrets(self, new_store: NewStore, text: str) -> None:
        """Variables and connections are set, replaced and deleted, whatever is in them."""
        store = await new_store()
        key = f"key {text}"
        for value in ("first", text):
            await store.variable_set(key, value)
            await store.connection_set(key, value + "!")
        assert (await store.variable_get(key), await store.connection_get(key)) == (text, text + "!")
        await store.variable_set(key, None)
        await store.connection_set(key, None)
        assert (await store.variable_get(key), await store.connection_get(key)) == (None, None)

    async def test_lists_of_secrets(self, new_store: NewStore) -> None:
        """Variables by key with their descriptions, connections by id; a description stays until another comes."""
        store = await new_store()
        for key, value in (("b", "2"), ("", "empty"), ("a\0", "1")):
            await store.variable_set(key, value, f"about {key}")
            await store.connection_set(key, value)
        await store.variable_set("b", "3")
        assert await store.variable_list() == [
            VariableRow("", "empty", "about "),
            VariableRow("a\0", "1", "about a\0"),
            VariableRow("b", "3", "about b"),
        ]
        assert await store.connection_list() == [
            ConnectionRow("", "empty"),
            ConnectionRow("a\0", "1"),
            ConnectionRow("b", "2"),
        ]
        assert await store.variable_list("a\0") == [VariableRow("a\0", "1", "about a\0")]
        assert await store.connection_list("") == [ConnectionRow("", "empty")]
        assert (await store.variable_list("none"), await store.connection_list("none")) == ([], [])

    async def test_a_change_of_a_pool_is_told(self, new_store: NewStore) -> None:
        """To every runtime, whoever made it."""
        ours, theirs = await new_store(), await new_store()
        lease = await ours.runtime_join("ours")
        told = asyncio.Event()
        ours.watch(lease, lambda: None, lambda _: None, told.set)
        for change in (theirs.pool_set(PoolRow("p", 3)), theirs.pool_delete("p")):
            told.clear()
            await change
            async with asyncio.timeout(60):
                await told.wait()

    async def test_users(self, new_store: NewStore) -> None:
        """Set twice, read back."""
        store = await new_store()
        assert await store.user_get("ada") is None
        await store.user_set(UserRow("ada", "hash", "viewer"))
        await store.user_set(UserRow("ada", "hash2", "admin", is_active=False))
        assert await store.user_get("ada") == UserRow("ada", "hash2", "admin", is_active=False)


async def _before(world: World, run: RunRow) -> tuple[int, int, int]:
    """Ids of the runs before `run`: any, failed, successful."""
    found = [
        await world.store.run_before("etl", run.logical_date, state)
        for state in (None, RunState.FAILED, RunState.SUCCESS)
    ]
    ids = [row.run_id for row in found if row is not None]
    return (ids[0], ids[1], ids[2])
