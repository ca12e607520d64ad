"""One simulated process: a runtime with a loop of its own, as `host.Runtime` composes it."""

from __future__ import annotations

import asyncio
import logging
import random
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from tests.simulation.dags import PARALLELISM, SLOTS
from tests.simulation.network import SimulatedStore
from tests.simulation.watching import WatchingExecutor
from tradewind.config import load_config
from tradewind.host import Parts, Runtime
from tradewind.model.errors import Fenced, TradewindError
from tradewind.model.rows import Lease
from tradewind.services.scheduler import Scheduler
from tradewind.store.memory_tables import MemoryDatabase
from tradewind.testing.simulated_executor import SimulatedExecutor
from tradewind.testing.simulated_waits import WaitCluster
from tradewind.testing.virtual_time import VirtualClock, VirtualTime

LEASE: Final = 7.5

_CONFIG = load_config(
    "/nowhere",
    {"core.parallelism": PARALLELISM, "core.default_pool_slots": 6, "scheduler.drain_timeout": 3.0},
    {},
)


@dataclass(slots=True)
class Wish:
    """Something that somebody asked of a process, and what became of it."""

    name: str
    task: asyncio.Task[Any]


class Process:
    """A runtime that can be killed, frozen, cut off and told to stop."""

    def __init__(self, name: str, database: MemoryDatabase, time: VirtualTime, cluster: WaitCluster, seed: str) -> None:
        self.name = name
        self.loop = time.new_loop()
        self.store = SimulatedStore(database, random.Random(f"{seed}/network"))
        self.is_frozen = False
        self.is_killed = False
        self.waits = WatchingExecutor("inline", cluster, runtime=name)
        self.executors = {
            "local": SimulatedExecutor("local", cluster, slots=SLOTS, runtime=name),
            "inline": self.waits,
            "remote": SimulatedExecutor("remote", cluster, survives=True, starts_at_once=False, runtime=name),
        }
        parts = Parts(store=self.store, clock=VirtualClock(time, seed), executors=self.executors, watch_files=False)
        self.runtime = Runtime(_CONFIG, parts=parts)
        self.wishes: list[Wish] = []
        self.loop.set_exception_handler(self._on_error)
        self.errors: list[str] = []
        self._time = time
        self.undisturbed_since = time.seconds
        self.is_stopping = False
        self._stop = asyncio.Event()
        self.main: asyncio.Task[None] = self.loop.create_task(self._live())

    async def _live(self) -> None:
        async with self.runtime:
            await self._stop.wait()

    @property
    def is_turning(self) -> bool:
        """Whether its loop turns."""
        return not (self.is_killed or self.is_frozen or self.main.done())

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler of its runtime."""
        return self.runtime.services.scheduler

    @property
    def is_up(self) -> bool:
        """Whether the runtime has started and can be asked for something."""
        return self.is_turning and not self.is_stopping and self.runtime.health().scheduler

    @property
    def lease(self) -> Lease | None:
        """The lease under which it writes just now."""
        try:
            return self.scheduler.lease
        except (Fenced, RuntimeError):
            return None

    def ask(self, name: str, wish: Callable[[], Coroutine[Any, Any, Any]]) -> Wish:
        """Has something done in this process."""
        made = Wish(name, self.loop.create_task(wish()))
        self.wishes.append(made)
        return made

    def shares(self, name: str) -> int:
        """How many permits of a shared limit it counts with."""
        return self.scheduler.book.admission.size(name)

    def failures(self) -> list[str]:
        """What went wrong in it that must not."""
        found = list(self.errors)
        if self.main.done() and not self.is_killed and not self.main.cancelled():
            error = self.main.exception()
            if error is not None:
                found.append("the runtime has ended: " + "".join(traceback.format_exception(error)[-12:]))
            elif not self.is_stopping:
                found.append("the runtime has ended by itself")
        for wish in [wish for wish in self.wishes if wish.task.done()]:
            self.wishes.remove(wish)
            error = None if wish.task.cancelled() else wish.task.exception()
            is_too_late = self.is_stopping and isinstance(error, RuntimeError)
            if error is not None and not (is_too_late or isinstance(error, TradewindError | TimeoutError)):
                found.append(f"{wish.name}: " + "".join(traceback.format_exception(error)))
        return found

    def undisturb(self) -> None:
        """It turns, and its connection works again."""
        self.is_frozen = self.store.is_cut = False
        self.undisturbed_since = self._time.seconds

    def lives(self) -> bool:
        """Whether it has lived undisturbed for long enough that nobody may think it dead."""
        is_well = self.is_up and not self.store.is_cut and not self.store.owes
        return is_well and self._time.seconds - self.undisturbed_since > 2.5

    def kill(self) -> None:
        """The process is gone at once: nothing of it runs again."""
        self.is_killed = True
        self.store.crash()
        for executor in self.executors.values():
            executor.is_alive = False

    def stop(self) -> None:
        """Asks it to drain and leave."""
        self.is_stopping = True
        self._stop.set()

    def close(self) -> None:
        """Frees what it holds, after the simulation."""
        self.kill()
        self.loop.set_exception_handler(lambda loop, context: None)
        for _ in range(50):
            tasks = asyncio.all_tasks(self.loop)
            if not tasks:
                break
            for task in tasks:
                task.cancel()
            self.loop.run_ready()
        for wish in [self.main, *(wish.task for wish in self.wishes)]:
            if wish.done() and not wish.cancelled():
                wish.exception()
        self.loop.close()

    def _on_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.errors.append(f"{context.get('message')}: {context.get('exception')!r}")


logging.getLogger("tradewind").addHandler(logging.NullHandler())
