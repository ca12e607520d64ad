"""A schedule, the data interval of each run, and templates that speak of it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from tradewind import DAG, BashOperator, get_current_context, task

with DAG(
    "example_05_templates",
    "A daily schedule, data intervals and templates",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Amsterdam")),
    catchup=False,
    tags=["example"],
    is_paused_upon_creation=False,
    user_defined_macros={"bucket": "weather"},
    user_defined_filters={"shout": str.upper},
    doc_md="""
### Templates and data intervals

Each run is about one day, from midnight to midnight in Amsterdam, and starts when that day is over. With
`catchup=False` only the newest day is made up for. Texts in `{{ }}` are filled in when the task starts; `tradewind
tasks render` shows what they become.
""",
):
    show_interval = BashOperator(
        task_id="show_interval",
        bash_command=(
            "echo from {{ data_interval_start }} to {{ data_interval_end }}\n"
            "echo day {{ ds }}, short {{ ds_nodash }}, a week before {{ macros.ds_add(ds, -7) }}\n"
            "echo {{ bucket | shout }}/{{ logical_date.strftime('%Y/%m/%d') }}/part.csv"
        ),
    )

    @task
    async def seconds_covered(path: str) -> float:
        """Arguments of `@task` functions are templates too; the dates are also there as objects."""
        context = get_current_context()
        covered = context["data_interval_end"] - context["data_interval_start"]
        print(f"{path} covers {covered}")
        return float(covered.total_seconds())

    show_interval >> seconds_covered("weather/{{ data_interval_start.strftime('%Y-%m-%d') }}.csv")
