"""What a store owes to deferred task instances: their waits come back as they were, with the run they belong to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from tradewind.instance_ports import FoundWait, WaitFilter
from tradewind.model.batch import RunChange
from tradewind.model.durable import Step, StepRow
from tradewind.model.keys import AttemptId
from tradewind.model.outcomes import EncodedValue, Wait
from tradewind.model.rows import RunRow
from tradewind.model.states import RunState
from tradewind.model.waits import INPUT_KIND, SIGNAL_KIND, WaitAnswer, WaitGone, WaitRow
from tradewind.testing.store_world import NOON, NewStore, World, attempt_id, new_world

_ODD = EncodedValue(2, "a\0b \U0001f600".encode())


def _wait(key: str = "", **given: Any) -> WaitRow:
    wait = Wait("acme.queue", _ODD, "go_on", EncodedValue(1, b"{}"), None, NOON + timedelta(hours=1), key)
    return WaitRow("a", -1, attempt_id("a0"), wait._replace(**given))


async def _waits(world: World, run: RunRow) -> list[WaitRow]:
    snapshot = await world.store.run_load_one(world.lease, run.run_id)
    assert snapshot is not None
    return _in_order(snapshot.waits)


def _in_order(rows: Iterable[WaitRow]) -> list[WaitRow]:
    return sorted(rows, key=lambda row: row.wait.key)


class WaitsSuite:
    """To be mixed into the store suite."""

    async def test_a_wait_comes_back_as_it_was(self, new_store: NewStore) -> None:
        """Whatever its arguments hold; with and without a moment, and with a key that no text column would take."""
        world = await new_world(new_store)
        run = await world.run()
        rows = [
            _wait(),
            _wait("sleep\0", kind="moment", due=NOON, deadline=None, kwargs=None),
            _wait("bare", args=None, kwargs=None),
        ]
        segment = world.segment(run)
        segment.waits += rows
        await world.apply(segment)
        assert await _waits(world, run) == _in_order(rows)

    async def test_the_answer_is_kept_until_the_wait_goes(self, new_store: NewStore) -> None:
        """The last word of a batch on a wait counts, and another wait under the same key takes its place."""
        world = await new_world(new_store)
        run = await world.run()
        row, other = _wait(), _wait("other")
        segment = world.segment(run)
        answered = row._replace(answer=WaitAnswer(_ODD))
        segment.waits += [row, other, WaitGone("a", -1, "other"), answered]
        await world.apply(segment)
        assert await _waits(world, run) == [answered]
        late = row._replace(
            origin=AttemptId(b"another attempt!"), answer=WaitAnswer(error="too \0 late", timed_out=True)
        )
        segment = world.segment(run)
        segment.waits.append(late)
        await world.apply(segment)
        assert await _waits(world, run) == [late]
        segment = world.segment(run)
        segment.waits += [WaitGone("a", -1, ""), WaitGone("a", -1, "never there")]
        await world.apply(segment)
        assert await _waits(world, run) == []

    async def test_an_ended_run_with_a_wait_is_loaded(self, new_store: NewStore) -> None:
        """Its trigger has still to be ended by whoever takes over."""
        world = await new_world(new_store)
        run = await world.run()
        segment = world.segment(run)
        segment.waits.append(_wait())
        segment.run = RunChange(run.state, RunState.FAILED, NOON, NOON, b"{}")
        await world.apply(segment)
        loaded = await world.store.run_load(world.lease, [run.dag_id])
        assert [snapshot.run.run_id for snapshot in loaded] == [run.run_id]
        segment = world.segment(run)
        segment.waits.append(WaitGone("a", -1, ""))
        await world.apply(segment)
        assert await world.store.run_load(world.lease, [run.dag_id]) == []

    async def test_steps_are_kept_until_their_instance_is_cleared(self, new_store: NewStore) -> None:
        """A step that is begun gets its result later; two instances do not share them."""
        world = await new_world(new_store)
        run = await world.run()
        begun = Step("pay\0", b"digest", None)
        segment = world.segment(run)
        segment.steps += [StepRow("a", -1, begun), StepRow("b", -1, Step("pay\0", b"other", _ODD))]
        await world.apply(segment)
        assert await world.store.step_list(run.run_id, "a") == [begun]
        done = begun._replace(value=_ODD)
        segment = world.segment(run)
        segment.steps += [StepRow("a", -1, done), StepRow("a", -1, Step("next", b"", EncodedValue(1, b"")))]
        await world.apply(segment)
        assert sorted(await world.store.step_list(run.run_id, "a")) == [Step("next", b"", EncodedValue(1, b"")), done]
        segment = world.segment(run)
        segment.steps.append(StepRow("a", -1, None))
        await world.apply(segment)
        assert await world.store.step_list(run.run_id, "a") == []
        assert len(await world.store.step_list(run.run_id, "b")) == 1

    async def test_open_waits_are_found_across_runs(self, new_store: NewStore) -> None:
        """By kind, place and whether they are answered; a page at a time, the oldest run first."""
        world = await new_world(new_store)
        first, second = await world.run(1), await world.run(2)
        asked = [_wait(f"{kind}:go:0", kind=kind, due=None) for kind in (INPUT_KIND, SIGNAL_KIND)]
        done = _wait(f"{INPUT_KIND}:done:0", kind=INPUT_KIND)._replace(answer=WaitAnswer(_ODD))
        mapped = asked[0]._replace(task_id="b", map_index=2)
        for run, rows in ((first, [*asked, done, _wait()]), (second, [mapped])):
            segment = world.segment(run)
            segment.waits += rows
            await world.apply(segment)

        async def found(**given: Any) -> list[FoundWait]:
            page, total = await world.store.wait_page(WaitFilter(**given))
            assert total == len(page)
            return page

        inputs = [
            FoundWait(run.dag_id, run.dag_run_id, run.run_id, row) for run, row in ((first, asked[0]), (second, mapped))
        ]
        assert await found() == inputs
        assert await found(dag_id=first.dag_id, kinds=(SIGNAL_KIND,)) == [inputs[0]._replace(row=asked[1])]
        assert await found(run_id=first.run_id, task_id="a", map_index=-1, answered=None) == [
            inputs[0]._replace(row=done),
            inputs[0],
        ]
        assert await found(answered=True) == [inputs[0]._replace(row=done)]
        assert await found(map_index=2) == await found(task_id="b") == inputs[1:]
        assert await found(dag_id="another") == []
        page = await world.store.wait_page(WaitFilter(limit=1, offset=1))
        assert page == (inputs[1:], 2)
