# pyright: reportUnusedExpression=false
"""Sub-DAGs of old files become task groups."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tradewind import DAG, Label, TaskGroup, task
from tradewind.bundles.loader import load_file
from tradewind.model.errors import AuthoringError, DuplicateTaskIdError
from tradewind.standard.empty import EmptyOperator
from tradewind.standard.smooth import SmoothOperator
from tradewind.standard.subdag import SubDagOperator


def section(dag_id: str) -> DAG:
    with DAG(dag_id, start_date="2026-01-01", schedule="@daily", default_args={"retries": 4}) as dag:

        @task
        def one() -> int:
            return 1

        @task
        def two(value: Any) -> None: ...

        with TaskGroup("deep"):
            deep = EmptyOperator(task_id="a")
        two(one()) >> Label("then") >> deep
    return dag


def test_a_sub_dag_is_a_group() -> None:
    with DAG("parent", start_date="2026-01-01", schedule="@daily") as dag:
        first = EmptyOperator(task_id="first")
        part = SubDagOperator(task_id="section", subdag=section("parent.section"), mode="reschedule", retries=9)
        other = SubDagOperator(task_id="other", subdag=section("parent.other"))
        first >> part >> other >> EmptyOperator(task_id="last")
    spec = dag.to_spec()
    upstream = {t.task_id: set(t.upstream) for t in spec.tasks}
    assert upstream == {
        "first": set(),
        "section.one": {"first"},
        "section.two": {"section.one"},
        "section.deep.a": {"section.two"},
        "other.one": {"section.deep.a"},
        "other.two": {"other.one"},
        "other.deep.a": {"other.two"},
        "last": {"other.deep.a"},
    }
    assert {g.group_id: g.parent for g in spec.groups} == {
        "section": None, "section.deep": "section", "other": None, "other.deep": "other",
    }  # fmt: skip
    assert {(e.upstream, e.downstream, e.text) for e in spec.edge_labels} == {
        ("section.two", "section.deep.a", "then"), ("other.two", "other.deep.a", "then"),
    }  # fmt: skip
    assert dag.task_dict["section.one"].retries == 4
    assert dag.task_dict["section.one"].dag is dag


def test_it_runs() -> None:
    with DAG("parent", schedule=None) as dag:
        SmoothOperator(task_id="nice") >> SubDagOperator(task_id="section", subdag=section("parent.section"))
    report = dag.test()
    assert {row.task_id: row.state.value for row in report.instances} == {
        "nice": "success", "section.one": "success", "section.two": "success", "section.deep.a": "success",
    }  # fmt: skip


def test_it_is_no_dag_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "dags.py"
    file.write_text(
        "from tradewind import DAG, EmptyOperator\n"
        "from tradewind.standard.subdag import SubDagOperator\n"
        "part = DAG('parent.part', start_date='2026-01-01')\n"
        "EmptyOperator(task_id='a', dag=part)\n"
        "dag = DAG('parent', start_date='2026-01-01')\n"
        "SubDagOperator(task_id='part', subdag=part, dag=dag)\n",
        encoding="utf-8",
    )
    assert {dag_id: list(dag.task_dict) for dag_id, dag in load_file(str(file)).dags.items()} == {"parent": ["part.a"]}


def test_what_cannot_be() -> None:
    untyped: Any = SubDagOperator
    with pytest.raises(AuthoringError, match="Please pass in the `dag` param"):
        SubDagOperator(task_id="s", subdag=DAG("p.s"))
    with DAG("p"):
        with pytest.raises(AuthoringError, match=r"Expected 'p\.s'; received 'q\.s'"):
            SubDagOperator(task_id="s", subdag=DAG("q.s"))
        with pytest.raises(AuthoringError, match="subdag has to be a DAG"):
            untyped(task_id="s", subdag="p.s")
        with pytest.raises(AuthoringError, match=r"did you mean 'retries'"):
            untyped(task_id="s", subdag=DAG("p.s"), retrys=3)
        SubDagOperator(task_id="t", subdag=section("p.t"))
        with pytest.raises(DuplicateTaskIdError):
            SubDagOperator(task_id="t", subdag=section("p.t"))
