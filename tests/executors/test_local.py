"""The local executor: the suite, and what only processes can do."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.outside import process_ended
from tradewind.authoring.defaults import AuthoringDefaults
from tradewind.authoring.xcom import decode
from tradewind.bundles.parse_protocol import defaults_to_json
from tradewind.executor_ports import Executor
from tradewind.model.errors import ConfigError
from tradewind.model.specs import DagSpec, TaskSpec
from tradewind.model.state_stores import StateScope
from tradewind.model.states import OutcomeKind
from tradewind.testing import executor_dags
from tradewind.testing.executor_host import AttemptMaker, MemoryHost
from tradewind.testing.executor_suite import ProcessExecutorSuite, Stage
from tradewind_executors.local import LocalExecutor


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


def rewrite(path: Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new))


class TestLocal(ProcessExecutorSuite):
    settings: ClassVar[Mapping[str, Any]] = {"slots": 8, "kill_grace": 60.0}

    def make(self) -> Executor:
        return LocalExecutor()

    async def test_services(self, stage: Stage) -> None:
        stage.host.services.variables["v"] = "text"
        stage.host.services.connections["c"] = '{"conn_type": "http"}'
        outcome = await stage.run("s_ask")
        assert decode(outcome.xcoms[0].value) == {
            "variable": "text",
            "missing": None,
            "connection": '{"conn_type": "http"}',
            "run": "mine",
            "same": True,
            "refused": "NotFoundError",
            "instances": 0,
        }
        assert stage.host.services.variables["written"] == "by the task"
        key = (stage.maker.run.run_id, "s_ask", "pushed", -1)
        assert decode(stage.host.services.xcoms[key]) == {"a": [1, "é"]}
        ((value, until),) = stage.host.services.kept.states[StateScope(stage.maker.run.run_id, "s_ask")].values()
        assert value == '{"id": "\\u00e9"}'
        assert until is not None

    @pytest.mark.spec("1:H6", "3:B10")
    async def test_every_attempt_is_a_process_with_a_session_and_randomness_of_its_own(self, stage: Stage) -> None:
        found = [decode((await stage.run("p_identity")).xcoms[0].value) for _ in range(3)]
        assert len({one["pid"] for one in found}) == 3
        assert all(one["pid"] == one["session"] for one in found)
        assert len({one["random"] for one in found}) == 3

    @pytest.mark.spec("1:P2")
    async def test_environment_names_the_task(self, stage: Stage) -> None:
        found = decode((await stage.run("p_environment")).xcoms[0].value)
        for prefix in ("AIRFLOW_CTX_", "TRADEWIND_CTX_"):
            assert found[f"{prefix}DAG_ID"] == "suite"
            assert found[f"{prefix}TASK_ID"] == "p_environment"
            assert found[f"{prefix}DAG_OWNER"] == "airflow"
            assert found[f"{prefix}EXECUTION_DATE"] == "2026-01-01T00:00:00+00:00"
            assert found[f"{prefix}DAG_RUN_ID"] == "manual__2026-01-01T00:00:00+00:00"

    async def test_success_carries_its_usage(self, stage: Stage) -> None:
        exit_info = (await stage.run("s_none")).exit
        assert exit_info is not None
        assert exit_info.max_rss_kib is not None
        assert exit_info.max_rss_kib > 1000

    async def test_kill_9_keeps_the_whole_log(self, stage: Stage) -> None:
        attempt = stage.maker.attempt("p_killed")
        outcome = (await stage.carry(attempt)).outcome
        assert outcome.kind is OutcomeKind.FAILED
        assert outcome.reason == "killed by signal 9 (SIGKILL)"
        assert outcome.exit is not None
        assert (outcome.exit.signal, outcome.exit.code, outcome.exit.oom) == (signal.SIGKILL, None, False)
        log = await stage.log(attempt)
        messages = [record.message for record in log]
        assert messages[1:201] == [f"line {n}" for n in range(200)]
        assert messages[201] == "raw bytes before the end"
        assert "killed by signal 9" in messages[202]
        assert log[-1].end == "failed"

    @pytest.mark.spec("3:B11")
    async def test_exit_code(self, stage: Stage) -> None:
        outcome = await stage.run("p_leaves")
        assert outcome.kind is OutcomeKind.FAILED
        assert outcome.exit is not None
        assert outcome.exit.code == 3
        assert (outcome.reason or "").startswith("exit code 3")

    async def test_memory_error(self, stage: Stage) -> None:
        outcome = await stage.run("p_allocate")
        assert outcome.kind is OutcomeKind.FAILED
        assert outcome.error is not None
        assert outcome.error.type == "MemoryError"

    async def test_output_of_child_processes_stands_in_its_place(self, stage: Stage) -> None:
        attempt = stage.maker.attempt("p_raw")
        await stage.carry(attempt)
        messages = [record.message for record in await stage.log(attempt)]
        assert messages[1:5] == ["before", "from a child", "complaint", "after"]

    @pytest.mark.parametrize("task", ["p_overdue", "p_stubborn_overdue"])
    async def test_timeouts(self, stage: Stage, task: str) -> None:
        grace = 0.3 if task == "p_stubborn_overdue" else 60.0
        stage.host = MemoryHost(stage.host.log_root, {**self.settings, "kill_grace": grace})
        outcome = await stage.run(task)
        assert outcome.kind is OutcomeKind.TIMED_OUT
        assert "0.2 s" in (outcome.reason or "")

    @pytest.mark.parametrize("task", ["p_hang", "p_stubborn"])
    async def test_cancel_sync(self, stage: Stage, task: str) -> None:
        attempt = stage.maker.attempt(task)
        await stage.submit([attempt])
        await stage.until_said(attempt, "hanging")
        await stage.executor.cancel(attempt.key, grace=timedelta(seconds=0.3 if task == "p_stubborn" else 60))
        end = await stage.host.end_of(attempt)
        assert end.outcome.kind is OutcomeKind.CANCELLED
        messages = [record.message for record in await stage.log(attempt)]
        assert ("on_kill was called" in messages) == (task == "p_hang")

    async def test_cancel_before_there_is_a_process(self, stage: Stage) -> None:
        attempt = stage.maker.attempt("s_none")
        await stage.submit([attempt])
        await stage.executor.cancel(attempt.key, grace=timedelta(seconds=1))
        assert (await stage.host.end_of(attempt)).outcome.kind is OutcomeKind.CANCELLED

    async def test_background_processes_end_with_their_attempt(self, stage: Stage) -> None:
        pid = decode((await stage.run("p_background")).xcoms[0].value)
        await process_ended(pid)

    async def test_processes_that_left_the_session_end_with_their_attempt(self, stage: Stage) -> None:
        for pid in decode((await stage.run("p_daemons")).xcoms[0].value):
            await process_ended(pid)

    async def test_processes_of_other_attempts_stay(self, stage: Stage) -> None:
        attempt = stage.maker.attempt("p_daemon_and_hang")
        await stage.submit([attempt])
        words = (await stage.until_said(attempt, "background")).split()
        pid = int(words[1])
        await stage.run("p_daemons")
        os.kill(pid, 0)
        await stage.executor.cancel(attempt.key, grace=timedelta(seconds=1))
        await stage.host.end_of(attempt)
        await process_ended(pid)

    async def test_death_of_the_zygote_is_a_loss(self, stage: Stage) -> None:
        attempt = stage.maker.attempt("p_hang")
        await stage.submit([attempt])
        await stage.until_said(attempt, "hanging")
        pid = stage.host.begun[attempt.key].pid
        assert pid is not None
        parent = parent_of(pid)
        os.kill(parent, signal.SIGKILL)
        end = await stage.host.end_of(attempt)
        assert end.outcome.kind is OutcomeKind.LOST
        assert "signal 9" in (end.outcome.reason or "")
        await process_ended(pid)
        assert (await stage.run("s_none")).kind is OutcomeKind.SUCCESS


NewStage = Callable[..., Stage]


@pytest.fixture
async def new_stage(tmp_path: Path) -> AsyncIterator[NewStage]:
    """A stage for a DAG file with this text; its DAG is called `d`."""
    made: list[Stage] = []

    def make(text: str, **settings: object) -> Stage:
        path = tmp_path / "file.py"
        path.write_text(textwrap.dedent(text))
        spec = DagSpec("d", tuple(TaskSpec(f"t{n}") for n in range(3)))
        stage = Stage(LocalExecutor(), MemoryHost(str(tmp_path / "logs"), settings), AttemptMaker(spec, str(path)))
        made.append(stage)
        return stage

    yield make
    for stage in made:
        await stage.executor.stop(drain=None)


DAG_OF_THREE = """
from datetime import datetime
from tradewind.authoring.dag import DAG
from tradewind.authoring.operator import BaseOperator

