"""What the scheduler does by itself, what a log holds, what is recorded of a task: on a system that runs."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.spec.running_system import running_system
from tradewind.model.rows import PoolRow

pytestmark = pytest.mark.blocks_the_loop


@pytest.mark.spec("1:C2", "3:A04", "3:G10")
async def test_from_a_new_file_to_the_last_task(tmp_path: Path, database_url: str) -> None:
    """Files are read, intervals that are over become runs, tasks start when those before them have ended."""
    begin = (datetime.now(UTC) - timedelta(hours=3, minutes=30)).replace(second=0, microsecond=0)
    hourly = f"{begin.minute} * * * *"  # the last hour is half over
    async with running_system(tmp_path, database_url) as system:
        system.write(
            f"""
            from datetime import datetime, timedelta
            from airflow import DAG
            from airflow.operators.bash import BashOperator

            start = datetime.fromisoformat("{begin.isoformat()}")
            with DAG("hourly", start_date=start, schedule_interval="{hourly}", is_paused_upon_creation=False):
                a, b, c = (BashOperator(task_id=name, bash_command="echo {{{{ ts }}}}") for name in "abc")
                [a, b] >> c

            for name, schedule in {{
                "at_three": "0 3 * * *", "midnight": "0 0 * * *", "minutely": "*/1 * * * *",
                "preset": "0 0 * * *", "none": None, "delta": timedelta(days=1),
            }}.items():
                globals()[name] = DAG(name, start_date=start, schedule_interval=schedule)
            """
        )
        await system.knows("hourly", "at_three", "none")
        runs = await system.ended("hourly", 3)
        assert len(runs) == 3, "one for each interval that is over; that of this hour waits for its end"
        assert [run.logical_date for run in runs] == [begin + timedelta(hours=n) for n in range(3)]
        for run in runs:
            rows = {row.task_id: row for row in await system.runtime.control.reads.instance_list(run.run_id)}
            assert {name: row.state.value for name, row in rows.items()} == dict.fromkeys("abc", "success")
            began, ends = rows["c"].started_at, [rows[name].ended_at for name in "ab"]
            assert began is not None
            assert all(end is not None and began >= end for end in ends)
        shown = {dag_id: spec.timetable.summary for dag_id, spec in (await system.specs()).items()}
    assert shown == {
        "hourly": hourly,
        "at_three": "0 3 * * *",
        "midnight": "0 0 * * *",
        "minutely": "*/1 * * * *",
        "preset": "0 0 * * *",
        "none": "None",
        "delta": "1 day, 0:00:00",
    }


@pytest.mark.spec("1:H5")
async def test_what_a_log_holds_and_the_states_on_the_way(tmp_path: Path, database_url: str) -> None:
    async with running_system(tmp_path, database_url) as system:
        system.write(
            """
            from airflow import DAG
            from airflow.operators.bash import BashOperator

            say = 'echo "There are now 3 images: $AIRFLOW_CTX_TASK_ID."'
            with DAG("rockets", start_date="2020-12-01", schedule_interval=None) as dag:
                BashOperator(task_id="notify", bash_command=say, pool="narrow")
            """
        )
        await system.knows("rockets")
        control, passed = system.runtime.control, list[str]()

        async def follow() -> None:
            async for event in control.live_events():
                passed.extend(row.state.value for row in event.items if row.state.value not in passed[-1:])
                if passed[-1:] == ["scheduled"]:
                    await system.runtime.pool_set(PoolRow("narrow", 1))

        following = asyncio.create_task(follow())
        run = await system.run("rockets", dag_run_id="one")
        following.cancel()
        assert passed == ["scheduled", "running", "success"], "a fork of this machine waits in no queue"
        lines = await system.log(run, "notify")
        place = tmp_path / "logs/dag_id=rockets/run_id=one/task_id=notify/attempt=1.jsonl"
        assert place.is_file()
    said = "\n".join(lines)
    assert lines[0] == "Starting attempt 1 of 1"
    assert "Running command: ['" in said
    assert lines[lines.index("Output:") + 1 :] == [
        "There are now 3 images: notify.",
        "Command exited with return code 0",
        "Marking task as SUCCESS.",
    ]


@pytest.mark.spec("1:C13", "2:B-15", "3:UC25")
async def test_a_dag_that_follows_its_yaml_file(tmp_path: Path, database_url: str) -> None:
    """Tasks come and go with the YAML file; what ran before keeps its tasks, its states and its graph."""
    async with running_system(tmp_path, database_url) as system:
        system.write("tasks: [extract, load]\n", "tasks.yaml")
        system.write(
            """
            from datetime import datetime
            from pathlib import Path

            import yaml
            from airflow import DAG
            from airflow.operators.bash import BashOperator

            with DAG("dynamic", start_date=datetime(2026, 1, 1), schedule_interval=None):
                for name in yaml.safe_load(Path(__file__).with_name("tasks.yaml").read_text())["tasks"]:
                    BashOperator(task_id=name, bash_command="echo {{ task.task_id }}")
            """
        )
        await system.knows("dynamic")
        old = await system.run("dynamic")
        await system.rewrite("dynamic", "tasks: [extract, transform, publish]\n", "tasks.yaml")
        reads = system.runtime.control.reads
        new = await system.run("dynamic")
        assert set(await system.states(new)) == {"extract", "transform", "publish"}
        assert await system.states(old) == {"extract": "success", "load": "success"}
        versions = [await reads.dag_version_get("dynamic", run.version_hash) for run in (old, new)]
        graphs = [[task.task_id for task in version.spec.tasks] for version in versions if version is not None]
        assert graphs == [["extract", "load"], ["extract", "transform", "publish"]]
        assert [version.number for version in versions if version is not None] == [1, 2]


@pytest.mark.spec("1:E6", "3:S03")
async def test_an_end_date_leaves_out_intervals_that_begin_after_it(tmp_path: Path, database_url: str) -> None:
    """Every three days from the 1st on: those of the 1st and the 4th begin by the 5th, so runs come on the 4th and 7th.

    And `concurrency` of the DAG holds in place of the sixteen tasks that every DAG may run at once.
    """
    async with running_system(tmp_path, database_url) as system:
        system.write(
            """
            from datetime import datetime, timedelta
            from airflow import DAG
            from airflow.operators.bash import BashOperator

            with DAG("time_delta", schedule_interval=timedelta(days=3), start_date=datetime(2019, 1, 1),
                     end_date=datetime(2019, 1, 5), concurrency=1, is_paused_upon_creation=False):
                for name in "abc":
                    BashOperator(task_id=name, bash_command="true")
            """
        )
        runs = await system.ended("time_delta", 2)
        assert [(run.logical_date.day, run.run_after.day) for run in runs] == [(1, 4), (4, 7)]
        row = await system.runtime.control.reads.dag_get("time_delta")
        assert row is not None
        assert row.cursor is not None
        assert row.cursor.next_run_after is None, "nothing follows"
        assert (await system.specs())["time_delta"].max_active_tasks == 1
        times: list[tuple[datetime, datetime]] = []
        for run in runs:
            for one in await system.runtime.control.reads.instance_list(run.run_id):
                assert one.started_at is not None
                assert one.ended_at is not None
                times.append((one.started_at, one.ended_at))
        times.sort()
        assert all(end <= start for (_, end), (start, _) in pairwise(times)), "one after the other, over both runs"
