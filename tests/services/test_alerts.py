"""SLAs, deadlines, callbacks that run on their own, and mail: in a running runtime."""

from __future__ import annotations

import asyncio
import os
import textwrap
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.services.conftest import StartRuntime, run_to_end
from tests.services.mail_server import MailServer, mail_server
from tradewind import DAG
from tradewind.bundles.loader import load_file
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.instance_ports import MissFilter
from tradewind.model.states import RunType
from tradewind.rules.alerts import sla_moments
from tradewind.standard.empty import EmptyOperator
from tradewind.testing.store_world import run_row

pytestmark = pytest.mark.blocks_the_loop

HEAD = """
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tradewind import DAG, task
from tradewind.standard.file_triggers import FileTrigger

HERE = Path(__file__).parent

def tell(*facts):
    (HERE / "told").write_text("|".join(map(str, facts)))

async def go():
    async for _ in FileTrigger(str(HERE / "go")).run():
        pass
"""


def written(folder: Path, code: str) -> DAG:
    """The DAG of a file, for whose callbacks a pipe stands ready."""
    os.mkfifo(folder / "told")
    file = folder / "alerting.py"
    file.write_text(HEAD + textwrap.dedent(code))
    (dag,) = load_file(file).dags.values()
    return dag


async def told(folder: Path) -> list[str]:
    """What a callback has written: opening the pipe waits for it."""
    async with asyncio.timeout(60):
        return (await asyncio.to_thread((folder / "told").read_text)).split("|")


async def ended(runtime: Runtime, dag_id: str) -> str:
    return (await run_to_end(runtime, dag_id)).state.value


SLA = """
def missed({parameters}):
    tell({facts})

with DAG("late", schedule="@daily", start_date=datetime(2026, 1, 1, tzinfo=UTC), catchup=False,
         is_paused_upon_creation=False, email="ops@example.com", sla_miss_callback=missed):

    @task(sla=timedelta(seconds=1))
    async def slow():
        await go()

    @task(sla=timedelta(days=3650))
    async def other():
        await go()

    slow()
    other()
"""


@pytest.mark.parametrize(
    ("parameters", "facts"),
    [
        (
            "dag, task_list, blocking_task_list, slas, blocking_tis",
            "dag.dag_id, task_list.split()[0], slas[0].task_id, blocking_task_list.split()[0]",
        ),
        ("context", "context['dag'].dag_id, context['task_list'].split()[0], context['ti'].dag_id, 'other'"),
    ],
)
@pytest.mark.spec("2:B-34", "2:B-35", "2:B-36", "3:N09", "3:N11")
async def test_an_sla(start: StartRuntime, tmp_path: Path, parameters: str, facts: str) -> None:
    dag = written(tmp_path, SLA.format(parameters=parameters, facts=facts))
    runtime = await start(dag)
    assert await told(tmp_path) == ["late", "slow", "slow" if "slas" in facts else "late", "other"]
    ([(_, _, row)], _) = await runtime.control.reads.deadline_page(MissFilter(dag_id="late"))
    assert row.miss.name.startswith("sla ")
    assert await runtime.control.reads.deadline_page(MissFilter(dag_id="other")) == ([], 0)
    (tmp_path / "go").touch()
    run = await runtime.control.reads.run_by_id(row.miss.run_id)
    assert run is not None
    assert (await runtime.control.run_wait(run.run_id, 60)).state.value == "success"


@pytest.mark.spec("2:B-35", "3:N10")
async def test_mail_about_an_sla(start: StartRuntime, tmp_path: Path) -> None:
    code = SLA.format(parameters="", facts="'called'").replace(", sla_miss_callback=missed", "")
    async with mail_server() as server:
        await start(written(tmp_path, code), smtp__host="127.0.0.1", smtp__port=server.port, smtp__starttls=False)
        message = await server.next()
    (tmp_path / "go").touch()
    assert message["To"] == "ops@example.com"
    text = message.get_content()
    assert "Here's a list of tasks that missed their SLAs:" in text
    assert "slow on 20" in text
    assert "Blocking tasks:" in text
    assert "other on 20" in text


@pytest.mark.parametrize(
    ("function", "callback"),
    [
        ("def missed(context):\n    tell(context['dag_run'].run_id[:6], context['deadline'].name, '')", "missed"),
        (
            "async def missed(who, **offered):\n    tell(offered['dag_run'].run_id[:6], offered['deadline'].name, who)",
            "AsyncCallback(missed, kwargs={'who': 'me'})",
        ),
        (
            "def missed(dag_run, who):\n    tell(dag_run.run_id[:6], 'quick', who)",
            "SyncCallback(missed, {'who': 'me'})",
        ),
    ],
)
async def test_a_deadline(start: StartRuntime, tmp_path: Path, function: str, callback: str) -> None:
    code = f"""
from tradewind.authoring.deadlines import AsyncCallback, DeadlineAlert, DeadlineReference, SyncCallback

{function}

with DAG("must_end", schedule=None, deadline=[
    DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, timedelta(milliseconds=200), {callback}, name="quick"),
    DeadlineAlert(DeadlineReference.FIXED_DATETIME(datetime(2126, 1, 1)), timedelta(0), missed),
    DeadlineAlert(DeadlineReference.AVERAGE_RUNTIME(), timedelta(0), missed),
]):

    @task
    async def slow():
        await go()

    slow()
"""
    runtime = await start(written(tmp_path, code))
    run = await runtime.control.run_trigger(TriggerRequest("must_end", unpause=True))
    assert await told(tmp_path) == ["manual", "quick", "me" if "who" in function else ""]
    ([(_, _, row)], _) = await runtime.control.reads.deadline_page(MissFilter(dag_id=None))
    assert (row.miss.run_id, row.miss.name) == (run.run_id, "deadline quick")
    (tmp_path / "go").touch()
    await runtime.control.run_wait(run.run_id, 60)


