"""What tasks wait for from outside: questions to people with their forms, and signals by name."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from tradewind.instance_ports import WaitFilter
from tradewind.model.errors import ParamValidationError
from tradewind.model.keys import UNMAPPED
from tradewind.services.answering import Place, answer, question_at, questions, send_signal
from tradewind.web.answers import json_answer
from tradewind.web.problems import Problem, bad_request
from tradewind.web.rest.listing import PAGE
from tradewind.web.rest.params import Kind, Param
from tradewind.web.rest.route import Call, Route
from tradewind.web.rest.runs import run_of
from tradewind.web.rest.task_instances import INSTANCE, MAP_INDEX
from tradewind.web.roles import Permission


async def list_inputs(call: Call) -> web.Response:
    """GET /humanInputs."""
    dag_id, dag_run_id = call.maybe_text("dag_id"), call.maybe_text("dag_run_id")
    if dag_run_id is not None and dag_id is None:
        raise bad_request("dag_run_id names a run of a DAG; send dag_id as well")
    run = await run_of(call) if dag_run_id is not None else None
    where = WaitFilter(
        dag_id=dag_id,
        run_id=None if run is None else run.run_id,
        task_id=call.maybe_text("task_id"),
        map_index=call.maybe_integer("map_index"),
        answered=call.flag("answered"),
        limit=call.integer("limit"),
        offset=call.integer("offset"),
    )
    found, total = await questions(call.reads, where)
    return json_answer({"human_inputs": [asked.shown() for asked in found], "total_entries": total})


async def get_input(call: Call) -> web.Response:
    """GET …/taskInstances/{task_id}/humanInputs/{input_name}."""
    return json_answer((await question_at(call.reads, await _place(call), call.text("input_name"))).shown())


async def patch_input(call: Call) -> web.Response:
    """PATCH …/taskInstances/{task_id}/humanInputs/{input_name}: the answer."""
    asked = await question_at(call.reads, await _place(call), call.text("input_name"), to_answer=True)
    user = call.identity.username
    allowed = asked.question.respondents
    if allowed and user not in allowed:
        raise Problem(403, "Forbidden", f"{user} is not asked: only {', '.join(allowed)} may answer {asked.name!r}.")
    try:
        resumed = await answer(call.control, asked, call.body["value"], {"id": user, "name": user})
    except ParamValidationError as why:
        raise bad_request(why.message, title="Invalid answer") from None
    return json_answer({"resumed": resumed})


async def post_signal(call: Call) -> web.Response:
    """POST …/taskInstances/{task_id}/signals/{signal_name}."""
    try:
        resumed = await send_signal(call.control, await _place(call), call.text("signal_name"), call.body["value"])
    except ParamValidationError as why:
        raise bad_request(why.message, title="Invalid signal") from None
    return json_answer({"resumed": resumed})


async def _place(call: Call) -> Place:
    index = call.maybe_integer("map_index")
    return Place(await run_of(call), call.text("task_id"), UNMAPPED if index is None else index)


_INPUT: Final = f"{INSTANCE}/humanInputs/{{input_name}}"

ROUTES: Final = (
    Route(
        "GET", "/humanInputs", "get_human_inputs", list_inputs, "HumanInput",
        "What tasks ask people, with the JSON schema of each form: the oldest run first.",
        query=(
            *PAGE,
            Param("dag_id", Kind.TEXT, "Only of this DAG.", maximum=250),
            Param("dag_run_id", Kind.TEXT, "Only of this run of it.", maximum=250),
            Param("task_id", Kind.TEXT, "Only of tasks of this id.", maximum=250),
            Param("map_index", Kind.INTEGER, "Only of this instance of them.", minimum=UNMAPPED, maximum=2**31 - 1),
            Param("answered", Kind.FLAG, "Those that are answered, while the try that asked goes on.", default=False),
        ),
        answers={200: "HumanInputCollection"},
    ),
    Route(
        "GET", _INPUT, "get_human_input", get_input, "HumanInput",
        "A question of a task instance.",
        query=(MAP_INDEX,),
        answers={200: "HumanInput"},
    ),
    Route(
        "PATCH", _INPUT, "patch_human_input", patch_input, "HumanInput",
        "Answer a question. The answer has to fit the schema; the first one counts.",
        permission=Permission.EDIT,
        body=(Param("value", Kind.ANYTHING, "The answer, as the schema says.", required=True), MAP_INDEX),
        answers={200: "SentAnswer"},
    ),
    Route(
        "POST", f"{INSTANCE}/signals/{{signal_name}}", "post_signal", post_signal, "HumanInput",
        "Send a signal to a task instance. One that does not wait for it yet gets it when it does.",
        permission=Permission.EDIT,
        body=(Param("value", Kind.ANYTHING, "Any JSON value; the task is handed it."), MAP_INDEX),
        answers={200: "SentAnswer"},
    ),
)  # fmt: skip
