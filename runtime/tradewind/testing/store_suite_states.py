"""What a store owes to state stores: values of task instances and assets, taken from live attempts only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tradewind.model.attempts import AttemptKey
from tradewind.model.keys import RunId
from tradewind.model.rows import RunRow
from tradewind.model.state_stores import StateScope
from tradewind.model.states import TaskState
from tradewind.testing.store_world import NewStore, World, attempt_id, closed, moved, new_world, opened

_ORDERS = StateScope.of_asset(name="orders")


async def _begun(world: World) -> tuple[RunRow, AttemptKey, StateScope]:
    run = await world.run()
    segment = world.segment(run)
    segment.tasks.append(moved("a", TaskState.NONE, TaskState.RUNNING, attempt=attempt_id("a0")))
    segment.opened.append(opened("a", attempt_id("a0")))
    await world.apply(segment)
    return run, AttemptKey(attempt_id("a0"), run.run_id, "a"), StateScope(run.run_id, "a")


class StatesSuite:
    """To be mixed into the store suite."""

    async def test_states_come_back_as_they_were(self, new_store: NewStore) -> None:
        """By scope and key; the later value counts; one key goes, or all."""
        world = await new_world(new_store)
        run, key, mine = await _begun(world)
        store = world.store
        odd = '"a\\u0000 \U0001f600"'
        for scope, value in ((mine, "1"), (mine._replace(map_index=3), "2"), (_ORDERS, odd)):
            assert await store.state_set(key, scope, "k\0", value)
            assert await store.state_get(scope, "k\0") == value
        assert await store.state_get(StateScope(RunId(run.run_id + 1), "a"), "k\0") is None
        assert await store.state_get(mine, "k") is None
        assert await store.state_set(key, mine, "k\0", "[3]")
        assert await store.state_set(key, mine, "other", "4")
        assert await store.state_get(mine, "k\0") == "[3]"
        assert await store.state_delete(key, mine, "k\0")
        assert [await store.state_get(mine, name) for name in ("k\0", "other")] == [None, "4"]
        assert await store.state_set(key, mine, "more", "5")
        assert await store.state_delete(key, mine)
        assert [await store.state_get(mine, name) for name in ("more", "other")] == [None, None]
        assert await store.state_get(mine._replace(map_index=3), "k\0") == "2"
        assert await store.state_get(_ORDERS, "k\0") == odd

    async def test_states_are_taken_from_live_attempts_only(self, new_store: NewStore) -> None:
        """One that has ended, or was never begun, changes nothing; what it wrote before stays."""
        world = await new_world(new_store)
        run, key, mine = await _begun(world)
        store = world.store
        assert not await store.state_set(key._replace(attempt=attempt_id("no")), mine, "k", "1")
        assert await store.state_set(key, mine, "k", "2")
        assert await store.state_set(key, _ORDERS, "k", "3")
        end = world.segment(run)
        end.tasks.append(moved("a", TaskState.RUNNING, TaskState.SUCCESS))
        end.closed.append(closed(attempt_id("a0")))
        await world.apply(end)
        for scope in (mine, _ORDERS):
            assert not await store.state_set(key, scope, "k", "4")
            assert not await store.state_delete(key, scope, "k")
            assert not await store.state_delete(key, scope)
        assert [await store.state_get(scope, "k") for scope in (mine, _ORDERS)] == ["2", "3"]

    async def test_people_see_and_change_states(self, new_store: NewStore) -> None:
        """By key in pages, without what is over; set and deleted whether an attempt is live or not."""
        world = await new_world(new_store)
        run = await world.run()
        store, mine = world.store, StateScope(run.run_id, "a")
        past, future = datetime(2001, 1, 1, tzinfo=UTC), datetime(2901, 1, 1, tzinfo=UTC)
        for scope in (mine, mine._replace(map_index=3), _ORDERS):
            for key, value, end in (("b", "1", None), ("a\0", '"é"', future), ("over", "2", past), ("c", "[]", None)):
                await store.state_put(scope, key, value, end)
        found, total = await store.state_page(mine, 2)
        assert [(one.key, one.value, one.expires_at) for one in found] == [("a\0", '"é"', future), ("b", "1", None)]
        assert total == 3
        assert [one.key for one in (await store.state_page(mine, 5, 2))[0]] == ["c"]
        assert [one.value for one in (await store.state_page(mine, 5, key="b"))[0]] == ["1"]
        assert await store.state_page(mine, 5, key="over") == ([], 0)
        await store.state_put(mine, "b", "7")
        assert await store.state_get(mine, "b") == "7"
        await store.state_drop(mine, "b")
        assert (await store.state_page(mine, 5))[1] == 2
        await store.state_drop(mine)
        assert [(await store.state_page(scope, 5))[1] for scope in (mine, mine._replace(map_index=3))] == [0, 3]
        await store.state_drop(mine, every_index=True)
        assert (await store.state_page(mine._replace(map_index=3), 5))[1] == 0
        assert (await store.state_page(_ORDERS, 5))[1] == 3

    async def test_states_whose_time_is_over_go(self, new_store: NewStore) -> None:
        """They are not given any more, and a sweep deletes them."""
        world = await new_world(new_store)
        _, key, mine = await _begun(world)
        store = world.store
        past, future = datetime(2001, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=36500)
        assert await store.state_set(key, mine, "over", "1", past)
        assert await store.state_set(key, mine, "later", "2", future)
        assert await store.state_set(key, mine, "stays", "3")
        assert [await store.state_get(mine, name) for name in ("over", "later", "stays")] == [None, "2", "3"]
        assert await store.state_sweep() == 1
        assert await store.state_sweep() == 0
        assert [await store.state_get(mine, name) for name in ("later", "stays")] == ["2", "3"]
        assert await store.state_set(key, mine, "later", "4", past)
        assert await store.state_set(key, mine, "later", "5")
        assert await store.state_get(mine, "later") == "5", "the later end counts"
