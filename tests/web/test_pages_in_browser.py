"""The pages in a real browser, over the real application: what a person does with roles and names."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.async_api import Locator, Page, async_playwright, expect

from tests.web.conftest import Site, serving
from tests.web.test_logs import Writer
from tests.web.test_rest_runs import triggered
from tradewind.model.rows import RunRow
from tradewind.model.states import RunState
from tradewind.ports import RunFilter
from tradewind.web.settings import WebConfig
from tradewind.web.ui import DIST

pytestmark = pytest.mark.browser

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip

LONGEST = 60_000
"""Milliseconds that a page may take for anything on a machine that is busy with other things."""


@pytest.fixture
async def site(web_config: WebConfig, tmp_path: Path) -> AsyncIterator[Site]:
    """The application with the pages as they are built."""
    async with serving(replace(web_config, ui_folder=DIST), tmp_path) as started:
        yield started


@pytest.fixture
async def page(chromium_path: Path) -> AsyncIterator[Page]:
    """A new browser; the test fails if a page breaks or asks for anything outside this machine."""
    wrong: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=list(FLAGS))
        page = await browser.new_page()
        page.set_default_timeout(LONGEST)
        expect.set_options(timeout=LONGEST)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: None if "127.0.0.1" in request.url else wrong.append(request.url))
        yield page
        await browser.close()
    assert not wrong


async def sign_in(page: Page, site: Site, path: str, username: str = "admin") -> None:
    await page.goto(str(site.client.make_url(path)))
    await page.get_by_label("Username").fill(username)
    await page.get_by_label("Password").fill(f"{username}-password")
    await page.get_by_role("button", name="Sign in").click()


async def test_signing_in_and_out(page: Page, site: Site) -> None:
    await page.goto(str(site.client.make_url("/dags/hourly")))
    await page.get_by_label("Username").fill("admin")
    await page.get_by_label("Password").fill("a wrong one")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_role("alert")).to_contain_text("Username or password is wrong")
    await page.get_by_label("Password").fill("admin-password")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="hourly")).to_be_visible()
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading", name="Sign in to Tradewind")).to_be_visible()


@pytest.mark.spec("1:U2", "3:U01")
async def test_list_of_dags(page: Page, site: Site) -> None:
    await sign_in(page, site, "/")
    await expect(page.get_by_role("row")).to_have_count(4)
    await expect(page.get_by_label("Import errors")).to_contain_text("1 DAG file")
    await expect(page.get_by_label("Health")).to_contain_text("Scheduler healthy")

    switch = page.get_by_role("switch", name="hourly active")
    await expect(switch).not_to_be_checked()
    await switch.click()
    await expect(switch).to_be_checked()
    await site.control.dag_pause("hourly", paused=True)
    await expect(switch).not_to_be_checked()

    await page.get_by_role("searchbox", name="Search DAGs").fill("fetch")
    await expect(page.get_by_role("row")).to_have_count(2)
    await page.get_by_role("searchbox", name="Search DAGs").fill("nowhere")
    await expect(page.get_by_text("No DAG matches")).to_be_visible()
    await page.get_by_role("link", name="Show all DAGs").click()
    await page.get_by_role("button", name="Paused", exact=True).click()
    await expect(page.get_by_role("rowheader")).to_have_text(["hourly"])


async def test_a_paused_dag_is_unpaused_and_run(page: Page, site: Site) -> None:
    await sign_in(page, site, "/dags")
    await page.get_by_role("button", name="Trigger hourly").click()
    dialog = page.get_by_role("dialog", name="Trigger hourly")
    await expect(dialog).to_contain_text("Unpause and run?")
    await dialog.get_by_label("Configuration").fill("[1")
    await expect(dialog.get_by_role("button", name="Unpause and run")).to_be_disabled()
    await dialog.get_by_label("Configuration").fill('{"colour": "green"}')
    await dialog.get_by_role("button", name="Unpause and run").click()
    await expect(page.get_by_role("heading", name="manual__")).to_be_visible()
    await expect(page.get_by_role("switch", name="hourly active")).to_be_checked()
    await page.get_by_role("tab", name="Details").click()
    await expect(page.get_by_label("Configuration")).to_contain_text('"colour": "green"')


@pytest.mark.spec("1:U3", "1:U4", "1:U15", "3:U02", "3:U04")
async def test_a_run_is_watched_while_it_goes(page: Page, site: Site) -> None:
    await sign_in(page, site, "/dags/fetch_pictures")
    await expect(page.get_by_text("No runs yet")).to_be_visible()
    await page.get_by_role("button", name="Trigger").click()
    await page.get_by_role("dialog").get_by_role("button", name="Trigger", exact=True).click()
    await expect(page.get_by_role("button", name="list: No status")).to_be_visible()

    (run,), _ = await site.store.run_list(RunFilter(dag_id="fetch_pictures"))
    await site.control.move_run(run, RunState.RUNNING)
    await site.control.begin(run, "list")
    await expect(page.get_by_role("button", name="list: Running")).to_be_visible()
    await expect(page.get_by_role("grid").get_by_role("button", name="Running")).to_have_count(2)
    await site.control.finish(run, "list", failed="no such host")
    await site.control.move_run(run, RunState.FAILED)
    await expect(page.get_by_role("button", name="list: Failed")).to_be_visible()
    await expect(page.get_by_role("grid").get_by_role("button", name="Failed")).to_have_count(2)

    await page.get_by_role("columnheader").get_by_role("button", name="Failed").focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="list", exact=True)).to_be_visible()
    await page.go_back()
    await page.get_by_role("tab", name="Tasks").click()
    await page.get_by_role("button", name="report", exact=True).click()
    await expect(page.get_by_text("No attempt has begun")).to_be_visible()


async def reading_a_log(page: Page, site: Site) -> tuple[RunRow, Writer, Locator]:
    """A task runs and has written 200 lines; the page shows the last."""
    run = await triggered(site)
    await site.control.begin(run, "list")
    writer = Writer(site)
    for number in range(200):
        writer.write(f"line {number}")
    await sign_in(page, site, "/dags/fetch_pictures?run=one&task=list")
    log = page.get_by_role("log", name="Log of list, attempt 1")
    await expect(log.get_by_text("line 199")).to_be_in_viewport()
    return run, writer, log


async def test_a_log_is_read_while_it_is_written(page: Page, site: Site) -> None:
    run, writer, log = await reading_a_log(page, site)
    writer.write("\x1b[31mthe newest\x1b[0m")
    await expect(log.get_by_text("the newest", exact=True)).to_be_in_viewport()
    await expect(page.get_by_label("Log", exact=True)).to_contain_text("Live · 201 lines")

    await log.hover()
    await page.mouse.wheel(0, -3000)
    await expect(page.get_by_role("checkbox", name="Follow")).not_to_be_checked()
    writer.write("the last", end="success")
    await site.control.finish(run, "list")
    await expect(page.get_by_label("Log", exact=True)).to_contain_text("Complete")
    await expect(log.get_by_text("the last")).not_to_be_in_viewport()
    await page.get_by_role("checkbox", name="Follow").check()
    await expect(log.get_by_text("the last")).to_be_in_viewport()
    async with page.expect_download() as download:
        await page.get_by_role("button", name="Download").click()
    saved = await (await download.value).path()
    assert "line 199\n" in saved.read_text()


async def test_a_log_goes_on_after_the_server_ended_its_stream(
    page: Page, web_config: WebConfig, tmp_path: Path
) -> None:
    config = replace(web_config, ui_folder=DIST, stream_lifetime=0.3)
    async with serving(config, tmp_path) as site:
        run = await triggered(site)
        await site.control.begin(run, "list")
        writer = Writer(site)
        writer.write("before")
        await sign_in(page, site, "/dags/fetch_pictures?run=one&task=list")
        log = page.get_by_role("log")
        await expect(log).to_contain_text("before")
        await expect(page.get_by_label("Log", exact=True)).to_contain_text("Interrupted")
        writer.write("between")
        await expect(log).to_contain_text("between")
        await expect(page.get_by_label("Log", exact=True)).to_contain_text("2 lines")


@pytest.mark.spec("2:C-14", "1:U12")
async def test_connections_variables_and_pools(page: Page, site: Site) -> None:
    await sign_in(page, site, "/admin")
    await expect(page.get_by_role("tab", name="Connections")).to_have_attribute("aria-selected", "true")
    await page.get_by_role("button", name="Add", exact=True).click()
    form = page.get_by_role("dialog")
    await form.get_by_label("Id", exact=True).fill("web")
    await form.get_by_label("Type").fill("http")
    await form.get_by_label("Login").fill("airflow")
    await form.get_by_label("Schema").fill("http")
    await form.get_by_label("Port").fill("8080")
    await form.get_by_label("Password").fill("sesame")
    await form.get_by_label("Extra (JSON)").fill('{"api_token": "abracadabra", "timeout": 3}')
    await form.get_by_role("button", name="Save").click()
    await expect(form).to_have_count(0)
    await page.get_by_role("button", name="web", exact=True).click()
    await expect(form.get_by_label("Password")).to_have_value("")
    await expect(form.get_by_label("Extra (JSON)")).to_have_value('{"api_token": "***", "timeout": 3}')
    await form.get_by_label("Host").fill("example.com")
    await form.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("row", name="web")).to_contain_text("example.com")
    stored = await site.store.connection_get("web")
    assert stored is not None
    assert "sesame" in stored
    assert "abracadabra" in stored
    assert '"schema": "http"' in stored
    await page.get_by_role("tab", name="Variables").click()
    await expect(page.get_by_role("row", name="what for")).to_be_visible()
    page.on("dialog", lambda question: asyncio.ensure_future(question.accept()))
    await page.get_by_role("button", name="Delete a", exact=True).click()
    await expect(page.get_by_text("No variables yet")).to_be_visible()
    await page.get_by_role("tab", name="Pools").click()
    await page.get_by_role("button", name="small", exact=True).click()
    await form.get_by_label("Slots").fill("-5")
    await form.get_by_role("button", name="Save").click()
    await expect(form.get_by_role("alert")).to_contain_text("slots must be at least -1")
    await form.get_by_label("Slots").fill("5")
    await form.get_by_role("button", name="Save").click()
    await expect(form).to_have_count(0)
    assert [pool.slots for pool in await site.store.pool_list()] == [128, 5]


async def test_who_may_not_see_secrets_is_told_so(page: Page, site: Site) -> None:
    await sign_in(page, site, "/admin/connections", "vic")
    await expect(page.get_by_role("alert")).to_contain_text("No connections to show")
    await expect(page.get_by_role("link", name="Admin")).to_have_count(0)
