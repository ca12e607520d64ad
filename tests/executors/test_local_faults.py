"""The local executor where something beside the task goes wrong: descriptors run out, imports leave things behind."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import socket
from pathlib import Path

import pytest

from tests.executors.test_local import DAG_OF_THREE, NewStage, new_stage
from tests.outside import process_ended
from tradewind.authoring.xcom import decode
from tradewind.model.states import OutcomeKind
from tradewind.testing.executor_suite import Stage
from tradewind_executors.local import LocalExecutor

__all__ = ["new_stage"]


def zygote_of(stage: Stage) -> int:
    executor = stage.executor
    assert isinstance(executor, LocalExecutor)
    [pid] = executor.zygote_pids
    return pid


def descriptors(pid: int) -> list[int]:
    return sorted(int(entry.name) for entry in Path(f"/proc/{pid}/fd").iterdir())


async def test_what_attempts_have_started_ends_with_a_killed_zygote(new_stage: NewStage) -> None:
    """Before they are lost, and so before they are repeated."""
    starts = (
        "import signal, subprocess\n"
        "    child = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        "    print('beside', child.pid, flush=True)\n"
        "    signal.pause()"
    )
    stage = new_stage(DAG_OF_THREE.replace("return 1", starts))
    attempt = stage.maker.attempt("t0")
    await stage.submit([attempt])
    beside = int((await stage.until_said(attempt, "beside")).split()[1])
    os.kill(zygote_of(stage), signal.SIGKILL)
    assert (await stage.host.end_of(attempt)).outcome.kind is OutcomeKind.LOST
    await process_ended(beside)


async def test_death_of_a_zygote_whose_file_has_started_a_program(new_stage: NewStage) -> None:
    """The program lives on, with whatever it has inherited; that the zygote has died is noticed all the same."""
    starts = "import os\nPID = os.posix_spawn('/bin/sleep', ['sleep', '1000'], {})\n"
    hangs = "print('beside', PID, flush=True)\n    import signal; signal.pause()"
    stage = new_stage(starts + DAG_OF_THREE.replace("return 1", hangs))
    attempt = stage.maker.attempt("t0")
    await stage.submit([attempt])
    beside = int((await stage.until_said(attempt, "beside")).split()[1])
    try:
        os.kill(zygote_of(stage), signal.SIGKILL)
        assert (await stage.host.end_of(attempt)).outcome.kind is OutcomeKind.LOST
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(beside, signal.SIGKILL)


@pytest.mark.parametrize("method", ["fork", "spawn"])
async def test_programs_of_a_task_inherit_nothing_of_ours(new_stage: NewStage, method: str) -> None:
    asks = (
        "import os\n"
        "    fds = [int(name) for name in os.listdir('/proc/self/fd')]\n"
        "    return [fd for fd in fds if fd > 2 and os.path.exists(f'/proc/self/fd/{fd}') and os.get_inheritable(fd)]"
    )
    stage = new_stage(DAG_OF_THREE.replace("return 1", asks), start_method=method)
    assert decode((await stage.run("t0")).xcoms[0].value) == []


async def test_a_long_error_in_another_alphabet_while_importing(new_stage: NewStage) -> None:
    stage = new_stage("raise ValueError('ж' * 60_000)\n")
    outcome = await stage.run("t0")
    assert "could not be imported" in (outcome.reason or "")
    assert outcome.error is not None
    assert outcome.error.message.endswith("ж")
    assert outcome.error.traceback.rstrip().endswith("ж")


async def test_a_task_that_cannot_be_looked_at_fails_alone(new_stage: NewStage) -> None:
    """The zygote looks at a task before it forks; what that raises is the attempt's."""
    hostile = "\n".join(
        (
            "class Hostile(Does):",
            "    @property",
            "    def template_fields(self):",
            "        raise RuntimeError('no fields today')",
            "",
            "dag.task_dict['t1'].__class__ = Hostile",
            "",
        )
    )
    stage = new_stage(DAG_OF_THREE + hostile)
    await stage.run("t0")
    zygote = zygote_of(stage)
    outcome = await stage.run("t1")
    assert outcome.kind is OutcomeKind.FAILED
    assert "no fields today" in (outcome.reason or "")
    assert zygote_of(stage) == zygote


async def test_a_zygote_without_free_descriptors_refuses_and_lives_on(new_stage: NewStage) -> None:
    stage = new_stage(DAG_OF_THREE)
    await stage.run("t0")
    zygote = zygote_of(stage)
    before = descriptors(zygote)
    unused = [number for number in range(before[-1] + 4) if number not in before]
    usual = resource.prlimit(zygote, resource.RLIMIT_NOFILE)
    for free in (0, 2):  # not even the channel; the channel and one file, but not the other
        resource.prlimit(zygote, resource.RLIMIT_NOFILE, (unused[free], usual[1]))
        outcome = await stage.run("t1", try_number=free + 1, max_tries=9)
        assert outcome.kind is OutcomeKind.LOST
        assert "no process could be started" in (outcome.reason or "")
        assert os.strerror(errno.EMFILE) in (outcome.reason or "")
    resource.prlimit(zygote, resource.RLIMIT_NOFILE, usual)
    assert (await stage.run("t2")).kind is OutcomeKind.SUCCESS
    assert zygote_of(stage) == zygote
    assert descriptors(zygote) == before


