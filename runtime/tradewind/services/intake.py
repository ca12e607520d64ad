"""What has come in for the scheduler's next turn: events of runs, and jobs that change something else."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Final

from tradewind.model.errors import TradewindError, TryAgain
from tradewind.model.events import RunEvent, Stamp
from tradewind.model.keys import RunId
from tradewind.ports import Clock
from tradewind.services.turn import Answer, Turn

Job = Callable[[Turn], None]
Posted = tuple[RunId, RunEvent, Answer | None]

A_TURN: Final = 1_000
"""Events that are decided in one turn: ten thousand that come due in the same second must not hold up the loop."""


class Intake:
    """Takes in at any time; the scheduler takes out at the beginning of each turn."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._causes = count(1)
        self._posted: deque[Posted] = deque()
        self._jobs: deque[tuple[Job, Answer | None]] = deque()
        self._wake = asyncio.Event()

    def stamp(self) -> Stamp:
        """The stamp of an event that happens now."""
        return Stamp(self._clock.now(), next(self._causes), self._clock.draw())

    def post(self, run_id: RunId, event: RunEvent, on_committed: Answer | None = None) -> None:
        """Takes in an event of a run; `on_committed(accepted)` once its effect is durable."""
        self._posted.append((run_id, event, on_committed))
        self._wake.set()

    def do(self, job: Job, answer: Answer | None = None) -> None:
        """Runs `job` within the next turn: whatever it changes is committed with it."""
        self._jobs.append((job, answer))
        self._wake.set()

    async def ask(self, job: Job) -> None:
        """Runs `job` within the next turn and returns once that is committed. What `job` raises before it has
        changed anything comes out here.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def judged(turn: Turn) -> None:
            try:
                job(turn)
            except TradewindError as error:
                if not done.done():
                    done.set_exception(error)

        def answer(committed: bool) -> None:
            if done.done():
                return
            if committed:
                done.set_result(None)
            else:
                done.set_exception(TryAgain())

        self.do(judged, answer)
        await done

    def capacity_changed(self) -> None:
        """A limit or an executor may have room again: the next turn looks."""
        self._wake.set()

    async def next(self) -> None:
        """Returns when there is something to do a turn for."""
        await self._wake.wait()
        self._wake.clear()

    def jobs(self) -> deque[tuple[Job, Answer | None]]:
        """Takes out the jobs that have come in."""
        jobs, self._jobs = self._jobs, deque()
        return jobs

    def events(self, at_most: int = A_TURN) -> list[Posted]:
        """Takes out the events that have come in, so many at most; for those that are left there is another turn."""
        posted = self._posted
        if len(posted) <= at_most:
            self._posted = deque()
            return list(posted)
        self._wake.set()
        return [posted.popleft() for _ in range(at_most)]

    def refuse(self) -> None:
        """Tells everybody who waits for a commit that there will be none."""
        answers = [answer for _, answer in self.jobs()] + [answer for _, _, answer in self.events(len(self._posted))]
        for answer in answers:
            if answer is not None:
                answer(False)
