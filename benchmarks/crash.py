"""What is left of a system that is killed again and again?

An outside process starts `tradewind standalone`, has it run a DAG whose tasks append to a file with
fsync, and kills it with SIGKILL at random moments and at every failpoint of the code; each time it is
started again. Now and then it is PostgreSQL that is killed first. In the end a judge compares the file with the store.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import tradewind
import tradewind_executors
from benchmarks import floors
from benchmarks.crash_dags import DAG_ID, IN_FLIGHT, LIFE, PUBLISHED, Note, read_notes, write_dags
from benchmarks.crash_judge import Verdict, judge_rows, read_rows
from benchmarks.outside import Standalone, descendants
from benchmarks.samples import write_lines
from benchmarks.stage import run
from tradewind.failpoints import VARIABLE

RUNS = f"/api/v1/dags/{DAG_ID}/dagRuns"
REACHED_WITHIN = 30.0
"""Seconds after which a failpoint that was armed counts as not reached."""

_ON_THE_LOOP = {"carrier.py"}
"""Of the worker's files those whose failpoints the runtime itself passes, for coroutines on its loop."""

ENDED_WITHIN = 120.0
"""Seconds that the last life gets to end every run; what is left then is stuck."""


@dataclass(frozen=True, slots=True)
class Failpoint:
    """A named point of the code. In a worker's process it stops that process, and the runtime is killed then."""

    name: str
    in_worker: bool


def failpoints() -> Iterator[Failpoint]:
    """Every failpoint that a running system can pass, as the sources name them."""
    roots = [Path(package.__file__ or "").parent for package in (tradewind, tradewind_executors)]
    seen: set[str] = set()
    for path in sorted(path for root in roots for path in root.rglob("*.py")):
        if path.name.startswith("memory") or "testing" in path.parts or path.name == "failpoints.py":
            continue
        for name in re.findall(r'\bfailpoint\("([\w.]+)"\)', path.read_text()):
            if name not in seen:
                seen.add(name)
                in_worker = "worker" in path.parts and not name.startswith(
                    "worker.inline."
                )  # those are on the loop too
                yield Failpoint(name, in_worker)


