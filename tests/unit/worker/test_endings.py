"""What exceptions and dead processes mean."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tradewind.authoring.masking import mask_secret
from tradewind.authoring.operator import BaseOperator
from tradewind.authoring.pace import Pace
from tradewind.authoring.sensor import BaseSensorOperator
from tradewind.bundles.oom import oom_kills
from tradewind.model.errors import FailWithoutRetry, RescheduleTask, SkipTask, TaskFailed, TaskTimeout
from tradewind.model.outcomes import ExitInfo
from tradewind.model.states import OutcomeKind
from tradewind.worker.alarm import deadline, uninterrupted
from tradewind.worker.endings import (
    LONGEST_MESSAGE,
    LONGEST_TRACEBACK,
    AttemptCancelled,
    error_info,
    outcome_of_error,
    outcome_of_exit,
)
from tradewind.worker.guard import LoopBlocked
from tradewind.worker.sensing import Sensing, satisfied

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (SkipTask("s"), OutcomeKind.SKIPPED),
        (TaskFailed("f"), OutcomeKind.FAILED),
        (FailWithoutRetry("f"), OutcomeKind.FAILED_FOR_GOOD),
        (RescheduleTask(AT), OutcomeKind.RESCHEDULED),
        (TaskTimeout("t"), OutcomeKind.TIMED_OUT),
        (AttemptCancelled(), OutcomeKind.CANCELLED),
        (LoopBlocked("b"), OutcomeKind.FAILED),
        (SystemExit(0), OutcomeKind.FAILED),
        (MemoryError(), OutcomeKind.FAILED),
        (BaseException("anything"), OutcomeKind.FAILED),
    ],
)
def test_kinds(error: BaseException, kind: OutcomeKind) -> None:
    assert outcome_of_error(error).kind is kind


@pytest.mark.parametrize("kind", [ValueError, SkipTask, FailWithoutRetry, SystemExit])
def test_of_a_long_error_the_beginning_and_the_end_are_kept(kind: type[BaseException]) -> None:
    outcome = outcome_of_error(kind("first " + "x" * 1_000_000 + " last"))
    error = outcome.error
    for text, most in (
        (outcome.reason, LONGEST_MESSAGE),
        (error and error.message, LONGEST_MESSAGE),
        (error and error.traceback, LONGEST_TRACEBACK),
    ):
        if text is not None:
            assert len(text) < most + 100
            assert "first " in text
            if len(text) > 500:  # the longest sentence of another failure
                assert "characters are left out here" in text
                assert text.rstrip(")'\n").endswith(" last")


@pytest.mark.parametrize(
    ("exit_info", "reason"),
    [
        (ExitInfo(code=3), "exit code 3"),
        (ExitInfo(code=0), "exit code 0"),
        (ExitInfo(signal=int(signal.SIGKILL)), "killed by signal 9 (SIGKILL)"),
        (ExitInfo(signal=int(signal.SIGSEGV)), "killed by signal 11 (SIGSEGV)"),
        (ExitInfo(signal=int(signal.SIGKILL), oom=True), "out of memory"),
    ],
)
def test_exits_are_told_apart(exit_info: ExitInfo, reason: str) -> None:
    outcome = outcome_of_exit(exit_info)
    assert outcome.kind is OutcomeKind.FAILED
    assert reason in (outcome.reason or "")
    assert outcome.exit == exit_info


def test_an_exception_without_a_text() -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise RuntimeError("mute")

    info = error_info(Mute())
    assert "Mute" in info.type
    assert info.traceback


def test_a_secret_is_in_no_part_of_an_outcome() -> None:
    mask_secret("sesame-of-endings")
    for error in (ValueError("sesame-of-endings"), SkipTask("sesame-of-endings"), SystemExit("sesame-of-endings")):
        outcome = outcome_of_error(error)
        assert "***" in (outcome.reason or "")
        assert "sesame-of-endings" not in repr(outcome)


def test_the_kernels_count_of_kills(tmp_path: Path) -> None:
    file = tmp_path / "vmstat"
    file.write_text("nr_free_pages 1\noom_kill 7\nzswpin 2\n")
    assert oom_kills(file) == 7
    file.write_text("nr_free_pages 1\n")
    assert oom_kills(file) == 0
    assert oom_kills(tmp_path / "none") == 0


def test_the_alarm_interrupts_and_puts_back_what_was_there() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with pytest.raises(TaskTimeout, match=r"0\.05 s"), deadline(0.05):
        signal.pause()
    assert signal.getsignal(signal.SIGALRM) is before
    with deadline(None):
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_an_alarm_at_the_edge_of_what_is_uninterrupted_leaves_nothing_blocked(monkeypatch: pytest.MonkeyPatch) -> None:
    real = signal.pthread_sigmask

    def rings(how: int, mask: tuple[int, ...]) -> set[Any]:
        before = real(how, mask)
        if how == signal.SIG_BLOCK and mask:
            raise TaskTimeout("now")
        return before

    usual = real(signal.SIG_BLOCK, ())
    try:
        with monkeypatch.context() as patch:
            patch.setattr(signal, "pthread_sigmask", rings)
            with pytest.raises(TaskTimeout), uninterrupted():
                pass
        assert real(signal.SIG_BLOCK, ()) == usual
    finally:
        real(signal.SIG_SETMASK, usual)


class Sensor(BaseSensorOperator):
    """Never satisfied."""

    def poke(self, context: object) -> bool:
        return False


class TestSensing:
    def test_a_later_slice_is_out_of_time(self) -> None:
        late = Sensing(Sensor(task_id="s", timeout=100, poke_interval=10, mode="reschedule"), 101.0, 0.0, Pace())
        with pytest.raises(FailWithoutRetry, match=r"Snap\. Time is OUT\."):
            late.pause()

    @pytest.mark.parametrize("flag", ["soft_fail", "never_fail"])
    def test_softly(self, flag: str) -> None:
        sensor = Sensor(task_id="s", timeout=100, poke_interval=10, mode="reschedule", **{flag: True})  # type: ignore[arg-type]  # by name
        with pytest.raises(SkipTask):
            Sensing(sensor, 101.0, 0.0, Pace()).pause()

    def test_reschedule_mode_gives_the_slot_back(self) -> None:
        now, sensor = datetime.now(UTC), Sensor(task_id="s", poke_interval=10, mode="reschedule")
        with pytest.raises(RescheduleTask) as caught:
            Sensing(sensor, 0.0, Pace().monotonic(), Pace()).pause()
        assert now + timedelta(seconds=9) < caught.value.at < datetime.now(UTC) + timedelta(seconds=12)

    def test_errors_of_pokes(self) -> None:
        def failed(error: Exception, **flags: bool) -> None:
            Sensing(Sensor(task_id="s", **flags), 0.0, 0.0, Pace()).failed(error)  # type: ignore[arg-type]  # by name

        with pytest.raises(ValueError, match="v"):
            failed(ValueError("v"))
        failed(ValueError("v"), silent_fail=True)
        with pytest.raises(SkipTask):
            failed(ValueError("v"), never_fail=True)
        with pytest.raises(SkipTask):
            failed(FailWithoutRetry("v"), soft_fail=True)
        with pytest.raises(ValueError, match="v"):
            failed(ValueError("v"), soft_fail=True)

    def test_answers(self) -> None:
        assert satisfied(1) == (True, None)
        assert satisfied("") == (False, None)


def test_base_operator_has_what_the_worker_asks_for() -> None:
    """The names that the worker uses of an operator."""
    for name in ("shallow_copy_for_run", "xcom_refs", "resolve_inputs", "pre_execute", "post_execute", "on_kill"):
        assert callable(getattr(BaseOperator, name))
