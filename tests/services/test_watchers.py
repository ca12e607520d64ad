"""Watchers of assets: their events are committed before they are acknowledged, and none is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import orjson
import pytest

from tests.services.conftest import StartRuntime, until
from tests.services.fired import payloads
from tradewind import DAG, Asset, AuthoringError, BaseEventTrigger, EventSchedule, Runtime, Trigger, TriggerEvent, task
from tradewind.authoring.assets import AssetWatcher
from tradewind.authoring.triggers import trigger
from tradewind.model.assets import AssetEvent, AssetEventFilter
from tradewind.model.errors import StoreUnavailable
from tradewind.model.specs import DagSpec
from tradewind.model.states import RunState
from tradewind.model.watches import PAUSING, WatchStart
from tradewind.ports import RunFilter
from tradewind.services import watch_keeper


class Queue:
    """A queue that keeps what was not acknowledged, and gives it again to the next consumer."""

    def __init__(self) -> None:
        self.left: dict[str, Any] = {}
        self.acknowledged: list[str] = []
        self.has_acknowledged = asyncio.Event()
        self.has_begun = asyncio.Event()
        self.lives = 0
        self.changed = asyncio.Event()
        self.breaks: list[BaseException] = []
        self.on_ack: Callable[[str], None] = lambda key: None

    def put(self, **messages: Any) -> None:
        self.left.update(messages)
        self.changed.set()

    def fail(self, error: BaseException) -> None:
        self.breaks.append(error)
        self.changed.set()


queues: dict[str, Queue] = {}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    queues.clear()
    monkeypatch.setattr(watch_keeper, "FIRST_PAUSE", 0.01)


def queue(name: str = "q") -> Queue:
    return queues.setdefault(name, Queue())


@trigger(kind="tests.queue")
class Messages(Trigger, BaseEventTrigger):
    """Fires for each message of the queue of this name."""

    name: str = "q"
    with_keys: bool = True

    async def run(self) -> AsyncIterator[TriggerEvent]:
        source = queue(self.name)
        source.lives += 1
        source.has_begun.set()
        given: set[str] = set()
        while True:
            source.changed.clear()
            if source.breaks:
                raise source.breaks.pop()
            for key in [key for key in source.left if key not in given]:
                given.add(key)
                yield TriggerEvent(source.left[key], ack=self.acknowledging(key), key=key if self.with_keys else None)
            await source.changed.wait()

    def acknowledging(self, key: str) -> Any:
        async def ack() -> None:
            source = queue(self.name)
            source.on_ack(key)
            source.left.pop(key, None)
            source.acknowledged.append(key)
            source.has_acknowledged.set()

        return ack


def watched(name: str = "q", **options: Any) -> Asset:
    return Asset("orders", watchers=[AssetWatcher(name, Messages(name=name, **options))])


def consuming(schedule: Any, dag_id: str = "ship", *, is_paused: bool = False) -> DAG:
    with DAG(dag_id, schedule=schedule, is_paused_upon_creation=is_paused, catchup=False) as dag:

        @task
        async def look() -> None:
            pass

        look()
    return dag


async def events(runtime: Runtime) -> list[AssetEvent]:
    return (await runtime.control.reads.asset_event_list(AssetEventFilter()))[0]


async def acknowledged(*keys: str, name: str = "q") -> None:
    source = queue(name)
    async with asyncio.timeout(60):
        while sorted(source.acknowledged) != sorted(keys):
            source.has_acknowledged.clear()
            await source.has_acknowledged.wait()


async def lived_again(times: int, name: str = "q") -> None:
    """Returns once the trigger has begun so many times."""
    source = queue(name)
    async with asyncio.timeout(60):
        while source.lives < times:
            source.has_begun.clear()
            await source.has_begun.wait()


async def test_an_event_is_committed_then_acknowledged_and_causes_a_run(start_on_each: StartRuntime) -> None:
    """Its payload stands in the extra as Airflow has it, and is the conf of a run of its own."""
    runtime = await start_on_each(consuming(EventSchedule(watched())))
    known: list[str] = []
    queue().on_ack = known.append
    queue().put(a={"order": 1}, b={"order": 2})

    async def both_ran() -> bool:
        return (await runtime.control.reads.run_list(RunFilter("ship", (RunState.SUCCESS,))))[1] == 2

    await until(runtime, both_ran)
    await acknowledged("a", "b")
    assert known == ["a", "b"]
    assert [orjson.loads(event.extra) for event in await events(runtime)] == [
        {"from_trigger": True, "payload": {"order": 1}},
        {"from_trigger": True, "payload": {"order": 2}},
    ]
    rows, _ = await runtime.control.reads.run_list(RunFilter("ship"))
    assert sorted(orjson.loads(row.conf.data)["order"] for row in rows if row.conf is not None) == [1, 2]
    (facts,) = runtime.control.watches()
    assert (facts.events, facts.state, facts.dag_ids) == (2, "running", ("ship",))


async def test_events_of_a_pause_wait(start_on_each: StartRuntime) -> None:
    runtime = await start_on_each(consuming(EventSchedule(watched()), is_paused=True))
    queue().put(a=1, b=2, c=3)
    await acknowledged("a", "b", "c")
    assert (await runtime.control.reads.asset_queue_summary("ship")).size == 3
    await runtime.control.dag_pause("ship", paused=False)

    async def all_ran() -> bool:
        return (await runtime.control.reads.run_list(RunFilter("ship", (RunState.SUCCESS,))))[1] == 3

    await until(runtime, all_ran)


async def test_nothing_is_acknowledged_that_was_not_committed(
    start_on_each: StartRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database goes: once before the commit, once after it, when nobody knows. Each event is there once."""
    runtime = await start_on_each(consuming([watched(with_keys=False)], is_paused=True))
    store: Any = runtime.control.store
    adds = store.asset_event_add
    lost: list[str] = ["before", "after"]

    async def failing(event: Any) -> Any:
        when = lost.pop() if lost else ""
        if when == "after":
            await adds(event)
        if when:
            assert queue().acknowledged == []
            raise StoreUnavailable("gone")
        return await adds(event)

    monkeypatch.setattr(store, "asset_event_add", failing)
    queue().put(a=1)
    await acknowledged("a")
    assert await payloads(runtime) == [1]
    assert lost == []