@dataclass(slots=True)
class Trial:
    """A home folder, the lives of its runtime so far, and what they left."""

    home: Path
    tasks: int
    draw: random.Random
    system: Standalone = field(init=False)
    life: int = 0
    begun_at: float = 0.0
    offset: int = 0
    notes: list[Note] = field(default_factory=list[Note])
    acknowledged: set[str] = field(default_factory=set[str])
    recoveries: list[float] = field(default_factory=list[float])
    outages: list[float] = field(default_factory=list[float])
    """Seconds from a kill of PostgreSQL to the next body that began."""

    kills: list[dict[str, object]] = field(default_factory=list[dict[str, object]])
    unreached: list[str] = field(default_factory=list[str])
    leftovers: list[str] = field(default_factory=list[str])
    doomed: dict[int, str] = field(default_factory=dict[int, str])

    def __post_init__(self) -> None:
        write_dags(self.home, self.tasks)
        self.system = Standalone(self.home)

    # ------------------------------------------------------------------------------ one life

    def begin(self, armed: str = "") -> None:
        """Starts the system, with failpoints where they are named."""
        self.life += 1
        self.begun_at = self.system.start({LIFE: str(self.life), VARIABLE: armed})

    def learn(self) -> None:
        """Reads what the tasks have written since."""
        fresh, self.offset = read_notes(self.home, self.offset)
        self.notes += fresh

    def begins(self) -> list[Note]:
        """The bodies that have begun in this life."""
        self.learn()
        return [note for note in self.notes if note.life == self.life and note.what == "begin"]

    def recovery(self) -> float | None:
        """Seconds from the start of this life to the first body of a run that an earlier life had begun."""
        older = {note.run_id for note in self.notes if note.life < self.life}
        at = min((note.at_ns for note in self.begins() if note.run_id in older), default=None)
        return None if at is None else at / 1e9 - self.begun_at

    def feed(self) -> bool:
        """Sees to it that there is work. False: the system died over it."""
        try:
            status, page = self.system.ask("GET", f"{RUNS}?limit=100&order_by=-id")
            states = [one["state"] for one in page["dag_runs"]] if status == 200 else []
            for _ in range(2 - sum(state in ("queued", "running") for state in states)):
                status, made = self.system.ask("POST", RUNS, {})
                if status in (200, 201):
                    self.acknowledged.add(made["dag_run_id"])
        except OSError:
            return False
        return True

    def until(self, condition: Callable[[], bool], within: float) -> bool:
        """Waits for the condition, feeding the system; False: it did not come true, or the system died first."""
        deadline, fed = time.monotonic() + within, 0.0
        while self.system.is_running and time.monotonic() < deadline:
            if condition():
                return True
            if time.monotonic() > fed + 0.3 and self._answers():
                self.feed()
                fed = time.monotonic()
            time.sleep(0.002)
        return condition()

    def _answers(self) -> bool:
        try:
            return self.system.ask("GET", "/api/v1/health", login=False)[0] == 200
        except OSError:
            return False

    def end(self, how: str) -> None:
        """SIGKILL, if it has not died by itself, and the books of this life."""
        if self.system.is_running:
            self.doomed |= {pid: _program(pid) for pid in descendants(self.system.process.pid)}
            self.system.kill()
        self.system.process.wait()
        recovery = self.recovery()
        if recovery is not None:
            self.recoveries.append(recovery)
        after = time.monotonic() - self.begun_at
        self.kills.append({"life": self.life, "how": how, "after_s": round(after, 3), "recovery_s": recovery})

    def look_for_leftovers(self) -> None:
        """What was started by lives that are over must be over too."""
        self.leftovers += [text for pid, text in self.doomed.items() if text and _program(pid) == text]
        self.doomed.clear()

    # ------------------------------------------------------------------------------ kinds of death

    def die_at_random(self) -> None:
        """Killed somewhere while it works, now and then while it is still starting."""
        self.begin()
        if self.draw.random() < 0.25:
            time.sleep(self.draw.uniform(0.0, 1.5))
            self.end("while starting")
            return
        if not self.until(lambda: bool(self.begins()), 60.0):
            raise SystemExit(f"life {self.life} began no task:\n{self.system.last_words()}")
        moment = time.monotonic() + self.draw.uniform(0.0, 1.5)
        self.until(lambda: time.monotonic() >= moment, 10.0)
        self.look_for_leftovers()
        self.end("at random")

    def lose_server(self) -> None:
        """PostgreSQL is killed under a runtime that lives: it has to be back, and the work to go on."""
        self.begin()
        if not self.until(lambda: bool(self.begins()), 60.0):
            raise SystemExit(f"life {self.life} began no task:\n{self.system.last_words()}")
        moment = time.monotonic() + self.draw.uniform(0.0, 1.0)
        self.until(lambda: time.monotonic() >= moment, 10.0)
        os.kill(self.system.server_pids()[1], signal.SIGKILL)
        killed = time.monotonic_ns()
        seen = {note.attempt for note in self.begins() if note.at_ns < killed}

        def goes_on() -> bool:
            fresh = {note.attempt for note in self.begins()} - seen
            return len(fresh) > IN_FLIGHT  # so many may have been on their way when it was killed

        if not self.until(goes_on, REACHED_WITHIN):
            what = (
                "nothing began any more" if self.system.is_running else f"it ended: {self.system.last_words()[-500:]}"
            )
            self.unreached.append(f"life {self.life}, after the server's death: {what}")
        self.outages.append((time.monotonic_ns() - killed) / 1e9)
        self.end("after its server")

    def die_at(self, point: Failpoint, at_pass: int) -> None:
        """Killed as it, or one of its workers, passes a failpoint."""
        if point.name.startswith("store.publish"):
            (self.home / "dags" / "published.py").write_text(PUBLISHED.format(number=self.life))
        action = "pause" if point.in_worker else "kill"
        self.begin(f"{point.name}={action}@{at_pass}")
        if point.in_worker:
            reached = self.until(lambda: bool(self._stopped_workers()), REACHED_WITHIN)
        else:
            self.until(lambda: not self.system.is_running, REACHED_WITHIN)
            reached = not self.system.is_running and self.system.process.returncode == -signal.SIGKILL
        if not reached:
            self.unreached.append(f"{point.name}@{at_pass}")
        stopped = self._stopped_workers() if point.in_worker else []
        self.end(f"{point.name}@{at_pass}")
        for pid in stopped:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue

    def _stopped_workers(self) -> list[int]:
        return [pid for pid in descendants(self.system.process.pid) if _state(pid) == "T"]

    def finish(self) -> Verdict:
        """A last life in which everything comes to its end, then the judge."""
        self.begin()
        self.system.wait_healthy()
        deadline = time.monotonic() + ENDED_WITHIN
        while self._unfinished() and time.monotonic() < deadline:
            time.sleep(0.1)
        self.look_for_leftovers()
        recovery = self.recovery()
        if recovery is not None:
            self.recoveries.append(recovery)
        rows = asyncio.run(read_rows(self.system.database()))
        verdict = judge_rows(rows, self.notes, self.acknowledged, self.tasks)
        self.doomed = {
            pid: _program(pid) for pid in (*descendants(self.system.process.pid), *self.system.server_pids())
        }
        self.system.stop()
        if self.system.process.returncode != 0:
            verdict.wrong.append(f"the last stop ended with {self.system.process.returncode}")
        self.look_for_leftovers()
        return verdict

    def _unfinished(self) -> bool:
        status, page = self.system.ask("GET", f"{RUNS}?limit=100&order_by=-id")
        return status != 200 or any(one["state"] in ("queued", "running") for one in page["dag_runs"])