class Does(BaseOperator):
    def execute(self, context):
        return answer()

def answer():
    return 1

with DAG("d", schedule=None, start_date=datetime(2026, 1, 1)) as dag:
    for n in range(3):
        Does(task_id=f"t{n}")
"""


@pytest.mark.parametrize("daemon", [True, False])
async def test_a_file_with_threads_is_spawned(
    new_stage: NewStage, caplog: pytest.LogCaptureFixture, daemon: bool
) -> None:
    thread = f"import threading\nthreading.Thread(target=threading.Event().wait, daemon={daemon}).start()\n"
    stage = new_stage(thread + DAG_OF_THREE)
    ends = [await stage.run(f"t{n}") for n in range(2)]
    assert [end.kind for end in ends] == [OutcomeKind.SUCCESS] * 2
    assert decode(ends[0].xcoms[0].value) == 1
    assert [r.getMessage() for r in caplog.records if "cannot be forked" in r.getMessage()] != []
    assert sum("cannot be forked" in r.getMessage() for r in caplog.records) == 1


async def test_a_file_that_closes_its_standard_streams(new_stage: NewStage) -> None:
    stage = new_stage("import os\nfor fd in (0, 1, 2): os.close(fd)\n" + DAG_OF_THREE.replace("return 1", "print('x')"))
    attempt = stage.maker.attempt("t0")
    assert (await stage.carry(attempt)).outcome.kind is OutcomeKind.SUCCESS
    assert [r.message for r in await stage.log(attempt)][:2] == ["Starting attempt 1 of 1", "x"]


async def test_spawning_by_configuration(new_stage: NewStage, caplog: pytest.LogCaptureFixture) -> None:
    stage = new_stage("import os\nBORN = os.getpid()\n" + DAG_OF_THREE.replace("return 1", "return os.getpid() - BORN"))
    assert decode((await stage.run("t0")).xcoms[0].value) > 0, "a fork has another pid than its importer"
    other = Stage(LocalExecutor(), MemoryHost(stage.host.log_root, {"start_method": "spawn"}), stage.maker)
    assert decode((await other.run("t1")).xcoms[0].value) == 0
    await other.executor.stop(drain=None)
    assert not [r for r in caplog.records if "cannot be forked" in r.getMessage()]


@pytest.mark.parametrize("method", ["fork", "spawn"])
async def test_authoring_defaults_hold_in_attempts(new_stage: NewStage, method: str) -> None:
    small = defaults_to_json(AuthoringDefaults(xcom_max_bytes=100))
    text = DAG_OF_THREE.replace("return 1", "return 'x' * 200")
    stage = new_stage(text, authoring_defaults=small, start_method=method)
    error = (await stage.run("t0")).error
    assert error is not None
    assert "100 allowed" in error.message


async def test_a_new_version_of_a_file_gets_a_new_zygote(new_stage: NewStage) -> None:
    stage = new_stage(DAG_OF_THREE)
    assert decode((await stage.run("t0")).xcoms[0].value) == 1
    run = stage.maker.run
    rewrite(Path(run.source.fileloc), "return 1", "return 2")
    stage.maker.run = dataclasses.replace(run, source=dataclasses.replace(run.source, bundle_version="second"))
    assert decode((await stage.run("t0")).xcoms[0].value) == 2


async def test_zygotes_go_when_idle(new_stage: NewStage) -> None:
    stage = new_stage(DAG_OF_THREE, zygote_idle=0.05)
    await stage.run("t0")
    pid = stage.host.begun[next(iter(stage.host.begun))].pid
    executor = stage.executor
    assert isinstance(executor, LocalExecutor)
    zygotes = executor.zygote_pids
    assert len(zygotes) <= 1
    for zygote in zygotes:
        await process_ended(zygote)
    assert pid is not None
    assert (await stage.run("t1")).kind is OutcomeKind.SUCCESS


@pytest.mark.parametrize("name", ["slots", "zygotes_max", "zygote_idle", "kill_grace", "start_method"])
async def test_bad_settings(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        await LocalExecutor().start(MemoryHost(str(tmp_path), {name: "many"}))


RUNTIME = f"""
import asyncio, sys
from tradewind.testing.executor_host import AttemptMaker, MemoryHost
from tradewind.testing.executor_suite import Stage, dag_to_spec, suite_dag
from tradewind_executors.local import LocalExecutor

