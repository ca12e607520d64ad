"""The DAG files of the crash benchmark, and what their tasks write down."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

DAG_ID: Final = "crash"
IN_FLIGHT: Final = 16
"""What runs at once of a DAG that does not say."""

LIFE: Final = "TRADEWIND_BENCH_LIFE"
"""Environment variable with the number of the runtime's life, which its attempts inherit."""

SOURCE: Final = """
import asyncio, os, time
from tradewind import DAG, Asset, task
from tradewind.authoring.access import current_attempt

NOTES = os.path.join(os.path.dirname(os.path.dirname(__file__)), "notes")

def note(what):
    key = current_attempt.get().attempt.key
    life = os.environ["{life}"]
    line = f"{{what}} {{life}} {{key.run_id}} {{key.task_id}} {{key.try_number}} {{key.attempt.hex()}} "
    line += f"{{time.monotonic_ns()}} {{time.time()}}\\n"
    out = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(out, line.encode())
    os.fsync(out)
    os.close(out)
    return key.attempt.hex()

with DAG("{dag_id}", schedule=None, is_paused_upon_creation=False, default_args={{"max_lost": 1000}}):
    above = []
    for layer in range({tasks} // 20):
        here = []
        for k in range(20):
            name = f"t{{layer * 20 + k:03}}"
            if k % 2:
                @task(task_id=name)
                def work():
                    note("begin")
                    time.sleep(0.005)
                    return note("end")
            else:
                place = {{"isolation": "host" if k % 4 else "loop"}}
                @task(task_id=name, outlets=[Asset("bench")], executor_config=place)
                async def work():
                    await asyncio.to_thread(note, "begin")
                    await asyncio.sleep(0.005)
                    return await asyncio.to_thread(note, "end")
            now = work()
            if above:
                [above[k], above[(k + 1) % 20], above[(k + 7) % 20]] >> now
            here.append(now)
        above = here
"""
"""Layers of 20 tasks with three upstreams each; every other one in a process of its own, the others in turn on the
loop and in an async host. Each task appends a line when it begins and when it ends, with fsync, and returns its
attempt; the coroutines change an asset. Here many deaths in a row may meet the same attempt, so it may be lost more
often than usual.
"""

PUBLISHED: Final = """
from tradewind import DAG
from tradewind.standard.empty import EmptyOperator

with DAG("published", schedule=None):
    EmptyOperator(task_id="version_{number}")
"""
"""A file that is given another content where a kill shall meet its publication."""


class Note(NamedTuple):
    """One line that a task wrote."""

    what: str
    life: int
    run_id: int
    task_id: str
    try_number: int
    attempt: str
    at_ns: int
    """CLOCK_MONOTONIC."""

    wall: float
    """Unix seconds."""


def write_dags(home: Path, tasks: int) -> None:
    """Puts the DAG file into a home folder."""
    (home / "dags").mkdir(exist_ok=True)
    text = SOURCE.format(dag_id=DAG_ID, life=LIFE, tasks=tasks)
    (home / "dags" / "crash.py").write_text(text)


def read_notes(home: Path, offset: int = 0) -> tuple[list[Note], int]:
    """The complete lines from `offset` on, and where the next ones begin."""
    path = home / "notes"
    if not path.exists():
        return [], offset
    with path.open("rb") as file:
        file.seek(offset)
        data = file.read()
    data = data[: data.rfind(b"\n") + 1]
    notes: list[Note] = []
    for line in data.decode().splitlines():
        what, life, run_id, task_id, try_number, attempt, at_ns, wall = line.split()
        notes.append(Note(what, int(life), int(run_id), task_id, int(try_number), attempt, int(at_ns), float(wall)))
    return notes, offset + len(data)
