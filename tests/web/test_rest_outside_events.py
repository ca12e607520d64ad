"""Posted events, signed webhooks and what waits by a policy, over the REST API."""

from __future__ import annotations

import hashlib
import hmac
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.web.conftest import BY_HAND, Site, basic, parsed, serving
from tradewind import DAG, EmptyOperator, EventSchedule, Webhook
from tradewind.model.errors import ConfigError
from tradewind.model.specs import DagSpec
from tradewind.web.settings import WebConfig, webhooks_of

SECRET = "s3cret"


def waiting_for(schedule: EventSchedule, dag_id: str = "orders_in") -> DagSpec:
    with DAG(dag_id, schedule=schedule, is_paused_upon_creation=False) as dag:
        EmptyOperator(task_id="only")
    return dag.to_spec()


async def publish(site: Site, *specs: DagSpec) -> None:
    await site.store.dag_publish(site.lease, "dags", [parsed(spec) for spec in specs])


async def post(site: Site, status: int, body: object, **headers: str) -> Any:
    answer = await site.ask("POST", "/events", status, json=body, headers={**basic("olga", "olga-password"), **headers})
    return await answer.json()


async def test_an_event_is_committed_and_taken_once(site: Site) -> None:
    await publish(site, waiting_for(EventSchedule("orders")))
    told = await post(site, 202, {"name": "orders", "payload": {"n": 1}, "key": "17"})
    assert (told["name"], told["key"], told["is_new"]) == ("orders", "17", True)
    [(dag_id, queued)] = await site.store.asset_queue_list()
    assert (dag_id, queued.event.event_id, queued.event.extra) == ("orders_in", told["event_id"], b'{"n":1}')
    again = await post(site, 200, {"name": "orders", "payload": {"n": 1}}, **{"Idempotency-Key": "17"})
    assert again == {**told, "is_new": False}
    problem = await post(site, 409, {"name": "orders", "payload": {"n": 2}}, **{"Idempotency-Key": "17"})
    assert "key '17' of event 'orders' was taken by another payload" in problem["detail"]
    await post(site, 202, {"name": "orders"})
    await post(site, 202, {"name": "orders"})
    assert (await site.store.asset_queue_summary("orders_in")).size == 3


async def test_keys_of_different_events_are_different(site: Site) -> None:
    await publish(site, waiting_for(EventSchedule("orders", "refunds")))
    first = await post(site, 202, {"name": "orders", "key": "17"})
    second = await post(site, 202, {"name": "refunds", "key": "17"})
    assert first["event_id"] != second["event_id"]


async def test_an_event_starts_the_one_run_of_its_key(site: Site) -> None:
    await publish(site, replace(BY_HAND, dag_id="by_key"))
    body = {"dag_id": "by_key", "key": "order-17", "payload": {"n": 1}}
    told = await post(site, 202, body)
    assert told == {"dag_id": "by_key", "dag_run_id": "manual__order-17", "key": "order-17"}
    assert await post(site, 202, body) == told
    run = await site.store.run_get("by_key", "manual__order-17")
    assert run is not None
    assert run.conf is not None
    assert orjson.loads(run.conf.data) == {"n": 1}


@pytest.mark.parametrize(
    ("body", "headers", "status", "detail"),
    [
        ({}, {}, 400, "one of the two"),
        ({"name": "orders", "dag_id": "x"}, {}, 400, "one of the two"),
        ({"dag_id": "by_hand"}, {}, 400, "needs a key"),
        ({"name": "orders", "key": "a"}, {"Idempotency-Key": "b"}, 400, "they differ"),
        ({"name": "orders"}, {"Idempotency-Key": "x" * 251}, 400, "251 characters"),
        ({"name": "nothing"}, {}, 404, "no DAG waits for 'nothing'"),
        ({"dag_id": "nothing", "key": "k"}, {}, 404, "nothing"),
    ],
)
async def test_events_that_cannot_be(
    site: Site, body: dict[str, str], headers: dict[str, str], status: int, detail: str
) -> None:
    assert detail in (await post(site, status, body, **headers))["detail"]


async def test_viewers_send_no_events(site: Site) -> None:
    await publish(site, waiting_for(EventSchedule("orders")))
    await site.ask("POST", "/events", 403, json={"name": "orders"}, headers=basic("vic", "vic-password"))
    await site.ask("POST", "/events", 401, json={"name": "orders"}, headers={"Authorization": ""})


# -------------------------------------------------------------------------------------- webhooks