async def main():
    maker = AttemptMaker(dag_to_spec(suite_dag()), {executor_dags.HERE!r})
    stage = Stage(LocalExecutor(), MemoryHost(sys.argv[1]), maker)
    attempt = maker.attempt(sys.argv[2])
    await stage.submit([attempt])
    print(await stage.until_said(attempt, "background"), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize("task", ["p_background_and_hang", "p_daemon_and_hang"])
async def test_nothing_outlives_a_killed_runtime(tmp_path: Path, task: str) -> None:
    """kill -9 of the runtime ends zygotes, attempts and what attempts have started."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    runtime = await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUNTIME, str(tmp_path), task, stdout=subprocess.PIPE, env=environment
    )
    assert runtime.stdout is not None
    async with asyncio.timeout(60):
        words = (await runtime.stdout.readline()).split()
    background, attempt = int(words[1]), int(words[3])
    runtime.kill()
    await runtime.wait()
    await process_ended(attempt)
    await process_ended(background)


CGROUPS = Path("/sys/fs/cgroup")
MEMORY_LIMIT = 96 * 1024 * 1024


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group whose processes may have 96 MiB together; version 2 of control groups, or version 1."""
    first = CGROUPS / "memory"
    group = (first if first.is_dir() else CGROUPS) / f"tradewind-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made here ({error}); this takes root on a machine of one's own")
    try:
        for name in ("memory.limit_in_bytes", "memory.max"):
            if (group / name).exists():
                (group / name).write_text(str(MEMORY_LIMIT))
                break
        else:
            pytest.skip(f"the control groups in {group.parent} do not limit memory")
        for name, swap in (("memory.memsw.limit_in_bytes", str(MEMORY_LIMIT)), ("memory.swap.max", "0")):
            with contextlib.suppress(OSError):
                (group / name).write_text(swap)
        yield group
    finally:
        group.rmdir()


@pytest.mark.root
async def test_a_real_kill_for_lack_of_memory_is_told_apart(new_stage: NewStage, small_group: Path) -> None:
    hoards = f"""
        open({str(small_group / "cgroup.procs")!r}, "w").write("0")
        held = []
        while True:
            held.append(bytearray(b"x") * (8 * 1024 * 1024))
    """
    body = textwrap.indent(textwrap.dedent(hoards), "    ")
    stage = new_stage(DAG_OF_THREE.replace("    return 1", body))
    attempt = stage.maker.attempt("t0")
    outcome = (await stage.carry(attempt)).outcome
    assert outcome.kind is OutcomeKind.FAILED
    assert outcome.reason == "out of memory: the kernel killed the process (SIGKILL)"
    assert outcome.exit is not None
    assert (outcome.exit.signal, outcome.exit.oom) == (signal.SIGKILL, True)
    assert "out of memory" in (await stage.log(attempt))[-1].message
