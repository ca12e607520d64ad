"""What users find in templates and in the context: the rows of the specification, one after the other."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pendulum
import pytest

from tests.unit.authoring.attempts import facts_of, run_row, running
from tests.unit.authoring.in_memory_services import InMemoryServices
from tradewind.authoring.access import current_attempt
from tradewind.authoring.context import Context, build_context
from tradewind.authoring.dag import DAG
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.templating import RunTimeValue, TemplateFailed, render, render_template
from tradewind.authoring.xcom import encode
from tradewind.model.keys import RunId
from tradewind.model.states import RunState
from tradewind.standard.python import PythonOperator

DAY = "2019-01-01T00:00:00+00:00"
NEXT = "2019-01-02T00:00:00+00:00"


class Own(BaseOperator):
    """Private template fields, and templates as defaults of the constructor."""

    template_fields: Sequence[str] = ("_start", "_config", "nested")
    template_ext: Sequence[str] = (".sql",)

    def __init__(self, start: str = "{{ ds }}", config: Any = None, nested: Any = None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._start = start
        self._config = config
        self.nested = nested
        self.plain = "{{ ds }}"

    def execute(self, context: Any) -> Any:
        return self._start, self._config, self.nested


def scheduled(conf: dict[str, Any] | None = None, **settings: Any) -> tuple[DAG, Context]:
    """The context of a scheduled daily run, as the book's table shows it."""
    services = InMemoryServices()
    with DAG("shop", schedule="@daily", start_date=datetime(2018, 1, 1, tzinfo=UTC), **settings) as dag:
        PythonOperator(task_id="first", python_callable=print)
        Own(task_id="own")
    row = run_row(
        7,
        {
            "run_id": f"scheduled__{DAY}",
            "run_type": "scheduled",
            "logical_date": DAY,
            "data_interval": [DAY, NEXT],
            "state": "running",
            "start_date": NEXT,
            "end_date": None,
            "conf": conf,
        },
        "shop",
    )
    services.runs.append(row)
    services.xcoms[(RunId(7), "first", "model_id", -1)] = encode("abc")
    current = running(dag, "own", row, services)
    assert current.attempt.run == facts_of(row)
    return dag, build_context(current, dag, dag.task_dict["own"])


def shown(text: str, **settings: Any) -> Any:
    dag, context = scheduled(**settings)
    return render_template(text, context, dag)


@pytest.mark.spec("1:J1", "1:J7")
@pytest.mark.parametrize(
    ("text", "gives"),
    [
        ("{{ execution_date.year }}-{{'{:02}'.format(execution_date.month)}}", "2019-01"),
        ("{{execution_date.strftime('%d/%m')}}", "01/01"),
        ("{{ execution_date.timetuple()[:3] }}", "(2019, 1, 1)"),
        ("{{ execution_date + macros.timedelta(days=1) > execution_date }}", "True"),
        ("{{ execution_date.add(days=3).day }}", "4"),
    ],
)
def test_any_expression(text: str, gives: str) -> None:
    assert shown(text) == gives


TABLE = {
    "ds": "2019-01-01",
    "ds_nodash": "20190101",
    "inlets": "[]",
    "outlets": "[]",
    "next_ds": "2019-01-02",
    "next_ds_nodash": "20190102",
    "next_execution_date": "2019-01-02 00:00:00+00:00",
    "params": "{}",
    "prev_ds": "2018-12-31",
    "prev_ds_nodash": "20181231",
    "prev_execution_date": "2018-12-31 00:00:00+00:00",
    "prev_execution_date_success": "None",
    "prev_start_date_success": "None",
    "run_id": f"scheduled__{DAY}",
    "task_instance_key_str": "shop__own__20190101",
    "templates_dict": "{}",
    "test_mode": "False",
    "tomorrow_ds": "2019-01-02",
    "tomorrow_ds_nodash": "20190102",
    "ts": DAY,
    "ts_nodash": "20190101T000000",
    "ts_nodash_with_tz": "20190101T000000+0000",
    "yesterday_ds": "2018-12-31",
    "yesterday_ds_nodash": "20181231",
}


def of_the_table(*starts: str) -> None:
    """The rows whose names begin so are as the table says."""
    dag, context = scheduled()
    names = [name for name in TABLE if name.startswith(starts)]
    assert names
    assert {name: render_template(f"{{{{ {name} }}}}", context, dag) for name in names} == {
        name: TABLE[name] for name in names
    }


