"""What does it cost to run coroutines in an async host instead of on the runtime's loop, and to watch them at all?"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import dataclasses
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple

from benchmarks.fanout import SOURCE
from benchmarks.samples import CommitTimes, check_logs, check_rows, percentiles, write_lines
from benchmarks.stage import run, stage
from tradewind.model.attempts import RunFacts
from tradewind.model.loop import CoroutineKind, LoopOffence
from tradewind.model.rows import PoolRow
from tradewind.testing import executor_dags
from tradewind.testing.executor_host import AttemptMaker, MemoryHost
from tradewind.testing.executor_suite import suite_dag
from tradewind.worker.guard import Owner
from tradewind.worker.loop_watch import LoopWatch
from tradewind_executors.inline import InlineExecutor

SINGLES = 400
STEPS = 100_000
ROUNDS = 3


class Fanout(NamedTuple):
    """A fan-out, as the benchmark of that name has it."""

    tasks_per_s: float
    runtime_us: float
    """Processor time of the runtime's process, a task."""
    hosts_us: float
    """Of its async hosts."""


async def _fanout(isolation: str, tasks: int) -> Fanout:
    settings = {
        "core.default_pool_slots": 512,
        "dags.import_timeout": 60,
        "executors.inline.isolation": isolation,
    }
    async with stage({"fanout.py": SOURCE.format(tasks=tasks)}, settings=settings) as st:
        await st.runtime.pool_set(PoolRow("wide", 512))
        await st.run_dag("fanout")
        commits = CommitTimes(st)
        pids = [facts.pid for facts in st.runtime.control.loop_report().hosts if facts.pid is not None]
        before = time.process_time(), sum(map(_cpu_seconds, pids))
        finished, _ = await st.run_dag("fanout")
        here, there = time.process_time() - before[0], sum(map(_cpu_seconds, pids)) - before[1]
        await check_rows(st, finished, tasks)
        check_logs(st, finished, tasks)
        place = "hosts" if isolation == "host" else "loop"
        if {use.place for use in st.runtime.control.loop_report().kinds} != {place}:
            raise SystemExit(f"the tasks did not run where they should: {place}")
        assert commits.commits
        assert finished.started_at is not None
        assert finished.ended_at is not None
        seconds = (finished.ended_at - finished.started_at).total_seconds()
        return Fanout(tasks / seconds, here / tasks * 1e6, there / tasks * 1e6)


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.asynccontextmanager
async def _executor(isolation: str) -> AsyncGenerator[tuple[InlineExecutor, MemoryHost, AttemptMaker]]:
    folder = tempfile.mkdtemp(prefix="tradewind-bench-")
    executor = InlineExecutor()
    host = MemoryHost(folder, {"isolation": isolation})
    await executor.start(host)
    try:
        yield executor, host, AttemptMaker(suite_dag().to_spec(), executor_dags.HERE)
    finally:
        await executor.stop(drain=None)
        shutil.rmtree(folder, ignore_errors=True)


async def _singles(isolation: str) -> tuple[float, list[float]]:
    """Milliseconds of the first attempt, and of each of many after it, from submission to the end."""
    async with _executor(isolation) as (executor, host, maker):
        took: list[float] = []
        for _ in range(SINGLES + 1):
            attempt = maker.attempt("a_none")
            began = time.perf_counter()
            await executor.submit([attempt])
            await host.end_of(attempt)
            took.append((time.perf_counter() - began) * 1000)
        return took[0], took[1:]


async def _second_host() -> tuple[float, float]:
    """Milliseconds until a host serves where the nursery is there already, and the memory that is its own (MiB)."""
    async with _executor("host") as (executor, host, maker):
        await executor.submit([first := maker.attempt("a_none")])
        await host.end_of(first)
        maker.run = _of_version(maker, "second")
        attempt = maker.attempt("a_place")
        began = time.perf_counter()
        await executor.submit([attempt])
        end = await host.end_of(attempt)
        took = (time.perf_counter() - began) * 1000
        return took, _own_memory(end.pid or 0)


def _of_version(maker: AttemptMaker, version: str) -> RunFacts:
    return dataclasses.replace(maker.run, source=dataclasses.replace(maker.run.source, bundle_version=version))


def _own_memory(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    own = [int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty"))]
    return sum(own) / 1024


async def _step_cost() -> float:
    """Microseconds that watching adds to one step of a coroutine, the least of several rounds."""

    async def body() -> None:
        for _ in range(STEPS):
            await asyncio.sleep(0)

    def told(offence: LoopOffence, owner: Owner) -> None:
        raise SystemExit(f"a step that does nothing is called an offence: {offence}")

    watch = await LoopWatch(told).start()
    kind = CoroutineKind("bench", "steps")
    best = {"bare": float("inf"), "watched": float("inf")}
    for _ in range(3 * ROUNDS):
        for name in best:
            began = time.thread_time()
            if name == "bare":
                await asyncio.get_running_loop().create_task(body())
            else:
                await watch.start_task(body(), watch.begin(kind), contextvars.copy_context())
            best[name] = min(best[name], time.thread_time() - began)
    await watch.stop()
    return (best["watched"] - best["bare"]) / STEPS * 1e6


async def _measure(tasks: int, samples: Path | None) -> dict[str, object]:
    rounds: dict[str, list[Fanout]] = {"loop": [], "host": []}
    for _ in range(ROUNDS):
        for isolation, found in rounds.items():
            found.append(await _fanout(isolation, tasks))
    loop, hosts = (max(rounds[name]) for name in ("loop", "host"))
    _, on_loop = await _singles("loop")
    cold, in_host = await _singles("host")
    warm, memory = await _second_host()
    if samples is not None:
        write_lines(
            samples, [{"loop_ms": here, "host_ms": there} for here, there in zip(on_loop, in_host, strict=True)]
        )
    return {
        "ratio": round(hosts.tasks_per_s / loop.tasks_per_s, 3),
        "loop_tasks_per_s": round(loop.tasks_per_s),
        "host_tasks_per_s": round(hosts.tasks_per_s),
        "loop_cpu_us": round(loop.runtime_us),
        "host_cpu_us": f"{hosts.runtime_us:.0f} + {hosts.hosts_us:.0f}",
        "tasks": tasks,
        "hop_ms": round(statistics.median(in_host) - statistics.median(on_loop), 3),
        **{f"host_{name}": value for name, value in percentiles(in_host).items()},
        **{f"loop_{name}": value for name, value in percentiles(on_loop).items()},
        "first_host_ms": round(cold, 1),
        "next_host_ms": round(warm, 1),
        "host_own_mib": round(memory, 1),
        "watched_step_us": round(await _step_cost(), 3),
    }


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """ratio: the rate of a fan-out through one async host to that on the runtime's loop, the best of three each."""
    return run(_measure(size or 10_000, samples))
