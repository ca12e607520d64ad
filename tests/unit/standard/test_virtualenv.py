# pyright: reportUnusedExpression=false
"""Functions in other interpreters: real environments, no network."""

from __future__ import annotations

import functools
import os
import select
import subprocess
import sys
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.unit.authoring.attempts import running
from tests.unit.authoring.task_behind import operator_of
from tradewind.authoring.branching import branch_ids
from tradewind.authoring.context import build_context
from tradewind.authoring.dag import DAG
from tradewind.authoring.decorators import task_group
from tradewind.model.errors import AuthoringError, SkipTask, TaskFailed
from tradewind.standard import venv_building
from tradewind.standard.decorators import task
from tradewind.standard.empty import EmptyOperator
from tradewind.standard.virtualenv import (
    BranchExternalPythonOperator,
    BranchPythonVirtualenvOperator,
    ExternalPythonOperator,
    OtherInterpreterOperator,
    PythonVirtualenvOperator,
)

EXTERNAL: dict[str, Any] = {"python": sys.executable}


def run(kind: type[OtherInterpreterOperator], function: Any, /, **arguments: Any) -> Any:
    """Makes the task and runs it in a context of its own."""
    with DAG("d", params={"n": 3}) as dag:
        operator = kind(task_id="t", python_callable=function, **arguments)
    return operator.execute(build_context(running(dag, "t"), dag, operator))


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small distribution, written by hand."""
    path = tmp_path_factory.mktemp("wheels") / "halcyon_days-1.2-py3-none-any.whl"
    info = "halcyon_days-1.2.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("halcyon_days.py", "VERSION = '1.2'\n")
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: halcyon-days\nVersion: 1.2\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", f"halcyon_days.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def never(name: str) -> None:
    """`shutil.which` of a machine without it."""


@pytest.fixture
def without_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", never)


def where_am_i(word: str, ds: str, params: dict[str, Any], data_interval_end: Any, n: int = 1) -> dict[str, Any]:
    import os
    import sys

    sys.stdout.write("from within\n")
    year = data_interval_end.year
    return {
        "word": word * n, "ds": ds, "params": params, "year": year, "prefix": sys.prefix,
        "dag": os.environ["AIRFLOW_CTX_DAG_ID"], "strings": virtualenv_string_args,  # type: ignore[name-defined] # noqa: F821
    }  # fmt: skip


def test_a_function_runs_in_an_environment_made_for_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        found = run(
            PythonVirtualenvOperator, where_am_i, op_args=["ab"], op_kwargs={"n": 2}, string_args=["x", 7],
            system_site_packages=False,
        )  # fmt: skip
    prefix = Path(found.pop("prefix"))
    assert prefix.name == "venv"
    assert not prefix.exists()
    assert found == {
        "word": "abab", "ds": "2026-01-02", "params": {"n": 3}, "year": 2026, "dag": "d", "strings": ["x", "7"],
    }  # fmt: skip
    assert "from within" in [record.message for record in caplog.records]


@pytest.mark.usefixtures("without_uv")
def test_with_venv_and_the_packages_of_the_worker() -> None:
    def versions(logical_date: Any) -> tuple[str, str]:
        import orjson

        return type(logical_date).__module__, orjson.__version__

    import orjson

    module, version = run(PythonVirtualenvOperator, versions, system_site_packages=True)
    assert module == "pendulum.datetime"
    assert version == orjson.__version__


def imported() -> str:
    import importlib

    return str(importlib.import_module("halcyon_days").VERSION)


@pytest.mark.parametrize("tool", ["uv", "pip"])
def test_requirements_are_installed(wheel: Path, tool: str, request: pytest.FixtureRequest) -> None:
    if tool == "pip":
        request.getfixturevalue("without_uv")
    else:
        request.getfixturevalue("with_uv")
    arguments: dict[str, Any] = {"index_urls": [], "pip_install_options": ["--find-links", str(wheel.parent)]}
    for requirements in ("# ours\nhalcyon_days==1.2\n", [str(wheel)])[: 1 if tool == "pip" else 2]:
        given = {**arguments, "requirements": requirements, "system_site_packages": False}
        assert run(PythonVirtualenvOperator, imported, **given) == "1.2"


@pytest.fixture
def with_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    uv = Path(sys.executable).parent / "uv"
    if not uv.exists():
        pytest.skip("uv is not installed beside this interpreter")
    monkeypatch.setattr("shutil.which", functools.partial({"uv": str(uv)}.get))


@pytest.mark.usefixtures("without_uv")
def test_the_requirement_that_failed_is_named(wheel: Path) -> None:
    with pytest.raises(TaskFailed, match=r"requirement 'halcyon_days==9.9' could not be installed with pip") as raised:
        run(
            PythonVirtualenvOperator, imported, index_urls=[], requirements=["setuptools", "halcyon_days==9.9"],
            pip_install_options=["--find-links", str(wheel.parent)],
        )  # fmt: skip
    assert "No matching distribution found for halcyon_days==9.9" in str(raised.value)


def test_an_environment_is_kept_and_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def where() -> str:
        import sys

        return sys.prefix

    made: list[Path] = []
    build = venv_building.VenvBuilder.build

    def counting(self: Any, folder: Path, plan: Any) -> Path:
        made.append(folder)
        return build(self, folder, plan)

    monkeypatch.setattr(venv_building.VenvBuilder, "build", counting)
    kept: dict[str, Any] = {"venv_cache_path": str(tmp_path), "system_site_packages": False}
    with ThreadPoolExecutor(4) as threads:
        found = {f.result() for f in [threads.submit(run, PythonVirtualenvOperator, where, **kept) for _ in range(4)]}
    assert len(found) == 1
    assert [str(folder) for folder in made] == list(found)
    (made[0] / venv_building.MARKER).unlink()  # as if its maker had been killed half-way
    assert run(PythonVirtualenvOperator, where, **kept) == str(made[0])
    assert len(made) == 2
    monkeypatch.setenv("TRADEWIND_VAR_PYTHONVIRTUALENVOPERATOR.CACHE_KEY", "other")
    assert run(PythonVirtualenvOperator, where, **kept) != str(made[0])


def test_a_cache_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TaskFailed, match=r"venv_cache_path '.*file' cannot be used"):
        run(PythonVirtualenvOperator, imported, venv_cache_path=str(tmp_path / "file"))


@pytest.mark.usefixtures("without_uv")
def test_a_version_that_is_not_here() -> None:
    with pytest.raises(TaskFailed, match=r"there is no python3\.2 on this machine"):
        run(PythonVirtualenvOperator, imported, python_version="3.2")


# --------------------------------------------------------------------------- interpreters that are there


def leaves(code: int) -> None:
    import sys

    sys.exit(code)


@pytest.mark.parametrize(
    ("code", "skips", "error", "message"),
    [
        (7, None, TaskFailed, "Process returned non-zero exit status 7"),
        (7, 7, SkipTask, "Process exited with code 7. Skipping."),
        (8, [7, 8], SkipTask, "code 8"),
        (0, None, TaskFailed, "exit status 0"),
    ],
)
def test_exit_codes(code: int, skips: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(ExternalPythonOperator, leaves, op_args=[code], skip_on_exit_code=skips, **EXTERNAL)


def raises(kind: str) -> None:
    class SkipTask(Exception): ...

    if kind == "skip":
        raise SkipTask("not today")
    raise ValueError("broken " + kind)


def test_errors_name_the_authors_lines() -> None:
    with pytest.raises(TaskFailed, match="ValueError: broken thing") as raised:
        run(ExternalPythonOperator, raises, op_args=["thing"], **EXTERNAL)
    line = raises.__code__.co_firstlineno + 5
    assert f'test_virtualenv.py", line {line}, in raises' in str(raised.value)
    with pytest.raises(SkipTask, match="not today"):
        run(ExternalPythonOperator, raises, op_args=["skip"], **EXTERNAL)


def asks_for_ti(ti: Any) -> None: ...


def hands_back_a_lock() -> Any:
    import threading

    return threading.Lock()


def nothing() -> None: ...


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (asks_for_ti, {}, "asks for 'ti'.* that can be handed to another interpreter"),
        (hands_back_a_lock, {}, "the result, a lock, cannot be handed back"),
        (nothing, {"op_args": [threading.Lock()]}, "the arguments cannot be handed to another interpreter"),
        (nothing, {"python": "/nowhere/python"}, "Python Path '/nowhere/python' must exists"),
        (nothing, {"python": __file__}, "must be an executable file"),
        (nothing, {"python": "/bin/false"}, "/bin/false does not work"),
    ],
)
def test_what_cannot_be_handed_over(function: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskFailed, match=message):
        run(ExternalPythonOperator, function, **(EXTERNAL | arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"python_callable": lambda: 1}, "only supports functions for python_callable"),
        ({"python_callable": len}, "only supports functions"),
        ({"serializer": "marshal"}, "Unsupported serializer 'marshal'"),
        ({"serializer": "pickle", "use_dill": True}, "Both 'use_dill' and 'serializer'"),
        ({"skip_on_exit_code": "7"}, "skip_on_exit_code takes exit codes"),
    ],
)
def test_arguments_that_cannot_be(arguments: dict[str, Any], message: str) -> None:
    untyped: Any = PythonVirtualenvOperator
    with pytest.raises(AuthoringError, match=message):
        untyped(task_id="t", **({"python_callable": nothing} | arguments))
    with pytest.raises(AuthoringError, match="Python Path must be defined"):
        ExternalPythonOperator(task_id="t", python="", python_callable=nothing)


def test_the_environment_is_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def seen() -> tuple[Any, Any]:
        import os

        return os.environ.get("OUTER"), os.environ.get("INNER")

    monkeypatch.setenv("OUTER", "1")
    assert run(ExternalPythonOperator, seen, env_vars={"INNER": "2"}, **EXTERNAL) == ("1", "2")
    assert run(ExternalPythonOperator, seen, env_vars={"INNER": "2"}, inherit_env=False, **EXTERNAL) == (None, "2")


def test_a_kill_ends_all_that_runs(tmp_path: Path) -> None:
    pipe = tmp_path / "started"
    os.mkfifo(pipe)

    def spawns(pipe: str) -> None:
        import subprocess
        from pathlib import Path

        child = subprocess.Popen(["sleep", "1000"])
        Path(pipe).write_text(str(child.pid), encoding="utf-8")
        child.wait()

    with DAG("d") as dag:
        operator = ExternalPythonOperator(task_id="t", python_callable=spawns, op_args=[str(pipe)], **EXTERNAL)
    context = build_context(running(dag, "t"), dag, operator)
    ended: list[BaseException] = []

    def execute() -> None:
        try:
            operator.execute(context)
        except TaskFailed as failure:
            ended.append(failure)

    thread = threading.Thread(target=execute)
    thread.start()
    child = os.pidfd_open(int(pipe.read_text()))
    operator.on_kill()
    thread.join(60)
    assert not thread.is_alive()
    assert "SIGTERM" in str(ended[0])
    try:
        assert select.select([child], [], [], 30)[0] == [child]  # readable: it has ended
    finally:
        os.close(child)


def choose() -> list[str]:
    return ["left"]


def test_branches() -> None:
    with DAG("d") as dag:
        inside = BranchPythonVirtualenvOperator(task_id="a", python_callable=choose, system_site_packages=False)
        outside = BranchExternalPythonOperator(task_id="b", python_callable=choose, **EXTERNAL)
        [inside, outside] >> EmptyOperator(task_id="left")
        [inside, outside] >> EmptyOperator(task_id="right")
    for operator in (inside, outside):
        assert operator.outcome_kind == "branch"
        result = operator.execute(build_context(running(dag, operator.task_id), dag, operator))
        assert branch_ids(operator, result) == ("left",)


def test_the_decorators() -> None:
    @task.virtualenv(system_site_packages=False, requirements=[])
    def inside(n: int) -> int:
        return n + 1

    @task.external_python(python=sys.executable, multiple_outputs=True)
    def outside(word: str, ds: Any = None) -> dict[str, str]:
        return {"a": word, "b": ds}

    @task.branch_virtualenv(system_site_packages=False)
    def branch_inside() -> str:
        return "x"

    @task.branch_external_python(python=sys.executable)
    def branch_outside() -> str:
        return "x"

    @task_group
    def group() -> None:
        inside.override(task_id="again")(7)

    with DAG("d") as dag:
        operators = [operator_of(result) for result in (inside(1), outside("w"), branch_inside(), branch_outside())]
        group()
    results = [operator.execute(build_context(running(dag, operator.task_id), dag, operator)) for operator in operators]
    assert results == [2, {"a": "w", "b": "2026-01-02"}, "x", "x"]
    assert [operator.outcome_kind for operator in operators] == ["value", "value", "branch", "branch"]
    assert operators[1].multiple_outputs
    assert "group.again" in dag.task_dict
    assert [spec.operator for spec in dag.to_spec().tasks][:2] == ["@task.virtualenv", "@task.external_python"]


@pytest.mark.parametrize("serializer", ["cloudpickle", "dill"])
def test_dill_and_cloudpickle_take_what_pickle_does_not(serializer: str) -> None:
    pytest.importorskip(serializer)

    def call(function: Any) -> Any:
        return function(2)

    names: dict[str, Any] = {"__name__": "__main__"}  # a function that no module has
    exec("def times(n):\n    return n * 21", names)
    times = names["times"]
    assert run(ExternalPythonOperator, call, **EXTERNAL, op_args=[times], serializer=serializer) == 42
    with pytest.raises(TaskFailed, match="the arguments cannot be handed to another interpreter"):
        run(ExternalPythonOperator, call, **EXTERNAL, op_args=[times])


def test_a_serializer_has_to_be_there(tmp_path: Path) -> None:
    bare = tmp_path / "python"
    bare.write_text("#!/bin/sh\necho '[[3, 11], []]'\n", encoding="utf-8")  # an interpreter with no packages
    bare.chmod(0o755)
    with pytest.raises(TaskFailed, match="serializer 'dill' is not installed in"):
        run(ExternalPythonOperator, nothing, python=str(bare), serializer="dill")


def test_the_script_runs_alone(tmp_path: Path) -> None:
    """Nothing of Tradewind is needed at the other end."""
    from tradewind.standard import virtualenv_child

    done = subprocess.run(
        [sys.executable, "-I", "-S", virtualenv_child.__file__, str(tmp_path)], capture_output=True, check=False
    )
    assert b"order.json" in done.stderr