def _program(pid: int) -> str:
    """Process id, start time and command; empty where there is no such process (any more)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
    return f"{pid}@{fields[19]} {command.strip()}" if fields[0] not in "ZX" else ""


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def percentile(values: list[float], share: float) -> float:
    """The value that `share` of all values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("inf")


def torment(home: Path, random_kills: int, tasks: int, seed: int, passes: int = 2) -> tuple[Trial, Verdict]:
    """All the deaths, then the judgement. The system is stopped afterwards."""
    trial = Trial(home, tasks, random.Random(seed))
    deaths: list[Callable[[], None]] = [trial.die_at_random for _ in range(random_kills)]
    deaths += [trial.lose_server for _ in range(random_kills // 10)]
    for point in failpoints():
        once = point.in_worker or "publish" in point.name or "run_create" in point.name
        for k in range(1 if once else passes):
            at_pass = 1 if once or not k else trial.draw.randint(2, 30)
            deaths.append(partial(trial.die_at, point, at_pass))
    trial.draw.shuffle(deaths)
    try:
        for number, death in enumerate(deaths):
            death()
            print(f"{number + 1}/{len(deaths)} {trial.kills[-1]}", file=sys.stderr)
        return trial, trial.finish()
    finally:
        if trial.system.is_running:
            trial.system.kill()


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """lost, stuck, double_completed: see rule 13 of the architecture. recovery_p99_s: from the exec of the new
    process to the first body that begins in it.
    """
    home = Path(tempfile.mkdtemp(prefix="tradewind-bench-"))
    seed = int(os.environ.get("TRADEWIND_BENCH_SEED", time.time_ns() % 1_000_000))
    try:
        trial, verdict = torment(home, size or 50, 200, seed)
    finally:
        if "TRADEWIND_BENCH_KEEP" not in os.environ:
            shutil.rmtree(home, ignore_errors=True)
    _, started = run(floors.database_starts())
    if samples is not None:
        write_lines(samples, trial.kills)
    p99 = percentile(trial.recoveries, 0.99)
    return {
        "lost": len(verdict.lost),
        "stuck": len(verdict.stuck),
        "double_completed": len(verdict.double_completed),
        "recovery_p99_s": round(p99, 3),
        "recovery_p50_s": round(percentile(trial.recoveries, 0.5), 3),
        "outage_worst_s": round(max(trial.outages, default=0.0), 3),
        "failed": len(verdict.failed),
        "wrong": len(verdict.wrong),
        "leftovers": len(trial.leftovers),
        "kills": len(trial.kills),
        "recoveries": len(trial.recoveries),
        "failpoints": len(list(failpoints())),
        "unreached": trial.unreached,
        "runs": verdict.runs,
        "tasks": verdict.tasks,
        "repeated_bodies": verdict.repeated_bodies,
        "floor_s": round(started, 3),
        "ratio_to_floor": round(started / p99, 3),
        "seed": seed,
        "said": (
            verdict.lost + verdict.stuck + verdict.double_completed + verdict.failed + verdict.wrong + trial.leftovers
        )[:20],
        "valid": not (verdict.wrong or trial.unreached or trial.leftovers),
    }
