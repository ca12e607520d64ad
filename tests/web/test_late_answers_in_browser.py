"""Answers that come late: what somebody has typed, opened, chosen or left stays as it is."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import APIResponse, Page, Route, expect

from tests.web.conftest import Site, serving
from tests.web.test_pages_in_browser import LONGEST, page, reading_a_log, sign_in, site
from tests.web.test_rest_runs import triggered
from tradewind.control_ports import LiveEvent
from tradewind.model.states import TaskState
from tradewind.web.settings import WebConfig
from tradewind.web.ui import DIST

__all__ = ["page", "site"]

pytestmark = pytest.mark.browser

Held = asyncio.Queue[tuple[Route, APIResponse]]


async def holding(page: Page, method: str, path: str | re.Pattern[str], times: int | None = None) -> Held:
    """Requests of `method` to `path` are answered by the server, and the page gets the answers when they are let go.

    The first `times` requests to the path, where that is given.
    """
    held: Held = asyncio.Queue()

    async def hold(route: Route) -> None:
        if route.request.method == method:
            held.put_nowait((route, await route.fetch()))
        else:
            await route.continue_()

    await page.route(path, hold, times=times)
    return held


async def next_of(held: Held) -> tuple[Route, APIResponse]:
    async with asyncio.timeout(LONGEST / 1000):
        return await held.get()


async def let_go(page: Page, held: tuple[Route, APIResponse], changed: Callable[[bytes], bytes] = bytes) -> None:
    """The page gets a held answer, and has had time to draw what comes of it."""
    route, answer = held
    await route.fulfill(response=answer, body=changed(await answer.body()))
    await page.evaluate("url => fetch(url)", route.request.url.partition("/api/")[0] + "/api/v1/health")
    await page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


async def test_an_entry_that_comes_late_replaces_no_other_form(page: Page, site: Site) -> None:
    await sign_in(page, site, "/admin/variables")
    rows = page.get_by_role("row")
    await expect(rows).to_have_count(2)
    entries = await holding(page, "GET", "**/api/v1/variables/a")
    await page.get_by_role("button", name="a", exact=True).click()
    dialog = page.get_by_role("dialog")
    await expect(page.get_by_role("dialog", name="Change a")).to_contain_text("Loading a")
    await dialog.get_by_role("button", name="Close").click()
    stores = await holding(page, "POST", "**/api/v1/variables")
    await page.get_by_role("button", name="Add", exact=True).click()
    await dialog.get_by_label("Key").fill("b")
    await let_go(page, await next_of(entries))
    await expect(page.get_by_role("dialog", name="New variable").get_by_label("Key")).to_have_value("b")

    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog.get_by_role("button", name="Save")).to_be_disabled()
    await dialog.get_by_role("button", name="Cancel").click()
    await page.get_by_role("button", name="Add", exact=True).click()
    await dialog.get_by_label("Key").fill("c")
    await let_go(page, await next_of(stores))
    await expect(page.get_by_text("The variable b was made.")).to_be_visible()
    await expect(rows).to_have_count(3)
    await expect(dialog.get_by_label("Key")).to_have_value("c")


async def test_who_has_left_is_not_fetched_back(page: Page, site: Site) -> None:
    code: asyncio.Queue[Route] = asyncio.Queue()
    await page.route("**/assets/trigger_form-*.js", code.put, times=1)
    await sign_in(page, site, "/dags")
    await page.get_by_role("button", name="Trigger by_hand").click()
    dialog = page.get_by_role("dialog", name="Trigger by_hand")
    await expect(dialog).to_contain_text("Loading the form")
    await (await code.get()).continue_()
    runs = await holding(page, "POST", "**/api/v1/dags/by_hand/dagRuns")
    await dialog.get_by_role("button", name="Trigger", exact=True).click()
    await dialog.get_by_role("button", name="Cancel").click()
    await page.get_by_role("link", name="Inputs").click()
    await expect(page.get_by_text("Nobody is asked anything")).to_be_visible()
    await let_go(page, await next_of(runs))
    await expect(page.get_by_text("of by_hand was triggered")).to_be_visible()
    await expect(page.get_by_text("Nobody is asked anything")).to_be_visible()


async def test_an_old_list_does_not_undo_what_was_heard_since(page: Page, site: Site) -> None:
    await sign_in(page, site, "/dags")
    switch = page.get_by_role("switch", name="fetch_pictures active")
    await expect(switch).to_be_checked()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    answers = await holding(page, "GET", "**/api/v1/dags?*")
    await site.control.tell(LiveEvent("dag"))
    old = await next_of(answers)
    await site.control.dag_pause("fetch_pictures", paused=True)
    await expect(switch).not_to_be_checked()
    await let_go(page, old, lambda body: body.replace(b'"total_entries":3', b'"total_entries":7'))
    await expect(page.get_by_text("7 DAGs")).to_be_visible()
    await expect(switch).not_to_be_checked()


async def test_old_answers_do_not_undo_what_was_heard_of_a_dag_since(page: Page, site: Site) -> None:
    await sign_in(page, site, "/dags/fetch_pictures")
    await expect(page.get_by_text("No runs yet")).to_be_visible()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    answers = await holding(page, "GET", re.compile("/fetch_pictures/(details|dagRuns.limit.*)$"))
    dag = await site.store.dag_get("fetch_pictures")
    await site.control.tell(LiveEvent("dag", "fetch_pictures", dag=dag))
    old = [await next_of(answers), await next_of(answers)]
    run = await triggered(site)
    await expect(page.get_by_role("button", name="list: No status")).to_be_visible()
    await site.control.begin(run, "list")
    await expect(page.get_by_role("button", name="list: Running")).to_be_visible()
    await site.control.dag_pause("fetch_pictures", paused=True)
    switch = page.get_by_role("switch", name="fetch_pictures active")
    await expect(switch).not_to_be_checked()
    for one in old:
        await let_go(page, one, lambda body: body.replace(b'"total_entries":0', b'"total_entries":7'))
    await expect(page.get_by_text("1 of 8")).to_be_visible()
    await expect(switch).not_to_be_checked()
    await expect(page.get_by_role("button", name="list: Running")).to_be_visible()


async def test_the_chosen_run_stays_when_newer_ones_come(page: Page, site: Site) -> None:
    await triggered(site)
    for number in range(10):
        await triggered(site, f"more_{number}")
    await sign_in(page, site, "/dags/fetch_pictures?run=one&runs=10")
    runs = page.get_by_role("columnheader").get_by_role("button")
    await expect(runs).to_have_count(11)
    await triggered(site, "newer")
    await expect(page.get_by_role("button", name="Run newer: Queued")).to_be_visible()
    await expect(page.get_by_role("heading", name="one", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Run newer: Queued").click()
    await triggered(site, "newest")
    await expect(runs).to_have_count(10)

    answers = await holding(page, "GET", "**/api/v1/dags/fetch_pictures/dagRuns/one")
    await page.go_back()
    await expect(page.get_by_text("Loading the run one")).to_be_visible()
    await let_go(page, await next_of(answers))
    await expect(page.get_by_role("heading", name="one", exact=True)).to_be_visible()
    await page.goto(str(site.client.make_url("/dags/fetch_pictures?run=none")))
    await expect(page.get_by_text("This DAG has no run none")).to_be_visible()


async def test_nobody_is_signed_out_by_a_question_from_before(page: Page, site: Site) -> None:
    answers = await holding(page, "GET", "**/auth/me", times=1)
    await page.goto(str(site.client.make_url("/dags")))
    await page.get_by_label("Username").fill("admin")
    await page.get_by_label("Password").fill("admin-password")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    await let_go(page, await next_of(answers))
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    await expect(page.get_by_role("heading", name="DAGs")).to_be_visible()


async def test_a_session_that_has_ended_is_noticed_by_a_page_that_only_listens(
    page: Page, web_config: WebConfig, tmp_path: Path
) -> None:
    async with serving(replace(web_config, ui_folder=DIST, stream_lifetime=0.3), tmp_path) as site:
        await sign_in(page, site, "/browse/loop")
        await expect(page.get_by_text("Nothing has blocked the event loop")).to_be_visible()
        await expect(page.get_by_text("Reconnecting…")).to_be_visible()
        await page.context.clear_cookies()
        await expect(page.get_by_role("heading", name="Sign in to Tradewind")).to_be_visible()


async def test_what_is_shown_stays_while_it_cannot_be_fetched_anew(page: Page, site: Site) -> None:
    await sign_in(page, site, "/browse/loop")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    shown = page.get_by_text("Nothing has blocked the event loop")
    await expect(shown).to_be_visible()
    await page.route("**/api/v1/loop", lambda route: route.abort())
    await site.control.tell(LiveEvent("loop"))
    await expect(page.get_by_role("alert")).to_contain_text("could not be fetched")
    await expect(shown).to_be_visible()
    await page.unroute("**/api/v1/loop")
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("alert")).to_have_count(0)


async def test_a_mapped_instance_that_is_read_is_not_exchanged(page: Page, site: Site) -> None:
    run = await triggered(site)
    await site.control.expand(run, "list", [None, None])
    await sign_in(page, site, "/dags/fetch_pictures?run=one&task=list")
    choice = page.get_by_label("Mapped instance")
    await expect(choice).to_have_value("0")
    later = await site.store.instance_get(run.run_id, "list", 1)
    assert later is not None
    failed = replace(later, state=TaskState.FAILED)
    await site.control.tell(LiveEvent("task", run.dag_id, run.dag_run_id, items=(failed,)))
    await expect(choice.locator("optgroup").first).to_have_attribute("label", "Failed: 1")
    await expect(choice).to_have_value("0")


async def test_a_log_that_is_read_is_not_exchanged_for_that_of_the_next_attempt(page: Page, site: Site) -> None:
    run, _, log = await reading_a_log(page, site)
    await log.press("Home")
    await expect(page.get_by_role("checkbox", name="Follow")).not_to_be_checked()
    await site.control.finish(run, "list", failed="no such host")
    await site.control.begin(run, "list", 2)
    second = page.get_by_role("button", name="Attempt 2")
    await expect(second).to_have_attribute("aria-pressed", "false")
    await expect(log.get_by_text("line 0", exact=True)).to_be_in_viewport()
    await second.click()
    await expect(second).to_have_attribute("aria-pressed", "true")
    await expect(page.get_by_role("checkbox", name="Follow")).to_be_checked()
