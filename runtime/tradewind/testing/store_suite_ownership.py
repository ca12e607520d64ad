"""What leases, claims, grants and mail promise, with two processes on one database."""

from __future__ import annotations

import asyncio

import pytest

from tradewind.model.batch import Batch, MailDone, OutboxRow, Segment
from tradewind.model.errors import BatchConflict, Fenced, NotFoundError
from tradewind.model.rows import Beat, BeatReport, Lease
from tradewind.model.states import RunState, TaskState
from tradewind.ports import Store
from tradewind.rules.admission import PARALLELISM, pool_limit
from tradewind.testing.store_world import (
    NewStore,
    attempt_id,
    file_of,
    instances_of,
    join,
    moved,
    new_world,
    opened,
    run_row,
    spec_of,
)

_DEADLINE_S = 30.0


async def _bury(store: Store, lease: Lease, name: str) -> bool:
    report: BeatReport = await store.runtime_beat(lease)
    peer = next(peer for peer in report.peers if peer.name == name)
    return await store.runtime_bury(peer.runtime_id, peer.beat)


def _seen(beat: Beat) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of peers and DAGs without owner."""
    assert beat.report is not None
    return tuple(peer.name for peer in beat.report.peers), beat.report.unowned_dags


class OwnershipSuite:
    """Runtimes, DAGs, grants."""

    async def test_every_runtime_is_a_new_one(self, new_store: NewStore) -> None:
        """Ids are unique for ever, epochs begin with 1; peers see each other."""
        first, second = await join(new_store, "one"), await join(new_store, "two")
        assert first[1].runtime_id != second[1].runtime_id
        assert (first[1].epoch, second[1].epoch) == (1, 1)
        [peer] = (await first[0].runtime_beat(first[1])).peers
        assert (peer.runtime_id, peer.name, peer.alive) == (second[1].runtime_id, "two", True)
        await second[0].runtime_leave(second[1])
        assert (await first[0].runtime_beat(first[1])).peers == ()
        again = await second[0].runtime_join("two")
        assert again.runtime_id not in (first[1].runtime_id, second[1].runtime_id)

    async def test_beats_move_on(self, new_store: NewStore) -> None:
        """A peer sees that the beat has changed since it looked."""
        world = await new_world(new_store)
        other, lease = await join(new_store)
        [before] = (await other.runtime_beat(lease)).peers
        await world.store.runtime_beat(world.lease)
        [after] = (await other.runtime_beat(lease)).peers
        assert after.beat > before.beat
        await world.apply()
        [last] = (await other.runtime_beat(lease)).peers
        assert last.beat > after.beat

    async def test_a_series_of_beats_goes_on_by_itself(self, new_store: NewStore) -> None:
        """At its pace, told on the caller's loop, until the lease is taken away."""
        world = await new_world(new_store)
        heard: asyncio.Queue[Beat] = asyncio.Queue()
        series = asyncio.create_task(world.store.runtime_beats(world.lease, lambda _: 0.01, heard.put_nowait))
        async with asyncio.timeout(_DEADLINE_S):
            first, second = await heard.get(), await heard.get()
        assert second.at > first.at
        assert first.report is not None
        assert first.report.peers == ()
        other, lease = await join(new_store)
        while not await _bury(other, lease, "first"):
            pass
        with pytest.raises(Fenced):
            await asyncio.wait_for(series, _DEADLINE_S)

    async def test_who_comes_or_goes_is_seen_at_once(self, new_store: NewStore) -> None:
        """Peers do not wait for their next beat, so what a leaving runtime gives up is taken at once."""
        first, lease = await join(new_store, "one")
        heard: asyncio.Queue[Beat] = asyncio.Queue()
        series = asyncio.create_task(first.runtime_beats(lease, lambda _: 3600.0, heard.put_nowait))
        async with asyncio.timeout(_DEADLINE_S):
            assert _seen(await heard.get()) == ((), ())
            second, second_lease = await join(new_store, "two")
            assert _seen(await heard.get()) == (("two",), ())
            await second.dag_publish(second_lease, "main", [file_of("f.py", spec_of("etl"))])
            await second.runtime_leave(second_lease)
            assert _seen(await heard.get()) == ((), ("etl",))
        series.cancel()
        with pytest.raises(asyncio.CancelledError):
            await series
        assert await first.runtime_seq(lease) == 0, "the end of a series is not the end of the lease"

    async def test_leaving_gives_all_up(self, new_store: NewStore) -> None:
        """DAGs are free, permits go back, the lease is over; leaving twice is allowed."""
        world = await new_world(new_store)
        await world.store.grant_take(world.lease, "pool", 4, 4)
        other, lease = await join(new_store)
        await world.store.runtime_leave(world.lease)
        await world.store.runtime_leave(world.lease)
        with pytest.raises(Fenced):
            await world.apply()
        assert (await other.runtime_beat(lease)).unowned_dags == ("etl",)
        assert await other.grant_take(lease, "pool", 4, 4) == 4

    async def test_a_beating_runtime_is_not_buried(self, new_store: NewStore) -> None:
        """Only one whose beat stands still since it was seen."""
        world = await new_world(new_store)
        other, lease = await join(new_store)
        [peer] = (await other.runtime_beat(lease)).peers
        await world.store.runtime_beat(world.lease)
        assert not await other.runtime_bury(peer.runtime_id, peer.beat)
        await world.apply()
        assert await _bury(other, lease, "first")
        [] = (await other.runtime_beat(lease)).peers
        assert not await other.runtime_bury(peer.runtime_id, peer.beat)

    async def test_death_is_proved_by_a_lock_that_is_free(self, new_store: NewStore) -> None:
        """As long as the process lives, nobody gets its lock."""
        world = await new_world(new_store)
        other, _ = await join(new_store)
        assert not await other.runtime_is_provably_dead(world.lease.runtime_id)
        await world.store.close()
        async with asyncio.timeout(_DEADLINE_S):
            dead = False
            while not dead:
                dead = await other.runtime_is_provably_dead(world.lease.runtime_id)

    async def test_a_takeover_loads_what_was_committed(self, new_store: NewStore) -> None:
        """Unfinished runs come with spec, source, instances and live attempts, oldest first."""
        world = await new_world(new_store)
        late, early, done = await world.run(5), await world.run(3), await world.run(4, state=RunState.SUCCESS)
        key = await world.start(early, "a")
        other, lease = await join(new_store)
        assert await other.run_load(lease, ["etl"]) == []
        assert await other.run_load_one(lease, early.run_id) is None
        assert await _bury(other, lease, "first")
        assert (await other.runtime_beat(lease)).unowned_dags == ("etl",)
        assert await other.dag_claim(lease, ["nothing"]) == []
        [dag] = await other.dag_claim(lease)
        assert (dag.dag_id, dag.owner) == ("etl", lease.runtime_id)
        assert await other.dag_claim(lease) == []
        snapshots = await other.run_load(lease, ["etl", "unknown"])
        assert [snapshot.run.run_id for snapshot in snapshots] == [early.run_id, late.run_id]
        first = snapshots[0]
        assert (first.spec, first.source.relative_fileloc) == (world.spec, "etl.py")
        assert {row.task_id: row.state for row in first.instances} == {"a": TaskState.RUNNING, "b": TaskState.NONE}
        assert [row.attempt for row in first.live] == [key]
        finished = await other.run_load_one(lease, done.run_id)
        assert finished is not None
        assert finished.run.state is RunState.SUCCESS
        segment = world.segment(late, moved("a", TaskState.NONE, TaskState.SUCCESS))
        with pytest.raises(Fenced):
            await world.apply(segment)
        assert await other.batch_apply(lease, Batch([segment])) == 1

    async def test_grants_never_exceed_the_limit(self, new_store: NewStore) -> None:
        """Two runtimes share a limit; what one gives back the other can take."""
        (one, first), (two, second) = await join(new_store, "one"), await join(new_store, "two")
        assert await one.grant_take(first, "pool:x", 10, 7) == 7
        assert await two.grant_take(second, "pool:x", 10, 7) == 3
        assert await one.grant_take(first, "pool:x", 10, 2) == 7
        assert await two.grant_take(second, "pool:y", 2, 9) == 2
        await one.grant_return(first, "pool:x", 4)
        assert await two.grant_take(second, "pool:x", 10, 9) == 7
        await one.grant_return(first, "pool:x", 99)
        assert await two.grant_take(second, "pool:x", 10, 99) == 10
        assert await one.grant_take(first, "pool:x", 10, 1) == 0
        assert await two.grant_take(second, "pool:x", 6, 6) == 6
        assert await one.grant_take(first, "pool:x", 6, 6) == 0

    async def test_what_is_in_use_of_a_limit_that_shrinks_stays_granted(self, new_store: NewStore) -> None:
        """Nobody else gets it; asked again when it is not in use any more, it goes back."""
        (one, first), (two, second) = await join(new_store, "one"), await join(new_store, "two")
        assert await one.grant_take(first, "pool:x", 6, 4) == 4
        assert await two.grant_take(second, "pool:x", 6, 2) == 2
        assert await one.grant_take(first, "pool:x", 3, 3, 4) == 1
        assert await two.grant_take(second, "pool:x", 3, 3, 2) == 0
        assert await one.grant_take(first, "pool:x", 3, 3, 9) == 1
        assert await one.grant_take(first, "pool:x", 3, 0, 0) == 1
        assert await two.grant_take(second, "pool:x", 3, 3, 1) == 2
        assert await one.grant_take(first, "pool:x", 3, 3, 0) == 1

    async def test_grants_of_the_dead_go_with_their_dags(self, new_store: NewStore) -> None:
        """Permits in use are not given out twice between death and takeover."""
        world = await new_world(new_store)
        assert await world.store.grant_take(world.lease, "pool", 4, 3) == 3
        other, lease = await join(new_store)
        assert await _bury(other, lease, "first")
        assert await other.grant_take(lease, "pool", 4, 4) == 1
        await other.dag_claim(lease)
        assert await other.grant_take(lease, "pool", 4, 4) == 4

    async def test_grants_that_are_in_use_stay_when_their_runtime_leaves(self, new_store: NewStore) -> None:
        """An attempt that runs on elsewhere keeps its permits until somebody owns its DAG."""
        world = await new_world(new_store)
        await world.start(await world.run(3), "a")
        assert await world.store.grant_take(world.lease, "pool", 4, 3) == 3
        other, lease = await join(new_store)
        await world.store.runtime_leave(world.lease)
        assert await other.grant_take(lease, "pool", 4, 4) == 1
        await other.dag_claim(lease)
        assert await other.grant_take(lease, "pool", 4, 0) == 4

    async def test_permits_in_use_wait_for_who_claims_their_dag(self, new_store: NewStore) -> None:
        """Two runtimes each claim a part of what a dead one had: the first inherits all but what the rest holds."""
        world = await new_world(new_store)
        await world.start(await world.run(3), "a")
        limit, spec, key = pool_limit("default_pool"), spec_of("report", "a"), attempt_id("theirs")
        await world.store.dag_publish(world.lease, "main", [file_of("report.py", spec)])
        run = run_row(4, spec)
        assert await world.store.run_create(world.lease, run, instances_of(run, spec))
        begins = Segment(run.run_id, "report", [moved("a", TaskState.NONE, TaskState.RUNNING, attempt=key)])
        begins.opened.append(opened("a", key)._replace(pool_slots=2))
        await world.apply(begins)
        for name in (limit, PARALLELISM, "pool 'other'"):
            assert await world.store.grant_take(world.lease, name, 9, 4) == 4
        (one, first), (two, second) = await join(new_store, "one"), await join(new_store, "two")
        assert await _bury(one, first, "first")
        await one.dag_claim(first, ["etl"])
        held = [await one.grant_take(first, name, 9, 0) for name in (limit, PARALLELISM, "pool 'other'")]
        assert held == [2, 3, 4]
        assert await two.grant_take(second, limit, 4, 4) == 0
        await two.dag_claim(second, ["report"])
        held = [await two.grant_take(second, name, 9, 0) for name in (limit, PARALLELISM, "pool 'other'")]
        assert held == [2, 1, 0]

    async def test_two_takers_at_once_stay_within_the_limit(self, new_store: NewStore) -> None:
        """The limit's row is locked while a grant changes."""
        holders = [await join(new_store, f"r{number}") for number in range(3)]
        taken = await asyncio.gather(*(store.grant_take(lease, "pool", 10, 6) for store, lease in holders))
        assert sum(taken) == 10


