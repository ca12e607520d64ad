"""Logs on disk and their reader."""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.inotify import Inotify
from tradewind.model.attempts import Attempt
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.testing.executor_dags import HERE
from tradewind.testing.executor_host import AttemptMaker
from tradewind.worker.file_growth import FileGrowth
from tradewind.worker.log import (
    FileLog,
    LogRef,
    ProcessLog,
    append_record,
    attempt_file,
    attempt_prefix,
    json_text,
    open_attempt_files,
    raw_file,
    ref_of,
    safe_name,
)
from tradewind.worker.log_capture import LogStream
from tradewind.worker.log_inline import InlineLogs
from tradewind.worker.log_reader import follow, read_log

MAKER = AttemptMaker(DagSpec("d", (TaskSpec("t"), TaskSpec("u"))), HERE)


def open_log(root: Path, attempt: Attempt) -> tuple[FileLog, int]:
    fd, raw = open_attempt_files(str(root), ref_of(attempt))
    return FileLog(attempt_prefix(attempt), fd, raw), raw


@given(st.text(min_size=1))
def test_names_are_safe_and_told_apart(name: str) -> None:
    safe = safe_name(name)
    assert "/" not in safe
    assert "\0" not in safe
    assert len(os.fsencode(f"run_id={safe}")) < 256
    assert safe_name(name + "x") != safe


@given(st.text())
def test_any_text_becomes_json(text: str) -> None:
    assert json_text(text).startswith(b'"')


def test_places() -> None:
    mapped = LogRef("d", "manual__2026-01-01T00:00:00+00:00", "group.task", 3, 2)
    path = attempt_file("/logs", mapped)
    assert str(path) == (
        "/logs/dag_id=d/run_id=manual__2026-01-01T00:00:00+00:00/task_id=group.task/map_index=3/attempt=2.jsonl"
    )
    assert raw_file(path).name == "attempt=2.raw"
    assert attempt_file("/logs", mapped._replace(dag_id="../x")).parts[2] == "dag_id=..%2Fx"


def test_raw_output_is_merged_where_it_was_written(tmp_path: Path) -> None:
    attempt = MAKER.attempt("t")
    log, raw = open_log(tmp_path, attempt)
    log.write("a")
    os.write(raw, b"one\ntwo\n")
    log.write("b")
    os.write(raw, b"three\nunfini")
    page = read_log(str(tmp_path), ref_of(attempt))
    assert [r.message for r in page.records] == ["a", "one", "two", "b", "three"]
    os.write(raw, b"shed\n\xff\n")
    log.write("c", end="failed")
    rest = read_log(str(tmp_path), ref_of(attempt), page.token)
    assert [r.message for r in rest.records] == ["unfinished", "\\xff", "c"]
    assert (page.finished, rest.finished) == (False, True)


def test_a_record_torn_by_a_kill_hides_no_other(tmp_path: Path) -> None:
    attempt = MAKER.attempt("t")
    log, _ = open_log(tmp_path, attempt)
    log.write("whole")
    with attempt_file(str(tmp_path), ref_of(attempt)).open("ab") as file:
        file.write(b'{"attempt":"00","ts":1.0,"mess')
    assert [r.message for r in read_log(str(tmp_path), ref_of(attempt)).records] == ["whole"]
    append_record(str(tmp_path), attempt, "killed", level="ERROR", end="failed")
    page = read_log(str(tmp_path), ref_of(attempt))
    assert [r.message for r in page.records] == ["whole", '{"attempt":"00","ts":1.0,"mess', "killed"]
    assert page.finished


def test_a_rescheduled_slice_does_not_finish_the_log(tmp_path: Path) -> None:
    attempt = MAKER.attempt("t")
    log, _ = open_log(tmp_path, attempt)
    log.write("poke", end="rescheduled")
    assert not read_log(str(tmp_path), ref_of(attempt)).finished
    log.write("poke", end="success")
    assert read_log(str(tmp_path), ref_of(attempt)).finished


def test_a_repeated_try_reopens_the_log(tmp_path: Path) -> None:
    attempt = MAKER.attempt("t")
    log, _ = open_log(tmp_path, attempt)
    log.write("gone", end="lost")
    log.write("Starting attempt 1 of 1")
    assert not read_log(str(tmp_path), ref_of(attempt)).finished


