"""Schedules as people see them: which runs a running system makes, what they are about, what their tasks are told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.clocks import ClockFrom
from tests.services.conftest import StartRuntime, until
from tradewind import DAG, task
from tradewind.authoring.defaults import AuthoringDefaults, use_defaults
from tradewind.bundles.loader import load_file
from tradewind.control_ports import TriggerRequest
from tradewind.host import Runtime
from tradewind.model.errors import AuthoringError
from tradewind.model.rows import RunRow
from tradewind.model.states import RunState
from tradewind.ports import RunFilter

JAN = datetime(2019, 1, 1, tzinfo=UTC)


def noting(dag_id: str, seen: dict[str, Any], **settings: Any) -> DAG:
    """A DAG whose task notes what its run is about."""
    with DAG(dag_id, is_paused_upon_creation=False, **settings) as dag:

        @task
        def note(**context: Any) -> None:
            names = ("execution_date", "next_execution_date", "prev_execution_date", "data_interval_end")
            seen[context["run_id"]] = [None if context[n] is None else context[n].isoformat()[:16] for n in names]

        note()
    return dag


async def all_runs(runtime: Runtime, dag_id: str, count: int) -> list[RunRow]:
    """The runs of a DAG once `count` have ended, by logical date."""

    async def ended() -> bool:
        rows, _ = await runtime.control.reads.run_list(RunFilter(dag_id, states=(RunState.SUCCESS,)))
        return len(rows) >= count

    await until(runtime, ended)
    return (await runtime.control.reads.run_list(RunFilter(dag_id, order_by="logical_date")))[0]


@pytest.mark.spec("1:S1", "1:S2", "1:S5", "1:E4")
async def test_start_schedule_and_end_divide_time(start: StartRuntime) -> None:
    seen: dict[str, Any] = {}
    end = JAN + timedelta(days=4)
    runtime = await start(noting("daily", seen, schedule="@daily", start_date=JAN, end_date=end, catchup=True))
    rows = await all_runs(runtime, "daily", 5)
    assert [row.logical_date for row in rows] == [JAN + timedelta(days=n) for n in range(5)], "the end date's own too"
    assert all(row.interval_end - row.interval_start == timedelta(days=1) for row in rows)
    assert seen["scheduled__2019-01-03T00:00:00+00:00"] == [
        "2019-01-03T00:00", "2019-01-04T00:00", "2019-01-02T00:00", "2019-01-04T00:00"
    ]  # fmt: skip
    row = await runtime.control.reads.dag_get("daily")
    assert row is not None
    assert row.cursor is not None
    assert row.cursor.next_run_after is None, "nothing follows"


@pytest.mark.spec("1:S3", "1:S4")
async def test_the_first_run_comes_when_its_interval_is_over_and_there_is_always_a_next(start: StartRuntime) -> None:
    midnight = JAN + timedelta(days=7)
    runtime = await start(
        noting("new", {}, schedule="@daily", start_date=midnight, catchup=True),
        noting("old", {}, schedule="@daily", start_date=midnight - timedelta(days=1), catchup=True),
        clock=ClockFrom(midnight + timedelta(hours=12)),
    )
    (ran,) = await all_runs(runtime, "old", 1)
    assert (ran.logical_date, ran.run_after) == (midnight - timedelta(days=1), midnight)
    assert (await runtime.control.reads.run_list(RunFilter("new")))[1] == 0
    for dag_id in ("new", "old"):
        row = await runtime.control.reads.dag_get(dag_id)
        assert row is not None
        assert row.cursor is not None
        assert (row.cursor.next_logical_date, row.cursor.next_run_after) == (midnight, midnight + timedelta(days=1))


@pytest.mark.spec("1:S8")
async def test_a_timedelta_counts_from_the_start_date(start: StartRuntime) -> None:
    begin, end = JAN + timedelta(hours=7, minutes=13), JAN + timedelta(days=8)
    settings: dict[str, Any] = {"schedule": timedelta(days=3), "start_date": begin, "end_date": end, "catchup": True}
    rows = await all_runs(await start(noting("third", {}, **settings)), "third", 3)
    assert [row.run_after.strftime("%d %H:%M") for row in rows] == ["04 07:13", "07 07:13", "10 07:13"]


@pytest.mark.spec("1:S9", "1:S14")
async def test_without_a_schedule_only_somebody_starts_it(start: StartRuntime) -> None:
    runtime = await start(noting("by_hand", {}, schedule=None, start_date=JAN))
    run = await runtime.control.run_trigger(TriggerRequest("by_hand", logical_date=JAN))
    assert run.dag_run_id == "manual__2019-01-01T00:00:00+00:00"
    assert len(await all_runs(runtime, "by_hand", 1)) == 1


@pytest.mark.spec("1:S6")
async def test_presets(start: StartRuntime) -> None:
    names = ("@once", "@hourly", "@daily", "@weekly", "@monthly", "@yearly")
    first = {"@once": "01-01 00:00", "@hourly": "01-01 01:00", "@daily": "01-02 00:00", "@weekly": "01-13 00:00"}
    first |= {"@monthly": "02-01 00:00", "@yearly": "01-01 00:00"}
    found: dict[str, str] = {}
    for name in names:
        dag = DAG(name.strip("@"), schedule=name, start_date=JAN)
        (info, *_) = dag.iter_dagrun_infos_between(JAN, JAN + timedelta(days=14))
        found[name] = info.run_after.strftime("%m-%d %H:%M")
    assert found == first
    runtime = await start(noting("once", {}, schedule="@once", start_date=JAN))
    (run,) = await all_runs(runtime, "once", 1)
    assert run.logical_date == JAN
    row = await runtime.control.reads.dag_get("once")
    assert row is not None
    assert row.cursor is not None
    assert row.cursor.next_run_after is None


@pytest.mark.spec("1:S7")
@pytest.mark.parametrize(
    ("cron", "days"),
    [
        ("0 * * * *", "Tue 01 00:00, Tue 01 01:00, Tue 01 02:00"),
        ("0 0 * * 0", "Sun 06 00:00, Sun 13 00:00, Sun 20 00:00"),
        ("0 0 * * 7", "Sun 06 00:00, Sun 13 00:00, Sun 20 00:00"),
        ("0 0 1 * *", "Tue 01 00:00, Fri 01 00:00, Fri 01 00:00"),
        ("45 23 * * SAT", "Sat 05 23:45, Sat 12 23:45, Sat 19 23:45"),
        ("0 0 * * MON,WED,FRI", "Wed 02 00:00, Fri 04 00:00, Mon 07 00:00"),
        ("0 0 * * MON-FRI", "Tue 01 00:00, Wed 02 00:00, Thu 03 00:00"),
        ("0 0,12 * * *", "Tue 01 00:00, Tue 01 12:00, Wed 02 00:00"),
        ("0 16 * * *", "Tue 01 16:00, Wed 02 16:00, Thu 03 16:00"),
    ],
)
def test_cron_expressions(cron: str, days: str) -> None:
    infos = DAG("d", schedule=cron, start_date=JAN).iter_dagrun_infos_between(JAN, JAN + timedelta(days=99))
    found = [next(infos).logical_date.strftime("%a %d %H:%M") for _ in range(3)]
    assert ", ".join(found) == days


@pytest.mark.spec("1:E5")
def test_spaces_in_a_list_of_weekdays_are_refused() -> None:
    with pytest.raises(AuthoringError, match="MON, WED, FRI"):
        DAG("d", schedule="0 0 * * MON, WED, FRI", start_date=JAN).to_spec()


@pytest.mark.spec("1:S11")
@pytest.mark.parametrize("catchup", [True, False])
def test_the_configuration_says_what_catchup_is_by_default(tmp_path: Any, catchup: bool) -> None:
    file = tmp_path / "d.py"
    file.write_text("from tradewind import DAG\nDAG('d', schedule='@daily', start_date='2019-01-01')\ndag = DAG('e')\n")
    with use_defaults(AuthoringDefaults(catchup=catchup)):
        assert load_file(file).dags["e"].catchup is catchup
