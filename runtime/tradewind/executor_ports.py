"""The seam between the runtime and what carries attempts out. Each method says its contract.

The dispatcher calls `Executor`, which answers through `ExecutorHost`; user code inside an attempt reaches the system
through `TaskServices` and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import timedelta
from typing import Protocol, runtime_checkable

from tradewind.authoring.access import TaskServices
from tradewind.model.attempts import Attempt, AttemptKey, WaitStart
from tradewind.model.keys import RunId
from tradewind.model.loop import LoopOffence, LoopReport
from tradewind.model.outcomes import Finished, Outcome
from tradewind.model.specs import Json
from tradewind.model.waits import WaitAnswer, WaitKey
from tradewind.model.watches import WatchFired, WatchStart


class ExecutorHost(Protocol):
    """The runtime as executors see it."""

    @property
    def services(self) -> TaskServices:
        """What user code may ask for."""
        ...

    @property
    def log_root(self) -> str:
        """Folder under which attempt logs are written."""
        ...

    @property
    def settings(self) -> Mapping[str, Json]:
        """The executor's own section of the configuration."""
        ...

    def began(self, key: AttemptKey, *, hostname: str, pid: int | None) -> None:
        """The attempt's body is about to run (for executors whose `starts_at_once` is False),
        or where and as which process it runs (for the others).
        """
        ...

    def finished(self, key: AttemptKey, end: Finished, on_committed: Callable[[bool], None] | None = None) -> None:
        """The attempt has ended. Kept until it is committed; then `on_committed(accepted)`.
        Reporting the same end again is harmless.
        """
        ...

    def slots_changed(self) -> None:
        """`free_slots` has grown."""
        ...

    def wait_answered(
        self, key: WaitKey, answer: WaitAnswer, outcome: Outcome | None, on_committed: Callable[[bool], None]
    ) -> None:
        """A wait has its answer, with an `outcome` that ends the task as well. Then `on_committed(accepted)`."""
        ...

    def wait_ended(self, key: WaitKey) -> None:
        """A wait that was to be ended is gone, its clean-up included."""
        ...


class Executor(Protocol):
    """Carries attempts out. Reports through its host; never touches the store."""

    kind: str

    starts_at_once: bool
    """Accepting is starting: attempts are committed as `running` when they are submitted."""

    async def start(self, host: ExecutorHost) -> None:
        """Begins to take attempts; from now on it may report to `host`."""
        ...

    async def submit(self, attempts: Sequence[Attempt]) -> None:
        """Returns when they are accepted, not when they are done. Never raises for one attempt:
        what cannot be started is reported as finished (lost, with the reason).
        """
        ...

    async def cancel(self, key: AttemptKey, *, grace: timedelta) -> None:
        """Ends the attempt: first politely, after `grace` by force. Its end is reported as
        CANCELLED. Unknown keys are ignored.
        """
        ...

    async def adopt(self, keys: Sequence[AttemptKey]) -> set[AttemptKey]:
        """After a restart: which of these still run here and will report their end."""
        ...

    async def stop(self, *, drain: timedelta | None) -> None:
        """No new work; running attempts get `drain` to end (None: none), then they are cancelled
        and reported as LOST.
        """
        ...

    @property
    def free_slots(self) -> int | None:
        """How many attempts it would accept now; None: unbounded."""
        ...


@runtime_checkable
class LoopExecutor(Protocol):
    """An executor whose attempts share an event loop."""

    @property
    def on_offence(self) -> list[Callable[[LoopOffence], None]]:
        """Who hears of each report about a coroutine that holds up others, on the loop."""
        ...

    def loop_report(self) -> LoopReport:
        """How they get on."""
        ...


@runtime_checkable
class WaitExecutor(Protocol):
    """An executor that also carries waits out: triggers, and sensors between their pokes. They take up no slot."""

    def begin_waits(self, starts: Sequence[WaitStart]) -> None:
        """Carries these out; those that are under way already go on, and one that was told to go is begun again once
        it is gone. Their answers are reported to the host.
        """
        ...

    def end_waits(self, starts: Sequence[WaitStart]) -> None:
        """Ends these, with the clean-up that a stopped task owes, and reports each as ended. Of one that is not
        under way here the clean-up is done all the same.
        """
        ...

    def waits_of(self, run_ids: AbstractSet[RunId]) -> Sequence[WaitStart]:
        """The waits of these runs that are under way here: not answered yet, or told to go and not gone."""
        ...

    def drop_waits(self) -> None:
        """Lets go of all, without the clean-up of a stopped task: they go on elsewhere."""
        ...


class WatchHost(Protocol):
    """The runtime as carriers of watchers see it."""

    def watch_began(self, start: WatchStart) -> None:
        """Its trigger runs, or runs again."""
        ...

    def watch_failed(self, start: WatchStart, error: str, fired: int) -> float:
        """Its trigger has failed, or ended without an event, after `fired` events; it is to begin again after so many
        seconds.
        """
        ...

    async def watch_fired(self, start: WatchStart, fired: WatchFired) -> None:
        """Returns when the event is committed; until then it must not be acknowledged. Raises AuthoringError for a
        payload that cannot be, NotFoundError where the asset is gone, StoreError.
        """
        ...


@runtime_checkable
class WatchExecutor(Protocol):
    """An executor that also carries out watchers of assets. They take up no slot."""

    def carry_watches(self, host: WatchHost, starts: Sequence[WatchStart]) -> None:
        """Carries out these and no others: equal ones that are under way go on."""
        ...