@pytest.mark.parametrize("zygote", ["none yet", "loaded"])
async def test_no_descriptors_for_channels(new_stage: NewStage, monkeypatch: pytest.MonkeyPatch, zygote: str) -> None:
    stage = new_stage(DAG_OF_THREE)
    if zygote == "loaded":
        await stage.run("t0")
    with monkeypatch.context() as patch:

        def fails(*_: object) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        patch.setattr(socket, "socketpair", fails)
        outcome = await stage.run("t1")
    assert outcome.kind is OutcomeKind.LOST
    assert os.strerror(errno.EMFILE) in (outcome.reason or "")
    assert (await stage.run("t2")).kind is OutcomeKind.SUCCESS


async def test_a_thread_with_a_strange_name(new_stage: NewStage) -> None:
    """One that Python does not know of: the file is not forked, and nothing else."""
    thread = "\n".join(
        (
            "import _thread, ctypes, signal",
            "named = _thread.allocate_lock()",
            "named.acquire()",
            "def body():",
            "    ctypes.CDLL(None).prctl(15, b'\\xff\\xfe', 0, 0, 0)",
            "    named.release()",
            "    signal.sigwait([signal.SIGUSR2])",
            "_thread.start_new_thread(body, ())",
            "named.acquire()",
            "",
        )
    )
    stage = new_stage(thread + DAG_OF_THREE)
    assert (await stage.run("t0")).kind is OutcomeKind.SUCCESS


async def test_processes_that_a_task_forks_get_their_own_answers(new_stage: NewStage) -> None:
    asks = "\n".join(
        (
            "import multiprocessing",
            "from tradewind.authoring.access import current_attempt",
            "def ask(n):",
            "    services = current_attempt.get().blocking",
            "    return {services.variable_get(f'v{n}') for _ in range(20)}",
            "",
        )
    )
    pool = (
        "with multiprocessing.get_context('fork').Pool(4) as pool:\n        return [*map(list, pool.map(ask, 'abcd'))]"
    )
    stage = new_stage(asks + DAG_OF_THREE.replace("return 1", pool))
    stage.host.services.variables.update({f"v{n}": f"text {n}" for n in "abcd"})
    assert decode((await stage.run("t0")).xcoms[0].value) == [[f"text {n}"] for n in "abcd"]


async def test_a_process_that_a_task_forks_ends_by_the_usual_signal(new_stage: NewStage) -> None:
    """However early that comes (an exception in the first steps of a fork is lost), and not by a handler of Python, of
    which a process that is about to wait in C does not hear. Pools wait for their workers.
    """
    early = "os.register_at_fork(after_in_child=lambda: PIDS and os.kill(os.getpid(), signal.SIGTERM))\nPIDS = []\n"
    ends = (
        "for _ in range(2):\n"
        "        PIDS.append(pid := os.fork())\n"
        "        if not pid: os._exit(7 if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL else 8)\n"
        "    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in PIDS]"
    )
    stage = new_stage("import os, signal\n" + early + DAG_OF_THREE.replace("return 1", ends))
    assert decode((await stage.run("t0")).xcoms[0].value) == [7, -signal.SIGTERM]


async def test_a_fork_that_comes_back_from_its_task_does_not_report(new_stage: NewStage) -> None:
    forks = "pid = os.fork()\n    if pid: os.waitpid(pid, 0)\n    return 'parent' if pid else 'child'"
    stage = new_stage("import os\n" + DAG_OF_THREE.replace("return 1", forks))
    assert decode((await stage.run("t0")).xcoms[0].value) == "parent"


async def test_an_outcome_that_cannot_be_told_is_a_failure(new_stage: NewStage) -> None:
    """The name of a result that no text can have, say."""
    many = DAG_OF_THREE.replace('task_id=f"t{n}"', 'task_id=f"t{n}", multiple_outputs=True')
    stage = new_stage(many.replace("return 1", "return {'\\ud800': 1}"))
    outcome = await stage.run("t0")
    assert outcome.kind is OutcomeKind.FAILED
    assert "what became of the task cannot be told" in (outcome.reason or "")


async def test_an_import_that_hangs_is_an_error(new_stage: NewStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tradewind_executors.local.zygote_process.START_MAY_TAKE", 1.5)
    stage = new_stage("import signal; signal.pause()\n", import_timeout=0.5)
    outcome = await stage.run("t0")
    assert outcome.kind is OutcomeKind.FAILED
    assert "could not be imported" in (outcome.reason or "")
    assert outcome.error is not None
    assert "has not been imported within 2 s" in outcome.error.message
