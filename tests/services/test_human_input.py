# pyright: reportUnusedExpression=false
"""Tasks of the standard provider that wait for a person, on a real runtime."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.services.conftest import StartRuntime, until, why
from tests.services.test_durable import began, in_state, result
from tradewind import DAG, task
from tradewind.bundles.loader import load_file
from tradewind.host import Runtime
from tradewind.instance_ports import WaitFilter
from tradewind.model.errors import ParamValidationError
from tradewind.model.rows import RunRow
from tradewind.services.answering import Asked, Place, answer, question_at, questions
from tradewind.standard.human_input import ApprovalOperator, HITLBranchOperator, HITLEntryOperator, HITLOperator
from tradewind.trial import try_dag
from tradewind.trial_time import SkippingLoop

HERE = Path(__file__).parent.parent / "compat" / "dags" / "people"
ANN = {"id": "ann", "name": "Ann"}


async def asked(runtime: Runtime, run: RunRow, task_id: str) -> Asked:
    await in_state(runtime, run, "deferred", task_id)
    return await question_at(runtime.control.reads, Place(run, task_id))


async def answered(runtime: Runtime, run: RunRow, task_id: str, value: Any) -> Asked:
    question = await asked(runtime, run, task_id)
    await answer(runtime.control, question, value, ANN)
    return question


async def ended(runtime: Runtime, run: RunRow) -> dict[str, str]:
    row = await runtime.control.run_wait(run.run_id, 60)
    states = {one.task_id: one.state.value for one in await runtime.control.reads.instance_list(run.run_id)}
    return {"": row.state.value, **states}


@pytest.mark.blocks_the_loop  # the file is loaded on the loop
async def test_the_providers_example(start: StartRuntime) -> None:
    """The five kinds of questions; results as Airflow gives them; a DAG file that knows Airflow's names only."""
    dag = load_file(HERE / "asks_people.py").dags["asks_people"]
    runtime = await start(dag)
    run = await began(runtime, "asks_people")
    form = await asked(runtime, run, "fill_in")
    assert form.question.schema["properties"]["params_input"]["properties"] == {
        "word": {"type": "string", "minLength": 2, "default": ""},
        "n": {"type": "integer", "description": "how many", "default": 3},
    }
    with pytest.raises(ParamValidationError, match=r"params_input\.word: 'a' is too short"):
        await answer(runtime.control, form, {"chosen_options": ["OK"], "params_input": {"word": "a"}}, ANN)
    await answer(runtime.control, form, {"chosen_options": ["OK"], "params_input": {"word": "ahoy"}}, ANN)
    await answered(runtime, run, "choose", {"chosen_options": ["a", "c"]})
    approval = await answered(runtime, run, "approve", {"chosen_options": ["Approve"]})
    assert approval.question.body == "The word is ahoy"
    assert approval.question.respondents == ("ann",)
    await answered(runtime, run, "pick", {"chosen_options": ["Left"]})
    states = await ended(runtime, run)
    assert {name for name, state in states.items() if state != "success"} == {"right"}
    assert states["right"] == "skipped"
    given = await result(runtime, run, "fill_in")
    assert isinstance(given.pop("responded_at"), datetime)
    assert given == {
        "chosen_options": ["OK"],
        "params_input": {"word": "ahoy", "n": 3},
        "responded_by_user": ANN,
    }
    late = await result(runtime, run, "by_itself")
    assert (late["chosen_options"], late["params_input"], late["responded_by_user"]) == (["x"], {}, None)
    assert (await result(runtime, run, "approve"))["chosen_options"] == ["Approve"]
    assert await result(runtime, run, "pick") == ["left"]
    assert await questions(runtime.control.reads, WaitFilter(answered=None)) == ([], 0)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"ask": "success", "direct": "skipped", "further": "success"}),
        ({"ignore_downstream_trigger_rules": True}, {"ask": "success", "direct": "skipped", "further": "skipped"}),
        ({"fail_on_reject": True}, {"ask": "failed", "direct": "upstream_failed", "further": "success"}),
    ],
)
async def test_a_no_skips_what_follows(start: StartRuntime, options: dict[str, Any], expected: dict[str, str]) -> None:
    with DAG("d", schedule=None) as dag:
        ask = ApprovalOperator(task_id="ask", subject="Well?", **options)

        @task
        async def direct() -> None: ...

        @task(trigger_rule="all_done")
        async def further() -> None: ...

        ask >> direct() >> further()
    runtime = await start(dag)
    run = await began(runtime)
    await answered(runtime, run, "ask", {"chosen_options": ["Reject"]})
    states = await ended(runtime, run)
    assert {name: states[name] for name in expected} == expected
    if options.get("fail_on_reject"):
        assert 'Receive "Reject"' in await why(runtime, run, "ask")
    else:
        assert (await result(runtime, run, "ask"))["chosen_options"] == ["Reject"]


