"""A small share of `benchmarks/crash.py`: the system is killed and started again, and a judge compares."""

from __future__ import annotations

import random
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.crash import Trial, failpoints
from benchmarks.crash_judge import Verdict

_TASKS = 60
_AFTER_COMMITS = (
    "scheduler.after_commit",
    "store.batch.before_commit",
    "worker.inline.ended",
    "worker.frame.sent",
    "worker.host.loaded",
)
"""Deaths that leave file and store apart in different ways."""


@pytest.fixture
def home() -> Iterator[Path]:
    """Not `tmp_path`: a server that runs as another user has to reach it."""
    folder = Path(tempfile.mkdtemp(prefix="tradewind-test-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.spec("3:B17", "3:B07")
def test_nothing_is_lost_or_done_twice_by_kills(home: Path) -> None:
    trial = Trial(home, _TASKS, random.Random(7))
    points = {point.name: point for point in failpoints()}
    try:
        trial.die_at_random()
        trial.lose_server()
        for n, name in enumerate(_AFTER_COMMITS):
            trial.die_at(points[name], at_pass=1 + 3 * n if not points[name].in_worker else 1)
        verdict = trial.finish()
    finally:
        if trial.system.is_running:
            trial.system.kill()
    assert verdict == Verdict(runs=verdict.runs, tasks=verdict.tasks, repeated_bodies=verdict.repeated_bodies)
    assert verdict.runs
    assert verdict.tasks == verdict.runs * _TASKS
    assert not trial.unreached
    assert not trial.leftovers


def test_the_failpoints_of_the_sources_are_found() -> None:
    found = {point.name: point.in_worker for point in failpoints()}
    assert found["scheduler.before_commit"] is False
    assert found["store.run_create.after_commit"] is False
    assert found["worker.frame.sent"] is True
    assert found["worker.inline.ended"] is False
    assert found["worker.host.loaded"] is True
