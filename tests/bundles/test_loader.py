"""Loading one DAG file in this process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradewind.bundles.loader import DagFileError, load_file, mentions_dag, module_name

DAG = "from tradewind.authoring.dag import DAG\n"


@pytest.fixture(autouse=True)
def untouched_imports() -> Iterator[None]:
    path, modules = list(sys.path), dict(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - set(modules):
        if name.startswith("tradewind_dag_") or name in ("shared", "pipeline_parts"):
            del sys.modules[name]


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_dags_bound_to_names_and_not(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "flows.py",
        DAG + "with DAG('a', schedule=None):\n    pass\nb = DAG('b', schedule=None)\nfor n in 'xy':\n"
        "    with DAG(f'loop_{n}', schedule=None):\n        pass\n",
    )
    loaded = load_file(file)
    assert set(loaded.dags) == {"a", "b", "loop_x", "loop_y"}
    assert next(iter(loaded.dags)) == "a"
    assert loaded.problems == ()
    assert all(dag.dag_id == dag_id for dag_id, dag in loaded.dags.items())
    assert loaded.dags["a"].fileloc == str(file)


def test_files_of_one_name_never_meet(tmp_path: Path) -> None:
    first = write(tmp_path, "x/flow.py", DAG + "a = DAG('first', schedule=None)")
    second = write(tmp_path, "y/flow.py", DAG + "a = DAG('second', schedule=None)")
    assert module_name(first) != module_name(second)
    assert list(load_file(first).dags) == ["first"]
    assert list(load_file(second).dags) == ["second"]


@pytest.mark.spec("3:D10", "2:C-18")
def test_modules_beside_the_file_import_and_hide_nothing(tmp_path: Path) -> None:
    helper = write(tmp_path, "shared.py", "NAME = 'from_shared'")
    write(tmp_path, "json.py", "raise RuntimeError('hides the standard library')")
    file = write(
        tmp_path,
        "deep/flow.py",
        DAG + "import json, shared\njson.dumps(1)\nd = DAG(shared.NAME, schedule=None)",
    )
    loaded = load_file(file, root=tmp_path)
    assert list(loaded.dags) == ["from_shared"]
    assert loaded.helpers == (str(helper),)
    assert "shared" in sys.modules


def test_private_helpers_are_fresh_each_time_and_leave_no_trace(tmp_path: Path) -> None:
    helper = write(tmp_path, "shared.py", "NAME = 'one'")
    file = write(tmp_path, "flow.py", DAG + "import shared\nd = DAG(shared.NAME, schedule=None)")
    assert list(load_file(file, private_helpers=True).dags) == ["one"]
    assert "shared" not in sys.modules
    helper.write_text("NAME = 'two, longer'.split(',')[0]")
    again = load_file(file, private_helpers=True)
    assert list(again.dags) == ["two"]
    assert again.helpers == (str(helper),)


def test_a_quick_edit_of_the_same_length_is_seen(tmp_path: Path) -> None:
    file = write(tmp_path, "flow.py", DAG + "d = DAG('aaa', schedule=None)")
    assert list(load_file(file).dags) == ["aaa"]
    file.write_text(DAG + "d = DAG('bbb', schedule=None)")
    assert list(load_file(file).dags) == ["bbb"]


def test_the_trace_holds_only_the_users_frames(tmp_path: Path) -> None:
    write(tmp_path, "shared.py", "def boom():\n    raise ValueError('no such table')\n")
    file = write(tmp_path, "flow.py", "import shared\nshared.boom()\n")
    with pytest.raises(DagFileError) as caught:
        load_file(file)
    trace = caught.value.trace
    assert trace.splitlines()[0] == "Traceback (most recent call last):"
    assert f'File "{file}", line 2' in trace
    assert f'File "{tmp_path / "shared.py"}", line 2, in boom' in trace
    assert trace.splitlines()[-1] == "ValueError: no such table"
    assert "bundles/loader.py" not in trace
    assert "importlib" not in trace
    assert module_name(file) not in sys.modules


def test_an_error_inside_our_own_code_ends_at_the_users_line(tmp_path: Path) -> None:
    file = write(tmp_path, "flow.py", DAG + "\nd = DAG('not an id!', schedule=None)\n")
    with pytest.raises(DagFileError) as caught:
        load_file(file)
    assert f'File "{file}", line 3' in caught.value.trace
    assert "authoring/" not in caught.value.trace
    assert "not an id!" in caught.value.trace.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("def f(:\n", "SyntaxError"),
        ("import no_such_module_at_all\n", "ModuleNotFoundError: No module named 'no_such_module_at_all'"),
        ("import sys\nsys.exit(3)\n", "SystemExit: 3"),
        ("try:\n    1/0\nexcept ZeroDivisionError as e:\n    raise KeyError('x') from e\n", "direct cause"),
    ],
)
def test_broken_files(tmp_path: Path, text: str, said: str) -> None:
    file = write(tmp_path, "flow.py", text)
    with pytest.raises(DagFileError) as caught:
        load_file(file)
    assert said in caught.value.trace
    assert caught.value.fileloc == str(file)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DagFileError, match="FileNotFoundError"):
        load_file(tmp_path / "gone.py")


@pytest.mark.spec("2:T-05")
def test_an_id_used_twice_is_reported(tmp_path: Path) -> None:
    file = write(tmp_path, "flow.py", DAG + "a = DAG('x', schedule=None)\nb = DAG('x', schedule=None, tags=['last'])")
    loaded = load_file(file)
    assert "'x' is used by two DAGs" in loaded.problems[0]
    assert list(loaded.dags["x"].tags) == ["last"]


def test_catchup_follows_the_spelling_of_the_file(tmp_path: Path) -> None:
    text = DAG + "{}d = DAG('x', schedule='@daily', start_date='2024-01-01')"
    native = write(tmp_path, "native.py", text.format(""))
    foreign = write(tmp_path, "foreign.py", text.format("try:\n    import airflow\nexcept ImportError:\n    pass\n"))
    assert load_file(native).dags["x"].to_spec().catchup is False
    assert load_file(foreign).dags["x"].to_spec().catchup is True
    assert load_file(foreign, catchup_by_file=False).dags["x"].to_spec().catchup is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"from airflow import DAG", True),
        (b"import Tradewind\n@dag", True),
        (b"def helper(): pass", False),
        (b"import airflow", False),
    ],
)
def test_safe_mode(text: bytes, expected: bool) -> None:
    assert mentions_dag(text) is expected


def test_an_error_that_cannot_be_encoded_is_told_with_escapes(tmp_path: Path) -> None:
    file = write(tmp_path, "half.py", DAG + "raise ValueError('half a \\ud800 pair')\n")
    with pytest.raises(DagFileError) as raised:
        load_file(file)
    assert raised.value.trace.endswith("ValueError: half a \\ud800 pair")
