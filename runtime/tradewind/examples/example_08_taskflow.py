"""How values travel between tasks."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from tradewind import DAG, PythonOperator, get_current_context, task


def print_total(total: str, currency: str) -> None:
    """A plain function for the classic operator."""
    print(f"total: {total} {currency}")


with DAG(
    "example_08_taskflow",
    "How values travel between tasks",
    schedule=None,
    tags=["example"],
    is_paused_upon_creation=False,
    doc_md="""
### Values between tasks

The result of calling a `@task` function stands for what the task will return; hand it on, and the dependency is
made too. A returned dict can be taken apart by key. Values are JSON, with dates, decimals, sets and dataclasses
understood. The classic way, `xcom_pull` in a template, reads the same values.
""",
):

    @task
    async def read_orders() -> list[dict[str, Any]]:
        """Dates and decimals arrive as what they were."""
        day = date(2026, 3, 1)
        return [
            {"item": "rope", "price": Decimal("12.50"), "day": day},
            {"item": "sail", "price": Decimal("99.90"), "day": day},
        ]

    @task
    async def summarise(orders: list[dict[str, Any]]) -> dict[str, Any]:
        """A result that is a dict is stored key by key as well."""
        return {
            "count": len(orders),
            "total": sum((order["price"] for order in orders), Decimal()),
            "made_at": datetime.now(UTC),
        }

    @task
    async def note(count: int) -> None:
        """A task may store values under names of its own."""
        await get_current_context()["ti"].push("headline", f"{count} orders today")

    orders = read_orders()
    summary = summarise(orders)
    noted = note(summary["count"])
    printed = PythonOperator(
        task_id="print_total",
        python_callable=print_total,
        op_kwargs={"total": "{{ ti.xcom_pull('summarise')['total'] }}", "currency": "EUR"},
    )

    @task.bash
    def headline() -> str:
        """Returns the command to run."""
        return "echo \"{{ ti.xcom_pull('note', key='headline') }}\""

    summary >> printed
    noted >> headline()