class MailSuite:
    """Inbox and outbox."""

    async def test_mail_reaches_the_owner_once(self, new_store: NewStore) -> None:
        """The same key again is the same mail, before and after it was done."""
        world = await new_world(new_store)
        sender = await new_store()
        mail_id = await sender.mail_send("etl", "trigger", b'{"a":1}', "key-1")
        assert await sender.mail_send("etl", "trigger", b'{"a":2}', "key-1") == mail_id
        second = await world.store.mail_send("etl", "clear", b"{}", "key-2")
        assert (await world.store.runtime_beat(world.lease)).mail_waiting == 2
        mail = await world.store.mail_read(world.lease)
        assert [(m.mail_id, m.dag_id, m.kind, m.body, m.idempotency_key) for m in mail] == [
            (mail_id, "etl", "trigger", b'{"a":1}', "key-1"),
            (second, "etl", "clear", b"{}", "key-2"),
        ]
        assert await world.store.mail_read(world.lease, limit=1) == mail[:1]
        assert await sender.mail_reply(mail_id) is None
        await world.store.batch_apply(world.lease, Batch(mail_done=[MailDone(mail_id, b"done")]))
        assert await sender.mail_send("etl", "trigger", b"{}", "key-1") == mail_id
        assert await sender.mail_reply(mail_id) == b"done"
        assert [m.mail_id for m in await world.store.mail_read(world.lease)] == [second]

    async def test_mail_for_nobody_is_refused(self, new_store: NewStore) -> None:
        """A DAG that was never published."""
        store = await new_store()
        with pytest.raises(NotFoundError, match="'ghost' is not known"):
            await store.mail_send("ghost", "trigger", b"{}", "k")

    async def test_mail_waits_for_an_owner(self, new_store: NewStore) -> None:
        """Nobody owns the DAG just now; its next owner reads the mail."""
        world = await new_world(new_store)
        await world.store.runtime_leave(world.lease)
        other, lease = await join(new_store)
        mail_id = await other.mail_send("etl", "trigger", b"{}", "k")
        assert await other.mail_read(lease) == []
        await other.dag_claim(lease)
        assert [m.mail_id for m in await other.mail_read(lease)] == [mail_id]

    async def test_owner_and_sender_are_woken(self, new_store: NewStore) -> None:
        """The owner when mail comes from another process, the sender when its reply is committed."""
        world = await new_world(new_store)
        mail, reply = asyncio.Event(), asyncio.get_running_loop().create_future()
        world.store.watch(world.lease, mail.set, lambda _: None)
        sender, lease = await join(new_store)
        sender.watch(lease, lambda: None, reply.set_result)
        mail_id = await sender.mail_send("etl", "trigger", b"{}", "k")
        async with asyncio.timeout(_DEADLINE_S):
            await mail.wait()
            await world.store.batch_apply(world.lease, Batch(mail_done=[MailDone(mail_id, b"r")]))
            assert await reply == mail_id

    async def test_a_burst_of_mail_is_announced_to_its_end(self, new_store: NewStore) -> None:
        """Whatever is announced together, after the last mail there is a wake-up."""
        world = await new_world(new_store)
        woken = asyncio.Event()
        world.store.watch(world.lease, woken.set, lambda _: None)
        sender = await new_store()
        async with asyncio.timeout(_DEADLINE_S):
            for start in range(0, 100, 20):
                keys = [f"key {n}" for n in range(start, start + 20)]
                await asyncio.gather(*(sender.mail_send("etl", "trigger", b"{}", key) for key in keys))
            while len(await world.store.mail_read(world.lease)) < 100:
                await woken.wait()
                woken.clear()

    async def test_own_mail_wakes_too(self, new_store: NewStore) -> None:
        """Within one process both callbacks come as well."""
        world = await new_world(new_store)
        seen: list[int] = []
        world.store.watch(world.lease, lambda: seen.append(0), seen.append)
        mail_id = await world.store.mail_send("etl", "trigger", b"{}", "k")
        run = run_row(1, world.spec)
        await world.store.run_create(world.lease, run, [], mail_done=(mail_id, b"r"))
        assert seen == [0, mail_id]
        assert await world.store.mail_reply(mail_id) == b"r"

    async def test_watching_needs_the_lease_of_this_process(self, new_store: NewStore) -> None:
        """Another process's lease is refused."""
        world = await new_world(new_store)
        other, _ = await join(new_store)
        with pytest.raises(Fenced):
            other.watch(world.lease, lambda: None, lambda _: None)

    async def test_the_outbox_is_tried_five_times(self, new_store: NewStore) -> None:
        """Done rows go, failed ones count, the fifth failure is the last."""
        world = await new_world(new_store)
        run = await world.run()
        segment = world.segment(run)
        segment.outbox += [OutboxRow("callback", b"1"), OutboxRow("alert", b"2"), OutboxRow("callback", b"3")]
        await world.apply(segment)
        first, second, third = await world.store.outbox_read(world.lease)
        assert (first.dag_id, first.run_id, first.kind, first.body, first.tries) == ("etl", 1, "callback", b"1", 0)
        assert [item.outbox_id for item in await world.store.outbox_read(world.lease, limit=2)] == [
            first.outbox_id,
            second.outbox_id,
        ]
        await world.store.outbox_done(world.lease, [first.outbox_id])
        for tries in range(1, 5):
            await world.store.outbox_done(world.lease, [second.outbox_id], failed=True)
            assert [i.tries for i in await world.store.outbox_read(world.lease)] == [tries, 0]
        await world.store.outbox_done(world.lease, [second.outbox_id], failed=True)
        assert [item.outbox_id for item in await world.store.outbox_read(world.lease)] == [third.outbox_id]
        other, lease = await join(new_store)
        assert await other.outbox_read(lease) == []

    async def test_mail_of_others_cannot_be_done_with_a_new_run(self, new_store: NewStore) -> None:
        """A mail that was done already refuses the run that it asked for."""
        world = await new_world(new_store)
        run = run_row(1, world.spec)
        with pytest.raises(BatchConflict) as refused:
            await world.store.run_create(world.lease, run, instances_of(run, world.spec), mail_done=(123, b""))
        assert refused.value.mail_ids == (123,)
        assert await world.store.run_by_id(run.run_id) is None

    async def test_a_dag_published_by_another_keeps_its_owner(self, new_store: NewStore) -> None:
        """Who parses a file first owns its DAGs; others may publish new versions of them."""
        world = await new_world(new_store)
        other, lease = await join(new_store)
        assert await other.dag_publish(lease, "main", [file_of("etl.py", spec_of("etl", "a", "b", "c"))]) == ["etl"]
        dag = await other.dag_get("etl")
        assert dag is not None
        assert (dag.owner, dag.version_number) == (world.lease.runtime_id, 2)