@pytest.mark.spec("1:J9", "1:5a:ds", "1:5a:next_ds", "1:5a:prev_ds", "1:5a:yesterday_ds")
def test_days() -> None:
    of_the_table("ds", "next_", "prev_ds", "prev_execution_date", "yesterday")


@pytest.mark.spec("1:5a:tomorrow_ds", "1:5a:ts", "1:5a:ts_nodash", "1:5a:ts_nodash_with_tz")
def test_moments() -> None:
    of_the_table("tomorrow", "ts")


@pytest.mark.spec("1:5a:inlets", "1:5a:params", "1:5a:run_id", "1:5a:task_instance_key_str", "1:5a:templates_dict")
def test_what_the_task_was_given() -> None:
    of_the_table("inlets", "outlets", "params", "run_id", "task_instance_key_str", "templates_dict")


@pytest.mark.spec("1:5a:test_mode", "1:5a:prev_execution_date_success", "1:5a:prev_start_date_success")
def test_the_rest_of_the_table() -> None:
    of_the_table("test_mode", "prev_execution_date_success", "prev_start_date_success")
    dag, context = scheduled()
    services = cast("InMemoryServices", context.current.blocking)
    row = services.runs[0]
    services.runs.append(
        dataclasses.replace(
            row,
            run_id=RunId(6),
            dag_run_id="before",
            logical_date=datetime(2018, 12, 30, tzinfo=UTC),
            state=RunState.SUCCESS,
            started_at=datetime(2018, 12, 31, 4, tzinfo=UTC),
        )
    )
    text = "{{ prev_execution_date_success | ds }} {{ prev_start_date_success.hour }}"
    assert render_template(text, context, dag) == "2018-12-30 4"


@pytest.mark.spec("1:5a:dag", "1:5a:dag_run", "1:5a:task", "1:5a:task_instance", "1:5a:macros")
def test_the_objects_of_the_table() -> None:
    dag, context = scheduled(conf={"k": 1})
    assert context["dag"] is dag
    assert context["dag_run"].conf == {"k": 1}
    assert context["task"] is dag.task_dict["own"]
    assert context["ti"] is context["task_instance"]
    for name in ("ds_add", "ds_format", "datetime", "timedelta", "dateutil", "time", "uuid", "random", "json"):
        assert hasattr(context["macros"], name), name


@pytest.mark.spec("1:5a:conf", "1:5a:var", "1:5a:execution_date")
def test_configuration_variables_and_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_VAR_BUCKET", "b")
    monkeypatch.delenv("AIRFLOW__CORE__PARALLELISM", raising=False)
    assert shown("{{ conf.get('core', 'parallelism') }} {{ var.value.bucket }}") == "32 b"
    _, context = scheduled()
    assert isinstance(context["execution_date"], pendulum.DateTime)
    assert context["execution_date"] == datetime(2019, 1, 1, tzinfo=UTC)


@pytest.mark.spec("1:J12")
def test_macros() -> None:
    assert shown("{{ macros.ds_add(ds, -5) }} {{ macros.ds_format(ds, '%Y-%m-%d', '%d.%m.%y') }}") == (
        "2018-12-27 01.01.19"
    )
    assert shown("{{ macros.dateutil.parser.parse('2019-02-03').day }}") == "3"
    assert shown("{{ macros.json.dumps({'a': 1}) }} {{ macros.datetime(2020, 1, 2).day }}") == '{"a": 1} 2'
    assert len(shown("{{ macros.uuid.uuid4() }}")) == 36
    assert 0 <= float(shown("{{ macros.random() }}")) < 1


@pytest.mark.spec("1:J2", "1:J3", "2:C-26", "2:C-27", "3:O05")
def test_fields_at_every_depth() -> None:
    def untouched() -> None: ...

    with DAG("d", schedule=None) as dag:
        Own(
            task_id="own",
            config={"a": [{"b": ("{{ ds }}", {"x{{ 1 }}"})}], "{{ key }}": "{0} {ds}", "n": 5, "f": untouched},
            nested=["/data/{{ ds }}.json", "{{ ds_nodash }}"],
        )
    operator = dag.task_dict["own"].shallow_copy_for_run()
    render(operator, build_context(running(dag, "own"), dag, operator))
    start, config, nested = operator.execute({})
    assert start == "2026-01-02"
    assert config == {"a": [{"b": ("2026-01-02", {"x1"})}], "{{ key }}": "{0} {ds}", "n": 5, "f": untouched}
    assert nested == ["/data/2026-01-02.json", "20260102"]
    assert vars(operator)["plain"] == "{{ ds }}"
    assert vars(dag.task_dict["own"])["_start"] == "{{ ds }}"


