"""What provider packages import from Airflow, beside what DAG files do."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import threading
import types
from collections.abc import Generator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.served_airflow import served_airflow
from tradewind import DAG, BaseOperator, task
from tradewind.authoring import provider_packages
from tradewind.authoring.hook import BaseHook
from tradewind.compat import NotServed
from tradewind.compat.configuration import conf
from tradewind.compat.decorating import DecoratedOperator, task_decorator_factory
from tradewind.compat.mails import build_mime_message
from tradewind.compat.package_words import coerce_datetime, convert_to_utc, poke_mode_only, provide_session
from tradewind.compat.processes import execute_in_subprocess, patch_environ, timeout
from tradewind.compat.skipping import SkipMixin
from tradewind.model.errors import AuthoringError, ConfigError, TaskTimeout, TradewindError
from tradewind.standard.empty import EmptyOperator
from tradewind.standard.sensors import PythonSensor
from tradewind.trial import TrialReport, try_dag


@pytest.fixture(autouse=True)
def served() -> Generator[None]:
    with served_airflow():
        yield


def states(report: TrialReport) -> dict[str, str]:
    return {instance.task_id: instance.state.value for instance in report.instances}


# Operators that skip others by a call -------------------------------------------------------------------------------


class Chooses(BaseOperator, SkipMixin):
    """Skips by one of the calls, and returns something else."""

    def __init__(self, *, how: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.how = how

    def execute(self, context: Any) -> Any:
        if self.how == "all except":
            self.skip_all_except(context["ti"], "left")
        elif self.how == "some":
            self.skip(context["dag_run"], context["logical_date"], [context["dag"].get_task("right")])
        elif self.how == "all below":
            self.skip(context["dag_run"], self.get_flat_relatives(upstream=False))
        elif self.how == "a stranger":
            self.skip(context["dag_run"], [context["dag"].get_task("stranger")])
        return "of no interest"


class ChoosesLoudly(Chooses):
    def execute(self, context: Any) -> Any:
        return super().execute(context)


@pytest.mark.parametrize("kind", [Chooses, ChoosesLoudly])
@pytest.mark.parametrize(
    ("how", "left", "right", "after"),
    [
        ("all except", "success", "skipped", "skipped"),
        ("some", "success", "skipped", "skipped"),
        ("all below", "skipped", "skipped", "skipped"),
        ("nothing", "success", "success", "success"),
        ("a stranger", "upstream_failed", "upstream_failed", "upstream_failed"),
    ],
)
async def test_skip_calls(kind: type[Chooses], how: str, left: str, right: str, after: str) -> None:
    with DAG("skips", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None) as dag:
        choose = kind(task_id="choose", how=how)
        EmptyOperator(task_id="stranger")
        left_task, right_task = EmptyOperator(task_id="left"), EmptyOperator(task_id="right")
        choose.set_downstream([left_task, right_task])
        right_task.set_downstream(EmptyOperator(task_id="after"))
    found = states(await try_dag(dag))
    assert (found["left"], found["right"], found["after"]) == (left, right, after)
    assert found["stranger"] == "success"


def test_a_sensor_cannot_skip_others() -> None:
    class Waits(PythonSensor, SkipMixin):
        pass

    with pytest.raises(TradewindError, match="AirflowSkipException to skip itself"):
        Waits(task_id="waits", python_callable=bool).skip(None, [])


# Decorators ---------------------------------------------------------------------------------------------------------


class Shouts(DecoratedOperator):
    custom_operator_name = "@task.shout"

    def execute(self, context: Any) -> Any:
        return self.python_callable(*self.op_args, **self.op_kwargs).upper()


def shout(python_callable: Any = None, **settings: Any) -> Any:
    return task_decorator_factory(python_callable, decorated_operator_class=Shouts, **settings)


@pytest.fixture
def package_of_shouts(monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    described: Mapping[str, Mapping[str, Any]] = {
        "apache-airflow-providers-shout": {
            "task-decorators": [{"name": "shout", "class-name": f"{__name__}.shout"}],
            "hook-class-names": [f"{__name__}.ShoutHook"],
            "config": {"shout": {"options": {"volume": {"default": "11"}, "quiet": {"default": None}}}},
        }
    }
    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _this_module())
    monkeypatch.setattr(provider_packages, "descriptions", lambda: described)
    provider_packages.config_defaults.cache_clear()
    yield
    provider_packages.config_defaults.cache_clear()


def _this_module() -> Any:
    module = types.ModuleType(__name__)
    for name, value in globals().items():
        setattr(module, name, value)
    return module


class ShoutHook(BaseHook):
    conn_type = "shout"


@pytest.mark.usefixtures("package_of_shouts")
async def test_a_packages_decorator() -> None:
    with DAG("shouts", start_date=datetime(2026, 1, 1, tzinfo=UTC), schedule=None) as dag:

        def say(what: str) -> str:
            return f"{what}!"

        words = task.shout(retries=2, task_id="words")(say)
        words("hello {{ ds_nodash }}")
        words.expand(what=["a", "b"])
    assert dag.get_task("words").task_type == "@task.shout"
    assert dag.get_task("words").retries == 2
    report = await try_dag(dag, logical_date=datetime(2026, 1, 5, tzinfo=UTC))
    assert set(states(report).values()) == {"success"}
    with pytest.raises(AttributeError, match=r"there is no @task.whisper; there are @task, @task.bash"):
        task.whisper  # noqa: B018 - the look-up is what is tried
    with pytest.raises(AuthoringError, match=r"@task.shout 'bare'"), DAG("wrong", schedule=None):
        shout(lambda: "x", task_id="bare")("one too many")


@pytest.mark.usefixtures("package_of_shouts")
def test_what_a_package_says_of_itself() -> None:
    assert provider_packages.hook_class("shout").__name__ == "ShoutHook"
    assert conf.getint("shout", "volume") == 11
    with pytest.raises(ConfigError, match=r"\[shout/quiet\] not found"):
        conf.get("shout", "quiet")


# Settings, sessions, modules ----------------------------------------------------------------------------------------


def test_a_setting_that_names_something(monkeypatch: pytest.MonkeyPatch) -> None:
    assert conf.getimport("aws", "session_factory", fallback=None) is None
    monkeypatch.setenv("AIRFLOW__AWS__SESSION_FACTORY", "pathlib.Path")
    assert conf.getimport("aws", "session_factory") is Path
    monkeypatch.setenv("AIRFLOW__AWS__SESSION_FACTORY", "pathlib.Nothing")
    with pytest.raises(ConfigError, match=r"\[aws/session_factory\], 'pathlib.Nothing', cannot be imported"):
        conf.getimport("aws", "session_factory")


def test_a_database_session_is_refused() -> None:
    def of_a_dag_file(session: Any = None) -> None: ...

    with pytest.raises(ImportError, match=r"@provide_session of .*of_a_dag_file is not available in Tradewind"):
        provide_session(of_a_dag_file)
    of_a_dag_file.__module__ = "airflow.providers.acme.triggers"
    refuse = provide_session(of_a_dag_file)
    with pytest.raises(TradewindError, match=r"airflow.providers.acme.triggers.*there is no database session"):
        refuse()


def test_a_missing_module_is_one_for_those_who_guard_against_it() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"apache-airflow-providers-microsoft-azure") as refused:
        importlib.import_module("airflow.providers.microsoft.azure.hooks.wasb")
    assert isinstance(refused.value, NotServed)


# Functions ----------------------------------------------------------------------------------------------------------


def test_environment_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEPT", "before")
    with patch_environ({"KEPT": "inside", "NEW": "x"}):
        assert (os.environ["KEPT"], os.environ["NEW"]) == ("inside", "x")
    assert os.environ["KEPT"] == "before"
    assert "NEW" not in os.environ


def test_a_program(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    execute_in_subprocess(["/bin/sh", "-c", "echo $WORD; echo aside >&2"], env={"WORD": "hello"})
    assert {"hello", "aside"} <= set(caplog.messages)
    with pytest.raises(subprocess.CalledProcessError, match="exit status 3"):
        execute_in_subprocess(["/bin/sh", "-c", "exit 3"])


def test_a_time_limit() -> None:
    forever = threading.Event()
    with pytest.raises(TaskTimeout, match="too late, PID"), timeout(seconds=0.05, error_message="too late"):
        forever.wait(60)
    with timeout(seconds=60):
        pass
    with timeout(0.1, "the outer"):
        with timeout(60, "the inner"):
            pass
        with pytest.raises(TaskTimeout, match="the outer"):
            forever.wait(60)


def test_a_sensor_that_remembers() -> None:
    @poke_mode_only
    class Remembers(PythonSensor):
        pass

    assert Remembers(task_id="a", python_callable=bool).mode == "poke"
    with pytest.raises(AuthoringError, match="Remembers 'b': mode has to be 'poke', not 'reschedule'"):
        Remembers(task_id="b", python_callable=bool, mode="reschedule")


def test_moments() -> None:
    naive, there = datetime(2026, 1, 1), datetime(2026, 1, 1, 2, tzinfo=UTC)  # noqa: DTZ001 - that is the point
    assert convert_to_utc(naive).isoformat() == "2026-01-01T00:00:00+00:00"
    assert coerce_datetime(there).add(hours=1).hour == 3
    assert (convert_to_utc(None), coerce_datetime(None)) == (None, None)


def test_a_mail(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_bytes(b"a,b")
    message, everyone = build_mime_message(
        "me@example.org",
        "ann@example.org; bob@example.org",
        "Orders",
        "<p>today</p>",
        files=[str(file)],
        cc=["carl@example.org"],
        bcc="dora@example.org",
        custom_headers={"Return-Path": "back@example.org"},
    )
    assert everyone == ["ann@example.org", "bob@example.org", "carl@example.org", "dora@example.org"]
    assert (message["To"], message["CC"]) == ("ann@example.org, bob@example.org", "carl@example.org")
    assert message["Return-Path"] == "back@example.org"
    assert "dora" not in message.as_string()
    assert 'filename="orders.csv"' in message.as_string()
