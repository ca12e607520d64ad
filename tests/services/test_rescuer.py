"""When a runtime counts as dead, and that nothing on its own loop can make it look so."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import PIPE
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from tests.conftest import NewDatabase
from tests.services.conftest import StartRuntime, pass_on
from tradewind import DAG, task
from tradewind.config import Config, load_config
from tradewind.control_ports import TriggerRequest
from tradewind.database import open_control
from tradewind.host import Parts, Runtime
from tradewind.model.keys import RuntimeId
from tradewind.model.rows import Beat, BeatReport, Lease, PeerRow
from tradewind.services.rescuer import BeatTimes, Rescuer
from tradewind.services.runtime_names import is_provably_gone, open_process, runtime_name
from tradewind.store.memory import MemoryStore
from tradewind.store.migrate import migrate_url
from tradewind.testing.virtual_time import VirtualClock, VirtualTime
from tradewind_executors.inline import InlineExecutor

NAME_AND_WAIT = """
import sys
from tradewind.services.runtime_names import runtime_name
print(runtime_name(), flush=True)
sys.stdin.read()
"""

OTHER = RuntimeId(99)
TIMES = BeatTimes(lease=7.5, beat=2.5, beat_alone=10.0)


class Seen(MemoryStore):
    """A store whose beats bring back what the test says, and which notes burials."""

    def __init__(self) -> None:
        super().__init__()
        self.buried: list[RuntimeId] = []
        self.tell: Callable[[Beat], None] = lambda beat: None

    async def runtime_bury(self, dead: RuntimeId, seen_beat: int) -> bool:
        self.buried.append(dead)
        return True

    async def runtime_is_provably_dead(self, peer: RuntimeId) -> bool:
        return False

    async def runtime_beats(
        self, lease: Lease, pace: Callable[[BeatReport | None], float], tell: Callable[[Beat], None]
    ) -> None:
        self.tell = tell
        await asyncio.Event().wait()


def buried_at(beats: Sequence[tuple[float, int | None]]) -> float | None:
    """When a peer whose beat was seen at these seconds with these values (None: no answer) is buried."""
    time = VirtualTime()
    loop = time.new_loop()
    store = Seen()

    async def nothing() -> None: ...

    rescuer = Rescuer(
        store,
        VirtualClock(time),
        times=TIMES,
        take_over=nothing,
        on_mail=lambda: None,
        on_peers=lambda n: None,
    )
    lease = Lease(RuntimeId(1), 1)
    beating, watching = loop.create_task(rescuer.beat(lease)), loop.create_task(rescuer.run(lease))
    time.pass_by([loop], 0)
    found = None
    for at, beat in beats:
        report = None if beat is None else BeatReport(0, (PeerRow(OTHER, 1, beat, True, "elsewhere"),), 0, ())
        store.tell(Beat(at, report))
        time.pass_by([loop], 0)
        if watching.done():
            watching.result()
        if store.buried:
            found = at
            break
    beating.cancel()
    watching.cancel()
    time.pass_by([loop], 0)
    loop.close()
    return found


@pytest.mark.blocks_the_loop  # in virtual time there are no threads
@pytest.mark.parametrize(
    ("beats", "buried"),
    [
        pytest.param([(2.5 * n, n) for n in range(20)], None, id="it beats"),
        pytest.param([(2.5 * n, min(n, 8)) for n in range(20)], 27.5, id="it stops, a lease later it is dead"),
        pytest.param([(2.5 * n, 0) for n in range(20)], 17.5, id="it may not know yet that it has peers"),
        pytest.param([(2.5 * n, n // 4) for n in range(5)], None, id="and beats as one that is alone"),
        pytest.param(
            [(0, 0), (16, 1), (16.5, None), (28, 1), (34, 1), (45.5, 1)],
            45.5,
            id="what is not seen is not counted",
        ),
        pytest.param([(0, 0), (20, 9), (21, 9), (30, 9)], 30, id="beats that waited behind a held-up loop"),
    ],
)
def test_a_lease_ends_by_what_was_seen(beats: Sequence[tuple[float, int | None]], buried: float | None) -> None:
    assert buried_at(beats) == buried


@pytest.mark.blocks_the_loop  # in virtual time there are no threads
def test_an_outage_is_told_once_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    buried_at([(0, 0), (1, None), (2, 1), (3, None), (4, None), (5, None), (6, 2), (7, None), (8, 3)])
    assert [line.split(".")[0] for line in caplog.messages] == [
        "The database does not answer",
        "The database answers again",
    ]


async def test_what_a_leaving_runtime_owned_is_taken_at_once(start: StartRuntime) -> None:
    """Not at the next beat, which is an hour away."""
    with DAG("d", schedule=None, is_paused_upon_creation=False) as dag:

        @task
        async def nothing() -> None: ...

        nothing()
    slow = {"scheduler__beat": 3600.0, "scheduler__beat_alone": 3600.0, "scheduler__lease": 36000.0}
    leaving = await start(dag, **slow)
    heir = await start(dag, **slow)
    assert not heir.services.scheduler.book.dags
    await leaving.services.store.runtime_leave(leaving.services.scheduler.lease)
    run = await heir.control.run_trigger(TriggerRequest("d"))
    assert (await heir.control.run_wait(run.run_id, 60)).state == "success"


async def test_a_process_tells_its_end() -> None:
    """By its name alone; one of another machine tells nothing, and is not taken for dead."""
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", NAME_AND_WAIT, stdin=PIPE, stdout=PIPE)
    assert child.stdin is not None
    assert child.stdout is not None
    name = (await child.stdout.readline()).decode().strip()
    assert not await asyncio.to_thread(is_provably_gone, name)
    fd = await asyncio.to_thread(open_process, name)
    if fd is not None:  # there is none on macOS
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(fd, ended.set)
        child.kill()
        async with asyncio.timeout(60):
            await ended.wait()
        asyncio.get_running_loop().remove_reader(fd)
        os.close(fd)
        assert await asyncio.to_thread(is_provably_gone, name)
    child.stdin.close()
    await child.wait()
    for other in (f"elsewhere/{name.partition('/')[2]}", "a name", await asyncio.to_thread(runtime_name)):
        assert not await asyncio.to_thread(is_provably_gone, other)
        assert await asyncio.to_thread(open_process, other) is None


@asynccontextmanager
async def in_a_thread(config: Config) -> AsyncGenerator[Runtime]:
    """A runtime on a loop of its own, which the caller's cannot hold up."""
    up: asyncio.Future[tuple[Runtime, Callable[[], object]]] = asyncio.get_running_loop().create_future()
    tell = asyncio.get_running_loop().call_soon_threadsafe

    async def live() -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()
        parts = Parts(executors={"inline": InlineExecutor()}, watch_files=False)
        async with Runtime(config, parts=parts) as runtime:
            tell(up.set_result, (runtime, partial(loop.call_soon_threadsafe, stop.set)))
            await stop.wait()

    life = asyncio.ensure_future(asyncio.to_thread(lambda: asyncio.run(live())))
    life.add_done_callback(partial(pass_on, up))
    runtime, stop = await up
    try:
        yield runtime
    finally:
        stop()
        await life


