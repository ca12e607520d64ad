"""Events by the policy of an EventSchedule: none is lost, each goes into one run."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import orjson
import pytest

from tests.services.conftest import StartRuntime, until
from tradewind import DAG, Asset, AuthoringError, EventSchedule, Param, Runtime, Webhook, task
from tradewind.control_ports import TriggerRequest
from tradewind.model.assets import ExternalEvent
from tradewind.model.errors import NotFoundError, ParamValidationError
from tradewind.model.states import RunState
from tradewind.ports import RunFilter
from tradewind.rules.event_policy import EventPolicy
from tradewind.services.event_runs import key_in


def counting(schedule: EventSchedule, seen: list[list[int]], dag_id: str = "orders") -> DAG:
    """Its task says which numbers the events of its run had."""
    with DAG(dag_id, schedule=schedule, max_active_runs=2, is_paused_upon_creation=False) as dag:

        @task
        async def look(triggering_asset_events: Any = None) -> None:
            events = await triggering_asset_events.load()
            seen.append(sorted(event.extra["n"] for found in events.values() for event in found))

        look()
    return dag


async def post(runtime: Runtime, *numbers: int, name: str = "orders", key: str | None = None) -> None:
    for n in numbers:
        await runtime.control.store.asset_event_add(ExternalEvent(name, orjson.dumps({"n": n}), key))


async def ended(runtime: Runtime, count: int, dag_id: str = "orders") -> None:
    """Returns once so many runs of the DAG have ended well."""

    async def all_ended() -> bool:
        return (await runtime.control.reads.run_list(RunFilter(dag_id, (RunState.SUCCESS,))))[1] >= count

    await until(runtime, all_ended)


async def test_each_event_is_a_run_of_its_own(start: StartRuntime) -> None:
    """More than may run at once; the payload is the run's conf."""
    seen: list[list[int]] = []
    runtime = await start(counting(EventSchedule("orders"), seen))
    await post(runtime, *range(7))
    await ended(runtime, 7)
    assert sorted(seen) == [[n] for n in range(7)]
    rows, total = await runtime.control.reads.run_list(RunFilter("orders"))
    assert total == 7
    assert sorted(orjson.loads(row.conf.data)["n"] for row in rows if row.conf is not None) == list(range(7))
    assert await runtime.control.reads.asset_queue_list("orders") == []


async def test_events_of_a_pause_wait_and_each_counts(start: StartRuntime) -> None:
    seen: list[list[int]] = []
    runtime = await start(counting(EventSchedule("orders"), seen))
    await runtime.control.dag_pause("orders", paused=True)
    await post(runtime, 1, 2, 3)
    assert (await runtime.control.reads.asset_queue_summary("orders")).size == 3
    await runtime.control.dag_pause("orders", paused=False)
    await ended(runtime, 3)
    assert sorted(seen) == [[1], [2], [3]]


async def test_a_key_is_taken_once(start: StartRuntime) -> None:
    seen: list[list[int]] = []
    runtime = await start(counting(EventSchedule("orders"), seen))
    await post(runtime, 1, 2, key="one")
    await post(runtime, 3)
    await ended(runtime, 2)
    assert sorted(seen) == [[1], [3]]


async def test_batches(start: StartRuntime) -> None:
    """A full one at once, the rest after `max_wait`."""
    seen: list[list[int]] = []
    runtime = await start(counting(EventSchedule("orders", batch=3, max_wait=0.3), seen))
    await post(runtime, *range(7))
    await ended(runtime, 3)
    assert seen[:2] == [[0, 1, 2], [3, 4, 5]]
    assert seen[2] == [6]


async def test_debounce_waits_for_silence(start: StartRuntime) -> None:
    seen: list[list[int]] = []
    schedule = EventSchedule("orders", "refunds", debounce=timedelta(seconds=0.2))
    runtime = await start(counting(schedule, seen))
    await post(runtime, 1, 2)
    await post(runtime, 3, name="refunds")
    assert seen == []
    await ended(runtime, 1)
    await post(runtime, 4)
    await ended(runtime, 2)
    assert seen == [[1, 2, 3], [4]]


async def test_each_key_has_silence_and_runs_of_its_own(start_on_each: StartRuntime) -> None:
    """The run knows its key; what has none goes together."""
    seen: list[list[int]] = []
    schedule = EventSchedule("orders", debounce=1.0, key="user.id")
    runtime = await start_on_each(counting(schedule, seen))
    store = runtime.control.store
    for n, user in enumerate([{"id": 7}, {"id": "b"}, {"id": 7}, None, "no object"]):
        await store.asset_event_add(ExternalEvent("orders", orjson.dumps({"n": n, "user": user})))
    assert seen == []
    await ended(runtime, 3)
    assert sorted(seen) == [[0, 2], [1], [3, 4]]
    rows, _ = await runtime.control.reads.run_list(RunFilter("orders"))
    assert {row.run_key for row in rows} == {"7", "b", None}


