"""What a store owes to mapped tasks: rows that come and go with their task's own row, in parts where there are
many, and the lengths over which tasks are mapped.
"""

from __future__ import annotations

import pytest

from tradewind.model.batch import DroppedRow, Segment, SpreadRow, TaskChange
from tradewind.model.errors import BatchConflict
from tradewind.model.keys import UNMAPPED
from tradewind.model.rows import LengthRow, RunRow
from tradewind.model.states import TaskState
from tradewind.testing.store_world import NOON, NewStore, World, attempt_id, closed, moved, new_world, opened

_LAST = 2**31 - 1
_NONE, _RUNNING, _SUCCESS = TaskState.NONE, TaskState.RUNNING, TaskState.SUCCESS


def made(task_id: str, map_index: int, state: TaskState = _NONE) -> TaskChange:
    """A new instance."""
    return moved(task_id, _NONE, state, map_index=map_index)


async def shown(world: World, run: RunRow) -> list[tuple[str, int, TaskState]]:
    """What the list of instances says."""
    return [(row.task_id, row.map_index, row.state) for row in await world.store.instance_list(run.run_id)]


async def _lengths(world: World, run: RunRow) -> set[LengthRow]:
    snapshot = await world.store.run_load_one(world.lease, run.run_id)
    assert snapshot is not None
    return set(snapshot.lengths)


def _spread(world: World, run: RunRow, low: int, high: int) -> Segment:
    segment = world.segment(run)
    segment.spread.append(SpreadRow("b", low, high, 3))
    return segment


