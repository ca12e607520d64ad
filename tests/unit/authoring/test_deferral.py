"""Triggers, their kinds, and deferral, without a runtime."""

from __future__ import annotations

import importlib
import logging
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime, timedelta
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest

from tradewind import DAG, BaseOperator, DateTimeSensor, FileSensor, task
from tradewind.authoring import trigger_kinds
from tradewind.authoring.defaults import AuthoringDefaults, use_defaults
from tradewind.authoring.deferral import (
    TaskDeferralError,
    TaskDeferralTimeout,
    TaskDeferred,
    defer,
    resumed_call,
    trigger_of,
    wait_of,
)
from tradewind.authoring.sensor import BaseSensorOperator, SensorTimeout
from tradewind.authoring.stored_values import packed, unpacked
from tradewind.authoring.trigger_kinds import TriggerSource, collecting_kinds, found_class, is_at_hand
from tradewind.authoring.triggers import (
    BaseTrigger,
    StartTriggerArgs,
    TaskFailedEvent,
    TaskSuccessEvent,
    Trigger,
    TriggerEvent,
    trigger,
)
from tradewind.model.errors import AuthoringError, NotFoundError, SkipTask, XComError
from tradewind.model.outcomes import EncodedValue
from tradewind.model.waits import Resume, WaitAnswer
from tradewind.standard.moment_triggers import DateTimeTrigger

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@trigger(kind="unit.queue")
class Queue(Trigger):
    name: str
    pause: timedelta = timedelta(seconds=1)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent(self.name)


class Old(BaseTrigger):
    def __init__(self, x: int = 1) -> None:
        super().__init__()
        self.x = x

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "written.by.hand.Old", {"x": self.x}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        yield TriggerEvent(self.x)


class Older(Old):
    """Says, as its base does, that it is its base."""


class Op(BaseOperator):
    def execute(self, context: Any) -> Any: ...

    def done(self, context: Any, event: Any, n: int = 0) -> Any:
        return [event, n]

    async def later(self, context: Any, event: Any) -> Any:
        raise SkipTask("later")

    def blind(self, context: Any) -> Any: ...


# ------------------------------------------------------------------------------- classes and kinds


def test_fields_are_arguments() -> None:
    made = Queue("a", pause=timedelta(seconds=3))
    assert made.serialize() == ("unit.queue", {"name": "a", "pause": timedelta(seconds=3)})
    assert repr(made) == "<unit.queue name=a, pause=0:00:03>"
    with pytest.raises(TypeError, match="name"):
        Queue()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


def test_a_class_without_a_kind_has_its_path() -> None:
    assert Old.trigger_kind == f"{__name__}.Old"
    assert found_class(Old.trigger_kind, None) is Old


def test_kinds_that_cannot_be() -> None:
    for kind in ("", "a b", "3x", "x" * 251):
        with pytest.raises(AuthoringError, match="cannot be a kind, which is a name such as"):
            trigger(kind=kind)(Queue)
    with pytest.raises(AuthoringError, match=r"belongs to .*Queue already; give one of them another"):

        @trigger(kind="unit.queue")
        class Other(Trigger):  # pyright: ignore[reportUnusedClass]
            pass

    with pytest.raises(AuthoringError, match="is for subclasses of Trigger"):
        trigger(kind="unit.no")(Op)  # type: ignore[type-var]  # pyright: ignore[reportArgumentType]


def test_a_version_of_a_file_has_its_own_classes() -> None:
    sources: list[TriggerSource] = []
    for _ in range(2):
        with collecting_kinds() as kinds:

            @trigger(kind="unit.version")
            class Version(Trigger):  # pyright: ignore[reportUnusedClass]
                pass

        sources.append(TriggerSource(kinds))
    first, second = (found_class("unit.version", source) for source in sources)
    assert first is not None
    assert second is not None
    assert first is not second
    assert found_class("unit.version", None) is None, "outside of their file neither is meant"


def test_an_installed_package_offers_a_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("acme.old", f"{__name__}:Old", "tradewind.triggers")

    def entry_points(**wanted: str) -> Iterable[EntryPoint]:
        return [point] if wanted == {"group": "tradewind.triggers", "name": "acme.old"} else []

    monkeypatch.setattr(trigger_kinds, "entry_points", entry_points)
    assert found_class("acme.old", None) is Old
    assert found_class("acme.other", None) is None


