"""DAG files as users write them, loaded and run as users do."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tradewind.authoring.dag import DAG
from tradewind.bundles.loader import load_file
from tradewind.trial import TrialReport, try_dag


def load(folder: Path, text: str, name: str = "a_dag_file.py") -> dict[str, DAG]:
    """Writes the file and loads it like the runtime does: DAGs by id. Raises what an import error would say."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    dags = dict(load_file(path, root=folder).dags)
    for dag in dags.values():
        dag.check()
    return dags


def load_one(folder: Path, text: str) -> DAG:
    """The only DAG of a file."""
    (dag,) = load(folder, text).values()
    return dag


def day(text: str) -> datetime:
    """Midnight UTC of an ISO day, or a moment."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def ran(
    dag: DAG, date: str = "2026-01-05", conf: Mapping[str, Any] | None = None, until: str | None = None
) -> TrialReport:
    """One whole run of the DAG for a date; with `until`, as the scheduled run of that interval."""
    interval = None if until is None else (day(date), day(until))
    return asyncio.run(try_dag(dag, conf=conf, logical_date=day(date), capture_output=False, data_interval=interval))


def states(report: TrialReport) -> dict[str, str]:
    """Task id, or `task[index]`, to state."""
    return {
        row.task_id if row.map_index < 0 else f"{row.task_id}[{row.map_index}]": row.state.value
        for row in report.instances
    }
