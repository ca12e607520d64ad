"""Mail that comes before its DAG has been taken in."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from tests.services.conftest import StartRuntime
from tradewind import DAG, EmptyOperator
from tradewind.control_ports import TriggerRequest
from tradewind.model.rows import Lease, MailRow, ParsedFile
from tradewind.model.specs import DagSource
from tradewind.model.states import RunType
from tradewind.services.given_dags import EMBEDDED_BUNDLE
from tradewind.services.wish_mail import request_in, trigger_mail


async def test_a_wish_for_a_dag_that_was_just_published_waits_for_it(
    start: StartRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DAG("new", schedule=None, is_paused_upon_creation=False) as dag:
        EmptyOperator(task_id="nothing")
    runtime = await start()
    store, lease = runtime.services.store, runtime.services.scheduler.lease
    source = DagSource(EMBEDDED_BUNDLE, "1", "new.py", "new.py")
    await store.dag_publish(lease, EMBEDDED_BUNDLE, [ParsedFile(source, (dag.to_spec(),))])

    seen, read = asyncio.Event(), store.mail_read

    async def reading(lease: Lease, limit: int = 200) -> list[MailRow]:
        found = await read(lease, limit)
        if found:
            seen.set()
        return found

    monkeypatch.setattr(store, "mail_read", reading)
    answer = asyncio.ensure_future(runtime.control.run_trigger(TriggerRequest("new")))
    await asyncio.wait_for(seen.wait(), 60)
    assert not answer.done(), "refused, although the DAG is in the list"
    await runtime.refresh(["new"])
    run = await answer
    assert (await runtime.control.run_wait(run.run_id, 60)).state == "success"


def test_a_wish_comes_out_of_the_mail_as_it_went_in() -> None:
    day = datetime(2026, 1, 5, tzinfo=UTC)
    wish = TriggerRequest(
        "d",
        {"n": 1},
        dag_run_id="manual__mine",
        logical_date=day,
        unpause=True,
        note="by hand",
        run_type=RunType.BACKFILL,
        while_paused=True,
        external=False,
        data_interval=(day, day + timedelta(days=1)),
        partition_key="north",
        run_after=day + timedelta(hours=1),
    )
    dag_run_id, body = trigger_mail(wish, day + timedelta(days=9))
    assert dag_run_id == "manual__mine"
    assert request_in("d", orjson.loads(orjson.dumps(body))) == wish
