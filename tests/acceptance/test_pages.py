"""The main job through the pages: a person signs in, triggers it, sees it end and reads how many pictures there are."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Page, async_playwright, expect

from tests.acceptance.launch_service import PICTURES, LaunchService
from tests.acceptance.standalone import Standalone, standalone
from tests.acceptance.test_examples import ROCKETS
from tests.web.test_pages_in_browser import FLAGS

pytestmark = [pytest.mark.browser, pytest.mark.slow]
MILLISECONDS = 90_000


async def test_the_main_job_through_the_pages(own_home: Path, launches: LaunchService, chromium_path: Path) -> None:
    folder = own_home / "pictures"
    async with standalone(own_home) as system, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium_path, args=list(FLAGS))
        page = await browser.new_page()
        page.set_default_timeout(MILLISECONDS)
        expect.set_options(timeout=MILLISECONDS)
        await _sign_in(page, system)
        await expect(page.get_by_role("rowheader").first).to_contain_text("example_01_hello")
        await page.get_by_role("button", name=f"Trigger {ROCKETS}").click()
        dialog = page.get_by_role("dialog", name=f"Trigger {ROCKETS}")
        await dialog.get_by_label("address").fill(launches.address)
        await dialog.get_by_label("folder").fill(str(folder))
        await dialog.get_by_role("button", name="Trigger", exact=True).click()
        await expect(page.get_by_role("button", name="notify: Success")).to_be_visible()
        await page.get_by_role("button", name="notify: Success").click()
        log = page.get_by_role("log")
        await expect(log).to_contain_text(f"There are now {len(PICTURES)} images in {folder}.")
        await expect(log).to_contain_text(f"Missing: {launches.missing}")
        await browser.close()
        assert sorted(path.name for path in folder.iterdir()) == sorted(PICTURES)


async def _sign_in(page: Page, system: Standalone) -> None:
    name, password = system.login
    await page.goto(system.url)
    await page.get_by_label("Username").fill(name)
    await page.get_by_label("Password").fill(password)
    await page.get_by_role("button", name="Sign in").click()