@pytest.mark.parametrize("kind", ["os.path.join", "os", "json.JSONDecoder", "no.such.Thing", "airflow.no.Such", "?"])
def test_a_stored_kind_imports_and_makes_nothing_else(kind: str) -> None:
    with pytest.raises(NotFoundError, match=r"DAG 'd' .* knows no trigger of the kind"):
        trigger_of(kind, None, DAG("d"))


def test_core_kinds_are_found_under_all_their_names() -> None:
    for kind in ("tradewind.moment", "tradewind.standard.moment_triggers.DateTimeTrigger"):
        assert found_class(kind, None) is DateTimeTrigger
    for kind in trigger_kinds.CORE:
        found = found_class(kind, None)
        assert found is not None
        assert found.trigger_kind == kind


def test_what_a_loop_may_look_up(tmp_path: Path) -> None:
    (tmp_path / "late.py").write_text("")
    beside = TriggerSource({"own": Old}, str(tmp_path), importlib.import_module)
    for kind, source, at_hand in (
        ("tradewind.moment", None, True),
        ("unit.queue", None, True),
        (Old.trigger_kind, None, True),
        ("airflow.providers.no.such.Thing", None, False),
        ("acme.installed", None, False),
        ("own", beside, True),
        ("unit.queue", beside, False),
    ):
        assert is_at_hand(kind, source) is at_hand, kind
    assert found_class("unit.queue", beside) is Queue
    assert is_at_hand("unit.queue", beside), "its bundle has been looked through"


def test_events() -> None:
    assert TriggerEvent({"a": 1}) == TriggerEvent({"a": 1}) != TriggerEvent({"a": 2})
    assert repr(TriggerEvent({"a": 1})) == "TriggerEvent<{'a': 1}>"
    assert (TaskSuccessEvent().payload, TaskFailedEvent().payload) == ("success", "failed")
    assert TaskSuccessEvent(xcoms={"a": 1}) != TaskSuccessEvent()
    with pytest.raises(AuthoringError, match="a key is a text that is not empty"):
        TaskSuccessEvent(xcoms={"": 1})
    with pytest.raises(AuthoringError, match="ack has to be an async function"):
        TriggerEvent(1, ack="yes")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


# ------------------------------------------------------------------------------- deferring


def test_what_is_stored() -> None:
    operator = Op(task_id="t")
    deferred = TaskDeferred(trigger=Queue("a"), method_name="done", kwargs={"n": 2}, timeout=60)
    wait = wait_of(deferred, now=NOW, until=NOW + timedelta(hours=1), operator=operator)
    assert (wait.kind, wait.method, wait.due, wait.key) == ("unit.queue", "done", None, "")
    assert wait.deadline == NOW + timedelta(seconds=60)
    assert wait.args is not None
    assert wait.kwargs is not None
    assert unpacked(wait.args) == {"name": "a", "pause": timedelta(seconds=1)}
    assert unpacked(wait.kwargs) == {"n": 2}
    soon = wait_of(deferred, now=NOW, until=NOW + timedelta(seconds=5), operator=operator)
    assert soon.deadline == NOW + timedelta(seconds=5)
    assert wait_of(TaskDeferred(trigger=Queue("a"), method_name="done"), now=NOW).deadline is None


@pytest.mark.parametrize(("made", "kind"), [(Old(2), Old), (Older(2), Old)])
def test_the_path_of_serialize_is_a_hint(made: BaseTrigger, kind: type[BaseTrigger]) -> None:
    wait = wait_of(TaskDeferred(trigger=made, method_name="done"), now=NOW, operator=Op(task_id="t"))
    again = trigger_of(wait.kind, wait.args, DAG("d"))
    assert type(again) is kind
    assert again.serialize()[1] == {"x": 2}


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trigger": "x"}, "an instance of BaseTrigger"),
        ({"trigger": Queue}, "an instance of BaseTrigger"),
        ({"method_name": ""}, "the name of a method"),
        ({"kwargs": [1]}, "a dict with texts as keys"),
        ({"timeout": -1}, "timeout must not be negative; it is -1 seconds"),
        ({"timeout": timedelta(seconds=-1)}, "timeout must not be negative"),
        ({"timeout": "1h"}, "a timedelta or a number of seconds"),
        ({"timeout": 1e30}, "cannot be"),
    ],
)
def test_what_cannot_be_deferred(given: dict[str, Any], said: str) -> None:
    arguments: dict[str, Any] = {"trigger": Queue("a"), "method_name": "done", **given}
    with pytest.raises(AuthoringError, match=said):
        TaskDeferred(**arguments)


