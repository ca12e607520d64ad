"""Template fields: what is rendered, what is left alone, and what mistakes say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest

from tests.unit.authoring.attempts import running
from tests.unit.authoring.in_memory_services import InMemoryServices
from tradewind.authoring.context import Context, build_context
from tradewind.authoring.dag import DAG
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.python_call import call_arguments
from tradewind.authoring.templating import TemplateFailed, literal, needs_rendering, render, render_template


class Pair(NamedTuple):
    left: str
    right: int


class Templated(BaseOperator):
    template_fields: Sequence[str] = ("value",)
    template_ext: Sequence[str] = (".sql",)

    def __init__(self, value: object, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.value = value

    def execute(self, context: Any) -> Any:
        return self.value


class Query:
    """An argument object with template fields of its own."""

    template_fields = ("text",)

    def __init__(self, text: Any) -> None:
        self.text = text


def a_dag(**settings: Any) -> DAG:
    return DAG("shop", schedule=None, **settings)


def prepared(dag: DAG, value: object) -> tuple[Templated, Context]:
    with dag:
        original = Templated(value, task_id="a")
    operator = original.shallow_copy_for_run()
    return operator, build_context(running(dag, "a"), dag, operator)


def rendered(value: object, **settings: Any) -> Any:
    operator, context = prepared(a_dag(**settings), value)
    render(operator, context)
    return operator.value


def test_every_depth_is_rendered() -> None:
    deep = {"a": ["{{ ds }}", ("{{ ts_nodash }}", 3)], "{{ ds }}": {"{{ run_id }}", "plain"}, "n": None}
    assert rendered(deep) == {
        "a": ["2026-01-02", ("20260102T120000", 3)],
        "{{ ds }}": {"manual__2026-01-02T12:00:00+00:00", "plain"},
        "n": None,
    }


def test_types_survive() -> None:
    assert rendered({"{{ ds }}"}) == {"2026-01-02"}
    assert rendered(frozenset({"{{ ds }}"})) == frozenset({"2026-01-02"})
    assert rendered(Pair("{{ ds }}", 1)) == Pair("2026-01-02", 1)
    path = Path("/x/{{ ds }}")
    assert rendered(path) is path


def test_what_holds_no_template_is_left_alone() -> None:
    for text in ("plain", "{0} and {name}", "${HOME}", "100 %", "}} {", ""):
        assert rendered(text) == text


def test_as_in_jinja_one_newline_at_the_end_goes() -> None:
    assert rendered("echo {{ ds }}\n") == "echo 2026-01-02"
    assert rendered("echo\n") == "echo"
    assert rendered("echo\n", jinja_environment_kwargs={"keep_trailing_newline": True}) == "echo\n"


def test_objects_with_template_fields_are_copied() -> None:
    query = Query(["{{ ds }}", Query("{{ run_id }}")])
    found = rendered({"q": query})["q"]
    assert found.text[0] == "2026-01-02"
    assert found.text[1].text.startswith("manual__")
    assert query.text[0] == "{{ ds }}"


def test_literals_are_handed_on() -> None:
    assert rendered([literal("{{ ds }}"), literal("x.sql")]) == ["{{ ds }}", "x.sql"]


def test_files_are_read_when_the_task_runs(tmp_path: Path) -> None:
    operator, context = prepared(a_dag(template_searchpath=str(tmp_path)), "query.sql")
    (tmp_path / "query.sql").write_text("SELECT '{{ ds }}'; {% include 'more.sql' %}")
    (tmp_path / "more.sql").write_text("-- {{ task.task_id }}")
    render(operator, context)
    assert operator.value == "SELECT '2026-01-02'; -- a"
    (tmp_path / "query.sql").write_text("again")
    operator.value = "query.sql"
    render(operator, context)
    assert operator.value == "again"


def test_macros_filters_and_options_of_the_dag() -> None:
    def twice(text: str) -> str:
        return text * 2

    settings: dict[str, Any] = {
        "user_defined_macros": {"twice": twice, "ds": "hidden by the context"},
        "user_defined_filters": {"shout": str.upper},
        "jinja_environment_kwargs": {"variable_start_string": "<<", "variable_end_string": ">>"},
    }
    assert rendered("<< twice(ds) >> << run_id | shout >> {{ ds }}", **settings) == (
        "2026-01-022026-01-02 MANUAL__2026-01-02T12:00:00+00:00 {{ ds }}"
    )


def test_native_values() -> None:
    native = {"render_template_as_native_obj": True, "params": {"rows": [1, 2]}}
    assert rendered("{{ params.rows }}", **native) == [1, 2]
    assert rendered("{{ 1 + 1 }}", **native) == 2
    assert rendered("42", **native) == 42
    assert rendered("{{ ds }} and more", **native) == "2026-01-02 and more"


def test_conf_wins_over_params() -> None:
    from tests.unit.authoring.attempts import a_run

    dag = a_dag(params={"n": 1, "m": 2})
    with dag:
        task = Templated("{{ params.n }} {{ params.m }} {{ dag_run.conf.n }}", task_id="a", params={"m": 3})
    context = build_context(running(dag, "a", a_run("shop", {"n": 9})), dag, task)
    assert render_template(task.value, context, dag) == "9 3 9"


def test_python_internals_are_out_of_reach() -> None:
    with pytest.raises(TemplateFailed, match="SecurityError"):
        rendered("{{ ti.__class__.__init__.__globals__ }}")


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ("one\ntwo {{ nope }}", "template field 'value', line 2: UndefinedError: 'nope' is undefined"),
        ("one\n\n{{ 1 + }}", "line 3: TemplateSyntaxError"),
        (["fine", {"x": "{{ params.gone }}"}], "line 1: UndefinedError: 'dict object' has no attribute 'gone'"),
        ("missing.sql", "'missing.sql' not found in search path: .*template_searchpath="),
        ("{{ var.value.nope }}", "KeyError: 'Variable nope does not exist'"),
    ],
)
def test_mistakes_name_dag_task_field_and_line(value: object, says: str) -> None:
    with pytest.raises(TemplateFailed, match=rf"(?s)DAG 'shop', task 'a', .*{says}"):
        rendered(value)


def test_a_mistake_in_a_file_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "query.sql").write_text("SELECT 1\n\nFROM {{ nope }}")
    with pytest.raises(TemplateFailed, match="line 3: UndefinedError"):
        rendered("query.sql", template_searchpath=[str(tmp_path)])


def test_a_field_that_is_no_attribute_is_named() -> None:
    operator, context = prepared(a_dag(), "x")
    del operator.value
    with pytest.raises(TemplateFailed, match="'value' is configured as a template field, but Templated has no"):
        render(operator, context)


def test_options_that_jinja_does_not_know() -> None:
    from tradewind.model.errors import AuthoringError

    with pytest.raises(AuthoringError, match="DAG 'shop': jinja_environment_kwargs"):
        rendered("{{ ds }}", jinja_environment_kwargs={"colour": 1})


@pytest.mark.parametrize(
    ("value", "needed"),
    [
        ("plain", False),
        ("{{ ds }}", True),
        ("{% if x %}{% endif %}", True),
        ("{# c #}", True),
        ("{0}", False),
        ("x.sql", True),
        (["a", {"b": ("c", {"d"})}, 3, None], False),
        (["a", {"b": ("c", {"{{ d }}"})}], True),
        (Query("x"), True),
        (literal("x"), True),
        (3, False),
        (None, False),
    ],
)
def test_what_needs_rendering(value: object, needed: bool) -> None:
    assert needs_rendering(prepared(a_dag(), value)[0]) is needed


def test_native_dags_render_every_text() -> None:
    assert needs_rendering(prepared(a_dag(render_template_as_native_obj=True), "42")[0])


def test_only_what_a_template_names_is_made() -> None:
    services = InMemoryServices()
    dag = a_dag()
    with dag:
        task = Templated("{{ ds }}", task_id="a")
    context = build_context(running(dag, "a", services=services), dag, task)
    assert render_template("{{ ds }} {{ ti.task_id }} {{ next_ds }}", context, dag) == "2026-01-02 a 2026-01-02"
    assert services.calls == []
    assert (
        render_template("{{ prev_start_date_success }} {{ prev_data_interval_end_success }}", context, dag)
        == "None None"
    )
    assert services.calls == ["run_before"]


def test_a_context_is_a_mapping_that_can_be_added_to() -> None:
    dag = a_dag()
    with dag:
        task = Templated("x", task_id="a")
    context = build_context(running(dag, "a"), dag, task, test_mode=True)
    assert isinstance(cast("object", context), Mapping)
    assert context["task"] is task
    assert context["dag"] is dag
    assert context["ti"] is context["task_instance"]
    assert context["test_mode"] is True
    assert len(context) == len(list(context)) == len(set(context))
    context["exception"] = problem = ValueError("x")
    assert context["exception"] is problem
    assert "exception" in context
    del context["exception"]
    assert "exception" not in context
    with pytest.raises(KeyError):
        context["nope"]


def test_keywords_for_callables_ask_nothing_until_used() -> None:
    services = InMemoryServices()
    dag = a_dag()
    with dag:
        task = Templated("x", task_id="a")
    context = build_context(running(dag, "a", services=services), dag, task)

    def body(prev_start_date_success: Any, ds: str, **rest: Any) -> str:
        assert services.calls == []
        return f"{ds} {rest['run_id']} {bool(prev_start_date_success)}"

    assert body(**context.keywords()) == "2026-01-02 manual__2026-01-02T12:00:00+00:00 False"
    assert services.calls == ["run_before"]


async def test_a_loop_can_ask_beforehand() -> None:
    services = InMemoryServices()
    dag = a_dag()
    with dag:
        task = Templated("x", task_id="a")
    context = build_context(running(dag, "a", services=services), dag, task)
    await context.prefetch()
    services.calls.clear()
    assert context["prev_start_date_success"] is None
    assert services.calls == []


def test_a_callable_that_takes_everything_asks_nothing() -> None:
    services = InMemoryServices()
    dag = a_dag()
    with dag:
        task = Templated("x", task_id="a")
    context = build_context(running(dag, "a", services=services), dag, task)

    def body(ds: str, **everything: Any) -> None: ...

    _, passed = call_arguments(body, (), {}, context)
    assert passed["ds"] == "2026-01-02"
    assert services.calls == []
    assert str(passed["prev_end_date_success"]) == "None"
    assert services.calls == ["run_before"]


def test_configuration_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__CORE__DAGS_FOLDER", "/dags")
    monkeypatch.setenv("TRADEWIND__CORE__PARALLELISM", "8")
    text = (
        "{{ conf.get('core', 'dags_folder') }} {{ conf.getint('core', 'parallelism') }} {{ conf.get('a', 'b', 'c') }}"
    )
    assert rendered(text) == "/dags 8 c"
    with pytest.raises(TemplateFailed, match="CORE__NOPE"):
        rendered("{{ conf.get('core', 'nope') }}")
