"""What people write into DAG files: many DAGs, sets, helpers, configurations, and code that misbehaves."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.bundles.test_parser import SETTINGS, parse, write
from tests.bundles.test_watcher import Place
from tradewind.bundles.parser import Parser
from tradewind.model.rows import ParsedFile

DAG = "from tradewind import DAG, EmptyOperator, task\n"


@pytest.fixture
async def parser() -> AsyncIterator[Parser]:
    parser = Parser(SETTINGS)
    yield parser
    await parser.close()


SETS = """
with DAG("sets", schedule=None, tags={"red", "green", "blue", "black", "white"},
         default_args={"owner": "ada", "retries": 2}, params={"b": 1, "a": 2}) as dag:
    last = EmptyOperator(task_id="last")
    for name in sorted({"one", "two", "three", "four", "five"}):
        EmptyOperator(task_id=name)
    tasks = {dag.task_dict[name] for name in ("one", "two", "three", "four", "five")}
    list(tasks) >> last

    @task(templates_dict={"names": {"x", "y", "z"}})
    def work(values=frozenset("abcdef")):
        return values

    work() << tasks
"""


async def test_a_file_is_one_version_however_its_sets_are_ordered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path, "sets.py", DAG + SETS)
    found: list[ParsedFile] = []
    for seed in ("1", "2", "3", "random"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        parser = Parser(SETTINGS)
        try:
            found.append((await parse(parser, file)).parsed)
        finally:
            await parser.close()
    assert [parsed.error for parsed in found] == [None] * 4
    assert len({spec.content_hash() for parsed in found for spec in parsed.dags}) == 1
    assert len({parsed.source.bundle_version for parsed in found}) == 1


@pytest.mark.spec("1:C5")
async def test_dags_from_factories_loops_and_names_of_any_kind(parser: Parser, tmp_path: Path) -> None:
    text = DAG + (
        "from tradewind import dag\n"
        "def make(name):\n    with DAG(name, schedule=None) as made:\n        EmptyOperator(task_id='t')\n"
        "    return made\n"
        "for n in range(3):\n    globals()[f'dag_{n}'] = make(f'looped_{n}')\n"
        "anything_at_all = make('named')\n"
        "with DAG('in_a_block', schedule=None):\n    EmptyOperator(task_id='t')\n"
        "@dag(schedule=None)\ndef decorated():\n    EmptyOperator(task_id='t')\n"
        "decorated()\n"
    )
    parsed = (await parse(parser, write(tmp_path, "many.py", text))).parsed
    assert parsed.error is None
    ids = {spec.dag_id for spec in parsed.dags}
    assert ids == {"looped_0", "looped_1", "looped_2", "named", "in_a_block", "decorated"}


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("print('x' * 100_000)", None),
        ("import warnings; warnings.warn('old', DeprecationWarning)", None),
        ("import os\nif os.fork() == 0: os._exit(0)\n", None),
        ("import threading; threading.Thread(target=threading.Event().wait).start()", None),
        ("import atexit, time; atexit.register(time.sleep, 600)", None),
        ("import sys; sys.setrecursionlimit(100)\ndef f(): return f()\nf()", "RecursionError"),
        ("import ctypes; ctypes.string_at(0)", "killed by SIGSEGV"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import os; os.abort()", "killed by SIGABRT"),
    ],
)
async def test_code_at_the_top_of_a_file(parser: Parser, tmp_path: Path, code: str, said: str | None) -> None:
    """Only its own file is broken by it, if any."""
    text = f"{DAG}with DAG('a', schedule=None):\n    EmptyOperator(task_id='t')\n{code}\n"
    parsed = (await parse(parser, write(tmp_path, "flow.py", text))).parsed
    if said is None:
        assert parsed.error is None
        assert [spec.dag_id for spec in parsed.dags] == ["a"]
    else:
        assert said in (parsed.error or "")
    good = write(tmp_path, "good.py", f"{DAG}d = DAG('good', schedule=None)")
    assert (await parse(parser, good)).parsed.error is None
    assert threading.active_count() < 50


async def test_a_huge_file(parser: Parser, tmp_path: Path) -> None:
    """A megabyte of text, five thousand tasks."""
    text = f"{DAG}NOTES = '''{'x' * (1 << 20)}'''\nwith DAG('huge', schedule=None):\n"
    text += "    for n in range(5000):\n        EmptyOperator(task_id=f't{n}')\n"
    parsed = (await parse(parser, write(tmp_path, "huge.py", text))).parsed
    assert parsed.error is None
    assert len(parsed.dags[0].tasks) == 5000


@pytest.mark.spec("2:C-18", "3:D10", "2:T-04", "3:B19")
async def test_a_package_beside_the_dags(tmp_path: Path) -> None:
    """It is no DAG file and not broken; a change in it is a change of the DAGs that import it; another file breaks
    alone, and new DAGs are paused.
    """
    (tmp_path / "home").mkdir()
    place = Place(tmp_path / "home")
    place.write("custom/__init__.py", "")
    place.write("custom/hooks.py", "from custom import names\nTASKS = names.TASKS  # no dag for airflow\n")
    place.write("custom/names.py", "TASKS = ['one']\n")
    flow = "from custom.hooks import TASKS\nwith DAG('flow', schedule=None):\n"
    place.write("flow.py", f"{DAG}{flow}    for name in TASKS:\n        EmptyOperator(task_id=name)\n")
    bad = place.write("bad.py", f"{DAG}raise ValueError('not today')\n")
    async with place.watching():
        rows = {row.dag_id: row for row in await place.store.dag_list()}
        assert rows.keys() == {"flow"}
        assert rows["flow"].is_paused
        (error,) = await place.store.import_error_list()
        assert error.fileloc == str(bad)
        assert "ValueError: not today" in error.stack_trace
        place.write("custom/names.py", "TASKS = ['one', 'two']\n")

        async def renewed() -> bool:
            version = await place.store.dag_version_get("flow")
            return version is not None and [task.task_id for task in version.spec.tasks] == ["one", "two"]

        await place.until(renewed)
        old = await place.store.dag_version_get("flow", rows["flow"].version_hash)
        assert old is not None
        assert [task.task_id for task in old.spec.tasks] == ["one"], "what ran before is shown as it was"


@pytest.mark.spec("3:B01")
async def test_dags_made_from_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    place = Place(tmp_path / "home")
    place.write("config/flows.yaml", "flows: [a, b]\n")
    place.write(
        "made.py",
        f"{DAG}import pathlib, yaml\n"
        "config = yaml.safe_load((pathlib.Path(__file__).parent / 'config/flows.yaml').read_text())\n"
        "for name in config['flows']:\n    with DAG(name, schedule=None):\n        EmptyOperator(task_id='t')\n",
    )
    async with place.watching():
        assert {row.dag_id for row in await place.store.dag_list()} == {"a", "b"}
        place.write("config/flows.yaml", "flows: [b, c]\n")

        async def renewed() -> bool:
            return {row.dag_id for row in await place.store.dag_list() if row.is_active} == {"b", "c"}

        async with asyncio.timeout(60):
            await place.until(renewed)
