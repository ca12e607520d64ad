"""Events from outside: `POST /events`, `POST /webhooks/{name}`, and what waits by a DAG's policy."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, cast

import orjson
from aiohttp import web

from tradewind.authoring.webhook import WEBHOOK, Webhook
from tradewind.control_ports import TriggerRequest
from tradewind.model.errors import AuthoringError
from tradewind.model.specs import DagSpec, Json
from tradewind.model.states import RunState
from tradewind.ports import RunFilter
from tradewind.rules.event_policy import EVENT_KIND, EventPolicy, Verdict, verdict, verdict_by_key
from tradewind.rules.signatures import SignatureRefused, signed_by, verified
from tradewind.services.event_runs import summary_of, waiting_by_key
from tradewind.web.answers import json_answer
from tradewind.web.body import read_raw
from tradewind.web.keys import CONFIG
from tradewind.web.problems import Problem, bad_request, not_found
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.roles import Permission

log = logging.getLogger(__name__)

IDEMPOTENCY_KEY: Final = "Idempotency-Key"
LONGEST_KEY: Final = 250


async def post_event(call: Call) -> web.Response:
    """POST /events: an event by its name, or one that starts a run of a DAG. Committed when it is answered."""
    name, dag_id = call.maybe_text("name"), call.maybe_text("dag_id")
    if (name is None) == (dag_id is None):
        raise bad_request("give the event a name, or the dag_id of the DAG that it starts a run of: one of the two")
    key = _key(call)
    payload = call.mapping("payload") or {}
    if name is not None:
        return await _take_in(call, name, payload, key)
    if dag_id is None or key is None:
        raise bad_request("an event that starts a run needs a key: the run is made once for it")
    run_id = await call.control.run_request(TriggerRequest(dag_id, payload), key)
    return json_answer({"dag_id": dag_id, "dag_run_id": run_id, "key": key}, status=202)


def _key(call: Call) -> str | None:
    own, header = call.maybe_text("key"), call.request.headers.get(IDEMPOTENCY_KEY)
    if own is not None and header is not None and own != header:
        raise bad_request(f"key and the header {IDEMPOTENCY_KEY} are two names of one thing, but they differ")
    key = own if own is not None else header
    if key is not None and not 0 < len(key) <= LONGEST_KEY:
        raise bad_request(f"the key has {len(key)} characters; 1 to {LONGEST_KEY} are possible")
    return key


async def _take_in(
    call: Call, name: str, payload: Mapping[str, Json], key: str | None, *, is_signed: bool = False
) -> web.Response:
    """The same key again is the same event of this name: 200 instead of 202; of what is signed the key says it all."""
    event, is_new = await call.control.event_take_in(name, payload, key)
    if not (is_new or is_signed or orjson.loads(event.extra) == payload):
        detail = (
            f"The key {key!r} of event {name!r} was taken by another payload (event {event.event_id} of {event.at}): "
            "nothing has been added. Give another event another key."
        )
        raise Problem(409, "Key taken by another payload", detail)
    told = {"event_id": event.event_id, "name": name, "key": key, "timestamp": event.at, "is_new": is_new}
    return json_answer(told, status=202 if is_new else 200)


async def post_webhook(call: Call) -> web.Response:
    """POST /webhooks/{name}: an event of this name from who can sign it."""
    name = call.text("name")
    hook = await _webhook(call, name)
    secret = await call.control.secret(hook.secret)
    if not secret:
        log.error("webhook %r: there is no %s: nobody can be let in", name, hook.secret)
        raise Problem(503, "Webhook without its secret", "The secret of this webhook is not set up here.")
    body = await read_raw(call.request)
    headers = {header.lower(): value for header, value in call.request.headers.items()}
    try:
        same = verified(signed_by(hook.to_json()), secret, headers, body, datetime.now(UTC))
    except SignatureRefused as refused:
        log.warning("webhook %r: refused: %s", name, refused)
        raise Problem(401, "Signature refused", f"{refused}.") from None
    return await _take_in(call, name, _payload(name, body, headers), f"webhook:{same}", is_signed=True)


async def _webhook(call: Call, name: str) -> Webhook:
    """How the webhook is signed: as configured, else as the DAGs say that wait for the event."""
    configured = call.request.app[CONFIG].webhooks.get(name)
    if configured is not None:
        return configured
    said = {dag_id: use.extra[WEBHOOK] for dag_id, use in await call.reads.asset_uses(name) if WEBHOOK in use.extra}
    if not said:
        raise not_found(
            "Webhook not known",
            f"No webhook is called {name!r}: see web.webhooks, or EventSchedule({name!r}, webhook=Webhook(…)).",
        )
    first, *others = said.values()
    if any(other != first for other in others):
        detail = f"The DAGs {', '.join(said)} say different things about the webhook {name!r}."
        raise Problem(409, "Conflict", detail)
    try:
        return Webhook(**first)
    except (TypeError, AuthoringError) as error:
        raise Problem(409, "Conflict", f"The webhook {name!r} cannot be used: {error}") from None


def _payload(name: str, body: bytes, headers: Mapping[str, str]) -> dict[str, Json]:
    """The body's object, or what it is under `body`; beside it, under `webhook`, what the headers say of it."""
    try:
        told: Json = orjson.loads(body)
    except orjson.JSONDecodeError:
        told = body.decode("utf-8", errors="replace")
    about = {"name": name, "event": headers.get("x-github-event"), "delivery": headers.get("x-github-delivery")}
    payload = cast("dict[str, Json]", told) if isinstance(told, dict) else {"body": told}
    return {**payload, WEBHOOK: {key: value for key, value in about.items() if value is not None}}