async def test_nobody_answers_and_a_retry_asks_again(start: StartRuntime) -> None:
    with DAG("d", schedule=None) as dag:
        HITLOperator(
            task_id="ask",
            subject="Well?",
            options=["yes"],
            response_timeout=timedelta(seconds=0.01),
            retries=1,
            retry_delay=0,
        )
    runtime = await start(dag)
    run = await began(runtime)
    assert (await ended(runtime, run))["ask"] == "failed"
    reason = await why(runtime, run, "ask")
    assert "HITLTimeoutError" in reason
    assert "The timeout has passed, and the response has not yet been received." in reason
    attempts = await runtime.control.reads.attempt_list(run.run_id, "ask")
    assert {attempt.try_number for attempt in attempts} == {1, 2}


async def test_a_clear_asks_anew(start: StartRuntime) -> None:
    with DAG("d", schedule=None) as dag:
        HITLOperator(task_id="ask", subject="Well?", options=["yes", "no"])
    runtime = await start(dag)
    run = await began(runtime)
    await answered(runtime, run, "ask", {"chosen_options": ["yes"]})
    await ended(runtime, run)
    await runtime.control.instances_clear("d", run.dag_run_id, ["ask"])
    await answered(runtime, run, "ask", {"chosen_options": ["no"]})

    async def said_no() -> bool:
        told = await result(runtime, run, "ask")
        return told is not None and told["chosen_options"] == ["no"]

    await until(runtime, said_no)


@pytest.mark.parametrize(
    ("kind", "arguments", "said"),
    [
        (HITLOperator, {"options": []}, '"options" cannot be empty'),
        (HITLOperator, {"options": ["a"], "defaults": "b"}, "should be a subset of options"),
        (HITLOperator, {"options": ["a", "b"], "defaults": ["a", "b"]}, "More than one defaults given"),
        (HITLEntryOperator, {"params": {"_options": 1}}, '"_options" is not allowed in params'),
        (ApprovalOperator, {"multiple": True}, "Passing multiple to ApprovalOperator is not allowed"),
        (HITLBranchOperator, {"options": ["a"], "options_mapping": {"b": "t"}}, "keys that are not in `options`"),
        (HITLBranchOperator, {"options": ["a"], "options_mapping": {"a": 3}}, r"values must be strings \(task_ids\)"),
    ],
)
def test_mistakes_are_told_when_the_file_is_loaded(kind: Any, arguments: dict[str, Any], said: str) -> None:
    with DAG("d", schedule=None), pytest.raises(ValueError, match=said):
        kind(task_id="ask", subject="Well?", **arguments)


@pytest.mark.blocks_the_loop
def test_tried_out_the_defaults_are_taken() -> None:
    with DAG("d", schedule=None) as dag:
        HITLEntryOperator(task_id="ask", subject="Well?", params={"n": 1}, response_timeout=timedelta(seconds=0.01))
    with asyncio.Runner(loop_factory=SkippingLoop) as runner:
        report = runner.run(try_dag(dag))
    assert {one.task_id: one.state.value for one in report.instances} == {"ask": "success"}


def test_links_for_messages() -> None:
    with DAG("d", schedule=None):
        ask = HITLOperator(task_id="ask", subject="Well?", options=["yes", "no"], params={"n": 1})
    ti = SimpleNamespace(dag_id="d", run_id="one+two", task_id="ask", map_index=-1)
    link = ask.generate_link_to_ui(
        task_instance=ti, base_url="https://t.example/", options="yes", params_input={"n": 2}
    )
    assert link == "https://t.example/inputs?dag_id=d&dag_run_id=one%2Btwo&task_id=ask&map_index=-1&_options=yes&n=2"
    mistakes: list[tuple[dict[str, Any], str]] = [({"options": "maybe"}, "maybe"), ({"params_input": {"m": 1}}, "m")]
    for wrong, said in [*mistakes, ({}, "base_url")]:
        with pytest.raises(ValueError, match=said):
            ask.generate_link_to_ui(task_instance=ti, **wrong)
