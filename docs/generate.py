"""Writes the pages that are made from the code: `python -m docs.generate`. A test compares them with their source.

state-machines.md          from `tradewind.model.states`
reference/configuration.md from `tradewind.config_options`
reference/cli.md           from the commands of `tradewind.cli`
reference/authoring.md     from the public names of `tradewind`
spec-coverage.md           from the markers of the tests (`docs.coverage`); its sentence in the README too
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, ForwardRef, cast

import click

import tradewind
from docs import coverage
from tradewind.authoring.arguments import TaskSettings
from tradewind.authoring.dag import DagSettings
from tradewind.authoring.sensor import SensorOptions
from tradewind.cli.main import cli
from tradewind.config_options import AIRFLOW_SETTLED, SECTIONS, Option, options_of
from tradewind.model import states
from tradewind.standard.bash import BashSettings

DOCS: Final = Path(__file__).parent
README: Final = DOCS.parent / "README.md"
SENTENCE: Final = re.compile(r"Of the \d+ rows of the specification [^|]*?proved yet\.")
"""The one line of the README that is made."""
NOTE: Final = "<!-- Made by `python -m docs.generate`; edit {source} instead. -->\n\n"


def main() -> None:
    """Writes every page that is not what it should be."""
    for name, make in PAGES.items():
        path, text = DOCS / name, make()
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            print(f"written: {name}")
    text = README.read_text(encoding="utf-8")
    if coverage.sentence() not in text:
        README.write_text(SENTENCE.sub(lambda _: coverage.sentence(), text), encoding="utf-8")
        print("written: README.md")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    lines = [list(head), ["---"] * len(list(head)), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def code(text: object) -> str:
    """A piece of code within a line; empty for nothing."""
    return f"`{text}`" if str(text) else ""


# States -------------------------------------------------------------------------------------------------------------

_USUAL: Final = (
    ("none", "scheduled", "its trigger rule is met"),
    ("scheduled", "queued", "limits have room"),
    ("queued", "running", "the attempt has begun"),
    ("running", "success", ""),
    ("running", "failed", "no try left"),
    ("running", "skipped", ""),
    ("running", "up_for_retry", "a try is left"),
    ("up_for_retry", "scheduled", "the delay is over"),
    ("running", "up_for_reschedule", "a sensor waits"),
    ("up_for_reschedule", "scheduled", "time to ask again"),
    ("running", "scheduled", "its carrier died"),
    ("running", "restarting", "cleared"),
    ("restarting", "none", ""),
    ("none", "skipped", "a branch or a rule"),
    ("none", "upstream_failed", ""),
)
"""The arrows that people meet, with what moves along them. The table below the picture has all of them."""


def state_machines() -> str:
    """The states, what they mean and what may follow what."""
    for before, after, _ in _USUAL:
        if states.TaskState(after) not in states.TASK_TRANSITIONS[states.TaskState(before)]:
            raise AssertionError(f"{before} -> {after} is drawn and not in the table of transitions")
    arrows = "\n".join(f"    {before} --> {after}{f' : {why}' if why else ''}" for before, after, why in _USUAL)
    finished = states.FINISHED
    meanings = [
        [code(s.value), states.MEANING[s], *("yes" if s in part else "" for part in (finished, states.HOLDS_SLOT))]
        for s in states.TaskState
    ]
    return "\n".join(
        [
            "# States, and what may follow what\n",
            "A change that is not in these tables is refused: the run machine raises an error with the story of the",
            "task instance, and the store's update, which names the state that it expects, changes no row.\n",
            "## Task instances\n",
            table(("state", "meaning", "finished", "holds a slot"), meanings),
            "The usual ways:\n",
            "```mermaid\nstateDiagram-v2\n    [*] --> none",
            arrows,
            "    success --> [*]\n    failed --> [*]\n    skipped --> [*]\n    upstream_failed --> [*]\n```\n",
            "From each state, what may follow in one committed change. Steps that one commit folds together count as",
            "one, so a task whose body starts at once goes from `none` to `running`.\n",
            _transitions(states.TASK_TRANSITIONS, states.TaskState),
            "## Runs\n",
            _transitions(states.RUN_TRANSITIONS, states.RunState),
            "A run starts as `queued`. It is `running` from the moment that `max_active_runs` lets it begin, and ends",
            "as `failed` if one of its last tasks (those that nothing follows) has failed or could not run, else as",
            "`success`. Clearing tasks brings an ended run back.\n",
            f"Types of runs, also the prefix of their ids: {_codes(states.RunType)}.\n",
            "## How an attempt ends\n",
            f"{_codes(states.OutcomeKind)}. A `lost` attempt is one whose carrier died; it uses up no retry.\n",
            "## Trigger rules\n",
            f"{_codes(states.TriggerRule)}.\n",
        ]
    )


def _transitions(moves: Mapping[Any, frozenset[Any]], order: Iterable[Any]) -> str:
    listed = list(order)
    rows = [[code(s.value), ", ".join(code(t.value) for t in listed if t in moves[s])] for s in listed]
    return table(("from", "to"), rows)


def _codes(values: Iterable[Any]) -> str:
    return ", ".join(code(value.value) for value in values)


# Configuration ------------------------------------------------------------------------------------------------------


def configuration() -> str:
    """Every option, with its default and all names."""
    parts = [
        "# Configuration\n",
        "For each option the first source that has it wins:\n",
        "1. the command line,",
        "2. `TRADEWIND__SECTION__KEY` in the environment, then `TRADEWIND__SECTION__KEY_CMD` (what it prints),",
        "3. `AIRFLOW__SECTION__KEY` and its `_CMD`, under each of Airflow's names for the option,",
        '4. `tradewind.toml` in the home folder (`[section]`, then `key = value` or `key_cmd = "command"`),',
        "5. `airflow.cfg`, where `AIRFLOW_HOME` or `AIRFLOW_CONFIG` is set,",
        "6. the default.\n",
        "`tradewind config list` shows every value with its source. The home folder is `$TRADEWIND_HOME`, else",
        "`$AIRFLOW_HOME`, else `~/.tradewind`. Relative paths begin at the home folder where they come from",
        "the file or the default,",
        "else at the working directory. An unknown section or option is an error that names the nearest one.\n",
    ]
    for section, cls in SECTIONS.items():
        rows = [_option(name, option, default) for name, (option, default) in options_of(section).items()]
        parts += [
            f"## [{section}]\n",
            f"{inspect.getdoc(cls)}\n",
            table(("option", "default", "what it says", "Airflow's names"), rows),
        ]
    settled = [[code(name), why] for name, why in AIRFLOW_SETTLED.items()]
    parts += [
        "## Airflow's options that change nothing\n",
        "They are understood; there is nothing to switch.\n",
        table(("option", "reason"), settled),
    ]
    return "\n".join(parts)


def _option(name: str, option: Option, default: object) -> list[str]:
    doc = option.doc
    if option.choices:
        doc += f" One of {', '.join(map(code, option.choices))}."
    bounds = [f"at least {option.minimum:g}"] if option.minimum else []
    bounds += [f"at most {option.maximum:g}"] if option.maximum is not None else []
    if bounds:
        doc += f" ({', '.join(bounds)})"
    if option.secret:
        doc += " Secret: masked where it is shown."
    shown = "not set" if default is None else code(str(default).lower() if isinstance(default, bool) else default)
    return [code(name), shown, doc, ", ".join(map(code, option.airflow))]


# Commands -----------------------------------------------------------------------------------------------------------


def commands() -> str:
    """Every command, with its arguments and options."""
    parts = [
        "# The command line\n",
        "`tradewind --help` and `tradewind COMMAND --help` say the same. Exit codes: 0 done, 1 failed, 2 wrong usage",
        "or configuration, 3 the database cannot be reached. `--home DIR` before the command chooses the home.\n",
        "Where a command takes `--output`, `json`, `yaml` and `plain` (tab-separated) are for programs. Dates are",
        "ISO 8601 or a day; without a zone they are in UTC.\n",
    ]
    for words, command in _walk(cli, ("tradewind",)):
        context = click.Context(command, info_name=" ".join(words))
        usage = " ".join(command.collect_usage_pieces(context))
        parts += [f"## {' '.join(words)}\n", f"```\n{' '.join(words)} {usage}\n```\n"]
        parts += [_paragraphs(command.help or "") + "\n"]
        rows = [record for option in command.get_params(context) if (record := _parameter(option, context))]
        if rows:
            parts.append(table(("option", "what it does"), rows))
    return "\n".join(parts)


def _walk(group: click.Group, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        if isinstance(command, click.Group):
            yield from _walk(command, (*words, name))
        else:
            yield (*words, name), command


def _parameter(option: click.Parameter, context: click.Context) -> list[str] | None:
    record = option.get_help_record(context)
    if record is None or "--help" in option.opts:
        return None
    return [code(record[0]), record[1].replace("  ", " ")]


def _paragraphs(text: str) -> str:
    return re.sub(r"[ \t]*\n[ \t]*", "\n", inspect.cleandoc(text).replace("\b\n", ""))


# Authoring ----------------------------------------------------------------------------------------------------------


def authoring() -> str:
    """What `from tradewind import …` gives."""
    parts = [
        "# What `from tradewind import …` gives\n",
        "The whole public face for DAG files. [Writing DAGs](../guides/writing-dags.md) shows how it is used.\n",
        table(("name", "what it is"), [[code(name), _about(getattr(tradewind, name))] for name in tradewind.__all__]),
    ]
    sets: dict[str, tuple[type, str]] = {
        "Arguments of DAG and @dag": (DagSettings, "Beside `dag_id` and `description`."),
        "Arguments of every task": (
            TaskSettings,
            "For `@task(…)` and every operator, beside `task_id`; also in `default_args`.",
        ),
        "Arguments of every sensor": (SensorOptions, "Beside those of every task."),
        "Arguments of BashOperator and @task.bash": (BashSettings, "Beside those of every task."),
    }
    for title, (cls, about) in sets.items():
        rows = [[code(name), code(_type(hint))] for name, hint in cls.__annotations__.items()]
        parts += [f"## {title}\n", about + "\n", table(("argument", "type"), rows)]
    return "\n".join(parts)


def _type(hint: object) -> str:
    return hint.__forward_arg__ if isinstance(hint, ForwardRef) else str(hint)


def _about(value: object) -> str:
    doc = inspect.getdoc(value) if isinstance(value, type) or callable(value) else None
    first = (doc or "").split("\n\n")[0].replace("\n", " ")
    return first.replace("``", "`")


PAGES: Final = cast(
    "Mapping[str, Callable[[], str]]",
    {
        "state-machines.md": lambda: NOTE.format(source="`tradewind/model/states.py`") + state_machines(),
        "reference/configuration.md": lambda: NOTE.format(source="`tradewind/config_options.py`") + configuration(),
        "reference/cli.md": lambda: NOTE.format(source="the help texts in `tradewind/cli/`") + commands(),
        "spec-coverage.md": lambda: NOTE.format(source="the markers of the tests") + coverage.page(),
        "reference/authoring.md": lambda: NOTE.format(source="the docstrings in `tradewind/`") + authoring(),
    },
)
"""Path below `docs/` to what makes the page."""

if __name__ == "__main__":
    main()
