"""A small web service that runs its workflows itself: people sign up, get an account and a greeting.

    DATABASE_URL=postgresql://… python signup_service.py

It keeps its own table in the database that Tradewind uses too, so a row of its own and the run that is to follow it
are committed together, or neither is. The pages are at /workflows/ (make a login with `tradewind users create`).
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
from aiohttp import web

from tradewind import DAG, FailWithoutRetry, RunFailed, Runtime, task
from tradewind.web.embedding import RUNTIME, make_app, tradewind_ctx

TABLE = "CREATE TABLE IF NOT EXISTS account (email text PRIMARY KEY, greeting text)"


class Accounts:
    """The service's own table. Its pool lives as long as the application."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    @property
    def pool(self) -> asyncpg.Pool[asyncpg.Record]:
        """The connections, while the application runs."""
        assert self._pool is not None, "the application has not started"
        return self._pool

    async def live(self, app: web.Application) -> AsyncIterator[None]:
        """For `app.cleanup_ctx`."""
        async with asyncpg.create_pool(self._url, min_size=1, max_size=5) as pool:
            await pool.execute(TABLE)
            self._pool = pool
            yield


def onboarding(accounts: Accounts) -> DAG:
    """Greets who has signed up. Async tasks run on the service's own loop and use its own objects."""
    with DAG("onboarding", schedule=None, params={"email": ""}) as dag:

        @task
        def write(email: str) -> str:
            """A plain function: it runs in a thread, so it may compute and block."""
            if "@" not in email:
                raise FailWithoutRetry(f"{email!r} is no address")
            return f"Welcome, {email.partition('@')[0]}!"

        @task(retries=3)
        async def keep(email: str, greeting: str) -> dict[str, Any]:
            await accounts.pool.execute("UPDATE account SET greeting = $2 WHERE email = $1", email, greeting)
            return {"email": email, "greeting": greeting}

        keep("{{ params.email }}", write("{{ params.email }}"))
    return dag


@dataclass(frozen=True)
class Service:
    """The handlers."""

    accounts: Accounts

    async def sign_up(self, request: web.Request) -> web.Response:
        """The row and the run in one transaction; the answer waits a little, and else says where to ask."""
        email = str((await request.json())["email"])
        try:
            async with self.accounts.pool.acquire() as db, db.transaction():
                await db.execute("INSERT INTO account (email) VALUES ($1)", email)
                run = await request.app[RUNTIME].trigger("onboarding", {"email": email}, key=email, connection=db)
        except asyncpg.UniqueViolationError:
            raise web.HTTPConflict(text=f"{email} has an account") from None
        try:
            return web.json_response(await run.result(timeout=5))
        except TimeoutError:
            return web.json_response({"run": run.id}, status=202)
        except RunFailed as failed:
            return web.json_response({"error": str(failed), "run": run.id}, status=422)

    async def preview(self, request: web.Request) -> web.Response:
        """A run and its result in one line; `write` is the task whose result is wanted."""
        conf = {"email": request.query["email"]}
        greeting = await request.app[RUNTIME].run("onboarding", conf, task_id="write", timeout=10)
        return web.json_response({"greeting": greeting})


def make_service(url: str) -> web.Application:
    """The application. Reads the configuration, so make it before the loop runs."""
    accounts = Accounts(url)
    runtime = Runtime(database=url, dags=[onboarding(accounts)], create_tables=True)
    service = Service(accounts)
    app = web.Application()
    app.cleanup_ctx.append(accounts.live)  # first in, last out: the tasks need it until the runtime has drained
    app.cleanup_ctx.append(tradewind_ctx(runtime))
    app.router.add_post("/sign-up", service.sign_up)
    app.router.add_get("/preview", service.preview)
    app.add_subapp("/workflows", make_app(runtime))
    return app


if __name__ == "__main__":
    web.run_app(make_service(os.environ["DATABASE_URL"]))