@pytest.mark.spec("3:N01")
async def test_a_dags_callback_asks_the_runtime(start: StartRuntime, tmp_path: Path) -> None:
    code = """
    from tradewind import Variable
    from tradewind.authoring.notifier import BaseNotifier

    class Tells(BaseNotifier):
        template_fields = ("text",)

        def notify(self, context):
            kept = context["ti"].xcom_pull("says")
            run = context["dag_run"]
            (said,) = run.get_task_instances(state="success")
            tell(self.text, Variable.get("channel"), kept, run.conf["n"], run.state, said.task_id, said.duration >= 0)

    with DAG("notified", schedule=None, on_success_callback=Tells(text="{{ dag_run.dag_id }} in {{ reason }}")):

        @task
        async def says():
            return (1, 2)

        says()
    """
    runtime = await start(written(tmp_path, code))
    await runtime.services.store.variable_set("channel", "#ops")
    await runtime.control.run_trigger(TriggerRequest("notified", {"n": 7}, unpause=True))
    assert await told(tmp_path) == ["notified in all tasks are done", "#ops", "(1, 2)", "7", "success", "says", "True"]


FAILING = """
with DAG("alerts", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)):

    @task(email=["bob@work.com", "ann@work.com"], retries=1, retry_delay=0, email_on_retry={on_retry})
    async def fails():
        raise ValueError("<gone>")

    @task(email="eve@work.com", email_on_failure=False)
    async def quiet():
        raise ValueError

    fails()
    quiet()
"""


@pytest.mark.spec("3:N05", "3:N06", "3:N07")
@pytest.mark.parametrize("on_retry", [True, False])
async def test_mail_about_failures(start: StartRuntime, tmp_path: Path, on_retry: bool) -> None:
    dag = written(tmp_path, FAILING.format(on_retry=on_retry))
    async with mail_server() as server:
        runtime = await start(dag, smtp__host="127.0.0.1", smtp__port=server.port, smtp__starttls=False)
        assert await ended(runtime, "alerts") == "failed"
        if on_retry:
            await check(server, "up_for_retry", 1)
        await check(server, "failed", 2)
        assert server.mail.empty()


async def check(server: MailServer, state: str, number: int) -> None:
    message = await server.next()
    subject = str(message["Subject"])
    assert subject.startswith("Airflow alert: <TaskInstance: alerts.fails 20")
    assert subject.endswith(f" [{state}]>")
    assert message["To"] == "bob@work.com, ann@work.com"
    text = message.get_content()
    parts = ("Exception:<br>&lt;gone&gt;", "Log: <a href", "Host: ", "Mark success", "task_id=fails/attempt=")
    for part in (f"Try {number} out of 2", *parts):
        assert part in text


UC2 = """
from tradewind import BashOperator

def send_error():
    tell("the DAG")

def send_task_error():
    with (HERE / "of_the_task").open("a") as file:
        file.write("the task;")

with DAG("chapter12_task_failure_callback", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC),
         default_args={"on_failure_callback": send_task_error}, on_failure_callback=send_error):
    BashOperator(task_id="failing_task", bash_command="exit 1")
"""


@pytest.mark.spec("3:N01", "3:N02", "3:UC2")
async def test_a_failing_task_is_told_twice(start: StartRuntime, tmp_path: Path) -> None:
    runtime = await start(written(tmp_path, UC2))
    assert await ended(runtime, "chapter12_task_failure_callback") == "failed"
    assert await told(tmp_path) == ["the DAG"]
    assert (tmp_path / "of_the_task").read_text() == "the task;"


@pytest.mark.spec("2:B-33", "3:N08")
def test_slas_are_counted_from_the_scheduled_start() -> None:
    with DAG(
        "chapter12_task_sla",
        schedule=timedelta(minutes=30),
        start_date=datetime(2020, 1, 1, 12, tzinfo=UTC),
        end_date=datetime(2020, 1, 1, 15, tzinfo=UTC),
        default_args={"sla": timedelta(hours=2)},
    ) as dag:
        EmptyOperator(task_id="first")
        EmptyOperator(task_id="sleeptask", sla=timedelta(minutes=2))
        EmptyOperator(task_id="last")
    spec = dag.to_spec()
    half_past = datetime(2020, 1, 1, 12, 30, tzinfo=UTC)
    run = replace(run_row(1, spec), run_type=RunType.SCHEDULED, run_after=half_past)
    due = {at: [task.task_id for task in tasks] for at, tasks in sla_moments(run, spec)}
    assert due == {
        half_past + timedelta(minutes=2): ["sleeptask"],
        half_past + timedelta(hours=2): ["first", "last"],
    }
    assert list(sla_moments(replace(run, run_type=RunType.MANUAL), spec)) == []
