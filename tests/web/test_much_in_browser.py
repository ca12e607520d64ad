"""The pages with much to show: long logs, tasks with many instances, errors of many lines."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from tests.web.conftest import Site
from tests.web.test_logs import Writer
from tests.web.test_pages_in_browser import page, sign_in, site
from tests.web.test_rest_runs import triggered

__all__ = ["page", "site"]

pytestmark = pytest.mark.browser


async def test_a_long_log_is_followed_to_its_very_end(page: Page, site: Site) -> None:
    """Lines that are out of view have no height yet, and these are higher than they are taken for."""
    run = await triggered(site)
    await site.control.begin(run, "list")
    writer = Writer(site)
    for number in range(2_000):
        writer.write(f"line {number} {'word ' * 60}")
    writer.write("the last", end="success")
    await site.control.finish(run, "list")
    await sign_in(page, site, "/dags/fetch_pictures?run=one&task=list")
    log = page.get_by_role("log", name="Log of list, attempt 1")
    follow = page.get_by_role("checkbox", name="Follow")
    await expect(page.get_by_label("Log", exact=True)).to_contain_text("Complete · 2001 lines")
    await expect(log.get_by_text("the last")).to_be_in_viewport()

    await log.press("Home")
    await expect(log.get_by_text("line 0 ")).to_be_in_viewport()
    await expect(follow).not_to_be_checked()
    await log.press("End")
    await expect(log.get_by_text("the last")).to_be_in_viewport()
    await expect(follow).to_be_checked()


async def test_what_failed_of_a_mapped_task_comes_first(page: Page, site: Site) -> None:
    run = await triggered(site)
    await site.control.expand(run, "list", [None, "the second", None, None], failed=[2])
    await sign_in(page, site, "/dags/fetch_pictures?run=one&tab=tasks")
    row = page.get_by_role("tabpanel").get_by_role("row", name="list")
    await expect(row.get_by_role("cell").first).to_have_text(re.compile("Failed . 1Success . 3"))
    await row.get_by_role("button").click()
    choice = page.get_by_label("Mapped instance")
    await expect(choice).to_have_value("2")
    await expect(choice.locator("optgroup").first).to_have_attribute("label", "Failed: 1")
    await expect(choice.get_by_role("option", name="1 · the second: Success")).to_be_attached()


async def test_no_page_stands_below_that_of_a_dag(page: Page, site: Site) -> None:
    await sign_in(page, site, "/dags/fetch_pictures/runs/one")
    await expect(page).to_have_title("Not found · Tradewind")
