"""The parse host as a real child process: what it reports, and how it survives what files do."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.outside import DEADLINE, pipe, process_ended
from tradewind.authoring.defaults import AuthoringDefaults
from tradewind.bundles.parse_child import version_of
from tradewind.bundles.parser import FileToParse, ParseHostFailed, Parser, ParseResult, ParseSettings
from tradewind.bundles.traces import in_one_line

DAG = "from tradewind.authoring.dag import DAG\n"
SETTINGS = ParseSettings(timeout=60.0)


@pytest.fixture
async def parser() -> AsyncIterator[Parser]:
    parser = Parser(SETTINGS)
    yield parser
    await parser.close()


def write(folder: Path, name: str, text: str) -> FileToParse:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return FileToParse("dags", str(folder), name)


async def parse(parser: Parser, file: FileToParse) -> ParseResult:
    async with asyncio.timeout(60):
        return await parser.parse_one(file)


async def test_what_is_reported(parser: Parser, tmp_path: Path) -> None:
    (tmp_path / "names.yaml").write_text("a")
    write(tmp_path, "shared.py", "SCHEDULE = None")
    text = DAG + (
        "from pathlib import Path\nimport shared\nhere = Path(__file__).parent\n"
        "names = (here / 'names.yaml').read_text().split()\n"
        "for name in names:\n    with DAG(name, schedule=shared.SCHEDULE):\n        pass\n"
        "print('to nowhere')\n"
    )
    file = write(tmp_path, "flow.py", text)
    result = await parse(parser, file)
    assert [spec.dag_id for spec in result.parsed.dags] == ["a"]
    assert result.parsed.error is None
    assert result.parsed.code == text
    assert result.parsed.seconds > 0
    assert result.reads == {"names.yaml", "shared.py"}
    assert result.lists == set()
    assert (result.is_dag_file, result.external) == (True, False)
    source = result.parsed.source
    assert (source.bundle, source.fileloc, source.relative_fileloc) == ("dags", str(tmp_path / "flow.py"), "flow.py")
    version = await asyncio.to_thread(version_of, str(tmp_path), text.encode(), result.reads)
    assert source.bundle_version == version


async def test_the_version_follows_everything_that_the_file_reads(parser: Parser, tmp_path: Path) -> None:
    helper = write(tmp_path, "shared.py", "X = 1")
    file = write(tmp_path, "flow.py", DAG + "import shared\nd = DAG('a', schedule=None)")
    first = (await parse(parser, file)).parsed
    same = (await parse(parser, file)).parsed
    write(tmp_path, helper.relative, "X = 2")
    other = (await parse(parser, file)).parsed
    assert first.source == same.source
    assert other.source.bundle_version != first.source.bundle_version
    assert [spec.content_hash() for spec in other.dags] == [spec.content_hash() for spec in first.dags]


async def test_listed_folders_and_the_outside(parser: Parser, tmp_path: Path) -> None:
    write(tmp_path, "configs/a.txt", "")
    listing = write(
        tmp_path,
        "listing.py",
        DAG + "import os\nnames = os.listdir(os.path.dirname(__file__) + '/configs')\n"
        "d = DAG(names[0].split('.')[0], schedule=None)",
    )
    asking = write(
        tmp_path, "asking.py", DAG + "import subprocess\nsubprocess.run(['true'])\nd = DAG('b', schedule=None)"
    )
    assert (await parse(parser, listing)).lists == {"configs"}
    assert (await parse(parser, asking)).external is True


async def test_a_file_without_dags_is_left_alone(parser: Parser, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    file = write(tmp_path, "shared.py", f"open({str(marker)!r}, 'w')")
    result = await parse(parser, file)
    assert result.is_dag_file is False
    assert not marker.exists()


async def test_one_bad_dag_leaves_the_others(parser: Parser, tmp_path: Path) -> None:
    file = write(
        tmp_path,
        "flow.py",
        DAG + "good = DAG('good', schedule=None)\nbad = DAG('bad', schedule='every day', start_date='2024-01-01')",
    )
    parsed = (await parse(parser, file)).parsed
    assert [spec.dag_id for spec in parsed.dags] == ["good"]
    assert parsed.error is not None
    assert "'bad'" in parsed.error


async def test_defaults_reach_the_file(tmp_path: Path) -> None:
    file = write(tmp_path, "flow.py", DAG + "d = DAG('a', schedule=None)")
    parser = Parser(replace(SETTINGS, defaults=AuthoringDefaults(max_active_runs=3, timezone="Asia/Tokyo")))
    try:
        spec = (await parse(parser, file)).parsed.dags[0]
    finally:
        await parser.close()
    assert spec.max_active_runs == 3


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; os._exit(3)", "ended with exit status 3"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "killed by SIGSEGV"),
        ("import sys; sys.exit('not today')", "SystemExit: not today"),
        ("print('last words', flush=True); import os; os._exit(0)", "last words"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed by SIGKILL (neither its time limit"),
        ("import os; os.closerange(3, 100)", "closed descriptors that it had not opened"),
    ],
)
async def test_a_file_that_ends_its_process(parser: Parser, tmp_path: Path, code: str, said: str) -> None:
    bad = write(tmp_path, "bad.py", DAG + code)
    good = write(tmp_path, "good.py", DAG + "d = DAG('good', schedule=None)")
    error = (await parse(parser, bad)).parsed.error
    assert error is not None
    assert said in error
    assert (await parse(parser, good)).parsed.error is None


@pytest.mark.parametrize("session", [True, False])
async def test_the_time_limit_names_the_line_and_the_children_go_too(tmp_path: Path, session: bool) -> None:
    file = write(
        tmp_path,
        "slow.py",
        DAG + "import subprocess, threading\n"
        f"child = subprocess.Popen(['sleep', '600'], start_new_session={session})\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "threading.Event().wait()\n",
    )
    parser = Parser(replace(SETTINGS, timeout=0.5))
    try:
        error = (await parse(parser, file)).parsed.error
    finally:
        await parser.close()
    assert error is not None
    assert "within 0.5 s (dags.import_timeout)" in error
    assert f'"{tmp_path / "slow.py"}", line 5' in error
    with pytest.raises(ProcessLookupError):
        _raise_if_ended(int((tmp_path / "pid").read_text()))


async def test_what_a_file_leaves_running_ends_with_its_parse(parser: Parser, tmp_path: Path) -> None:
    text = "import subprocess\nchild = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    file = write(tmp_path, "leaves.py", f"{DAG}{text}open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n")
    assert (await parse(parser, file)).parsed.error is None
    await process_ended(int((tmp_path / "pid").read_text()))


def _raise_if_ended(pid: int) -> None:
    os.kill(pid, 0)
    state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    if state == "Z":
        raise ProcessLookupError


async def test_many_files_come_as_they_are_done(parser: Parser, tmp_path: Path) -> None:
    files = [write(tmp_path, f"f{n}.py", DAG + f"d = DAG('d{n}', schedule=None)") for n in range(20)]
    found = [result.parsed.dags[0].dag_id async for result in parser.parse(files)]
    assert sorted(found) == sorted(f"d{n}" for n in range(20))


async def test_a_file_that_kills_the_host_is_found_out_and_costs_nobody_else(parser: Parser, tmp_path: Path) -> None:
    bad = write(tmp_path, "bad.py", DAG + "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nsignal.pause()")
    files = [write(tmp_path, f"f{n}.py", DAG + f"d = DAG('d{n}', schedule=None)") for n in range(6)]
    async with asyncio.timeout(60):
        results = {result.file: result.parsed async for result in parser.parse([files[0], bad, *files[1:]])}
    assert "died 5 times on this file" in (results[bad].error or "")
    assert all(results[file].error is None and len(results[file].dags) == 1 for file in files)


@pytest.mark.parametrize("victim", ["os.getppid()", "host"])
async def test_what_a_file_has_started_does_not_outlive_a_host_that_is_killed(tmp_path: Path, victim: str) -> None:
    """Once by the file itself, once because it does not end when its socket is closed."""
    code = "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
    code += f"open({str(tmp_path / 'pid')!r}, 'w').write(f'{{child.pid}}\\n')\n"
    if victim == "host":
        code += "os.kill(os.getppid(), signal.SIGSTOP)\n"
    else:
        code += f"os.kill({victim}, signal.SIGKILL)\nsignal.pause()\n"
    file = write(tmp_path, "bad.py", f"{DAG}import os, signal, subprocess\n{code}")
    parser = Parser(replace(SETTINGS, timeout=1.0))
    with pipe(tmp_path / "pid") as said:
        parsing = asyncio.create_task(parse(parser, file))
        try:
            child = int(await said.line())
            if victim == "host":
                parsing.cancel()
            await asyncio.wait([parsing], timeout=DEADLINE)
            assert parsing.done()
        finally:
            await parser.close()
        await process_ended(child)


async def test_the_host_rests_when_idle_and_comes_back(tmp_path: Path) -> None:
    file = write(tmp_path, "flow.py", DAG + f"import os\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getppid()))")
    parser = Parser(replace(SETTINGS, idle=0.01))
    try:
        await parse(parser, file)
        first = int((tmp_path / "pid").read_text())
        await process_ended(first)
        await parse(parser, file)
        assert int((tmp_path / "pid").read_text()) != first
    finally:
        await parser.close()


async def test_closing_leaves_no_process(tmp_path: Path) -> None:
    file = write(tmp_path, "flow.py", DAG + f"import os\nopen({str(tmp_path / 'pid')!r}, 'w').write(str(os.getppid()))")
    parser = Parser(SETTINGS)
    await parse(parser, file)
    await parser.close()
    await parser.close()
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), signal.SIG_DFL)


async def test_a_host_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "python"
    program.write_text("#!/bin/sh\necho 'no such interpreter' >&2\nexit 7\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    parser = Parser(SETTINGS)
    with pytest.raises(ParseHostFailed, match=r"exit status 7(?s:.*)no such interpreter"):
        await parse(parser, write(tmp_path, "flow.py", DAG))
    await parser.close()


@pytest.mark.parametrize(
    ("error", "line"),
    [
        ("Traceback (most recent call last):\n  File x\nValueError: no\n", "ValueError: no"),
        ('  File "x", line 2\n    with\nSyntaxError: invalid syntax', "SyntaxError: invalid syntax"),
        ("The file did not load within 30 s.\nThread 1:\n  File x", "The file did not load within 30 s."),
        ("Traceback (most recent call last):\n  File x\nParserError: no\n  in y\nexpected ]\n    ^", "ParserError: no"),
        (
            "A: b\n\nDuring handling of the above exception, another exception occurred:\n\n  File x\nKeyError: b",
            "KeyError: b",
        ),
        ("", ""),
    ],
)
def test_an_import_error_in_one_line(error: str, line: str) -> None:
    assert in_one_line(error) == line


async def test_an_error_of_megabytes_is_cut(parser: Parser, tmp_path: Path) -> None:
    result = await parse(parser, write(tmp_path, "big.py", DAG + 'raise MemoryError("x" * 3_000_000)\n'))
    assert result.parsed.error is not None
    assert "characters are left out" in result.parsed.error
    assert len(result.parsed.error) < 101_000


async def test_every_file_of_the_plug_ins_is_looked_at(tmp_path: Path) -> None:
    parser = Parser(replace(SETTINGS, whole_bundles=("plugins",)))
    file = write(tmp_path, "mine.py", "import not_there\n")
    assert (await parse(parser, file)).parsed.error is None
    told = (await parse(parser, file._replace(bundle="plugins"))).parsed.error
    await parser.close()
    assert "No module named 'not_there'" in str(told)