def test_bad_tokens(tmp_path: Path) -> None:
    for token in ("x", "x:1:2:0:0", "f:a:b:0:0"):
        with pytest.raises(ValueError, match=r".+"):
            read_log(str(tmp_path), LogRef("d", "r", "t"), token)


async def test_coroutines_share_a_file_and_are_told_apart(tmp_path: Path) -> None:
    logs = InlineLogs(str(tmp_path), asyncio.get_running_loop())
    first, second = MAKER.attempt("t"), MAKER.attempt("u")
    mapped = MAKER.attempt("t", map_index=0)
    for attempt in (first, second, mapped):
        log = logs.open(attempt)
        log.text("stdout", f"{attempt.key.task_id} {attempt.key.map_index}\npart")
        log.flush()
        log.write("over", end="success")
    await asyncio.to_thread(logs.open(first).write, "from a thread")
    await logs.close()
    files = await asyncio.to_thread(lambda: [p.name for p in tmp_path.rglob("*") if p.is_file()])
    assert files == ["inline.jsonl"]
    page = await asyncio.to_thread(read_log, str(tmp_path), ref_of(first))
    assert [r.message for r in page.records] == ["t -1", "part", "over", "from a thread"]
    assert page.finished
    page = await asyncio.to_thread(read_log, str(tmp_path), ref_of(mapped))
    assert [r.message for r in page.records] == ["t 0", "part", "over"]


async def test_what_a_trigger_says_stands_in_the_log_of_a_process_task(tmp_path: Path) -> None:
    attempt, root = MAKER.attempt("t"), str(tmp_path)
    logs = InlineLogs(root, asyncio.get_running_loop())
    own, _ = await asyncio.to_thread(open_log, tmp_path, attempt)
    await asyncio.to_thread(own.write, "Pausing task", end="deferred")
    beside = logs.open(attempt)
    logs.open(MAKER.attempt("u")).write("somebody else")
    beside.write("asking")
    await logs.close()
    page = await asyncio.to_thread(read_log, root, ref_of(attempt))
    assert [r.message for r in page.records] == ["Pausing task", "asking"]
    assert not page.finished
    beside.write("fired")
    await logs.close()
    await asyncio.to_thread(own.write, "over", end="success")
    page = await asyncio.to_thread(read_log, root, ref_of(attempt), page.token)
    assert [r.message for r in page.records] == ["fired", "over"]
    assert page.finished


async def test_following_sees_each_line_once_while_it_is_written(tmp_path: Path) -> None:
    attempt = MAKER.attempt("t")
    seen: list[str] = []
    wrote = asyncio.Event()

    async def read() -> None:
        async for page in follow(str(tmp_path), ref_of(attempt)):
            seen.extend(record.message for record in page.records)
            wrote.set()

    reader = asyncio.create_task(read())
    log, raw = await asyncio.to_thread(open_log, tmp_path, attempt)
    async with asyncio.timeout(60):
        for number in range(3):
            await asyncio.to_thread(log.write, f"line {number}")
            while f"line {number}" not in seen:
                wrote.clear()
                await wrote.wait()
            await asyncio.to_thread(os.write, raw, b"raw\n")
            while seen.count("raw") <= number:
                wrote.clear()
                await wrote.wait()
        await asyncio.to_thread(log.write, "over", end="success")
        await reader
    assert seen == ["line 0", "raw", "line 1", "raw", "line 2", "raw", "over"]


def test_a_stream_without_a_log_is_the_original() -> None:
    original = io.StringIO()
    stream = LogStream("stdout", original, lambda: None)
    assert stream.write("text") == 4
    stream.writelines(["a", "b"])
    stream.flush()
    stream.close()
    assert original.getvalue() == "textab"
    assert not stream.isatty()
    assert stream.writable()


def test_a_full_disk_ends_no_task_and_leaves_a_note(tmp_path: Path) -> None:
    attempt = MAKER.attempt("t")
    real, raw = open_attempt_files(str(tmp_path), ref_of(attempt))
    fd = os.open("/dev/full", os.O_WRONLY)
    log = ProcessLog(attempt_prefix(attempt), fd, raw)
    log.write("one")
    log.text("stdout", "two\n")
    os.dup2(real, fd)  # room again
    log.write("three", end="success")
    messages = [r.message for r in read_log(str(tmp_path), ref_of(attempt)).records]
    assert messages[1:] == ["three"]
    assert messages[0].startswith("2 lines are missing here, the log could not be written: ")
    for descriptor in (real, raw, fd):
        os.close(descriptor)


