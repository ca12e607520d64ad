"""The pages of what is behind runs, tasks and assets, in a real browser: they follow the changes."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Page, expect

from tests.web.conftest import BY_HAND, Site, parsed
from tests.web.test_pages_in_browser import page, sign_in, site
from tests.web.test_rest_deadlines import late
from tests.web.test_rest_runs import triggered
from tradewind.control_ports import LiveEvent
from tradewind.model.assets import OUTLET, SCHEDULE, AssetUse, ExternalEvent, WatcherSpec
from tradewind.model.batch import Batch, Segment, XComRow
from tradewind.model.loop import CoroutineKind, HostFacts, KindUse, LoopOffence, LoopReport, OffenceKind
from tradewind.model.outcomes import CODEC_JSON, QUERY_PREFIX, EncodedValue
from tradewind.model.rows import RunRow
from tradewind.model.state_stores import StateScope
from tradewind.model.states import RunState
from tradewind.model.watches import PAUSING, RUNNING, WatchFacts

__all__ = ["page", "site"]

pytestmark = pytest.mark.browser

ORDERS = AssetUse(OUTLET, "asset", "s3://lake/orders", task_id="only", name="orders", group="asset")
AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def pictured(page: Page, name: str) -> None:
    """For people who want to look: pictures in the folder that the environment names, in both themes and narrow."""
    folder = os.environ.get("TRADEWIND_PICTURES")
    if not folder:
        return
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme)
        await page.screenshot(path=f"{folder}/{name}-{theme}.png")
    await page.set_viewport_size({"width": 390, "height": 800})
    await page.screenshot(path=f"{folder}/{name}-narrow.png", full_page=True)
    wide = await page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 390, f"{name}: {wide} pixels wide"
    await page.set_viewport_size({"width": 1280, "height": 720})


async def publish(site: Site, run: RunRow, name: str, value: bytes) -> None:
    segment = Segment(run.run_id, run.dag_id)
    segment.xcoms.append(XComRow("list", -1, QUERY_PREFIX + name, EncodedValue(CODEC_JSON, value)))
    await site.store.batch_apply(site.lease, Batch([segment]))
    await site.control.tell(LiveEvent("queries", run.dag_id, run.dag_run_id))


async def test_why_a_task_waits_and_what_it_tells(page: Page, site: Site) -> None:
    run = await triggered(site)
    await site.control.move_run(run, RunState.RUNNING)
    await site.store.state_put(StateScope(run.run_id, "list"), "job", '{"id": 7}')
    await sign_in(page, site, "/dags/fetch_pictures?run=one&task=list")
    why = page.get_by_role("region", name="Why it waits")
    await expect(why).to_contain_text("nothing schedules list of one here")
    await expect(page.get_by_role("region", name="Kept across tries")).to_contain_text('job{"id":7}')
    await site.control.begin(run, "list")
    await expect(why).to_have_count(0)
    told = page.get_by_role("region", name="Published")
    await publish(site, run, "progress", b'{"done":0.25}')
    await expect(told).to_contain_text('progress{"done":0.25}')
    await publish(site, run, "progress", b'{"done":0.5}')
    await expect(told).to_contain_text('{"done":0.5}')
    await pictured(page, "task")
    await page.get_by_role("button", name="← one").click()
    await page.get_by_role("tab", name="Waiting").click()
    waiting = page.get_by_role("table", name="What tasks wait for").get_by_role("row")
    await expect(waiting).to_have_count(3)
    await expect(waiting.last).to_contain_text("nothing schedules report of one here")
    await pictured(page, "waiting")


@pytest.mark.spec("2:B-35")
async def test_missed_deadlines(page: Page, site: Site) -> None:
    await sign_in(page, site, "/browse")
    await expect(page.get_by_text("Nothing was missed")).to_be_visible()
    run = await late(site)
    await site.control.tell(LiveEvent("deadlines"))
    rows = page.get_by_role("table", name="Missed deadlines").get_by_role("row")
    await expect(rows).to_have_count(3)
    await expect(page.get_by_role("row", name="SLA")).to_contain_text("list running")
    await pictured(page, "deadlines")
    await rows.last.get_by_role("link", name=run.dag_id).click()
    missed = page.get_by_role("region", name="Missed deadlines")
    await expect(missed).to_contain_text("The deadline by noon of")
    await expect(missed).to_contain_text("list had not ended")
    await pictured(page, "run")


async def test_watchers_and_their_assets(page: Page, site: Site) -> None:
    watcher = WatcherSpec("s3://lake/orders", "queue", "mail.box", CODEC_JSON, "{}")
    facts = WatchFacts(watcher, ("load",), RUNNING, AT, events=3, last_event_at=AT)
    site.control.watchers = (facts,)
    kind = CoroutineKind("load", "s3://lake/orders:queue", "watcher")
    site.control.loop = LoopReport(kinds=(KindUse(kind, "hosts", 1, 1, 0.0),))
    load = replace(BY_HAND, dag_id="load", assets=(ORDERS,))
    report = replace(BY_HAND, dag_id="report", assets=(replace(ORDERS, role=SCHEDULE, task_id=""),))
    await site.store.dag_publish(site.lease, "dags", [parsed(load), parsed(report)])
    await site.store.asset_event_add(ExternalEvent("s3://lake/orders", b'{"rows": 12}', "k"))
    await site.store.state_put(StateScope.of_asset(name="orders"), "watermark", '"2026-02-28"')
    await sign_in(page, site, "/browse/watchers")
    row = page.get_by_role("row", name="queue")
    await expect(row).to_contain_text("Runningin an async host")
    error = "Traceback (most recent call last):\n  …\nOSError: the source is gone"
    broken = facts._replace(state=PAUSING, failures=1, last_error=error, last_error_at=AT)
    site.control.watchers = (broken._replace(again_at=datetime.now(UTC) + timedelta(minutes=2)),)
    await site.control.tell(LiveEvent("watchers"))
    await expect(row).to_contain_text("Pausing")
    await expect(row).to_contain_text("OSError: the source is gone")
    await row.get_by_text("OSError").first.click()
    await expect(row.get_by_text("Traceback")).to_be_visible()
    await pictured(page, "watchers")
    await page.get_by_role("tab", name="Assets").click()
    await page.get_by_role("link", name="orders", exact=True).click()
    asset = page.get_by_role("region", name="Asset orders")
    await expect(asset.get_by_role("region", name="Kept")).to_contain_text('watermark"2026-02-28"')
    await expect(asset.get_by_role("region", name="Events")).to_contain_text('{"rows":12}')
    await expect(asset.get_by_role("table", name="Watchers")).to_contain_text("Pausing")
    await pictured(page, "asset")


async def test_reports_of_the_event_loop(page: Page, site: Site) -> None:
    await sign_in(page, site, "/browse/loop")
    await expect(page.get_by_text("Nothing has blocked the event loop")).to_be_visible()
    kind = CoroutineKind("hourly", "tick")
    offence = LoopOffence(AT, OffenceKind.BLOCKED, kind, 0.25, "/dags/hourly.py", 3, "tick", "File …", interrupted=True)
    use = KindUse(kind, "loop", 3, 1, 0.5)
    host = HostFacts(7, "/dags/hourly.py", kind, 0, "serving")
    site.control.loop = LoopReport("loop", (offence,), (use,), (kind,), (host,), {"blocked": 1})
    await site.control.tell(LiveEvent("loop"))
    report = page.get_by_role("table", name="Reports").get_by_role("row").last
    await expect(report).to_contain_text("held the loop for 0.25 s, interrupted")
    await expect(report).to_contain_text("/dags/hourly.py:3")
    await expect(page.get_by_role("table", name="Use of the loop")).to_contain_text("task tick")
    await expect(page.get_by_role("table", name="Async hosts")).to_contain_text("serving")
    await pictured(page, "loop")
