"""Callbacks: code that runs when something starts, ends or fails."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tradewind import DAG, SkipTask, TriggerRule, task

NOTES = Path(tempfile.gettempdir()) / "tradewind-example-callbacks.txt"


def tell_start(context: Mapping[str, Any]) -> None:
    """What a task's callback prints stands in the task's log."""
    print(f"{context['ti'].task_id} starts, try {context['ti'].try_number}")


def tell_success(context: Mapping[str, Any]) -> None:
    """Runs after the body, in the same process."""
    print(f"{context['ti'].task_id} has succeeded")


def tell_failure(context: Mapping[str, Any]) -> None:
    """The error is in the context."""
    print(f"{context['ti'].task_id} has failed: {context.get('exception')}")


def tell_skip(context: Mapping[str, Any]) -> None:
    """Tasks can skip themselves."""
    print(f"{context['ti'].task_id} was skipped")


def note_run(context: Mapping[str, Any]) -> None:
    """A run's callback has no log of its own, so this one writes to a file."""
    with NOTES.open("a", encoding="utf-8") as file:
        file.write(f"{context['dag_run'].run_id} has ended well\n")


with DAG(
    "example_10_callbacks",
    "Code that runs when something starts, ends or fails",
    schedule=None,
    tags=["example"],
    is_paused_upon_creation=False,
    default_args={"on_execute_callback": tell_start, "on_success_callback": tell_success},
    on_success_callback=note_run,
    doc_md="""
### Callbacks

Callbacks of tasks run where the task ran, and write to its log. Callbacks of runs are kept with the commit that
ended the run and carried out at least once, also after a crash. This one writes a line to
`tradewind-example-callbacks.txt` in the folder for temporary files.
""",
):

    @task
    async def works() -> None:
        """Calls back twice."""
        print("working")

    @task(on_skipped_callback=tell_skip)
    async def does_not_apply() -> None:
        """Skips itself."""
        raise SkipTask("nothing to do today")

    @task(on_failure_callback=tell_failure)
    def breaks() -> None:
        """Fails; the callback gets the error."""
        raise RuntimeError("the hull leaks")

    @task(trigger_rule=TriggerRule.ALL_DONE)
    async def in_the_end() -> None:
        """Ends the run well."""
        print("done")

    [works(), does_not_apply(), breaks()] >> in_the_end()