def test_threads_print_lines_of_their_own(tmp_path: Path) -> None:
    attempt = MAKER.attempt("t")
    log, _ = open_log(tmp_path, attempt)
    log.text("stdout", "hel")
    other = threading.Thread(target=log.text, args=("stdout", "wor"))
    other.start()
    other.join()
    log.text("stdout", "lo\n")
    log.flush("stdout")
    assert [r.message for r in read_log(str(tmp_path), ref_of(attempt)).records] == ["hello", "wor"]


def test_much_raw_output_before_a_record_comes_in_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much a program has printed between two records, a reader holds some megabytes."""
    monkeypatch.setattr("tradewind.worker.log_reader._READ", 1000)
    attempt = MAKER.attempt("t")
    log, raw = open_log(tmp_path, attempt)
    log.write("a")
    lines = [f"line {number:04}" for number in range(450)]
    os.write(raw, "\n".join([*lines, "x" * 2500, ""]).encode())
    log.write("b")
    log.write("c", end="success")
    token, seen, pages = None, list[str](), 0
    while True:
        page = read_log(str(tmp_path), ref_of(attempt), token)
        assert sum(len(record.message) for record in page.records) <= 1010
        seen += [record.message for record in page.records]
        token, pages = page.token, pages + 1
        if page.finished:
            break
        assert pages < 50
    assert seen[:451] == ["a", *lines]
    assert "".join(seen[451:-2]) == "x" * 2500
    assert seen[-2:] == ["b", "c"]


async def test_a_log_that_is_being_opened_when_all_is_cancelled(tmp_path: Path) -> None:
    """As at the end of `asyncio.run`: closing comes to an end, and nothing that was said is lost."""
    logs = InlineLogs(str(tmp_path), asyncio.get_running_loop())
    attempt = MAKER.attempt("t")
    logs.open(attempt).write("said")
    logs.flush()
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await logs.close()
    page = await asyncio.to_thread(read_log, str(tmp_path), ref_of(attempt))
    assert [r.message for r in page.records] == ["said"]


def open_files() -> list[str]:
    """What the descriptors of this process lead to."""
    found: list[str] = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            found.append(str(link.readlink()))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")
async def test_what_is_said_too_late_leaves_no_file_open(tmp_path: Path) -> None:
    """By code that was left behind when its runtime had stopped."""
    logs = InlineLogs(str(tmp_path), asyncio.get_running_loop())
    attempt = MAKER.attempt("t")
    await logs.close()
    logs.open(attempt).write("late")
    await asyncio.sleep(0)
    await asyncio.wait(asyncio.all_tasks() - {asyncio.current_task()})
    await asyncio.sleep(0)
    assert not [name for name in await asyncio.to_thread(open_files) if name.startswith(str(tmp_path))]
    page = await asyncio.to_thread(read_log, str(tmp_path), ref_of(attempt))
    assert [r.message for r in page.records] == ["late"]


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
async def test_who_goes_while_folders_are_being_watched_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watching, go_on, closed = threading.Event(), threading.Event(), asyncio.Event()
    close = Inotify.close

    def closes(kernel: Inotify) -> None:
        assert go_on.is_set(), "not under the thread that uses it"
        close(kernel)
        closed.set()

    def watches(_: FileGrowth, kernel: Inotify) -> None:
        watching.set()
        go_on.wait(60)

    monkeypatch.setattr(Inotify, "close", closes)
    monkeypatch.setattr(FileGrowth, "_watch", watches)

    async def follows() -> None:
        async with FileGrowth([tmp_path / "file"]):
            pytest.fail("it was cancelled before")

    following = asyncio.create_task(follows())
    assert await asyncio.to_thread(watching.wait, 60)
    following.cancel()
    with pytest.raises(asyncio.CancelledError):
        await following
    go_on.set()
    async with asyncio.timeout(60):
        await closed.wait()
