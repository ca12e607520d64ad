"""A queue of a real RabbitMQ as the source of a watcher."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.providers.conftest import StartRuntime
from tests.providers.rabbitmq import broker
from tests.services.fired import fired, payloads, watching
from tradewind import AuthoringError
from tradewind.services import watch_keeper
from tradewind.standard.message_queue_trigger import MessageQueueTrigger
from tradewind_providers.amqp import AmqpHook, AmqpQueueTrigger
from tradewind_providers.amqp.queue_trigger import payload_of

needs_server = pytest.mark.rabbitmq
pytestmark = pytest.mark.blocks_the_loop  # the client reads what it was installed with


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with broker(tmp_path_factory.mktemp("rabbitmq")) as port:
        yield port


@pytest.fixture
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the connection `queue`."""
    monkeypatch.setattr(watch_keeper, "FIRST_PAUSE", 0.01)
    said = {"conn_type": "amqp", "host": "127.0.0.1", "port": request.getfixturevalue("port")}
    monkeypatch.setenv("TRADEWIND_CONN_QUEUE", json.dumps(said))


async def send(client: Any, queue: str, *bodies: object, key: str | None = None) -> None:
    import aio_pika

    async with client.channel() as channel:
        await channel.declare_queue(queue, durable=True)
        for body in bodies:
            data = body if isinstance(body, bytes) else json.dumps(body).encode()
            await channel.default_exchange.publish(aio_pika.Message(data, message_id=key), queue)


async def left(client: Any, queue: str) -> int:
    """Messages that nobody has, in a queue without consumers."""
    async with client.channel() as channel:
        return int((await channel.declare_queue(queue, durable=True)).declaration_result.message_count)


@needs_server
@pytest.mark.usefixtures("server")
async def test_messages_are_acknowledged_after_their_events(start: StartRuntime) -> None:
    """Those that were there and those that come; one that its sender repeats is an event once."""
    async with AmqpHook("queue") as client:
        await send(client, "orders", {"n": 1}, [2], b"three")
        runtime = await start(watching(MessageQueueTrigger(scheme="amqp", queue="orders", conn_id="queue")))
        assert await fired(runtime, 3) == [{"n": 1}, {"body": [2]}, {"body": "three"}]
        await send(client, "orders", {"n": 4}, {"n": 4}, key="four")
        await send(client, "orders", {"n": 5})
        assert (await fired(runtime, 5))[3:] == [{"n": 4}, {"n": 5}]
        (facts,) = runtime.control.watches()
        assert (facts.failures, facts.state) == (0, "running")


@needs_server
@pytest.mark.usefixtures("server")
async def test_a_message_whose_event_is_not_committed_stays(
    start: StartRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So does one of which the connection is lost before it could be acknowledged."""
    keep = watch_keeper.external_event
    fails = [True]

    def failing(*given: Any) -> Any:
        if fails:
            fails.pop()
            raise RuntimeError("not now")
        return keep(*given)

    monkeypatch.setattr(watch_keeper, "external_event", failing)
    async with AmqpHook("queue") as client:
        runtime = await start(watching(AmqpQueueTrigger("stays", "queue", declare=True)))
        await send(client, "stays", {"n": 1}, key="one")
        assert await fired(runtime, 1) == [{"n": 1}]
        assert runtime.control.watches()[0].failures == 1
        await client.close()
    async with AmqpHook("queue") as another:
        await send(another, "stays", {"n": 2})
        assert await fired(runtime, 2) == [{"n": 1}, {"n": 2}]
        await runtime.services.dispatcher.stop(None)
        assert await left(another, "stays") == 0
        await send(another, "stays", {"n": 3})
        assert await left(another, "stays") == 1
        assert len(await payloads(runtime)) == 2


@needs_server
@pytest.mark.usefixtures("server")
async def test_a_queue_that_is_not_there_is_told(start: StartRuntime) -> None:
    runtime = await start(watching(AmqpQueueTrigger("nowhere", "queue")))
    async with asyncio.timeout(60):
        while not runtime.control.watches()[0].failures:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    assert "no queue 'nowhere'" in str(runtime.control.watches()[0].last_error)


def test_what_a_message_brings() -> None:
    bodies = {b'{"a": 1}': {"a": 1}, b"[1]": {"body": [1]}, b"text": {"body": "text"}, b"\xff": {"body_base64": "/w=="}}
    assert {body: payload_of(body) for body in bodies} == bodies


@pytest.mark.parametrize("wrong", [{"queue": ""}, {"queue": "q", "prefetch": 0}, {"queue": "q", "prefetch": 70_000}])
def test_arguments_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(AuthoringError, match="AmqpQueueTrigger"):
        AmqpQueueTrigger(**wrong)
