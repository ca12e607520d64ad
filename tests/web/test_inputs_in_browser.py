"""The page of questions to people in a real browser, over a real runtime."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from tests.web.test_pages_in_browser import page
from tests.web.test_rest_inputs import RUN, asking, waiting

__all__ = ["page"]

pytestmark = [
    pytest.mark.browser,
    pytest.mark.blocks_the_loop,  # the start of a runtime reads small files on the loop
]

NOTHING: dict[str, object] = {"human_inputs": [], "total_entries": 0}


async def test_a_question_is_answered_with_a_form(page: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEWIND_HOME", str(tmp_path))
    async with waiting(asking()) as api:
        await api.deferred("work")
        await api.ask("POST", f"{RUN}/taskInstances/work/signals/go", body={"value": 1})
        await api.deferred("work")
        await page.goto(f"{api.url}/inputs")
        await page.get_by_label("Username").fill("admin")
        await page.get_by_label("Password").fill("admin-password")
        await page.get_by_role("button", name="Sign in").click()
        question = page.get_by_role("region", name="Is it good?")
        await expect(question).to_contain_text("For team")
        await question.get_by_label("ok").check()
        await question.get_by_label("note").fill("looks well")
        await page.route("**/api/v1/humanInputs", lambda route: route.fulfill(json=NOTHING))
        await api.ask("POST", "dags/asks/dagRuns", body={"dag_run_id": "two"})
        await expect(question.get_by_role("alert")).to_contain_text("This is asked no more")
        await expect(question.get_by_role("button", name="Answer")).to_be_disabled()
        await page.unroute("**/api/v1/humanInputs")
        await api.ask("POST", "dags/asks/dagRuns", body={"dag_run_id": "three"})
        await expect(question.get_by_role("alert")).to_have_count(0)
        if picture := os.environ.get("TRADEWIND_PICTURE"):
            await page.screenshot(path=picture)
        await question.get_by_role("button", name="Answer").click()
        await expect(page.get_by_text("Nobody is asked anything")).to_be_visible()
        await api.ask("POST", f"{RUN}/taskInstances/work/signals/go", body={"value": 2})
        assert (await api.results())["work"] == [1, True, "looks well", 2]
