"""Groups: parts of a graph with a name, made by hand or by a function."""

from __future__ import annotations

from collections.abc import Sequence

from tradewind import DAG, EmptyOperator, TaskGroup, XComArg, chain, task, task_group

with DAG(
    "example_09_task_groups",
    "Parts of a graph with a name",
    schedule=None,
    tags=["example"],
    is_paused_upon_creation=False,
    doc_md="""
### Task groups

A group puts its name in front of the ids of its tasks and can be linked as a whole: `start >> shops` makes every
first task of the group wait for `start`. A function under `@task_group` makes a new group at each call.
""",
):
    start = EmptyOperator(task_id="start")
    end = EmptyOperator(task_id="end")

    @task
    async def fetch(shop: str) -> int:
        """One shop's number of sales."""
        return len(shop) * 10

    @task
    async def check(sales: int) -> int:
        """Refuses what cannot be."""
        if sales < 0:
            raise ValueError(f"{sales} sales")
        return sales

    @task_group
    def one_shop(shop: str) -> XComArg:
        """Two tasks a shop."""
        return check(fetch(shop))

    with TaskGroup("shops", tooltip="one group a shop") as shops:
        sales = [one_shop.override(group_id=name)(name) for name in ("north", "south", "harbour")]

    with TaskGroup("report", prefix_group_id=False) as report:

        @task
        async def add(numbers: Sequence[int]) -> int:
            """The sum over all shops."""
            return sum(numbers)

        @task.bash
        def announce(total: int) -> str:
            """Tells it."""
            return f"echo {total} sales in all"

        announce(add(sales))

    chain(start, shops, report, end)