async def test_a_crash_between_commit_and_acknowledgement(start_on_each: StartRuntime) -> None:
    """The message comes again, and is acknowledged then; the event is there once."""

    def die(key: str) -> None:
        if queue().lives == 1:
            raise RuntimeError("died before the acknowledgement")

    queue().on_ack = die
    queue().put(a=1)
    runtime = await start_on_each(consuming([watched()], is_paused=True))
    await acknowledged("a")
    assert queue().lives == 2
    assert await payloads(runtime) == [1]
    (facts,) = runtime.control.watches()
    assert "died before the acknowledgement" in str(facts.last_error)
    assert (facts.failures, facts.events) == (1, 1)


async def test_one_that_fails_begins_again_and_hurts_nobody(start: StartRuntime) -> None:
    asset = Asset("orders", watchers=[AssetWatcher(name, Messages(name=name)) for name in ("bad", "good")])
    runtime = await start(consuming([asset], is_paused=True))
    queue("bad").fail(GeneratorExit())
    queue("bad").fail(SystemExit("no"))
    queue("bad").fail(ValueError("broken"))
    queue("good").put(a=1)
    await acknowledged("a", name="good")
    queue("bad").put(b=2)
    await acknowledged("b", name="bad")
    bad, good = runtime.control.watches()
    assert bad.failures >= 1
    assert any(said in str(bad.last_error) for said in ("broken", "no", "GeneratorExit"))
    assert good.failures == 0
    assert sorted(await payloads(runtime)) == [1, 2]


