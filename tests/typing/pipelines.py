# pyright: strict, reportUnusedExpression=false
"""DAGs that must type-check under strict rules, without casts. Read by type checkers, and run by a test."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from tradewind import (
    DAG,
    BaseOperator,
    BaseSensorOperator,
    BashOperator,
    BranchPythonOperator,
    EmptyOperator,
    Label,
    Param,
    PokeReturnValue,
    PythonOperator,
    TaskGroup,
    XComArg,
    chain,
    cross_downstream,
    dag,
    task,
    task_group,
)

with DAG("launches", schedule="@daily", start_date="2026-01-01", catchup=False, tags=["demo"]) as launches:

    @task(retries=3, retry_delay=timedelta(seconds=10))
    async def fetch_list(url: str) -> list[str]:
        return [url]

    @task(executor="local", pool="pictures")
    def fetch_picture(urls: list[str]) -> int:
        return len(urls)

    @task.bash
    def report(sizes: list[int]) -> str:
        return f'echo "there are now {len(sizes)} pictures"'

    @task.branch
    def choose(size: int) -> str:
        return "report" if size else "nothing"

    @task.short_circuit
    def enough(size: int) -> bool:
        return size > 3

    @task.sensor(poke_interval=30, timeout=3600, mode="reschedule")
    async def is_there(path: str) -> PokeReturnValue:
        return PokeReturnValue(is_done=True, xcom_value=path)

    urls = fetch_list("https://example.org/launches")
    size = fetch_picture(urls)
    nothing = EmptyOperator(task_id="nothing", trigger_rule="none_failed")
    is_there("/data") >> urls
    choose(size) >> [report([size]), nothing]
    enough(size) >> Label("enough") >> fetch_picture.override(task_id="again", retries=1)([urls["first"]])


class Rank(BaseOperator):
    """An operator of one's own."""

    template_fields: Sequence[str] = ("path",)
    ui_color = "#fafafa"

    def __init__(self, *, path: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.path = path

    def execute(self, context: dict[str, Any]) -> int:
        self.log.info("ranking %s", self.path)
        return 1


class Arrived(BaseSensorOperator):
    """A sensor of one's own."""

    def poke(self, context: dict[str, Any]) -> bool:
        return True


class Wait(BaseOperator):
    """An operator that waits without a thread."""

    async def execute(self, context: dict[str, Any]) -> str:
        return "done"


@dag(schedule=None, params={"size": Param(3, type="integer")})
def classic(size: int = 3) -> None:
    """Classic operators, groups and lists."""
    start = EmptyOperator(task_id="start")
    rank = Rank(task_id="rank", path="/x/{{ ds }}", retries=2)
    with TaskGroup("load", tooltip="both files") as load:
        bash = BashOperator(task_id="bash", bash_command="date", env={"A": "b"}, append_env=True)
        python = PythonOperator(task_id="python", python_callable=print, op_args=[bash.output, size], op_kwargs={})
        bash >> python

    @task_group
    def section(count: int) -> BaseOperator:
        return PythonOperator(task_id="inside", python_callable=print, op_args=[count])

    inside = section(2)
    start >> [rank, load] >> inside
    chain(start, [rank, bash], [inside, python])
    cross_downstream([rank, bash], [inside])
    Arrived(task_id="arrived", mode="poke") >> Wait(task_id="wait") << start
    BranchPythonOperator(task_id="branch", python_callable=lambda: "start").set_upstream(load)


classic_dag: DAG = classic(size=5)


with DAG("mapped", schedule=None) as mapped:

    @task
    async def addresses(page: int) -> list[str]:
        return [f"https://example.org/{page}"]

    @task(executor="local", pool="pictures", map_index_template="{{ task.op_kwargs['url'] }}")
    def measure(url: str, unit: str = "px") -> int:
        return len(url)

    @task
    def summarise(sizes: Sequence[int]) -> dict[str, int]:
        return {"count": len(sizes), "sum": sum(sizes)}

    @task_group
    def both(url: str, size: int = 0) -> XComArg:
        return measure.override(task_id="second")(measure(url).map(str))

    found = addresses(1)
    sizes = measure.expand(url=found)
    summarise(sizes)
    summarise(measure.partial(unit="cm").expand_kwargs([{"url": "a"}, {"url": "b"}]))
    summarise(measure.override(retries=3).expand(url=found.concat(addresses(2)).filter(str.isascii)))
    summarise(both.partial(size=1).expand(url=found))
    rows = Rank.partial(task_id="rows", retries=2).expand(path=sizes.map(str))
    shell = BashOperator.partial(task_id="shell").expand_kwargs([{"bash_command": "date"}])
    [rows, shell] >> EmptyOperator(task_id="end")
    chain(rows.output, shell)
