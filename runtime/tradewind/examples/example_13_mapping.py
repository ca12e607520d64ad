"""One task for each of several values that are known only at run time."""

from __future__ import annotations

import hashlib
from typing import TypedDict

from tradewind import DAG, BashOperator, XComArg, task, task_group


class Voyage(TypedDict):
    """One line of a logbook."""

    ship: str
    miles: int


def has_sailed(voyage: Voyage) -> bool:
    """Functions for `filter` and `map` are plain ones; they run in the task that uses the value."""
    return voyage["miles"] > 0


def name_of(voyage: Voyage) -> str:
    """The part of the value that is wanted."""
    return voyage["ship"]


with DAG(
    "example_13_mapping",
    "One task for each of several values",
    schedule=None,
    tags=["example"],
    is_paused_upon_creation=False,
    doc_md="""
### Dynamic task mapping

`log.expand(voyage=voyages())` makes a task *instance* for each voyage, once it is known how many there are. What the
instances return comes together again in `miles`: a sequence in the order of the voyages. A mapped task group does
several steps for each value, each value at its own pace.
""",
):

    @task
    async def voyages() -> list[Voyage]:
        """A different number on other days."""
        return [{"ship": "Ada", "miles": 120}, {"ship": "Bo", "miles": 80}, {"ship": "Cy", "miles": 0}]

    @task(map_index_template="{{ task.op_kwargs['voyage']['ship'] }}")
    async def log(voyage: Voyage, unit: str) -> int:
        """The pages show the ship's name in place of the number of the instance."""
        print(f"{voyage['ship']} sailed {voyage['miles']} {unit}")
        return voyage["miles"]

    @task
    def miles(values: list[int]) -> int:
        """All results; fetched while the sequence is gone through."""
        return sum(values)

    @task
    def checksum(ship: str) -> str:
        """First step of each group."""
        return hashlib.sha256(ship.encode()).hexdigest()[:8]

    @task
    async def certificate(ship: str, number: str) -> str:
        """Second step; gets the number of the same ship."""
        return f"{ship}: {number}"

    @task_group
    def papers(ship: str) -> XComArg:
        """What is done for each ship."""
        return certificate(ship, checksum(ship))

    @task(trigger_rule="none_failed")
    async def folder(papers: list[str]) -> list[str]:
        """Those of ships that sailed: the others were skipped."""
        return sorted(papers)

    known = voyages()
    total = miles(log.partial(unit="nautical miles").expand(voyage=known))
    folder(papers.expand(ship=known.filter(has_sailed).map(name_of)))
    total >> BashOperator.partial(task_id="flag", env={"DAY": "{{ ds }}"}, append_env=True).expand(
        bash_command=["echo $DAY: up", "echo $DAY: down"]
    )
