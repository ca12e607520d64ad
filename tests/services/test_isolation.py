"""What goes wrong in one part of a runtime concerns that part alone: everything else goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from tests.services.conftest import StartRuntime, run_to_end
from tradewind import DAG, EmptyOperator, task
from tradewind.control_ports import TriggerRequest
from tradewind.model.attempts import Attempt
from tradewind.model.commands import Decision
from tradewind.model.errors import ParamValidationError, TradewindError
from tradewind.model.events import RunActivated, RunEvent
from tradewind.model.rows import Lease
from tradewind.rules.run_machine import RunMachine
from tradewind.services import deadline_keeper
from tradewind.services.deadline_keeper import DeadlineKeeper


def plain(dag_id: str = "fine") -> DAG:
    with DAG(dag_id, schedule="@daily", start_date=datetime(2999, 1, 1, tzinfo=UTC)) as dag:

        @task
        async def go() -> None: ...

        go()
    return dag


async def test_an_executor_that_raises_has_lost_what_it_did_not_take(
    start: StartRuntime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = await start(plain())
    executor = runtime.services.dispatcher.executors["inline"]
    submit = executor.submit

    async def once(attempts: Sequence[Attempt]) -> None:
        monkeypatch.setattr(executor, "submit", submit)
        raise OSError("no more processes")

    monkeypatch.setattr(executor, "submit", once)
    run = await run_to_end(runtime, "fine")
    assert run.state == "success"
    lost, good = await runtime.control.reads.attempt_list(run.run_id, "go")
    assert (lost.kind, good.kind) == ("lost", "success")
    assert lost.detail is not None
    assert "did not take it: OSError: no more processes" in lost.detail["reason"]
    assert f"task go of run {run.dag_run_id} of DAG fine" in caplog.text


async def test_mail_to_an_address_that_cannot_be_is_given_up(
    start: StartRuntime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with DAG("bad", schedule=None) as dag:

        @task(email="ops@example.org\nBcc: all@example.org")
        async def fails() -> None:
            raise ValueError

        fails()
    runtime = await start(dag, plain(), smtp__host="127.0.0.1", smtp__port=9)
    store, carried = runtime.services.store, asyncio.Event()
    outbox_done = store.outbox_done

    async def heard(lease: Lease, outbox_ids: Sequence[int], *, failed: bool = False) -> None:
        await outbox_done(lease, outbox_ids, failed=failed)
        carried.set()

    monkeypatch.setattr(store, "outbox_done", heard)
    assert (await run_to_end(runtime, "bad")).state == "failed"
    await asyncio.wait_for(carried.wait(), 60)
    assert "email of DAG bad could not be carried out" in caplog.text
    assert (await run_to_end(runtime, "fine")).state == "success"


async def test_a_logical_date_at_the_end_of_the_calendar_is_refused(start: StartRuntime) -> None:
    runtime = await start(plain())
    wish = TriggerRequest("fine", logical_date=datetime.min.replace(tzinfo=UTC))
    with pytest.raises(ParamValidationError, match="calendar"):
        await runtime.control.run_trigger(wish)


async def test_mail_that_cannot_be_read_is_refused_for_good(start: StartRuntime) -> None:
    runtime = await start(plain())
    mailed, store = runtime.control.mailed, runtime.services.store
    number = await store.mail_send("fine", "trigger", orjson.dumps(["not", "a", "wish"]), "once")
    with pytest.raises(TradewindError, match="list"):
        await mailed.answer("fine", number, 60)
    assert (await run_to_end(runtime, "fine")).state == "success"


async def test_a_wish_that_nobody_waits_for_any_more_may_be_refused(
    start: StartRuntime, caplog: pytest.LogCaptureFixture
) -> None:
    runtime = await start(plain())
    intake = runtime.services.scheduler.intake

    def refuse(turn: object) -> None:
        raise TradewindError("no")

    asking = asyncio.ensure_future(intake.ask(refuse))
    await asyncio.sleep(0)
    asking.cancel()
    await runtime.services.scheduler.settled()
    assert asking.cancelled()
    assert caplog.text == ""


async def test_a_run_that_the_rules_cannot_begin_holds_up_no_other(
    start: StartRuntime, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with DAG("odd", schedule=None, dagrun_timeout=timedelta(hours=1)) as odd:
        EmptyOperator(task_id="nothing")
    runtime = await start(odd, plain())
    handle = RunMachine.handle

    def once(machine: RunMachine, event: RunEvent, decision: Decision) -> None:
        if machine.run.dag_id == "odd" and isinstance(event, RunActivated):
            monkeypatch.setattr(RunMachine, "handle", handle)
            raise OverflowError("a moment beyond the calendar")
        handle(machine, event, decision)

    monkeypatch.setattr(RunMachine, "handle", once)
    assert (await run_to_end(runtime, "odd")).state == "success", "loaded anew"
    assert "could not be decided" in caplog.text
    assert (await run_to_end(runtime, "fine")).state == "success"


async def test_a_deadline_that_cannot_be_told_holds_up_no_other(
    start: StartRuntime, monkeypatch: pytest.MonkeyPatch
) -> None:
    with DAG("late", schedule="@daily", start_date=datetime(2999, 1, 1, tzinfo=UTC)) as dag:
        EmptyOperator(task_id="a", sla=timedelta(hours=1))
    said: asyncio.Future[tuple[object, ...]] = asyncio.get_running_loop().create_future()

    def note(*line: object) -> None:
        said.set_result(line)

    async def broken(keeper: DeadlineKeeper, dag_id: str) -> None:
        raise OverflowError("a moment beyond the calendar")

    monkeypatch.setattr(deadline_keeper.log, "exception", note)
    monkeypatch.setattr(DeadlineKeeper, "_arm_failed", broken)
    runtime = await start(dag, plain())
    assert (await asyncio.wait_for(said, 60))[1] == "late"
    assert (await run_to_end(runtime, "fine")).state == "success"