@pytest.mark.blocks_the_loop
async def test_a_task_that_holds_up_the_loop_does_not_cost_the_lease(new_database: NewDatabase, tmp_path: Path) -> None:
    """The beat goes on in its own thread, for longer than three leases; the peer sees it and takes nothing."""
    url = await new_database()
    await migrate_url(url)
    short = {"scheduler.lease": 1.0, "scheduler.beat": 0.2, "scheduler.beat_alone": 0.2}
    config = load_config(tmp_path, overrides={"database.url": url, **short}, environ={})
    with DAG("d", schedule=None, is_paused_upon_creation=False) as dag:

        @task
        async def block() -> None:
            time.sleep(3)  # noqa: ASYNC251  what must not be done, and is

        @task
        async def after() -> None: ...

        block() >> after()  # pyright: ignore[reportUnusedExpression]  the edge is noted by the operator
    parts = Parts(executors={"inline": InlineExecutor()}, watch_files=False)
    async with in_a_thread(config) as peer, Runtime(config, dags=[dag], parts=parts) as runtime:
        lease = runtime.services.scheduler.lease
        run = await runtime.control.run_trigger(TriggerRequest("d"))
        ended = await runtime.control.run_wait(run.run_id, 60)
        assert ended.state == "success"
        assert runtime.services.scheduler.lease == lease
        assert not peer.services.scheduler.book.dags
        attempts = await runtime.control.reads.attempt_list(run.run_id)
        assert [(a.task_id, str(a.kind)) for a in attempts] == [("block", "success"), ("after", "success")]


@pytest.mark.blocks_the_loop  # the configuration is read on it
async def test_who_was_taken_for_dead_begins_anew(new_database: NewDatabase, tmp_path: Path) -> None:
    """Its lease is gone at once, with another it takes up what was its own."""
    url = await new_database()
    await migrate_url(url)
    config = load_config(tmp_path, overrides={"database.url": url}, environ={})
    with DAG("d", schedule=None, is_paused_upon_creation=False) as dag:

        @task
        async def nothing() -> None: ...

        nothing()
    parts = Parts(executors={"inline": InlineExecutor()}, watch_files=False)
    async with Runtime(config, dags=[dag], parts=parts) as runtime, open_control(config) as outside:
        before = runtime.services.scheduler.lease
        peer = await outside.store.runtime_join("a peer of another machine/")
        async with asyncio.timeout(60):
            buried = False
            while not buried:  # its beat moves on while we look
                report = await outside.store.runtime_beat(peer)
                buried = await outside.store.runtime_bury(before.runtime_id, report.peers[0].beat)
        await outside.store.runtime_leave(peer)  # which makes it look, and find out
        run = await outside.run_trigger(TriggerRequest("d"))
        assert (await outside.run_wait(run.run_id, 60)).state == "success"
        assert runtime.services.scheduler.lease.runtime_id > peer.runtime_id
