"""GET /metrics: what the runtime and this server have counted, for Prometheus.

What is told is collected on the loop, from memory; the text is made of it in a thread. The library that writes the
format is imported by the first scrape.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from typing import Final

import anyio.to_thread
from aiohttp import hdrs, web

from tradewind.control_ports import Control
from tradewind.model.metrics import Distribution, Metric, MetricKind, MetricSample
from tradewind.web.keys import AUTHENTICATOR, CONFIG, CONTROL, TIMINGS
from tradewind.web.problems import Problem
from tradewind.web.roles import Permission
from tradewind.web.timings import BOUNDS, RequestTimings

_BEARER: Final = "bearer"


async def serve_metrics(request: web.Request) -> web.Response:
    """The text format, or OpenMetrics where the scraper asks for it."""
    await _admit(request)
    app = request.app
    control = app[CONTROL]
    found = [*_of_server(control), *await control.metrics(), _of_requests(app[TIMINGS])]
    accepted = request.headers.get(hdrs.ACCEPT, "")
    text, content_type = await anyio.to_thread.run_sync(_as_text, found, accepted)
    headers = {hdrs.CONTENT_TYPE: content_type, hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(body=text, headers=headers)


async def _admit(request: web.Request) -> None:
    """Raises Problem 401, 403 or 429 for somebody who may not read this."""
    config = request.app[CONFIG]
    if config.metrics_public:
        return
    scheme, _, given = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() != _BEARER:
        await request.app[AUTHENTICATOR].demand(request, Permission.READ)
        return
    token = config.metrics_token
    if token is None or not hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode()):
        detail = "This token does not read the metrics." if token else "No token reads the metrics: set metrics.token."
        raise Problem(401, "Unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="Tradewind"'})


def _of_server(control: Control) -> Iterator[Metric]:
    health = control.health()
    version = [MetricSample((health.version,), 1)]
    yield Metric("build_info", MetricKind.GAUGE, "1, with the version of this server.", ("version",), version)
    if health.scheduler_beat is None:
        return  # a server without a runtime, which is no reason for alarm; or one that is just starting
    yield _is("database_up", "Whether the database has answered lately.", health.database)
    yield _is("scheduler_up", "Whether the runtime is at work.", health.scheduler)
    doc = "When the runtime's lease was last renewed, in seconds since 1970."
    beat = [MetricSample((), health.scheduler_beat.timestamp())]
    yield Metric("last_beat_timestamp_seconds", MetricKind.GAUGE, doc, (), beat)


def _is(name: str, doc: str, value: bool) -> Metric:
    return Metric(name, MetricKind.GAUGE, doc, (), [MetricSample((), float(value))])


def _of_requests(timings: RequestTimings) -> Metric:
    samples = [
        MetricSample(key, Distribution(BOUNDS, tuple(timing.buckets), timing.seconds))
        for key, timing in timings.series().items()
    ]
    doc = "How long answers to requests took, by the pattern of their path."
    return Metric("http_request_duration_seconds", MetricKind.HISTOGRAM, doc, ("method", "route", "status"), samples)


def _as_text(metrics: Sequence[Metric], accepted: str) -> tuple[bytes, str]:
    from tradewind.web.metrics_text import as_text

    return as_text(metrics, accepted)


def add_routes(app: web.Application) -> None:
    """Registers the address that Prometheus looks at by default."""
    app.router.add_get("/metrics", serve_metrics, name="metrics")