async def test_the_same_watcher_of_two_dags_runs_once(start: StartRuntime) -> None:
    runtime = await start(consuming([watched()], "one", is_paused=True), consuming([watched()], "two", is_paused=True))
    queue().put(a=1)
    await acknowledged("a")
    assert queue().lives == 1
    (facts,) = runtime.control.watches()
    assert facts.dag_ids == ("one", "two")
    for dag_id in facts.dag_ids:
        assert (await runtime.control.reads.asset_queue_summary(dag_id)).size == 1


async def test_one_that_has_to_go_delivers_first(start: StartRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new version begins when the old one's event is committed and acknowledged; then nobody asks for more."""
    runtime = await start(consuming([watched()], is_paused=True))
    store: Any = runtime.control.store
    adds, commits, may_commit = store.asset_event_add, asyncio.Event(), asyncio.Event()

    async def slow(event: Any) -> Any:
        commits.set()
        await may_commit.wait()
        return await adds(event)

    monkeypatch.setattr(store, "asset_event_add", slow)
    queue().put(a=1)
    await commits.wait()
    keeper, carrier = runtime.services.watches, runtime.services.dispatcher.watches_carrier()
    assert carrier is not None
    dag = runtime.services.scheduler.book.dags["ship"]
    (watcher,) = dag.spec.watchers
    carrier.carry_watches(keeper, [WatchStart(watcher, "ship", "f" * 64, dag.row.source)])
    assert queue().lives == 1
    may_commit.set()
    await acknowledged("a")
    await lived_again(2)
    queue().put(b=2)
    await acknowledged("a", "b")
    carrier.carry_watches(keeper, [])
    queue().put(c=3)
    await start(consuming([watched("other")], "other", is_paused=True))
    queue("other").put(d=4)
    await acknowledged("d", name="other")
    assert queue().acknowledged == ["a", "b"]


async def test_watchers_go_on_in_the_runtime_that_takes_over(start: StartRuntime) -> None:
    """A runtime that has lost its lease lets them go; whoever owns the DAG then carries them out."""
    first = await start(consuming([watched()], is_paused=True), scheduler__beat=0.1, scheduler__beat_alone=0.1)
    queue().put(a=1)
    await acknowledged("a")
    await first.services.store.runtime_leave(first.services.scheduler.lease)
    await lived_again(2)
    queue().put(b=2)
    await acknowledged("a", "b")
    assert await payloads(first) == [1, 2]


async def test_a_payload_that_is_no_json_is_told_and_not_acknowledged(start: StartRuntime) -> None:
    runtime = await start(consuming([watched()], is_paused=True))
    queue().put(a=object())

    await lived_again(2)
    assert queue().acknowledged == []
    assert "has to be JSON" in str(runtime.control.watches()[0].last_error)
    assert runtime.control.watches()[0].state in (PAUSING, "running")


def test_watchers_are_data_that_does_not_change() -> None:
    spec = consuming([watched()]).to_spec()
    (watcher,) = spec.watchers
    assert (watcher.uri, watcher.name, watcher.kind) == ("orders", "q", "tests.queue")
    assert orjson.loads(watcher.args) == {"name": "q", "with_keys": True}
    assert DagSpec.from_json(spec.to_json()) == spec
    assert spec.content_hash() != consuming([watched(with_keys=False)]).to_spec().content_hash()


class OnlyOnce(Trigger):
    """No event trigger."""

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent(1)


def wrong() -> Iterator[tuple[Callable[[], object], str]]:
    yield lambda: AssetWatcher("w", OnlyOnce()), "BaseEventTrigger"  # type: ignore[arg-type]  # what is refused
    yield lambda: AssetWatcher("", Messages()), "AssetWatcher: name"
    yield lambda: Asset("a", watchers=[AssetWatcher("w", Messages()), AssetWatcher("w", Messages())]), "two are called"
    yield lambda: consuming([watched(), watched(with_keys=False)]).to_spec(), "two of this name"


@pytest.mark.parametrize(("make", "text"), list(wrong()))
def test_what_cannot_be_is_refused(make: Callable[[], object], text: str) -> None:
    with pytest.raises(AuthoringError, match=text):
        make()
