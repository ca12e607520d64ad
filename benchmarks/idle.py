"""What does a system cost that has nothing to do?"""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import asyncpg

from benchmarks.outside import Standalone, descendants
from benchmarks.samples import write_lines

PAUSED = """
from datetime import datetime
from tradewind import DAG, task

with DAG("paused_{k:03}", schedule="@hourly", start_date=datetime(2026, 1, 1)):
    @task
    def nothing():
        pass
    nothing()
"""

DAILY = """
from datetime import datetime
from tradewind import DAG, task

with DAG("daily_{k:03}", schedule="@daily", start_date=datetime(2026, 1, 1), is_paused_upon_creation=False):
    @task
    async def first():
        pass
    @task
    def second():
        pass
    first() >> second()
"""

PAUSED_DAGS, DAILY_DAGS = 100, 10
SETTLE = 130.0
"""Seconds after the last run: processes kept warm for further tasks go after 60, and PostgreSQL's own
housekeeping has looked at the tables that were filled (once a minute)."""

BARE = "import asyncpg, aiohttp.web, orjson, uvloop, sys; sys.stdin.read()"

TRANSACTIONS = "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()"


def _pss_kib(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


def _is_postgres(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/exe").readlink().name.startswith("postgres")
    except OSError:
        return False


def our_processes(system: Standalone) -> list[int]:
    """The runtime, all that it has started, and the keeper of its PostgreSQL; PostgreSQL itself is left out."""
    keeper, _ = system.server_pids()
    pids = dict.fromkeys([*descendants(system.process.pid), keeper])
    return [pid for pid in pids if not _is_postgres(pid)]


def _command(pid: int) -> str:
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    return " ".join(Path(word).name if "/" in word else word for word in words if not word.startswith("{"))[:60]


def _all_ended(system: Standalone) -> bool:
    status, page = system.ask("GET", "/api/v1/dags/~/dagRuns?limit=1000")
    states = [run["state"] for run in page["dag_runs"]] if status == 200 else []
    if "failed" in states:
        raise SystemExit("a daily run failed")
    return len(states) >= DAILY_DAGS and all(state == "success" for state in states)


def _write_dags(home: Path) -> None:
    (home / "dags").mkdir()
    for k in range(PAUSED_DAGS):
        (home / "dags" / f"paused_{k:03}.py").write_text(PAUSED.format(k=k))
    for k in range(DAILY_DAGS):
        (home / "dags" / f"daily_{k:03}.py").write_text(DAILY.format(k=k))


def _wait_until_settled(system: Standalone, settle: float) -> None:
    system.wait_healthy()
    deadline = time.monotonic() + 120
    while not (_all_loaded(system) and _all_ended(system)):
        if time.monotonic() > deadline:
            raise SystemExit("the DAGs were not loaded, or the daily runs have not ended")
        time.sleep(0.5)
    time.sleep(settle)


def _all_loaded(system: Standalone) -> bool:
    _, errors = system.ask("GET", "/api/v1/importErrors")
    if errors["total_entries"]:
        raise SystemExit(f"a DAG file was not loaded: {errors}")
    _, dags = system.ask("GET", "/api/v1/dags?limit=1")
    return bool(dags["total_entries"] == PAUSED_DAGS + DAILY_DAGS)


async def _transactions(connection: asyncpg.Connection[asyncpg.Record]) -> int:
    await asyncio.sleep(1.1)  # sessions report what they did at most once a second
    count: int = await connection.fetchval(TRANSACTIONS)
    return count


async def _watch(system: Standalone, seconds: float) -> dict[str, Any]:
    await system.check_durable()
    connection = await asyncpg.connect(**system.database())
    try:
        before = await _transactions(connection)
        pids = our_processes(system)
        cpu = {pid: _cpu_seconds(pid) for pid in pids}
        began = time.monotonic()
        await asyncio.sleep(seconds)
        took = time.monotonic() - began
        used = {pid: _cpu_seconds(pid) - cpu.get(pid, 0.0) for pid in our_processes(system)}
        pss = {pid: _pss_kib(pid) / 1024 for pid in used}
        after = await _transactions(connection)
    finally:
        await connection.close()
    return {
        "rss_mib": round(sum(pss.values()), 1),
        "cpu_percent": round(100 * sum(used.values()) / took, 3),
        "transactions_per_min": round((after - before - 1) * 60 / (took + 1.1), 1),  # one of them was ours
        "processes": {f"{_command(pid)} ({pid})": round(mib, 1) for pid, mib in pss.items()},
    }


def _bare_mib() -> float:
    """A bare interpreter that has the same libraries in memory."""
    with subprocess.Popen([sys.executable, "-c", BARE], stdin=subprocess.PIPE) as process:
        time.sleep(2)
        mib = _pss_kib(process.pid) / 1024
        process.communicate()
    return mib


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """Over 60 s (`size` takes another number, and settles as short): rss_mib (PSS of our process tree without
    PostgreSQL), cpu_percent of one core, transactions_per_min.
    """
    home = Path(tempfile.mkdtemp(prefix="tradewind-bench-"))
    system = Standalone(home)
    try:
        _write_dags(home)
        system.start()
        _wait_until_settled(system, min(SETTLE, size) if size else SETTLE)
        figures = asyncio.run(_watch(system, float(size or 60)))
    finally:
        system.stop()
        shutil.rmtree(home, ignore_errors=True)
    if samples is not None:
        write_lines(samples, [figures["processes"]])
    bare = _bare_mib()
    return {
        **figures,
        "paused_dags": PAUSED_DAGS,
        "daily_dags": DAILY_DAGS,
        "seconds": size or 60,
        "floor_rss_mib": round(bare, 1),
        "ratio_to_floor": round(bare / figures["rss_mib"], 3),
    }
