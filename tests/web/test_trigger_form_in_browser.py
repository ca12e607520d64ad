"""The dialog that starts a run: the params of the DAG as a form."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from playwright.async_api import Page, Route, expect

from tests.web.conftest import BY_HAND, Site, parsed
from tests.web.test_browse_in_browser import pictured
from tests.web.test_pages_in_browser import page, sign_in, site
from tradewind.ports import RunFilter

__all__ = ["page", "site"]

pytestmark = pytest.mark.browser


async def test_params_are_filled_in_or_written_as_json(page: Page, site: Site) -> None:
    await sign_in(page, site, "/dags/fetch_pictures")
    await page.get_by_role("button", name="Trigger").click()
    dialog = page.get_by_role("dialog")
    limit = dialog.get_by_label("limit")
    await expect(limit).to_have_value("3")
    await expect(limit).to_be_focused()
    await expect(dialog).to_contain_text("how many")
    await limit.fill("7")
    await dialog.get_by_role("button", name="Trigger", exact=True).click()
    await page.get_by_role("tab", name="Details").click()
    await expect(page.get_by_label("Configuration")).to_contain_text('"limit": 7')

    await page.get_by_role("button", name="Trigger").click()
    await limit.fill("8")
    await dialog.get_by_role("button", name="Write it as JSON").click()
    text = dialog.get_by_label("Configuration")
    await expect(text).to_have_value('{\n  "limit": 8\n}')
    await text.fill('{"limit": 9}')
    await dialog.get_by_role("button", name="Trigger", exact=True).click()
    await expect(dialog).to_be_hidden()
    runs, _ = await site.store.run_list(RunFilter(dag_id="fetch_pictures"))
    assert sorted(run.conf.data for run in runs if run.conf is not None) == [b'{"limit":7}', b'{"limit":9}']


async def test_params_stand_in_the_order_of_the_file_under_their_sections(page: Page, site: Site) -> None:
    params = {
        "zone": {"value": "eu", "schema": {"type": "string", "section": "Where"}, "description": "Whose data"},
        "until": {"value": "2026-03-01", "schema": {"type": "string", "format": "date"}},
        "area": {"schema": {"type": "integer", "section": "Where", "description_md": "in **km²**"}},
        "dry": {"value": True, "schema": {"type": "boolean", "section": "How"}},
        "mode": {"value": "fast", "schema": {"enum": ["fast", "safe"]}},
    }
    await site.store.dag_publish(site.lease, "dags", [parsed(replace(BY_HAND, params=params))])
    await sign_in(page, site, "/dags/by_hand")
    await page.get_by_role("button", name="Trigger").click()
    dialog = page.get_by_role("dialog")
    form = dialog.get_by_role("group", name="Params")
    names = form.locator("label > span, label.check, summary")
    await expect(names).to_have_text(["until", "mode", "Where", "zone", "area", "How", "dry"])
    await expect(form).to_contain_text("in **km²**")
    await pictured(page, "params")
    await form.get_by_text("Where").click()
    await expect(form.get_by_label("area")).to_be_hidden()
    await dialog.get_by_role("button", name="Trigger", exact=True).click()
    await expect(dialog.get_by_role("alert")).to_contain_text("area: a value is needed.")
    await form.get_by_text("Where").click()
    await form.get_by_label("area").fill("7")
    await dialog.get_by_role("button", name="Trigger", exact=True).click()
    await expect(dialog).to_be_hidden()
    [run], _ = await site.store.run_list(RunFilter(dag_id="by_hand"))
    assert run.conf is not None
    assert run.conf.data == b'{"zone":"eu","until":"2026-03-01","area":7,"dry":true,"mode":"fast"}'


async def test_nothing_can_be_filled_in_before_the_params_are_known(page: Page, site: Site) -> None:
    await sign_in(page, site, "/dags")
    held: asyncio.Queue[Route] = asyncio.Queue()
    await page.route("**/api/v1/dags/fetch_pictures/details", held.put)
    opens = page.get_by_role("button", name="Trigger fetch_pictures")
    dialog = page.get_by_role("dialog")
    await opens.click()
    answer = await held.get()
    await expect(dialog).to_contain_text("Loading the params")
    await expect(dialog.get_by_label("Configuration")).to_have_count(0)
    await expect(dialog.get_by_role("button", name="Trigger", exact=True)).to_be_disabled()
    await answer.continue_()
    await expect(dialog.get_by_label("limit")).to_be_focused()

    await dialog.get_by_role("button", name="Cancel").click()
    await opens.click()
    await (await held.get()).abort()
    await expect(dialog.get_by_label("Configuration")).to_have_value("{}")
