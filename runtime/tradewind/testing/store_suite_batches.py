"""What a batch promises: all or nothing, from the expected state only, once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import orjson
import pytest

from tradewind.model.batch import Batch, DagChange, HistoryRow, MailDone, OutboxRow, RunChange
from tradewind.model.errors import BatchConflict, Fenced
from tradewind.model.keys import RunId
from tradewind.model.outcomes import EncodedValue
from tradewind.model.rows import InstanceRow, ScheduleCursor
from tradewind.model.states import OutcomeKind, RunState, TaskState
from tradewind.testing.store_world import (
    NOON,
    NewStore,
    attempt_id,
    closed,
    join,
    moved,
    new_world,
    opened,
    xcom,
)

NONE, QUEUED, RUNNING, SUCCESS = TaskState.NONE, TaskState.QUEUED, TaskState.RUNNING, TaskState.SUCCESS


class BatchSuite:
    """`batch_apply`."""

    async def test_numbers_rise_by_one_and_are_remembered(self, new_store: NewStore) -> None:
        """Each batch of a lease is one higher; other writes do not count."""
        world = await new_world(new_store)
        assert await world.store.runtime_seq(world.lease) == 0
        assert [await world.apply() for _ in range(3)] == [1, 2, 3]
        await world.run(1)
        await world.store.runtime_beat(world.lease)
        assert await world.store.runtime_seq(world.lease) == 3

    async def test_all_columns_of_a_task_are_written(self, new_store: NewStore) -> None:
        """A change holds all values of its row."""
        world = await new_world(new_store)
        run = await world.run()
        key = attempt_id("x")
        change = moved("a", NONE, TaskState.UP_FOR_RETRY)._replace(
            try_number=2, max_tries=5, lost_count=1, queued_at=NOON, started_at=NOON + timedelta(seconds=1),
            ended_at=NOON + timedelta(seconds=2), due_at=NOON + timedelta(microseconds=3), attempt=key,
        )  # fmt: skip
        await world.apply(world.segment(run, change))
        row = await world.store.instance_get(run.run_id, "a")
        assert row == InstanceRow(run.run_id, "a", -1, TaskState.UP_FOR_RETRY, *change[4:])
        other = await world.store.instance_get(run.run_id, "b")
        assert other == InstanceRow(run.run_id, "b", max_tries=1)

    async def test_an_attempt_lives_and_is_kept(self, new_store: NewStore) -> None:
        """An open attempt is live; a closed one stays in the list with its outcome."""
        world = await new_world(new_store)
        run = await world.run()
        key = await world.start(run, "a")
        snapshot = await world.store.run_load_one(world.lease, run.run_id)
        assert snapshot is not None
        assert [(row.attempt, row.task_id, row.kind) for row in snapshot.live] == [(key, "a", None)]
        segment = world.segment(run, moved("a", RUNNING, SUCCESS))
        segment.closed.append(closed(key))
        await world.apply(segment)
        [row] = await world.store.attempt_list(run.run_id)
        assert (row.kind, row.hostname, row.pid, row.detail) == (OutcomeKind.SUCCESS, "host-1", 42, {"reason": "done"})
        assert (row.started_at, row.ended_at) == (NOON, NOON + timedelta(seconds=1))
        snapshot = await world.store.run_load_one(world.lease, run.run_id)
        assert snapshot is not None
        assert snapshot.live == ()

    async def test_a_new_attempt_follows_an_old_one_in_one_batch(self, new_store: NewStore) -> None:
        """A lost attempt ends and the same task gets its next one at once."""
        world = await new_world(new_store)
        run = await world.run()
        first, second = await world.start(run, "a"), attempt_id("second")
        segment = world.segment(run, moved("a", RUNNING, QUEUED, attempt=second))
        segment.closed.append(closed(first, OutcomeKind.LOST))
        segment.opened.append(opened("a", second))
        await world.apply(segment)
        rows = await world.store.attempt_list(run.run_id, "a")
        assert {row.attempt: row.kind for row in rows} == {first: OutcomeKind.LOST, second: None}

    async def test_an_attempt_can_begin_and_end_in_one_batch(self, new_store: NewStore) -> None:
        """It never was among the living."""
        world = await new_world(new_store)
        run = await world.run()
        key = attempt_id("brief")
        segment = world.segment(run, moved("a", NONE, TaskState.FAILED))
        segment.opened.append(opened("a", key))
        segment.closed.append(closed(key, OutcomeKind.CANCELLED))
        await world.apply(segment)
        snapshot = await world.store.run_load_one(world.lease, run.run_id)
        assert snapshot is not None
        assert snapshot.live == ()
        assert [row.kind for row in await world.store.attempt_list(run.run_id)] == [OutcomeKind.CANCELLED]
        await world.start(run, "b")

    async def test_a_wrong_state_applies_nothing_and_names_the_run(self, new_store: NewStore) -> None:
        """One bad row of one run undoes the batch of all runs."""
        world = await new_world(new_store)
        good, bad = await world.run(1), await world.run(2)
        segments = [
            world.segment(good, moved("a", NONE, SUCCESS)),
            world.segment(bad, moved("a", QUEUED, SUCCESS), moved("b", NONE, SUCCESS)),
        ]
        segments[0].xcoms.append(xcom("a", "k", "1"))
        segments[0].outbox.append(OutboxRow("callback", b"{}"))
        with pytest.raises(BatchConflict, match="is none, expected queued") as refused:
            await world.apply(*segments)
        assert refused.value.run_ids == (bad.run_id,)
        assert await world.states(good) == {"a": NONE, "b": NONE}
        assert await world.states(bad) == {"a": NONE, "b": NONE}
        assert await world.store.xcom_list(good.run_id) == []
        assert await world.store.outbox_read(world.lease) == []
        assert await world.store.runtime_seq(world.lease) == 0
        assert await world.apply(segments[0]) == 1

    async def test_rows_that_are_not_there_are_refused(self, new_store: NewStore) -> None:
        """Unknown runs, tasks and attempts."""
        world = await new_world(new_store)
        run = await world.run()
        unknown = replace(run, run_id=RunId(99))
        segment = world.segment(run)
        segment.closed.append(closed(attempt_id("nobody")))
        for wrong, guilty in (
            (world.segment(run, moved("zzz", NONE, SUCCESS)), run),
            (world.segment(unknown, moved("a", NONE, SUCCESS)), unknown),
            (segment, run),
        ):
            with pytest.raises(BatchConflict) as refused:
                await world.apply(wrong)
            assert refused.value.run_ids == (guilty.run_id,)

    async def test_one_row_twice_is_refused(self, new_store: NewStore) -> None:
        """Changes of one row have to be folded by their maker."""
        world = await new_world(new_store)
        run = await world.run()
        with pytest.raises(BatchConflict) as refused:
            await world.apply(world.segment(run, moved("a", NONE, QUEUED), moved("a", NONE, RUNNING)))
        assert refused.value.run_ids == (run.run_id,)
        key = await world.start(run, "b")
        segment = world.segment(run)
        segment.closed += [closed(key), closed(key)]
        with pytest.raises(BatchConflict):
            await world.apply(segment)

    async def test_a_run_has_one_segment(self, new_store: NewStore) -> None:
        """Two of them are a mistake of their maker."""
        world = await new_world(new_store)
        run, other = await world.run(1), await world.run(2)
        change = moved("a", NONE, SUCCESS)
        with pytest.raises(BatchConflict, match="one segment a run") as refused:
            await world.apply(world.segment(run, change), world.segment(other), world.segment(run))
        assert refused.value.run_ids == (run.run_id,)

    async def test_a_task_has_one_live_attempt(self, new_store: NewStore) -> None:
        """A double dispatch cannot be committed."""
        world = await new_world(new_store)
        run = await world.run()
        await world.start(run, "a")
        segment = world.segment(run, moved("a", RUNNING, RUNNING))
        segment.opened.append(opened("a", attempt_id("again")))
        with pytest.raises(BatchConflict, match="has a live attempt already") as refused:
            await world.apply(segment)
        assert refused.value.run_ids == (run.run_id,)
        segment = world.segment(run)
        segment.opened += [opened("b", attempt_id("x")), opened("b", attempt_id("y"))]
        with pytest.raises(BatchConflict):
            await world.apply(segment)

    async def test_an_end_is_accepted_once(self, new_store: NewStore) -> None:
        """The same end, and any other, is refused when the attempt is over."""
        world = await new_world(new_store)
        run = await world.run()
        key = await world.start(run, "a")
        segment = world.segment(run, moved("a", RUNNING, SUCCESS))
        segment.closed.append(closed(key))
        await world.apply(segment)
        again = world.segment(run)
        again.closed.append(closed(key, OutcomeKind.FAILED))
        with pytest.raises(BatchConflict, match="is not live"):
            await world.apply(again)
        assert [row.kind for row in await world.store.attempt_list(run.run_id)] == [OutcomeKind.SUCCESS]

    async def test_the_run_moves_from_its_expected_state(self, new_store: NewStore) -> None:
        """Compare-and-set of the run's row, with its counters."""
        world = await new_world(new_store)
        run = await world.run()
        segment = world.segment(run)
        segment.run = RunChange(RunState.RUNNING, RunState.SUCCESS, NOON, NOON + timedelta(seconds=9), b'{"success":2}')
        await world.apply(segment)
        row = await world.store.run_by_id(run.run_id)
        ended = NOON + timedelta(seconds=9)
        assert row == replace(run, state=RunState.SUCCESS, started_at=NOON, ended_at=ended, counts={"success": 2})
        with pytest.raises(BatchConflict, match="the run is success, expected running") as refused:
            await world.apply(segment)
        assert refused.value.run_ids == (run.run_id,)

    async def test_history_is_kept_in_order(self, new_store: NewStore) -> None:
        """Lines of one instance come back as they were written, in one batch or several."""
        world = await new_world(new_store)
        run = await world.run()
        for tries in ((1, 2), (2, 3)):
            segment = world.segment(run)
            segment.history += [HistoryRow("a", -1, n, orjson.dumps([["running", n, "x"]])) for n in tries]
            await world.apply(segment)
        lines = await world.store.history_list(run.run_id, "a")
        assert [line.try_number for line in lines] == [1, 2, 2, 3]
        assert lines[0].story == [["running", 1, "x"]]
        assert await world.store.history_list(run.run_id, "b") == []

    async def test_values_are_set_replaced_deleted_and_cleared(self, new_store: NewStore) -> None:
        """In the order in which the segment names them."""
        world = await new_world(new_store)
        run = await world.run()
        segment = world.segment(run)
        segment.xcoms += [xcom("a", "k", "1"), xcom("a", "k", "2"), xcom("a", "gone", "1"), xcom("b", "k", "b")]
        await world.apply(segment)
        segment = world.segment(run)
        segment.xcoms += [xcom("a", "gone", None), xcom("a", "never", None), xcom("a", "k", "3")]
        await world.apply(segment)
        assert [(row.task_id, row.key, row.value.data) for row in await world.store.xcom_list(run.run_id)] == [
            ("a", "k", b"3"),
            ("b", "k", b"b"),
        ]
        segment = world.segment(run)
        segment.xcoms += [xcom("a", "old", "x"), xcom("a", "", None), xcom("a", "k", "new"), xcom("a", "z", "z")]
        await world.apply(segment)
        assert [(row.key, row.value.data) for row in await world.store.xcom_list(run.run_id, "a")] == [
            ("k", b"new"),
            ("z", b"z"),
        ]
        assert await world.store.xcom_get(run.run_id, "a", "old") is None

    @pytest.mark.parametrize("size", [0, 64 * 1024, 64 * 1024 + 1, 1_000_000])
    async def test_values_of_any_size_come_back(self, new_store: NewStore, size: int) -> None:
        """Small ones lie inline, large ones elsewhere; nobody can tell."""
        world = await new_world(new_store)
        run = await world.run()
        value = EncodedValue(2, bytes(range(256)) * (size // 256) + b"x" * (size % 256))
        segment = world.segment(run)
        for task_id in ("a", "b"):
            segment.xcoms.append(xcom(task_id, "big", "")._replace(value=value))
        await world.apply(segment)
        assert await world.store.xcom_get(run.run_id, "b", "big") == value
        assert [row.value for row in await world.store.xcom_list(run.run_id)] == [value, value]

    async def test_dags_are_changed_by_their_owner(self, new_store: NewStore) -> None:
        """Pause and cursor move apart from each other; somebody else's DAG is refused."""
        world = await new_world(new_store)
        cursor = ScheduleCursor(NOON, NOON, None, None, None, NOON)
        await world.store.batch_apply(world.lease, Batch(dags=[DagChange("etl", is_paused=False)]))
        await world.store.batch_apply(world.lease, Batch(dags=[DagChange("etl", cursor=cursor)]))
        dag = await world.store.dag_get("etl")
        assert dag is not None
        assert (dag.is_paused, dag.cursor, dag.owner) == (False, cursor, world.lease.runtime_id)
        other, lease = await join(new_store)
        with pytest.raises(BatchConflict) as refused:
            await other.batch_apply(lease, Batch(dags=[DagChange("etl", is_paused=True)]))
        assert (refused.value.run_ids, refused.value.dag_ids) == ((), ("etl",))
        assert await world.store.dag_get("etl") == dag

    async def test_mail_is_done_once(self, new_store: NewStore) -> None:
        """In the batch that applies it; a second time refuses the batch that would apply it again."""
        world = await new_world(new_store)
        run = await world.run()
        mail_id = await world.store.mail_send("etl", "pause", b"{}", "k")
        segment = world.segment(run, moved("a", NONE, SUCCESS))
        await world.store.batch_apply(world.lease, Batch([segment], mail_done=[MailDone(mail_id, b"yes")]))
        assert await world.store.mail_reply(mail_id) == b"yes"
        assert await world.store.mail_read(world.lease) == []
        segment = world.segment(run, moved("b", NONE, SUCCESS))
        with pytest.raises(BatchConflict) as refused:
            await world.store.batch_apply(world.lease, Batch([segment], mail_done=[MailDone(mail_id, b"no")]))
        assert refused.value.mail_ids == (mail_id,)
        assert (await world.states(run))["b"] is NONE
        assert await world.store.mail_reply(mail_id) == b"yes"

    async def test_a_fenced_runtime_changes_nothing(self, new_store: NewStore) -> None:
        """Not with any of its writes."""
        world = await new_world(new_store)
        run = await world.run()
        other, watching = await join(new_store)
        [peer] = (await other.runtime_beat(watching)).peers
        assert await other.runtime_bury(world.lease.runtime_id, peer.beat)
        segment = world.segment(run, moved("a", NONE, SUCCESS))
        store, lease = world.store, world.lease
        for write in (
            lambda: world.apply(segment),
            lambda: store.runtime_beat(lease),
            lambda: store.runtime_seq(lease),
            lambda: store.dag_publish(lease, "main", []),
            lambda: store.dag_retire(lease, "main", ["etl.py"]),
            lambda: store.dag_claim(lease),
            lambda: store.run_load(lease, ["etl"]),
            lambda: store.run_create(lease, replace(run, run_id=RunId(7), dag_run_id="x"), []),
            lambda: store.outbox_done(lease, [1]),
            lambda: store.grant_take(lease, "pool", 5, 5),
        ):
            with pytest.raises(Fenced):
                await write()
        assert await world.states(run) == {"a": NONE, "b": NONE}
        dag = await other.dag_get("etl")
        assert dag is not None
        assert (dag.is_active, dag.owner) == (True, None)
        assert await other.run_get("etl", "x") is None