async def get_schedule(call: Call) -> web.Response:
    """GET /dags/{dag_id}/eventSchedule: the policy, what waits by it, and until when."""
    row = await call.catalog.dag(call.text("dag_id"))
    version = await call.reads.dag_version_get(row.dag_id)
    if version is None or version.spec.timetable.kind != EVENT_KIND:
        raise not_found("No event schedule", f"The schedule of {row.dag_id} is no EventSchedule.")
    spec = version.spec
    policy = EventPolicy.of(spec.timetable.args)
    waiting = await call.reads.asset_queue_summary(row.dag_id)
    now = datetime.now(UTC)
    said, keys = verdict(policy, waiting, now), None
    if policy.key is not None:
        by_key = await waiting_by_key(call.reads, row.dag_id, policy)
        first = verdict_by_key(policy, {key: summary_of(queued) for key, queued in by_key.items()}, now)
        said, keys = Verdict(len(first.take), first.at, first.reason), len(by_key)
    reason = said.reason
    if row.is_paused and waiting.size:
        reason = "paused"
    elif said.take and await _is_full(call, spec):
        reason = "max_active_runs"
    return json_answer(
        {
            "dag_id": row.dag_id,
            "policy": policy.to_json(),
            "description": policy.summary(),
            "waiting": waiting.size,
            "waiting_keys": keys,
            "first_queued_at": waiting.first_at,
            "last_queued_at": waiting.last_at,
            "last_run_at": waiting.last_run_at,
            "next_run_at": said.at,
            "reason": reason,
        }
    )


async def _is_full(call: Call, spec: DagSpec) -> bool:
    unfinished = RunFilter(spec.dag_id, (RunState.QUEUED, RunState.RUNNING), limit=1)
    return (await call.reads.run_list(unfinished))[1] >= spec.max_active_runs


ROUTES: Final = (
    Route(
        "POST", "/events", "post_event", post_event, "Events",
        "Take an event in. With a `name` it goes to the DAGs that wait for it; with a `dag_id` and a `key` it starts "
        "the one run for that key, which waits while the DAG is paused. It is committed when this answers: 202, or 200 "
        "where the event of this key is known already, and 409 where that has another payload.",
        permission=Permission.OPERATE,
        body=(
            Param("name", Kind.TEXT, "The event's name.", nullable=True, minimum=1, maximum=1500),
            Param("dag_id", Kind.TEXT, "Start a run of this DAG.", nullable=True, minimum=1, maximum=250),
            Param(
                "key", Kind.TEXT, f"Makes it unique; the header {IDEMPOTENCY_KEY} is the same.",
                nullable=True, minimum=1, maximum=LONGEST_KEY,
            ),
            Param("payload", Kind.OBJECT, "What is to be known of it; the conf of the run.", nullable=True),
        ),
        answers={200: "AcceptedEvent", 202: "AcceptedEvent"},
    ),
    Route(
        "POST", "/webhooks/{name}", "post_webhook", post_webhook, "Events",
        "Take an event in from another service, which proves itself by a signature over the body instead of a login.",
        permission=None,
        answers={200: "AcceptedEvent", 202: "AcceptedEvent"},
    ),
    Route(
        "GET", "/dags/{dag_id}/eventSchedule", "get_event_schedule", get_schedule, "Events",
        "The policy of a DAG's EventSchedule, how many events wait by it, and when they start a run.",
        answers={200: "EventSchedule"},
    ),
)  # fmt: skip
