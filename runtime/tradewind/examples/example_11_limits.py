"""Who goes first, how many at once, and cleaning up whatever happens."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tradewind import DAG, setup, task, teardown

with DAG(
    "example_11_limits",
    "Limits, priorities, set-up and tear-down",
    schedule=None,
    max_active_runs=2,
    max_active_tasks=2,
    tags=["example"],
    is_paused_upon_creation=False,
    doc_md="""
### Limits, set-up and tear-down

At most two runs of this DAG and two of its tasks go on at once. Of the tasks that are ready, the one with the
higher `priority_weight` goes first: the crates are packed from six down to one. `remove_folder` runs at the end
even if a task before it failed, and clears away what `make_folder` made.
""",
):

    @setup
    @task
    def make_folder() -> str:
        """Makes what the tasks need."""
        return tempfile.mkdtemp(prefix="tradewind-example-")

    @task(weight_rule="absolute")
    def pack(folder: str, number: int) -> str:
        """Writes one file."""
        path = Path(folder) / f"crate-{number}.txt"
        path.write_text(f"crate {number}\n", encoding="utf-8")
        return path.name

    @task
    def count(folder: str, crates: Sequence[str]) -> int:
        """All of them have to be there."""
        found = {path.name for path in Path(folder).iterdir()}
        missing = set(crates) - found
        if missing:
            raise FileNotFoundError(f"missing in {folder}: {', '.join(sorted(missing))}")
        return len(found)

    @teardown
    @task
    def remove_folder(folder: str) -> None:
        """Removes what `make_folder` made."""
        shutil.rmtree(folder)

    made = make_folder()
    crates = [pack.override(task_id=f"pack_{n}", priority_weight=n)(made, n) for n in range(1, 7)]
    counted = count(made, crates)
    counted >> remove_folder(made)
