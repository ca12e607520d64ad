"""How long from the command to an API that answers?"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import floors
from benchmarks.outside import Standalone
from benchmarks.samples import write_lines
from benchmarks.stage import run

IMPORT = "import time; began = time.perf_counter(); import {module}; print(time.perf_counter() - began)"
DAG = """
from datetime import datetime
from tradewind import DAG, task

with DAG("daily", schedule="@daily", start_date=datetime(2026, 1, 1)):
    @task
    async def nothing():
        pass
    nothing()
"""


def _import_ms(module: str, times: int = 7) -> float:
    """Milliseconds of the import in a fresh interpreter, median (the first one may write byte code)."""
    took = [
        float(subprocess.check_output([sys.executable, "-c", IMPORT.format(module=module)])) for _ in range(times + 1)
    ]
    return statistics.median(took[1:]) * 1000


def _one(home: Path) -> float:
    system = Standalone(home)
    began = system.start()
    try:
        took = system.wait_healthy() - began
        run(system.check_durable())
        return took
    finally:
        system.stop()


def _cold_and_warm(warm_starts: int) -> tuple[float, list[float]]:
    home = Path(tempfile.mkdtemp(prefix="tradewind-bench-"))
    try:
        cold = _one(home)
        (home / "dags").mkdir(exist_ok=True)
        (home / "dags" / "daily.py").write_text(DAG)
        _one(home)  # parses the file; what follows starts with all known
        return cold, [_one(home) for _ in range(warm_starts)]
    finally:
        shutil.rmtree(home, ignore_errors=True)


def measure(size: int | None = None, samples: Path | None = None) -> dict[str, object]:
    """cold_s: an empty home to a healthy API; warm_s: the same home again; import_ms: `import tradewind`.

    The floors: a bare interpreter, and that plus a PostgreSQL that is made (or only started) and connected to.
    """
    colds: list[float] = []
    warms: list[float] = []
    for _ in range(size or 3):
        cold, warm = _cold_and_warm(3)
        colds.append(cold)
        warms += warm
    bare = _bare_interpreter_s()
    made, started = run(floors.database_starts())
    if samples is not None:
        write_lines(samples, [{"cold_s": took} for took in colds] + [{"warm_s": took} for took in warms])
    cold_s, warm_s = statistics.median(colds), statistics.median(warms)
    return {
        "cold_s": round(cold_s, 3),
        "warm_s": round(warm_s, 3),
        "import_ms": round(_import_ms("tradewind"), 1),
        "cold_worst_s": round(max(colds), 3),
        "warm_worst_s": round(max(warms), 3),
        "floor_cold_s": round(bare + made, 3),
        "floor_warm_s": round(bare + started, 3),
        "floor_import_ms": round(_import_ms("asyncio"), 1),
        "floor_interpreter_ms": round(bare * 1000, 1),
        "ratio_to_floor": round((bare + started) / warm_s, 3),
    }


def _bare_interpreter_s(times: int = 5) -> float:
    took: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        subprocess.check_call([sys.executable, "-c", "pass"])
        took.append(time.perf_counter() - began)
    return statistics.median(took)