class MappingSuite:
    """To be mixed into the store suite."""

    async def test_instances_come_for_the_tasks_own_row(self, new_store: NewStore) -> None:
        """In one batch with the start of an attempt; the row that goes has to be as expected."""
        world = await new_world(new_store)
        run = await world.run()
        key = attempt_id("b0")
        segment = world.segment(run)
        segment.dropped.append(DroppedRow("b", UNMAPPED, UNMAPPED, _NONE))
        segment.made += [made("b", 0, _RUNNING)._replace(attempt=key), made("b", 1)]
        segment.opened.append(opened("b", key, map_index=0))
        await world.apply(segment)
        assert await shown(world, run) == [("a", -1, _NONE), ("b", 0, _RUNNING), ("b", 1, _NONE)]
        end = world.segment(run, moved("b", _RUNNING, _SUCCESS, map_index=0))
        end.closed.append(closed(key))
        await world.apply(end)
        assert await shown(world, run) == [("a", -1, _NONE), ("b", 0, _SUCCESS), ("b", 1, _NONE)]
        again = world.segment(run)
        again.dropped.append(DroppedRow("b", UNMAPPED, UNMAPPED, _NONE))
        again.made.append(made("b", 0))
        with pytest.raises(BatchConflict, match="expected none") as caught:
            await world.apply(again)
        assert caught.value.run_ids == (run.run_id,)
        assert await shown(world, run) == [("a", -1, _NONE), ("b", 0, _SUCCESS), ("b", 1, _NONE)]

    async def test_a_row_in_another_state_is_not_dropped(self, new_store: NewStore) -> None:
        """The batch is refused and the row stays."""
        world = await new_world(new_store)
        run = await world.run()
        await world.start(run, "b")
        segment = world.segment(run)
        segment.dropped.append(DroppedRow("b", UNMAPPED, UNMAPPED, _NONE))
        with pytest.raises(BatchConflict, match="is running, expected none"):
            await world.apply(segment)

    async def test_many_instances_come_in_parts(self, new_store: NewStore) -> None:
        """Not seen before the last part; a part that is there already changes nothing."""
        world = await new_world(new_store)
        run = await world.run()
        await world.apply(_spread(world, run, 0, 4))
        await world.apply(_spread(world, run, 0, 4))
        assert await shown(world, run) == [("a", -1, _NONE), ("b", -1, _NONE)]
        last = _spread(world, run, 5, 6)
        last.dropped += [DroppedRow("b", UNMAPPED, UNMAPPED, _NONE), DroppedRow("b", 7, _LAST)]
        await world.apply(last)
        rows = [row for row in await world.store.instance_list(run.run_id) if row.task_id == "b"]
        assert [(row.map_index, row.state, row.max_tries) for row in rows] == [(n, _NONE, 3) for n in range(7)]

    async def test_what_is_left_of_an_earlier_expansion_goes(self, new_store: NewStore) -> None:
        """Rows beyond the length; rows within it are written anew."""
        world = await new_world(new_store)
        run = await world.run()
        await world.apply(_spread(world, run, 0, 9))
        segment = world.segment(run)
        segment.dropped += [DroppedRow("b", UNMAPPED, UNMAPPED, _NONE), DroppedRow("b", 2, _LAST)]
        segment.made += [made("b", 0, _SUCCESS), made("b", 1)]
        await world.apply(segment)
        assert await shown(world, run) == [("a", -1, _NONE), ("b", 0, _SUCCESS), ("b", 1, _NONE)]

    async def test_instances_go_and_the_own_row_comes_back(self, new_store: NewStore) -> None:
        """And, in one batch, the same instances again."""
        world = await new_world(new_store)
        run = await world.run()
        first = world.segment(run)
        first.dropped.append(DroppedRow("b", UNMAPPED, UNMAPPED, _NONE))
        first.made += [made("b", 0, _SUCCESS), made("b", 1, _SUCCESS)]
        await world.apply(first)
        back = world.segment(run)
        back.dropped.append(DroppedRow("b", 0, _LAST))
        back.made.append(made("b", UNMAPPED, TaskState.SKIPPED))
        await world.apply(back)
        assert await shown(world, run) == [("a", -1, _NONE), ("b", -1, TaskState.SKIPPED)]
        anew = world.segment(run)
        anew.dropped += [DroppedRow("b", UNMAPPED, UNMAPPED, TaskState.SKIPPED), DroppedRow("b", 0, _LAST)]
        anew.made += [made("b", 0), made("b", 1)]
        await world.apply(anew)
        twice = world.segment(run)
        twice.dropped.append(DroppedRow("b", 0, _LAST))
        twice.made += [made("b", 0, _SUCCESS)]
        await world.apply(twice)
        assert await shown(world, run) == [("a", -1, _NONE), ("b", 0, _SUCCESS)]

    async def test_lengths_are_kept_and_replaced(self, new_store: NewStore) -> None:
        """They come back with the run; other runs have their own."""
        world = await new_world(new_store)
        one, two = await world.run(1), await world.run(2)
        segment, other = world.segment(one), world.segment(two)
        segment.lengths += [LengthRow("a", UNMAPPED, "return_value", 3), LengthRow("b", 0, "k\0", 1)]
        other.lengths.append(LengthRow("a", UNMAPPED, "return_value", 7))
        await world.apply(segment, other)
        later = world.segment(one)
        later.lengths.append(LengthRow("a", UNMAPPED, "return_value", -1))
        await world.apply(later)
        assert await _lengths(world, one) == {LengthRow("a", UNMAPPED, "return_value", -1), LengthRow("b", 0, "k\0", 1)}
        assert await _lengths(world, two) == {LengthRow("a", UNMAPPED, "return_value", 7)}

    async def test_the_past_of_a_mapped_task_is_that_of_its_worst_instance(self, new_store: NewStore) -> None:
        """One that has not ended well, where there is one; what was removed does not count."""
        world = await new_world(new_store)
        run = await world.run()
        segment = world.segment(run)
        segment.dropped.append(DroppedRow("b", UNMAPPED, UNMAPPED, _NONE))
        segment.made += [made("b", 0, _SUCCESS), made("b", 1, TaskState.FAILED), made("b", 2, TaskState.REMOVED)]
        await world.apply(segment)
        later = run.logical_date.replace(year=run.logical_date.year + 1)
        assert (await world.store.past_states("etl", later, ["b"]))["b"].state is TaskState.FAILED
        await world.apply(world.segment(run, moved("b", TaskState.FAILED, _SUCCESS, map_index=1)))
        assert (await world.store.past_states("etl", later, ["b"]))["b"].state is _SUCCESS
        assert later > NOON
