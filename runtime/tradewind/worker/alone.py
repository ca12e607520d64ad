"""An attempt carried out to its very end without a runtime: what it waits for is waited for here."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor as Threads

from tradewind.authoring.access import TaskServices
from tradewind.authoring.dag import DAG
from tradewind.authoring.pace import current_pace
from tradewind.model.attempts import Attempt, RunFacts, WaitStart
from tradewind.model.errors import TaskFailed
from tradewind.model.keys import AttemptId
from tradewind.model.outcomes import Outcome, Wait
from tradewind.model.states import OutcomeKind
from tradewind.model.waits import ANSWERED_FROM_OUTSIDE, Resume, WaitAnswer, WaitKey
from tradewind.worker.attempt import run_attempt
from tradewind.worker.blocking import BlockingOnLoop
from tradewind.worker.trigger_life import LifeMeans
from tradewind.worker.trigger_runner import Means, TriggerRunner


async def run_to_the_end(attempt: Attempt, dag: DAG, services: TaskServices, threads: Threads) -> Outcome:
    """The attempt's outcome; of one that is deferred, that of the attempt that goes on after the wait."""
    outcome = await run_attempt(attempt, dag, services, threads=threads)
    answers: dict[str, WaitAnswer] = {}
    while outcome.kind is OutcomeKind.DEFERRED:
        ending, wait, answer = await _Waiting(attempt, dag, services, threads).first_of(outcome.waits)
        if ending is not None:
            return ending
        if wait.key:
            answers[wait.key] = answer
        resume = Resume(wait.method, wait.kwargs, answer, tuple(answers.items()))
        key = attempt.key._replace(attempt=AttemptId(os.urandom(16)))
        attempt = attempt._replace(key=key, resume=resume)
        outcome = await run_attempt(attempt, dag, services, threads=threads)
    return outcome


class _Waiting:
    """The waits of one attempt; itself the host of its triggers and the holder of its DAG."""

    def __init__(self, attempt: Attempt, dag: DAG, services: TaskServices, threads: Threads) -> None:
        self._attempt = attempt
        self._dag = dag
        loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[tuple[WaitKey, WaitAnswer, Outcome | None]] = loop.create_future()
        blocking = BlockingOnLoop(services, loop)
        here = LifeMeans(self, services, blocking, threads, lambda _: None)
        self._runner = TriggerRunner(Means(self, here, lambda work, _: loop.create_task(work)))

    async def first_of(self, waits: Sequence[Wait]) -> tuple[Outcome | None, Wait, WaitAnswer]:
        """The first wait that ends, with its answer, and the outcome where it ends the task as well. Raises TaskFailed
        where only people could answer.
        """
        asked = [wait for wait in waits if wait.kind in ANSWERED_FROM_OUTSIDE and wait.deadline is None]
        if len(asked) == len(waits):
            names = ", ".join(wait.key for wait in asked)
            raise TaskFailed(f"the task waits for {names}, which nobody can answer while it is tried out")
        timers = [self._arm(wait) for wait in waits]
        triggered = [w for w in waits if w.due is None and w.kind not in ANSWERED_FROM_OUTSIDE]
        self._runner.begin([WaitStart(self._attempt, wait) for wait in triggered])
        try:
            key, answer, outcome = await self._ended
        finally:
            for timer in timers:
                if timer is not None:
                    timer.cancel()
            await self._runner.stop()
        return outcome, next(wait for wait in waits if wait.key == key.key), answer

    def _arm(self, wait: Wait) -> asyncio.TimerHandle | None:
        at = wait.due or wait.deadline
        if at is None:
            return None
        is_due = wait.due is not None and (wait.deadline is None or wait.due <= wait.deadline)
        answer = WaitAnswer(wait.args) if is_due else WaitAnswer(error="Trigger timeout", timed_out=True)
        delay = max((at - current_pace.get().now()).total_seconds(), 0.0)
        key = WaitStart(self._attempt, wait).key
        return asyncio.get_running_loop().call_later(delay, self._end, key, answer, None)

    def _end(self, key: WaitKey, answer: WaitAnswer, outcome: Outcome | None) -> None:
        if not self._ended.done():
            self._ended.set_result((key, answer, outcome))

    def wait_answered(
        self, key: WaitKey, answer: WaitAnswer, outcome: Outcome | None, on_committed: Callable[[bool], None]
    ) -> None:
        on_committed(not self._ended.done())
        self._end(key, answer, outcome)

    def wait_ended(self, key: WaitKey) -> None:
        """Nobody asks for it."""

    def get(self, run: RunFacts) -> DAG | None:
        return self._dag

    async def load(self, run: RunFacts) -> DAG:
        return self._dag
