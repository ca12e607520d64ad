"""`tradewind loop` against a running server whose coroutines are in async hosts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.test_standalone import own_home, standalone, tradewind

__all__ = ["own_home"]

pytestmark = [pytest.mark.slow, pytest.mark.blocks_the_loop]

BUSY = """
import asyncio, os, time
from tradewind import DAG, task

with DAG("busy", schedule=None, is_paused_upon_creation=False):
    @task
    async def blocks() -> int:
        await asyncio.sleep(0)
        time.sleep(0.3)
        await asyncio.sleep(0)
        return os.getpid()

    blocks()
"""


def test_a_running_server_tells(own_home: Path) -> None:
    (own_home / "dags" / "busy.py").write_text(BUSY)
    (own_home / "tradewind.toml").write_text('[executors.inline]\nisolation = "host"\n')
    with standalone(own_home) as (process, found):
        url = found["Pages"].rstrip("/")
        done = tradewind(own_home, "dags", "trigger", "busy", "--wait")
        assert done.returncode == 0, done.stderr
        told = tradewind(own_home, "loop", "-o", "json")
        assert told.returncode == 0, told.stderr
        report = json.loads(told.stdout)
        assert report["isolation"] == "host"
        assert report["counters"]["hosts_started"] == 1
        [use] = report["kinds"]
        assert (use["dag_id"], use["task_id"], use["place"], use["started"]) == ("busy", "blocks", "hosts", 1)
        assert use["loop_seconds"] >= 0.3
        [offence] = report["offences"]
        assert (offence["offence"], offence["task_id"], offence["function"]) == ("blocked", "blocks", "blocks")
        assert offence["file"].endswith("busy.py")
        plain = tradewind(own_home, "loop", "--url", url)
        assert "Offences, the newest first" in plain.stdout
        assert "busy.py" in plain.stdout
        nobody = tradewind(own_home, "loop", "--url", url, "--username", "nobody")
        assert (nobody.returncode, "no login nobody" in nobody.stderr) == (1, True)
        process.terminate()
        process.wait(60)
        assert not (own_home / "web.address").exists()
        gone = tradewind(own_home, "loop", "--url", url)
        assert gone.returncode == 1
        assert "No server answers" in gone.stderr