def test_a_method_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(AuthoringError, match=r"Op 't' has no method 'dnoe' .*; it has blind, done, execute, later"):
        Op(task_id="t").defer(trigger=Queue("a"), method_name="dnoe")


@pytest.mark.parametrize(
    ("method", "kwargs", "said"),
    [
        ("done", {"rows": 1}, r"Op 't': after the wait done\(context, rows=…, event=…\) is called, .*'rows'"),
        ("blind", None, r"blind\(context, event=…\) is called, .*'event'"),
    ],
)
def test_a_method_that_does_not_take_what_it_will_get(method: str, kwargs: dict[str, Any] | None, said: str) -> None:
    with pytest.raises(AuthoringError, match=said):
        Op(task_id="t").defer(trigger=Queue("a"), method_name=method, kwargs=kwargs)


class NoGenerator(Trigger):
    async def run(self) -> TriggerEvent:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return TriggerEvent()


class Naive(Queue):
    def due(self) -> datetime:
        return datetime(2030, 1, 1)  # noqa: DTZ001 - that is the point


def test_triggers_that_cannot_be_run() -> None:
    class Local(Queue):
        pass

    for made, said in (
        (NoGenerator(), "has to be an async generator"),
        (Local("a"), "it is defined inside a function; define it at the top of a module"),
        (Naive("a"), "an aware datetime"),
    ):
        with pytest.raises(AuthoringError, match=said):
            wait_of(TaskDeferred(trigger=made, method_name="done"), now=NOW, operator=Op(task_id="t"))
    with pytest.raises(XComError, match=r"trigger unit.queue: serialize\(\)\['name'\] is of type"):
        wait_of(TaskDeferred(trigger=Queue(object()), method_name="done"), now=NOW)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(XComError, match="kwargs"):
        wait_of(TaskDeferred(trigger=Queue("a"), method_name="done", kwargs={"x": print}), now=NOW)


def test_stored_arguments_that_no_longer_fit() -> None:
    with pytest.raises(AuthoringError, match="stored were arguments that its constructor does not take"):
        trigger_of("unit.queue", packed({"nmae": 1}, "x"), DAG("d"))
    with pytest.raises(AuthoringError, match="are no dict"):
        trigger_of("unit.queue", packed([1], "x"), DAG("d"))
    with pytest.raises(AuthoringError, match=r"cannot be made again: AuthoringError: .*naive"):
        trigger_of("tradewind.moment", packed({"moment": datetime(2030, 1, 1)}, "x"), DAG("d"))  # noqa: DTZ001
    with pytest.raises(XComError, match="a newer version"):
        unpacked(EncodedValue(16, b""))


def test_values_are_json_whatever_stores_xcoms() -> None:
    with use_defaults(AuthoringDefaults(xcom_backend="no.such:Backend", xcom_pickling=True)):
        assert unpacked(packed({"at": NOW}, "x")) == {"at": NOW}
        with pytest.raises(XComError):
            packed({"f": print}, "x")
    with use_defaults(AuthoringDefaults(xcom_max_bytes=10)), pytest.raises(XComError, match=r"x: .* bytes encoded"):
        packed("a" * 20, "x")


# ------------------------------------------------------------------------------- going on


def test_going_on() -> None:
    operator = Op(task_id="t")
    answer = WaitAnswer(packed({"rows": 3}, "event"))
    method, arguments = resumed_call(Resume("done", packed({"n": 2}, "kwargs"), answer))
    assert operator.resume_execution(method, arguments, {}) == [{"rows": 3}, 2]
    with pytest.raises(AuthoringError, match="has no method 'gone'"):
        operator.resume_execution("gone", None, {})


def test_a_wait_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    operator = Op(task_id="t")
    caplog.set_level(logging.ERROR)
    method, arguments = resumed_call(Resume("done", None, WaitAnswer(error="Traceback …\nValueError: boom")))
    with pytest.raises(TaskDeferralError, match=r"^Trigger failure: ValueError: boom$"):
        operator.resume_execution(method, arguments, {})
    assert "Trigger failed:\nTraceback …\nValueError: boom" in caplog.text
    method, arguments = resumed_call(Resume("done", None, WaitAnswer(error="late", timed_out=True)))
    with pytest.raises(TaskDeferralTimeout, match=r"^Trigger timeout$"):
        operator.resume_execution(method, arguments, {})


