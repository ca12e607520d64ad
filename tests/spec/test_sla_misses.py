"""A task slower than its SLA: mail, a message to a chat, a record, and the DAG goes on."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.services.conftest import until
from tests.services.mail_server import mail_server
from tests.spec.running_system import SECONDS, running_system
from tradewind.instance_ports import MissFilter

pytestmark = pytest.mark.blocks_the_loop

DAG_FILE = """
import json
from datetime import datetime, timedelta, timezone
from urllib.request import Request, urlopen

from airflow import DAG
from airflow.operators.bash import BashOperator
from airflow.operators.dummy import DummyOperator

SLA = timedelta(seconds=1)


def sla_miss_callback(dag, task_list, blocking_task_list, slas, blocking_tis):
    message = {"text": f"{dag.dag_id} missed: {task_list}", "tasks": [sla.task_id for sla in slas]}
    head = {"Content-Type": "application/json"}
    urlopen(Request("WEBHOOK", json.dumps(message).encode(), head), timeout=60).read()


midnight = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
with DAG(
    "05_sla_misses",
    start_date=midnight - timedelta(days=1),
    end_date=midnight - timedelta(days=1),
    schedule_interval="@daily",
    default_args={"sla": SLA, "email": "ops@example.com"},
    sla_miss_callback=sla_miss_callback,
    is_paused_upon_creation=False,
):
    slow = BashOperator(task_id="slow", bash_command="cat 'FIFO'", sla=SLA)
    slow >> DummyOperator(task_id="after", sla=None)
"""


@pytest.fixture
async def chat() -> AsyncIterator[tuple[str, asyncio.Queue[dict[str, object]]]]:
    """A web hook, and what it was told."""
    told: asyncio.Queue[dict[str, object]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        told.put_nowait(json.loads(await request.read()))
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post("/hook", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/hook", told
    await runner.cleanup()


@pytest.mark.spec("2:U21", "3:UC4")
async def test_a_miss_is_told_while_the_task_is_still_running(
    tmp_path: Path, database_url: str, chat: tuple[str, asyncio.Queue[dict[str, object]]]
) -> None:
    hook, told = chat
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    async with mail_server() as server:
        smtp: dict[str, Any] = {"smtp__host": "127.0.0.1", "smtp__port": server.port, "smtp__starttls": False}
        async with running_system(tmp_path, database_url, **smtp) as system, asyncio.timeout(SECONDS):
            system.write(DAG_FILE.replace("WEBHOOK", hook).replace("FIFO", str(gate)))
            message = await told.get()
            assert str(message["text"]).startswith("05_sla_misses missed: slow on ")
            assert message["tasks"] == ["slow"]
            mail = await server.next()
            assert (mail["To"], "SLA miss on DAG=05_sla_misses" in mail["Subject"]) == ("ops@example.com", True)
            assert "slow on " in mail.get_content()
            ([(_, _, row)], _) = await system.runtime.control.reads.deadline_page(MissFilter(dag_id="05_sla_misses"))
            run = await system.runtime.control.reads.run_by_id(row.miss.run_id)
            assert run is not None
            assert row.miss.due == run.run_after + timedelta(seconds=1)
            assert (await system.states(run))["slow"] == "running"
            await asyncio.to_thread(gate.write_text, "there\n")
            ended = await system.runtime.control.run_wait(run.run_id, SECONDS)
            assert ended.state.value == "success"
            assert "there" in await system.log(ended, "slow")
            assert told.empty()


BLOCKED = """
from airflow.operators.python import PythonOperator

async def blocks():
    return open("FIFO").read()

"""


async def test_a_miss_is_told_where_a_coroutine_blocks_the_loop_without_end(
    tmp_path: Path, database_url: str, chat: tuple[str, asyncio.Queue[dict[str, object]]]
) -> None:
    """It opens a pipe that nobody writes to. The guard ends it; what was due meanwhile follows at once."""
    hook, told = chat
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    operator = """BashOperator(task_id="slow", bash_command="cat 'FIFO'", sla=SLA)"""
    text = BLOCKED + DAG_FILE.replace(operator, 'PythonOperator(task_id="slow", python_callable=blocks, retries=5)')
    settings: dict[str, Any] = {"own_process": True, "scheduler__block_kill": 2.0}
    async with running_system(tmp_path, database_url, **settings) as system, asyncio.timeout(SECONDS):
        system.write(text.replace("WEBHOOK", hook).replace("FIFO", str(gate)))
        message = await told.get()
        assert message["tasks"] == ["slow"]
        ([(_, _, row)], _) = await system.runtime.control.reads.deadline_page(MissFilter(dag_id="05_sla_misses"))
        run = await system.runtime.control.reads.run_by_id(row.miss.run_id)
        assert run is not None

        async def tried() -> bool:
            return any(row.ended_at is not None for row in await system.runtime.control.reads.attempt_list(run.run_id))

        await until(system.runtime, tried)  # the end of the try is told on its own, before or after the miss
        said = "\n".join(await system.log(run, "slow"))
        assert "LoopBlocked" in said
        assert 'return open("' in said
