# pyright: reportUnusedExpression=false
"""The operators and sensors that need no outside system, run for real."""

from __future__ import annotations

import os
import select
import threading
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.unit.authoring.attempts import running
from tests.unit.authoring.task_behind import operator_of
from tradewind.authoring.context import build_context
from tradewind.authoring.dag import DAG
from tradewind.authoring.sensor import BaseSensorOperator, PokeReturnValue
from tradewind.model.errors import AuthoringError, SkipTask, TaskFailed
from tradewind.standard.bash import BashOperator
from tradewind.standard.branch import LatestOnlyOperator
from tradewind.standard.decorators import task
from tradewind.standard.empty import DummyOperator, EmptyOperator
from tradewind.standard.python import PythonOperator, ShortCircuitOperator
from tradewind.standard.sensors import BashSensor, DateTimeSensor, FileSensor, PythonSensor, TimeDeltaSensor, TimeSensor


def bash(command: str, **arguments: Any) -> BashOperator:
    return BashOperator(task_id="t", bash_command=command, **arguments)


def test_bash_returns_its_last_line_and_logs_all(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert bash("echo one; echo two >&2; printf three").execute({}) == "three"
    lines = [r.message for r in caplog.records]
    assert lines[0].startswith("Tmp dir root location: ")
    assert lines[1].startswith("Running command: ")
    assert lines[2:] == ["Output:", "one", "two", "three", "Command exited with return code 0"]
    assert bash("true").execute({}) == ""
    assert bash("echo '{\"a\": 1}'", output_processor=len).execute({}) == 8
    assert bash(r"printf '\xff\n'").execute({}) == "\\xff"


@pytest.mark.parametrize(
    ("command", "arguments", "error", "message"),
    [
        ("exit 3", {}, TaskFailed, "non-zero exit code 3"),
        ("exit 99", {}, SkipTask, "exit code 99"),
        ("exit 99", {"skip_on_exit_code": None}, TaskFailed, "exit code 99"),
        ("exit 4", {"skip_on_exit_code": [4, 5]}, SkipTask, "exit code 4"),
        ("kill -9 $$", {}, TaskFailed, "ended by signal SIGKILL"),
        ("true", {"cwd": "/nowhere/at/all"}, TaskFailed, "'/nowhere/at/all' is no folder"),
    ],
)
def test_bash_ends(command: str, arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        bash(command, **arguments).execute({})


def test_bash_environment_and_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FROM_OUTSIDE", "outside")
    show = 'echo "$FROM_OUTSIDE/$MINE/$AIRFLOW_CTX_DAG_ID"'
    with DAG("a_dag") as dag:
        operator = BashOperator(task_id="t", bash_command=show, env={"MINE": "mine"})
    context = build_context(running(dag, "t"), dag, operator)
    assert operator.execute(context) == "/mine/a_dag"
    operator.append_env = True
    assert operator.execute(context) == "outside/mine/a_dag"
    assert bash("pwd", cwd=str(tmp_path)).execute({}) == str(tmp_path)
    own_folder = bash("pwd").execute({})
    assert not Path(own_folder).exists()


def test_bash_takes_its_children_along_when_killed(tmp_path: Path) -> None:
    pipe = tmp_path / "started"
    os.mkfifo(pipe)
    operator = bash(f"sleep 1000 & echo $! > {pipe}; wait")
    ended: list[BaseException] = []

    def run() -> None:
        try:
            operator.execute({})
        except TaskFailed as failure:
            ended.append(failure)

    thread = threading.Thread(target=run)
    thread.start()
    child = os.pidfd_open(int(pipe.read_text()))
    operator.on_kill()
    thread.join(60)
    assert not thread.is_alive()
    assert "SIGTERM" in str(ended[0])
    try:
        assert select.select([child], [], [], 30)[0] == [child]  # readable: it has ended
    finally:
        os.close(child)


def test_bash_of_a_function() -> None:
    @task.bash(env={"X": "7"})
    def command(name: str, ds: str) -> str:
        return f"echo {name} {ds} $X {{{{ params.n }}}}"

    @task.bash
    def nothing() -> str:
        return ""

    with DAG("d", params={"n": 3}) as dag:
        operator = operator_of(command("hello", ds="2026-01-01"))
        empty = operator_of(nothing())
    context = build_context(running(dag, "command"), dag, operator)
    assert operator.shallow_copy_for_run().execute(context) == "hello 2026-01-01 7 3"
    with pytest.raises(TaskFailed, match="'nothing': the function has to return a bash command"):
        empty.execute(context)
    untyped: Any = task.bash

    async def later() -> str:
        return "true"

    with pytest.raises(AuthoringError, match="plain one, not async"):
        untyped(later)()


def test_what_the_log_says_about_a_returned_value() -> None:
    shown = PythonOperator(task_id="t", python_callable=lambda: [1])
    hidden = PythonOperator(task_id="t", python_callable=lambda: "secret", show_return_value_in_logs=False)
    assert shown.result_note([1]) == "Done. Returned value was: [1]"
    assert shown.result_note(10**5000) == "Done. Returned value is of a kind (int) that cannot be shown: ValueError"
    assert "secret" not in hidden.result_note("secret")
    long = shown.result_note("x" * 1_000_000)
    assert len(long) < 10_000
    assert long.endswith("x… (1,000,000 characters)")


def test_small_operators() -> None:
    assert DummyOperator is EmptyOperator
    assert EmptyOperator(task_id="t").execute({}) is None  # type: ignore[func-returns-value]  # that it is None is the point
    short = ShortCircuitOperator(task_id="t", python_callable=lambda: 0, ignore_downstream_trigger_rules=False)
    assert (short.execute({}), short.ignore_downstream_trigger_rules) == (0, False)


def test_latest_only() -> None:
    with DAG("d", schedule=timedelta(days=1), start_date="2026-01-01") as dag:
        latest = LatestOnlyOperator(task_id="latest")
        latest >> [EmptyOperator(task_id="b"), EmptyOperator(task_id="a")]
    day = timedelta(days=1)
    now = datetime.now(UTC)

    def chosen(start: datetime, *, by_hand: bool = False) -> list[str]:
        run = type("Run", (), {"external_trigger": by_hand})
        context = {"dag_run": run, "data_interval_start": start, "data_interval_end": start + day}
        return latest.choose_branch(context)

    assert dag.task_count == 3
    assert chosen(now - day - timedelta(hours=1)) == ["a", "b"]
    assert chosen(now - 3 * day) == []
    assert chosen(now - 3 * day, by_hand=True) == ["a", "b"]


def test_file_sensor(tmp_path: Path) -> None:
    def found(pattern: str, **arguments: Any) -> bool:
        return FileSensor(task_id="t", filepath=pattern, **arguments).poke({})

    assert not found(str(tmp_path / "data-*.csv"))
    (tmp_path / "data-1.csv").touch()
    assert found(str(tmp_path / "data-*.csv"))
    assert found("data-1.csv", base_path=str(tmp_path))
    (tmp_path / "empty").mkdir()
    assert not found(str(tmp_path / "empty"))
    (tmp_path / "full" / "deep").mkdir(parents=True)
    assert not found(str(tmp_path / "full"))
    (tmp_path / "full" / "deep" / "file").touch()
    assert found(str(tmp_path / "full"))
    (tmp_path / "full" / "deep" / "x.txt").touch()
    assert found(str(tmp_path / "**" / "x.txt"), recursive=True)


async def test_python_sensors() -> None:
    assert PythonSensor(task_id="t", python_callable=str).poke({}) is False
    assert PythonSensor(task_id="t", python_callable=list).poke({}) is False
    answer = PythonSensor(task_id="t", python_callable=lambda: PokeReturnValue(True, 5)).poke({})
    assert (bool(answer), answer.xcom_value) == (True, 5)

    async def ready() -> bool:
        return True

    sensor = PythonSensor(task_id="t", python_callable=ready)
    assert sensor.is_async
    assert await sensor.poke({}) is True

    @task.sensor(poke_interval=timedelta(seconds=5), timeout=timedelta(minutes=1))
    def waits(n: int) -> int:
        return n

    operator = operator_of(waits(0))
    assert isinstance(operator, BaseSensorOperator)
    assert (operator.poke_interval, operator.timeout, operator.poke({}), operator.is_async) == (5.0, 60.0, False, False)


def test_bash_sensor(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        assert BashSensor(task_id="t", bash_command="echo hello").poke({})
    assert "hello" in caplog.text
    assert not BashSensor(task_id="t", bash_command="exit 2").poke({})
    assert not BashSensor(task_id="t", bash_command="exit 2", retry_exit_code=2).poke({})
    with pytest.raises(TaskFailed, match="exit code 3"):
        BashSensor(task_id="t", bash_command="exit 3", retry_exit_code=2).poke({})


def test_time_sensors() -> None:
    now = datetime.now(UTC)
    assert DateTimeSensor(task_id="t", target_time="2020-01-01").poke({})
    assert not DateTimeSensor(task_id="t", target_time=now + timedelta(hours=1)).poke({})
    assert TimeDeltaSensor(task_id="t", delta=timedelta(hours=1)).poke({"data_interval_end": now - timedelta(hours=2)})
    assert not TimeDeltaSensor(task_id="t", delta=3600).poke({"data_interval_end": now})
    assert TimeSensor(task_id="t", target_time=time.min).poke({})
    assert not TimeSensor(task_id="t", target_time=time.max).poke({})
    with pytest.raises(AuthoringError, match="'soon' is not an ISO 8601 date"):
        DateTimeSensor(task_id="t", target_time="soon").poke({})


def test_the_wait_between_pokes() -> None:
    plain = BaseSensorOperator(task_id="t", poke_interval=30)
    assert [plain.next_poke_delay(n, 0.7) for n in (1, 5)] == [30.0, 30.0]
    growing = BaseSensorOperator(task_id="t", poke_interval=10, exponential_backoff=True)
    assert [growing.next_poke_delay(n, 0.0) for n in (1, 2, 3, 4)] == [10.0, 20.0, 40.0, 80.0]
    assert growing.next_poke_delay(2, 0.5) == 30.0
    assert growing.next_poke_delay(10_000, 0.9) == 86_400.0
    capped = BaseSensorOperator(task_id="t", poke_interval=10, exponential_backoff=True, max_wait=timedelta(seconds=25))
    assert capped.next_poke_delay(3, 0.0) == 25.0


def test_a_sensor_called_by_hand_waits_in_place() -> None:
    class Third(BaseSensorOperator):
        pokes = 0

        def poke(self, context: Any) -> PokeReturnValue:
            self.pokes += 1
            return PokeReturnValue(self.pokes == 3, "here")

    assert Third(task_id="t", poke_interval=0).execute({}) == "here"
    with pytest.raises(TaskFailed, match=r"Snap\. Time is OUT\."):
        FileSensor(task_id="t", filepath="/nowhere/at/all", timeout=0, poke_interval=0).execute({})
    with pytest.raises(SkipTask):
        FileSensor(task_id="t", filepath="/nowhere", timeout=0, poke_interval=0, soft_fail=True).execute({})
    for wrong in ({"timeout": -1}, {"poke_interval": "often"}, {"soft_fail": True, "never_fail": True}):
        given: Any = wrong
        with pytest.raises(AuthoringError, match="FileSensor 't'"):
            FileSensor(task_id="t", filepath="/x", **given)
