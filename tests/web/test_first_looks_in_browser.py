"""What a newcomer meets in the pages: partitions of runs, copies, keys, DAGs and servers that are not there."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, Route, expect

from tests.web.conftest import Site
from tests.web.test_pages_in_browser import page, sign_in, site

__all__ = ["page", "site"]

pytestmark = pytest.mark.browser


async def test_a_run_shows_its_partition(page: Page, site: Site) -> None:
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await sign_in(page, site, "/dags/by_hand")
    await page.get_by_role("button", name="Trigger").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_text("More options").click()
    await dialog.get_by_label("Partition key").fill("eu/2026-03")
    await dialog.get_by_role("button", name="Trigger", exact=True).click()
    run = page.get_by_label("Run manual__", exact=False)
    await expect(run.get_by_text("eu/2026-03", exact=True)).to_be_visible()
    await run.get_by_role("button", name="Copy the partition key").click()
    await expect(run.get_by_role("button", name="Copied the partition key")).to_be_visible()
    assert await page.evaluate("navigator.clipboard.readText()") == "eu/2026-03"
    await expect(page.get_by_role("columnheader").get_by_role("button")).to_have_attribute(
        "title", re.compile("partition eu/2026-03")
    )
    await page.get_by_role("link", name="DAGs").first.click()
    recent = page.get_by_role("row", name="by_hand").get_by_role("link", name="Run manual__")
    title = await recent.get_attribute("title")
    assert title is not None
    assert "Partition eu/2026-03" in title.splitlines()


async def test_where_one_is_and_how_to_search(page: Page, site: Site) -> None:
    await sign_in(page, site, "/dags")
    current = page.get_by_role("navigation", name="Main").locator("[aria-current]")
    await expect(current).to_have_text("DAGs")
    await expect(page.get_by_role("row")).to_have_count(4)
    await page.keyboard.press("/")
    await expect(page.get_by_role("searchbox", name="Search DAGs")).to_be_focused()
    await page.keyboard.type("hand/")
    await expect(page.get_by_role("searchbox")).to_have_value("hand/")
    await page.get_by_role("link", name="Browse").click()
    await expect(current).to_have_text("Browse")


async def test_a_dag_that_is_not_there_is_not_waited_for(page: Page, site: Site) -> None:
    await sign_in(page, site, "/dags/nowhere")
    await expect(page.get_by_role("alert")).to_contain_text("DAG not found")
    await expect(page.locator(".live")).to_have_count(0)
    await page.get_by_role("button", name="Try again").click()
    await expect(page.get_by_role("alert")).to_contain_text("DAG not found")
    await page.get_by_role("link", name="All DAGs").click()
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()


async def test_a_page_that_could_not_be_fetched_comes_by_itself(page: Page, site: Site) -> None:
    async def away(route: Route) -> None:
        await route.abort()

    await page.clock.install()
    await page.route("**/assets/inputs-*.js", away)  # before the first page, which fetches the others ahead
    await sign_in(page, site, "/dags")
    await page.get_by_role("link", name="Inputs").click()
    await expect(page.get_by_role("alert")).to_contain_text("be reached")
    await page.unroute("**/assets/inputs-*.js")
    await page.clock.fast_forward("00:03")
    await expect(page.get_by_role("heading", name="Waiting for people")).to_be_visible()


async def test_the_list_of_operations_is_dressed(page: Page, site: Site) -> None:
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    await page.goto(str(site.client.make_url("/api/v1/ui")))
    await expect(page.get_by_role("cell", name="/api/v1/dags", exact=True).first).to_have_css("text-align", "left")
    await page.get_by_role("link", name="Back to the pages").click()
    await expect(page.get_by_label("Username")).to_be_visible()
    assert [text for text in wrong if "401" not in text] == []