@pytest.mark.spec("1:J4", "1:J5", "1:D7")
def test_files_of_the_search_path_are_read_at_run_time(tmp_path: Path) -> None:
    with DAG("d", schedule=None, template_searchpath=str(tmp_path)) as dag:
        Own(task_id="own", nested="query.sql")
    (tmp_path / "part.sql").write_text("WHERE day = '{{ ds }}'")
    for text in ("SELECT 1", "SELECT 2"):
        (tmp_path / "query.sql").write_text(text + " {% include 'part.sql' %}")
        operator = dag.task_dict["own"].shallow_copy_for_run()
        render(operator, build_context(running(dag, "own"), dag, operator))
        assert vars(operator)["nested"] == f"{text} WHERE day = '2026-01-02'"


@pytest.mark.spec("1:J10", "1:E3")
def test_dates_of_manual_runs() -> None:
    with DAG("d", schedule="@daily", start_date=datetime(2018, 1, 1, tzinfo=UTC)) as dag:
        PythonOperator(task_id="t", python_callable=print)
    context = build_context(running(dag, "t"), dag, dag.task_dict["t"])
    assert context["ds"] == context["next_ds"] == context["prev_ds"] == "2026-01-02"


@pytest.mark.spec("1:J11")
def test_xcoms_in_templates() -> None:
    dag, context = scheduled()
    token = current_attempt.set(context.current)
    try:
        text = "{{ task_instance.xcom_pull(task_ids='first', key='model_id') }}"
        assert render_template(text, context, dag) == "abc"
    finally:
        current_attempt.reset(token)


def test_dates_as_text() -> None:
    """As in Airflow with Pendulum 3; the form with a T is `ts`, or `.isoformat()`."""
    assert shown("{{ execution_date }}") == "2019-01-01 00:00:00+00:00"
    assert shown("{{ execution_date.isoformat() }} {{ ts }}") == f"{DAY} {DAY}"


@pytest.mark.spec("3:G13")
def test_a_context_can_be_printed() -> None:
    _, context = scheduled()
    for text in (str(context), str(dict(context)), str(context.keywords())):
        assert "own" in text
    assert context.keywords()["ti"] is context["ti"]


def test_macros_filters_and_options_of_ones_own() -> None:
    class Later(RunTimeValue):
        def resolve(self, context: Any) -> Any:
            return context["ds"]

    def shout(text: str) -> str:
        return text.upper()

    def add(a: int, b: int) -> int:
        return a + b

    settings: dict[str, Any] = {"user_defined_macros": {"add": add, "week": timedelta(days=7)}}
    settings |= {"user_defined_filters": {"shout": shout}}
    assert shown("{{ add(1, 2) }} {{ week.days }} {{ 'x' | shout }}", **settings) == "3 7 X"
    assert shown("[[ ds ]]", jinja_environment_kwargs={"variable_start_string": "[[", "variable_end_string": "]]"}) == (
        "2019-01-01"
    )
    assert shown("{{ [1, ds] }}", render_template_as_native_obj=True) == [1, "2019-01-01"]
    dag, context = scheduled()
    assert render_template([Later(), "{{ ds }}"], context, dag) == ["2019-01-01", "2019-01-01"]


def test_an_object_that_holds_itself_ends() -> None:
    class Knot:
        template_fields = ("other", "text")

        def __init__(self) -> None:
            self.other: Any = self
            self.text = "{{ ds }}"

    dag, context = scheduled()
    assert render_template(Knot(), context, dag).text == "2019-01-01"


def test_what_is_not_there_is_an_error_that_names_the_place() -> None:
    with DAG("d", schedule=None) as dag:
        Own(task_id="own", nested=["{{ nowhere.at_all }}"])
    operator = dag.task_dict["own"].shallow_copy_for_run()
    with pytest.raises(TemplateFailed, match=r"DAG 'd', task 'own', template field 'nested', line 1: .*nowhere"):
        render(operator, build_context(running(dag, "own"), dag, operator))