def test_what_keeps_events_apart() -> None:
    def key(payload: object, path: str = "a.b") -> str | None:
        return key_in(orjson.dumps(payload), path.split("."))

    assert [key({"a": {"b": value}}) for value in ("x", 1, True, None, {"z": 1, "y": 2})] == [
        "x",
        "1",
        "true",
        None,
        '{"y":2,"z":1}',
    ]
    assert [key(payload) for payload in ({}, {"a": 1}, {"a": {"c": 1}}, [1], 5)] == [None] * 5
    assert str(key({"a": {"b": "x" * 300}})).startswith("sha256-")
    assert key({"from_trigger": True, "payload": {"a": {"b": 2}}}) == "2"


async def test_throttle_keeps_a_distance(start: StartRuntime) -> None:
    seen: list[list[int]] = []
    runtime = await start(counting(EventSchedule("orders", throttle=0.3), seen))
    await post(runtime, 1)
    await ended(runtime, 1)
    await post(runtime, 2, 3)
    await ended(runtime, 2)
    assert seen == [[1], [2, 3]]
    rows, _ = await runtime.control.reads.run_list(RunFilter("orders", order_by="run_id"))
    assert rows[1].queued_at - rows[0].queued_at >= timedelta(seconds=0.3)


async def test_a_task_sends_such_an_event(start: StartRuntime) -> None:
    seen: list[list[int]] = []
    with DAG("shop", schedule=None, is_paused_upon_creation=False) as shop:

        @task(outlets=[Asset("orders")])
        async def sell(outlet_events: Any = None) -> None:
            outlet_events[Asset("orders")].extra = {"n": 5}

        sell()
    runtime = await start(shop, counting(EventSchedule("orders"), seen))
    await runtime.control.run_trigger(TriggerRequest("shop"))
    await ended(runtime, 1)
    assert seen == [[5]]


async def test_an_event_that_starts_a_run_does_so_once(start: StartRuntime) -> None:
    """However often it is sent, and whoever asks for the key in another way."""
    with DAG("by_key", schedule=None, params={"n": 1}, is_paused_upon_creation=True) as dag:

        @task
        async def one() -> None: ...

        one()
    runtime = await start(dag)
    control = runtime.control
    asked = await asyncio.gather(*(control.run_request(TriggerRequest("by_key", {"n": 2}), "k 1") for _ in range(4)))
    assert len(set(asked)) == 1
    await control.dag_pause("by_key", paused=False)
    await ended(runtime, 1, "by_key")
    assert (await runtime.trigger("by_key", key="k 1")).id == asked[0]
    assert (await control.reads.run_list(RunFilter("by_key")))[1] == 1
    with pytest.raises(NotFoundError, match="no DAG 'by_nothing'"):
        await control.run_request(TriggerRequest("by_nothing"), "k")


async def test_an_event_that_does_not_fit_the_params_is_refused(start: StartRuntime) -> None:
    with DAG("strict", schedule=None, params={"n": Param(1, type="integer")}) as dag:

        @task
        async def one() -> None: ...

        one()
    runtime = await start(dag)
    with pytest.raises(ParamValidationError, match="n"):
        await runtime.control.run_request(TriggerRequest("strict", {"n": "one"}), "k")


untyped: Any = EventSchedule


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (EventSchedule, "at least one event"),
        (partial(untyped, 17), "neither the name of an event nor an asset"),
        (partial(EventSchedule, "a", batch=0), r"EventSchedule\('a'\): batch"),
        (partial(untyped, "a", batch=1.5), "whole number"),
        (partial(untyped, "a", debounce="5s"), "a timedelta or a number"),
        (partial(EventSchedule, "a", max_wait=5), "max_wait goes with"),
        (partial(EventSchedule, "a", "b", webhook=Webhook("variable:s")), "single name"),
        (partial(Webhook, "s3cret"), "variable or a connection"),
        (partial(Webhook, "variable:"), "variable or a connection"),
        (partial(Webhook, "variable:a", "plain"), "name of a header"),
    ],
)
def test_schedules_that_cannot_be(make: partial[object], message: str) -> None:
    with pytest.raises(AuthoringError, match=message):
        make()


def test_what_is_stored_of_a_schedule() -> None:
    schedule = EventSchedule("orders", debounce=timedelta(seconds=5), webhook=Webhook("variable:s", "stripe"))
    spec = counting(schedule, []).to_spec()
    assert (spec.timetable.kind, spec.timetable.summary) == ("outside_events", "Event")
    assert spec.timetable.description == "Triggered by events, all together, debounce 5 s"
    assert EventPolicy.of(spec.timetable.args) == EventPolicy(debounce=5)
    [use] = spec.assets
    assert use.extra == {"webhook": {"secret": "variable:s", "style": "stripe", "tolerance": 300.0}}