def signed(body: bytes, at: int | None = None) -> dict[str, str]:
    mac = hmac.new(SECRET.encode(), body if at is None else f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    value = f"sha256={mac}" if at is None else f"t={at},v1={mac}"
    return {"X-Hub-Signature-256" if at is None else "Stripe-Signature": value, "Authorization": ""}


async def hook(site: Site, status: int, body: bytes, headers: dict[str, str], name: str = "pushes") -> Any:
    answer = await site.ask("POST", f"/webhooks/{name}", status, data=body, headers=headers)
    return await answer.json()


async def test_a_webhook_as_a_dag_declares_it(site: Site) -> None:
    await publish(site, waiting_for(EventSchedule("pushes", webhook=Webhook("variable:hook_secret"))))
    body = b'{"ref": "main"}'
    assert "not set up" in (await hook(site, 503, body, signed(body)))["detail"]
    await site.store.variable_set("hook_secret", SECRET)
    told = await hook(site, 202, body, {**signed(body), "X-GitHub-Event": "push", "X-GitHub-Delivery": "d1"})
    [(_, queued)] = await site.store.asset_queue_list("orders_in")
    about = {"name": "pushes", "event": "push", "delivery": "d1"}
    assert orjson.loads(queued.event.extra) == {"ref": "main", "webhook": about}
    replayed = await hook(site, 200, body, {**signed(body), "X-GitHub-Delivery": "d2"})
    assert (replayed["event_id"], replayed["is_new"]) == (told["event_id"], False)
    for wrong in ({"Authorization": ""}, {**signed(b"other"), "Authorization": ""}):
        assert (await hook(site, 401, body, wrong))["title"] == "Signature refused"
    assert (await site.store.asset_queue_summary("orders_in")).size == 1
    assert "No webhook is called 'pulls'" in (await hook(site, 404, body, signed(body), "pulls"))["detail"]


async def test_a_webhook_with_a_time(site: Site) -> None:
    """By Stripe's rules: the secret in a connection, an event known again by its own id."""
    await publish(site, waiting_for(EventSchedule("paid", webhook=Webhook("connection:stripe", "stripe"))))
    await site.store.connection_set("stripe", orjson.dumps({"conn_type": "http", "password": SECRET}).decode())
    now, body = int(time.time()), b'{"id": "evt_1", "type": "paid"}'
    first = await hook(site, 202, body, signed(body, now), "paid")
    again = await hook(site, 200, body, signed(body, now + 1), "paid")
    assert again["event_id"] == first["event_id"]
    assert "more than 300 s" in (await hook(site, 401, body, signed(body, now - 400), "paid"))["detail"]
    await hook(site, 202, b"[1]", signed(b"[1]", now), "paid")
    events = [orjson.loads(one.event.extra) for _, one in await site.store.asset_queue_list("orders_in")]
    assert events == [
        {"id": "evt_1", "type": "paid", "webhook": {"name": "paid"}},
        {"body": [1], "webhook": {"name": "paid"}},
    ]


async def test_the_configuration_counts_before_dags(web_config: WebConfig, tmp_path: Path) -> None:
    configured = webhooks_of('{"pushes": {"secret": "variable:mine", "style": "plain", "header": "X-Mac"}}')
    async with serving(replace(web_config, webhooks=configured), tmp_path) as site:
        await publish(site, waiting_for(EventSchedule("pushes", webhook=Webhook("variable:other"))))
        await site.store.variable_set("mine", SECRET)
        mac = hmac.new(SECRET.encode(), b"plain text", hashlib.sha256).hexdigest()
        await hook(site, 202, b"plain text", {"X-Mac": mac, "Authorization": ""})
        [(_, queued)] = await site.store.asset_queue_list("orders_in")
        assert orjson.loads(queued.event.extra)["body"] == "plain text"


async def test_dags_that_say_different_things_about_a_webhook(site: Site) -> None:
    one, other = Webhook("variable:a"), Webhook("variable:b")
    await publish(
        site,
        waiting_for(EventSchedule("pushes", webhook=one), "one"),
        waiting_for(EventSchedule("pushes", webhook=other), "other"),
    )
    assert "The DAGs one, other say different things" in (await hook(site, 409, b"{}", signed(b"{}")))["detail"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("[]", "must be a JSON object"),
        ('{"a": {"style": "github"}}', "'a'"),
        ('{"a": {"secret": "x"}}', "'a': the secret of a webhook"),
        ('{"a": {"secret": "variable:x", "colour": "red"}}', "colour"),
    ],
)
def test_configured_webhooks_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        webhooks_of(text)


# --------------------------------------------------------------------------------- what waits


async def test_what_waits_and_until_when(site: Site) -> None:
    await publish(site, waiting_for(EventSchedule("orders", debounce=60, max_wait=300)))
    nothing = await (await site.get("/dags/orders_in/eventSchedule")).json()
    assert (nothing["waiting"], nothing["next_run_at"], nothing["reason"]) == (0, None, "no event waits")
    assert nothing["policy"] == {"debounce": 60.0, "max_wait": 300.0}
    await post(site, 202, {"name": "orders"})
    await post(site, 202, {"name": "orders"})
    shown = await (await site.get("/dags/orders_in/eventSchedule")).json()
    assert (shown["waiting"], shown["reason"]) == (2, "debounce")
    assert shown["next_run_at"] > shown["last_queued_at"] >= shown["first_queued_at"]
    assert shown["waiting_keys"] is None
    await site.control.dag_pause("orders_in", paused=True)
    assert (await (await site.get("/dags/orders_in/eventSchedule")).json())["reason"] == "paused"
    await site.get("/dags/by_hand/eventSchedule", 404)
    await site.get("/dags/nothing/eventSchedule", 404)


async def test_what_waits_by_key(site: Site) -> None:
    await publish(site, waiting_for(EventSchedule("orders", debounce=60, key="user")))
    for user in (1, 2, 1):
        await post(site, 202, {"name": "orders", "payload": {"user": user}})
    shown = await (await site.get("/dags/orders_in/eventSchedule")).json()
    assert (shown["waiting"], shown["waiting_keys"], shown["reason"]) == (3, 2, "debounce")
    assert shown["description"] == "all together, debounce 60 s, for each user"
    assert shown["next_run_at"] > shown["last_queued_at"]
