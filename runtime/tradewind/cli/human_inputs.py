"""`tradewind inputs`: what tasks ask people."""

from __future__ import annotations

import getpass
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import click

from tradewind.cli.connected import ask_control
from tradewind.cli.options import config_of, database_option, json_value, output_option
from tradewind.cli.output import emit, emit_one, emit_text

if TYPE_CHECKING:
    from tradewind.control_ports import Control
    from tradewind.services.answering import Asked

_COLUMNS: Final = ["dag_id", "dag_run_id", "task_id", "map_index", "name", "subject", "to", "deadline"]

_run_option = click.option("--run", "-r", help="Id or logical date; by default the latest run.")
_map_option = click.option("--map-index", type=int, default=-1, help="Which instance of a mapped task.")


@click.group()
def inputs() -> None:
    """See what tasks ask people, and answer."""


@inputs.command("list")
@click.option("--dag", "dag_id", help="Only of this DAG.")
@click.option("--run", "-r", help="Only of this run of the DAG (id or logical date).")
@click.option("--task", "task_id", help="Only of tasks of this id.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many at most.")
@output_option
@database_option
@click.pass_context
def list_inputs(ctx: click.Context, /, dag_id: str | None, **given: Any) -> None:
    """List what tasks wait for people to answer, the oldest run first."""
    from tradewind.instance_ports import WaitFilter
    from tradewind.services.answering import questions

    if given["run"] is not None and dag_id is None:
        raise click.UsageError("--run names a run of a DAG: give --dag as well.")
    config = config_of(ctx, database__url=given["database"])

    async def work(control: Control) -> tuple[list[Asked], int]:
        from tradewind.cli.runs import find_run, need_dag

        if dag_id is not None:
            await need_dag(control.reads, dag_id)
        run = None if given["run"] is None else await find_run(control.reads, cast("str", dag_id), given["run"])
        run_id = None if run is None else run.run_id
        where = WaitFilter(dag_id=dag_id, run_id=run_id, task_id=given["task_id"], limit=given["limit"])
        return await questions(control.reads, where)

    found, total = ask_control(config, work)
    emit([asked.shown() for asked in found], given["output"], _COLUMNS, empty="Nobody is asked anything.")
    if total > len(found):
        click.echo(f"{total - len(found)} more: see --limit.", err=True)


@inputs.command()
@click.argument("dag_id")
@click.argument("task_id")
@click.argument("name", required=False)
@_run_option
@_map_option
@output_option
@database_option
@click.pass_context
def show(ctx: click.Context, /, dag_id: str, task_id: str, name: str | None, **given: Any) -> None:
    """Show a question with the JSON schema of its answer."""
    from tradewind.services.answering import Place, question_at

    config = config_of(ctx, database__url=given["database"])

    async def work(control: Control) -> Asked:
        from tradewind.cli.runs import find_run

        found = await find_run(control.reads, dag_id, given["run"])
        return await question_at(control.reads, Place(found, task_id, given["map_index"]), name)

    emit_one(ask_control(config, work).shown(), given["output"])


@inputs.command("answer")
@click.argument("dag_id")
@click.argument("task_id")
@click.argument("name", required=False)
@_run_option
@_map_option
@click.option("--set", "fields", multiple=True, metavar="FIELD=VALUE", help="A field of the form; give it repeatedly.")
@click.option("--json", "value", type=json_value, help="The whole answer as JSON, or @file.")
@output_option
@database_option
@click.pass_context
def give_answer(ctx: click.Context, /, dag_id: str, task_id: str, name: str | None, **given: Any) -> None:
    """Answer what a task asks (NAME: where it asks several things), and let it go on.

    Fields inside others are written with dots: --set params_input.n=3.
    """
    from tradewind.services.answering import Place, answer, question_at

    fields: Sequence[str] = given["fields"]
    if bool(fields) == (given["value"] is not None):
        raise click.UsageError("Give the answer with --set (once for each field), or all of it with --json.")
    config = config_of(ctx, database__url=given["database"])

    async def work(control: Control) -> tuple[Asked, bool]:
        from tradewind.cli.runs import find_run

        found = await find_run(control.reads, dag_id, given["run"])
        asked = await question_at(control.reads, Place(found, task_id, given["map_index"]), name, to_answer=True)
        value = from_fields(fields, asked.question.schema) if fields else given["value"]
        user = name_of_user()
        return asked, await answer(control, asked, value, {"id": user, "name": user})

    asked, resumed = ask_control(config, work)
    said = f"Answered {asked.name!r}: task {task_id!r} of run {asked.dag_run_id!r} goes on."
    line = {"dag_id": dag_id, "dag_run_id": asked.dag_run_id, "task_id": task_id, "name": asked.name}
    emit_text(said, {**line, "resumed": resumed}, given["output"])


def name_of_user() -> str:
    """Who runs this process; their number where the system has no name for it, as in containers of any user."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def from_fields(fields: Sequence[str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """The answer that ``field=value`` texts mean by a form's schema. Raises UsageError."""
    answer: dict[str, Any] = {}
    for field in fields:
        path, equals, text = field.partition("=")
        if not equals or not all(path.split(".")):
            raise click.UsageError(f"--set {field!r}: write FIELD=VALUE.")
        at, of = answer, schema
        *outer, last = _steps(path, schema)
        for step in outer:
            of = _property(of, step, schema)
            at = cast("dict[str, Any]", at.setdefault(step, {}))
        at[last] = _value_of(text, _property(of, last, schema))
    return answer


def _steps(path: str, schema: Mapping[str, Any]) -> list[str]:
    """A field whose name has dots in it is meant before one that is inside another."""
    return [path] if path in schema.get("properties", {}) else path.split(".")


def _property(of: Mapping[str, Any], name: str, root: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = of.get("properties", {}).get(name, {})
    place = str(found.get("$ref", ""))
    return root.get("$defs", {}).get(place.rpartition("/")[2], {}) if place else found


def _value_of(text: str, schema: Mapping[str, Any]) -> Any:
    """Texts stay texts where the form wants one; other values are JSON, and a list may be its only item."""
    import orjson

    kinds: Any = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if "string" in kinds and not (text == "null" and "null" in kinds):
        return text
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = text
    return [value] if "array" in kinds and not isinstance(value, list) else cast("Any", value)
