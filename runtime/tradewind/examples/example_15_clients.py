"""Clients that all tasks on the loop share: opened by the first, used by all, closed when nobody needs them."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from datetime import timedelta

from aiohttp import ClientSession, web

from tradewind import DAG, resource, task


@resource
async def weather_service() -> AsyncIterator[str]:
    """The address of a service: so that the example needs none, it runs it."""

    async def answer(request: web.Request) -> web.Response:
        degrees = random.Random(request.match_info["city"]).randint(-10, 35)  # noqa: S311 - weather
        return web.json_response({"city": request.match_info["city"], "degrees": degrees})

    app = web.Application()
    app.router.add_get("/{city}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield site.name.removesuffix("/")
    await runner.cleanup()


@resource(idle=timedelta(minutes=1))
async def weather() -> AsyncIterator[ClientSession]:
    """One session for all: what stands behind the yield is done when nobody has used it for a minute."""
    async with weather_service() as address, ClientSession(f"{address}/") as session:
        yield session


with DAG(
    "example_15_clients",
    "Clients that all tasks on the loop share",
    schedule=None,
    is_paused_upon_creation=False,
    tags=["example"],
    doc_md="""
### Shared clients

`@resource` makes something that all tasks on the event loop share: it is opened by the first that asks for it, and
closed when nobody has used it for a while. Here it is a session with a service; the service is another one. For
sessions and pools with stored connections see `AsyncHook`, `tradewind_providers.http` and
`tradewind_providers.postgres`.
""",
) as dag:

    @task
    async def temperature(city: str) -> int:
        """Each city is a task, and all of them use one session."""
        async with weather() as session, session.get(city) as reply:
            return int((await reply.json())["degrees"])

    @task
    async def warmest(found: list[int]) -> int:
        """The highest of them."""
        print(f"asked for {len(found)} cities; it is warmest where it is {max(found)} degrees")
        return max(found)

    warmest(temperature.expand(city=["Oslo", "Rome", "Lima", "Cairo", "Perth"]))