class Sensor(BaseSensorOperator):
    def execute(self, context: Any) -> Any: ...

    def done(self, context: Any, event: Any) -> Any:
        raise TaskDeferralError("as told")

    async def later(self, context: Any, event: Any) -> Any:
        raise TaskDeferralError("as told")


async def test_a_sensor_that_was_deferred_ends_as_sensors_do() -> None:
    late = resumed_call(Resume("done", None, WaitAnswer(timed_out=True)))
    with pytest.raises(SensorTimeout, match="Snap"):
        Sensor(task_id="t").resume_execution(*late, {})
    with pytest.raises(SkipTask, match="Snap"):
        Sensor(task_id="t", soft_fail=True).resume_execution(*late, {})
    with pytest.raises(TaskDeferralError):
        Sensor(task_id="t").resume_execution("done", {"event": 1}, {})
    soft = Sensor(task_id="t", never_fail=True)
    with pytest.raises(SkipTask, match="as told"):
        soft.resume_execution("done", {"event": 1}, {})
    with pytest.raises(SkipTask, match="as told"):
        await soft.resume_execution("later", {"event": 1}, {})


def test_a_function_gets_the_event_and_what_it_handed_over() -> None:
    with DAG("d", schedule=None) as dag:

        @task
        def wait(a: int, event: Any = None, n: int = 0) -> Any:
            if event is None:
                defer(Queue("a"), kwargs={"n": n + 1})
            return [a, event, n]

        wait(7)
    operator = dag.task_dict["wait"]
    assert isinstance(operator, BaseOperator)
    with pytest.raises(TaskDeferred) as raised:
        operator.execute({})
    assert raised.value.kwargs == {"n": 1}
    assert operator.resume_execution("execute", {"event": "e", "n": 1}, {}) == [7, "e", 1]


# ------------------------------------------------------------------------------- starting with a wait


def test_tasks_that_start_with_their_trigger() -> None:
    class Starts(Op):
        start_from_trigger = True
        start_trigger_args = StartTriggerArgs("unit.queue", "done", {"name": "a"}, {"n": 1}, timedelta(hours=1))

    with DAG("d", schedule=None) as dag:
        Starts(task_id="own", execution_timeout=timedelta(minutes=1))
        FileSensor(task_id="file", filepath="/in/{{ ds }}", start_from_trigger=True)
        DateTimeSensor(task_id="moment", target_time=NOW, start_from_trigger=True)
    starts = {spec.task_id: spec.starts_deferred for spec in dag.to_spec().tasks}
    assert starts["file"] is None, "a template is rendered by an attempt"
    assert starts["own"] == {
        "kind": "unit.queue", "args": [1, "eyJuYW1lIjoiYSJ9"], "method": "done", "kwargs": [1, "eyJuIjoxfQ=="],
        "timeout": 60.0, "due": None, "after": None,
    }  # fmt: skip
    assert starts["moment"] is not None
    assert (starts["moment"]["kind"], starts["moment"]["due"]) == ("tradewind.moment", NOW.isoformat())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (StartTriggerArgs("no.such.Trigger", "done"), "there is no trigger class 'no.such.Trigger'"),
        (StartTriggerArgs("unit.queue", "done"), "arguments that its constructor does not take"),
        (StartTriggerArgs("unit.queue", "gone", {"name": "a"}), "has no method 'gone'"),
        (StartTriggerArgs("unit.queue", "done", {"name": "a"}, timeout=timedelta(-1)), "timeout must not be negative"),
        ("unit.queue", "a StartTriggerArgs is needed"),
    ],
)
def test_tasks_that_cannot_start_so(args: Any, said: str) -> None:
    with DAG("d", schedule=None) as dag:
        operator = Op(task_id="t")
    operator.start_from_trigger = True
    operator.start_trigger_args = args
    with pytest.raises(AuthoringError, match=said):
        dag.to_spec()


def test_what_defers_where_the_configuration_says_so() -> None:
    def kinds() -> list[str]:
        with DAG("d", schedule=None):
            made = [
                DateTimeSensor(task_id="a", target_time=NOW),
                FileSensor(task_id="b", filepath="/f"),
                FileSensor(task_id="c", filepath="/f", deferrable=False),
            ]
        return [operator.outcome_kind for operator in made]

    assert kinds() == ["sensor", "sensor", "sensor"]
    with use_defaults(AuthoringDefaults(deferrable=True)):
        assert kinds() == ["value", "value", "sensor"]
