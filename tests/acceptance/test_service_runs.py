"""Runs that a service starts: their results, its transactions, the DAGs it was given, a second service beside it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeAlias, cast

import asyncpg
import pytest

from tests.acceptance.test_embedding import new_runtime
from tests.conftest import NewDatabase
from tradewind import DAG, AuthoringError, EventSchedule, RunFailed, Runtime, StartedRun, dag, task
from tradewind.model.assets import AssetEventFilter, ExternalEvent
from tradewind.model.errors import ConfigError, ConflictError, NotFoundError, ParamValidationError, StoreError
from tradewind.ports import RunFilter
from tradewind.services.given_dags import GivenDag
from tradewind.store.migrate import migrate_url

Session: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture
async def url(new_database: NewDatabase) -> str:
    made = await new_database()
    await migrate_url(made)
    return made


Start = Callable[..., Any]


@pytest.fixture
async def start(own_home: Path, url: str) -> AsyncIterator[Start]:
    """Starts runtimes on one database, each in a task of its own; all end with the test, or when they are told."""
    stops: list[asyncio.Event] = []
    lives: list[asyncio.Task[None]] = []

    async def started(*dags: GivenDag, **settings: object) -> tuple[Runtime, Callable[[], Any]]:
        runtime = await asyncio.to_thread(partial(new_runtime, own_home, url, *dags, **settings))
        up, stop = asyncio.Event(), asyncio.Event()

        async def live() -> None:
            async with runtime:
                up.set()
                await stop.wait()

        life = asyncio.create_task(live())
        life.add_done_callback(lambda _: up.set())
        stops.append(stop)
        lives.append(life)
        await up.wait()
        if life.done():
            await life
        return runtime, partial(_end, stop, life)

    yield started
    for stop in stops:
        stop.set()
    await asyncio.gather(*lives)


async def _end(stop: asyncio.Event, life: asyncio.Task[None]) -> None:
    stop.set()
    await life


@pytest.fixture
async def db(url: str) -> AsyncIterator[Session]:
    """A session of the service's own, with a table of its own."""
    session = await asyncpg.connect(url)
    await session.execute("CREATE TABLE account (email text PRIMARY KEY)")
    yield session
    await session.close()


def onboarding(name: str = "onboarding") -> DAG:
    """One task, which fails for nobody."""
    with DAG(name, schedule=None, params={"user": "nobody"}) as made:

        @task
        async def greet(user: str) -> str:
            if user == "nobody":
                raise LookupError("nobody is nobody")
            return f"welcome, {user}"

        greet("{{ params.user }}")
    return made


# --------------------------------------------------------------------------------------- results


def branching() -> DAG:
    """Two last tasks, one of them mapped; a teardown does not count."""
    with DAG("branching", schedule=None) as made:

        @task
        def numbers() -> list[int]:
            return [1, 2, 3]

        @task
        async def double(n: int) -> int:
            return 2 * n

        @task
        def where() -> str:
            return threading.current_thread().name

        double.expand(n=numbers())
        where()
    return made


async def test_results(start: Start) -> None:
    runtime, _ = await start(onboarding(), branching)
    assert await runtime.run("onboarding", {"user": "ada"}, timeout=60) == "welcome, ada"
    run = await runtime.trigger("branching")
    assert await run.result("double", timeout=60) == [2, 4, 6]
    assert (await run.result("where")).startswith("tradewind-task")
    with pytest.raises(AuthoringError, match=r"no single last task \(they are: 'double', 'where'\)"):
        await run.result()
    with pytest.raises(NotFoundError, match="no task 'halve'"):
        await run.result("halve")


async def test_a_failed_run_names_its_task(start: Start) -> None:
    runtime, _ = await start(onboarding())
    run = await runtime.trigger("onboarding", {"user": "nobody"}, note="by a test")
    with pytest.raises(RunFailed) as failed:
        await run.result(timeout=60)
    assert failed.value.failed == ("greet",)
    assert str(failed.value) == (
        f"run {run.id!r} of DAG 'onboarding' failed: task 'greet' failed: LookupError: nobody is nobody"
    )
    assert (await run.wait()).note == "by a test"


async def test_a_result_that_is_not_there_in_time(start: Start) -> None:
    go = asyncio.Event()
    with DAG("slow", schedule=None) as slow:

        @task
        async def wait() -> str:
            await go.wait()
            return "at last"

        wait()
    runtime, _ = await start(slow)
    run = await runtime.trigger(slow)
    with pytest.raises(TimeoutError, match=r"has not ended after 0\.1 s; it goes on"):
        await run.result(timeout=0.1)
    go.set()
    assert await run.result(timeout=60) == "at last"


async def test_who_waits_when_the_runtime_stops_is_told(start: Start) -> None:
    begun = asyncio.Event()
    with DAG("slow", schedule=None) as slow:

        @task
        async def wait() -> None:
            begun.set()
            await asyncio.Event().wait()

        wait()
    runtime, end = await start(slow, scheduler__drain_timeout=0.1)
    waiting = asyncio.ensure_future((await runtime.trigger(slow)).result())
    await begun.wait()
    await asyncio.gather(end())
    with pytest.raises(Exception, match="the runtime has stopped"):
        await waiting


async def test_a_runtime_lives_once(start: Start) -> None:
    runtime, end = await start()
    assert runtime.health().scheduler
    with pytest.raises(RuntimeError, match="lives once"):
        await runtime.__aenter__()
    await end()
    assert not runtime.health().scheduler
    with pytest.raises(RuntimeError, match="has stopped"):
        await runtime.run("anything")


async def test_wrong_wishes(start: Start) -> None:
    with DAG("strict", schedule=None, params={"n": 1}) as strict:

        @task
        async def one() -> int:
            return 1

        one()
    runtime, _ = await start(strict)
    with pytest.raises(NotFoundError, match="no DAG 'lax'"):
        await runtime.trigger("lax")
    with pytest.raises(ParamValidationError, match="is not JSON"):
        await runtime.trigger("strict", {"n": object()})
    with pytest.raises(ParamValidationError, match=r"conf of a run of DAG 'strict' has to be a dict, not \[1\]"):
        await runtime.trigger("strict", cast("Any", [1]))
    with pytest.raises(NotFoundError, match="DAG 'strict' has no task 'won'"):
        await runtime.run("strict", task_id="won")
    assert (await runtime.control.reads.run_list(RunFilter("strict")))[1] == 0
    with pytest.raises(AuthoringError, match="id or a key"):
        await runtime.trigger("strict", key="a", run_id="b")
    with pytest.raises(AuthoringError, match="must not be empty"):
        await runtime.trigger("strict", key="")
    await runtime.trigger("strict", run_id="one")
    with pytest.raises(ConflictError, match="already has a run 'one'"):
        await runtime.trigger("strict", run_id="one")


async def test_one_run_for_a_key(start: Start) -> None:
    runtime, _ = await start(onboarding())
    asked = await asyncio.gather(*(runtime.trigger("onboarding", {"user": "eve"}, key="order 17") for _ in range(5)))
    assert len({run.id for run in asked}) == 1
    assert [await run.result(timeout=60) for run in asked] == ["welcome, eve"] * 5
    assert (await runtime.control.reads.run_list(RunFilter("onboarding")))[1] == 1
    assert asked[0].id.startswith("manual__")
    assert " " not in asked[0].id


# ---------------------------------------------------------------------------- in a transaction


async def test_a_run_begins_when_the_transaction_commits(start: Start, db: Session) -> None:
    runtime, _ = await start(onboarding())
    async with db.transaction():
        await db.execute("INSERT INTO account VALUES ('ada')")
        run = await runtime.trigger("onboarding", {"user": "ada"}, connection=db)
        with pytest.raises(ConflictError, match="transaction that is still open"):
            await run.result()
        assert await runtime.control.reads.run_get("onboarding", run.id) is None
    assert await run.result(timeout=60) == "welcome, ada"


async def test_a_rollback_leaves_nothing(start: Start, db: Session) -> None:
    runtime, _ = await start(onboarding())
    transaction = db.transaction()
    await transaction.start()
    run = await runtime.trigger("onboarding", {"user": "ada"}, key="ada", connection=db)
    await transaction.rollback()
    with pytest.raises(NotFoundError, match="was rolled back"):
        await run.result()
    for table in ("inbox", "inbox_key", "dag_run"):
        assert await db.fetchval(f"SELECT count(*) FROM tradewind.{table}") == 0, table
    async with db.transaction():
        await runtime.trigger("onboarding", {"user": "ada"}, key="ada", connection=db)
        savepoint = db.transaction()
        await savepoint.start()
        gone = await runtime.trigger("onboarding", {"user": "bob"}, key="bob", connection=db)
        await savepoint.rollback()
    with pytest.raises(NotFoundError, match="was rolled back"):
        await gone.result()
    async with db.transaction():  # asked for again: the same run
        again = await runtime.trigger("onboarding", {"user": "ada"}, key="ada", connection=db)
    assert await again.result(timeout=60) == "welcome, ada"
    assert (await runtime.control.reads.run_list(RunFilter("onboarding")))[1] == 1


async def test_an_event_is_there_when_the_transaction_commits(start: Start, db: Session) -> None:
    """For DAGs of another runtime too; a rollback leaves nothing, and the same key is the same event."""
    ran: list[int] = []
    has_run = asyncio.Event()

    @dag(schedule=EventSchedule("orders"), is_paused_upon_creation=False)
    def shipping() -> None:
        @task
        async def ship(params: Any = None, dag_run: Any = None) -> None:
            ran.append(dag_run.conf["n"])
            has_run.set()

        ship()

    await start(shipping)
    other, _ = await start()
    async with db.transaction():
        await db.execute("INSERT INTO account VALUES ('ada')")
        event = await other.event("orders", {"n": 1}, key="one", connection=db)
        again = await other.event("orders", {"n": 2}, key="one", connection=db)
        assert (again.event_id, again.extra) == (event.event_id, b'{"n":1}')
        savepoint = db.transaction()
        await savepoint.start()
        await other.event("orders", {"n": 3}, connection=db)
        await savepoint.rollback()
        with pytest.raises(NotFoundError, match="no DAG waits for 'refunds'"):
            await other.event("refunds", connection=db)
        assert ran == []
    async with asyncio.timeout(60):
        await has_run.wait()
    assert (await other.event("orders", {"n": 4}, key="one")).event_id == event.event_id
    events, total = await other.control.reads.asset_event_list(AssetEventFilter())
    assert (total, events[0]) == (1, event)
    assert ran == [1]
    with pytest.raises(ConflictError, match="event 'orders': no transaction is open"):
        await other.event("orders", connection=db)


async def test_a_pool_of_the_service(start: Start, url: str) -> None:
    """What a pool gives serves as well, and may have gone back to it before the result is asked for."""
    runtime, _ = await start(onboarding())
    async with asyncpg.create_pool(url, min_size=1, max_size=1) as pool:
        async with pool.acquire() as lent, lent.transaction():
            run = await runtime.trigger("onboarding", {"user": "ada"}, connection=lent)
        assert await run.result(timeout=60) == "welcome, ada"


async def test_wrong_connections(start: Start, db: Session, new_database: NewDatabase) -> None:
    runtime, _ = await start(onboarding())
    with pytest.raises(ConflictError, match="no transaction is open"):
        await runtime.trigger("onboarding", connection=db)
    async with db.transaction():
        with pytest.raises(NotFoundError, match="no DAG 'lax'"):
            await runtime.trigger("lax", connection=db)
        with pytest.raises(ParamValidationError):
            await runtime.trigger("onboarding", {"user": object()}, connection=db)
    elsewhere = await asyncpg.connect(await new_database())
    transaction = elsewhere.transaction()
    await transaction.start()
    with pytest.raises(StoreError, match="runtime's own database"):
        await runtime.trigger("onboarding", connection=elsewhere)
    await transaction.rollback()
    await elsewhere.close()


async def test_a_paused_dag_keeps_what_was_committed(start: Start, db: Session) -> None:
    runtime, _ = await start(onboarding())
    await runtime.control.dag_pause("onboarding", paused=True)
    async with db.transaction():
        run = await runtime.trigger("onboarding", {"user": "ada"}, connection=db)
    with pytest.raises(TimeoutError):
        await run.wait(timeout=0.2)
    await runtime.control.dag_pause("onboarding", paused=False)
    assert await run.result(timeout=60) == "welcome, ada"


# ----------------------------------------------------------------------------------- given DAGs


@dag(schedule=None)
def decorated() -> None:
    """Made by calling the function."""

    @task
    async def say() -> str:
        return "decorated"

    say()


def several() -> list[DAG]:
    return [onboarding("first"), onboarding("second")]


async def test_objects_functions_and_folders(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "flows"
    folder.mkdir()
    (folder / "filed.py").write_text(
        "from tradewind import DAG, task\n"
        "with DAG('filed', schedule=None, is_paused_upon_creation=False):\n"
        "    @task\n"
        "    async def say() -> str:\n"
        "        return 'filed'\n"
        "    say()\n"
    )
    runtime, _ = await start(onboarding(), decorated, several, folder)
    await asyncio.wait_for(runtime.files_loaded(), 60)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    other, _ = await start(onboarding("other"), elsewhere)  # its watcher leaves alone what others were given
    await asyncio.wait_for(other.files_loaded(), 60)
    reads = runtime.control.reads
    assert all(row.is_active for row in await reads.dag_list())
    rows = {row.dag_id: row for row in await reads.dag_list()}
    assert sorted(rows) == ["decorated", "filed", "first", "onboarding", "other", "second"]
    assert rows["filed"].source.bundle.startswith("embedded.flows.")
    assert not rows["onboarding"].is_paused
    code = await reads.dag_code_get("decorated")
    assert code is not None
    assert "def decorated()" in code
    for name in ("decorated", "filed"):
        assert await runtime.run(name, timeout=60) == name


def test_what_cannot_be_given(tmp_path: Path) -> None:
    given: list[tuple[Any, type[Exception], str]] = [
        (tmp_path / "nowhere", ConfigError, "there is no folder"),
        (17, AuthoringError, "17 is no DAG"),
        (lambda: 17, AuthoringError, "has to return a DAG"),
        (priced, AuthoringError, "without arguments"),
    ]
    for thing, error, message in given:
        with pytest.raises(error, match=message):
            new_runtime(tmp_path, "postgresql://nobody@nowhere/nothing", thing)
    with pytest.raises(AuthoringError, match="two DAGs with the id 'onboarding'"):
        new_runtime(tmp_path, "postgresql://nobody@nowhere/nothing", onboarding(), onboarding())


# --------------------------------------------------------------------------------- two services


async def test_two_services_on_one_database(start: Start, db: Session) -> None:
    """Each runs its own DAGs and asks for the other's. Neither takes over what it has no code for."""
    shop, end_shop = await start(onboarding("shop"))
    bank, _ = await start(onboarding("bank"))
    assert await shop.run("bank", {"user": "ada"}, timeout=60) == "welcome, ada"
    async with db.transaction():
        run = await bank.trigger("shop", {"user": "bob"}, connection=db)
    assert await run.result(timeout=60) == "welcome, bob"
    await end_shop()
    async with db.transaction():
        late = await bank.trigger("shop", {"user": "eve"}, connection=db)
    await bank.services.owner.take_over()
    row = await bank.control.reads.dag_get("shop")
    assert row is not None
    assert row.owner is None
    shop, _ = await start(onboarding("shop"))
    assert await late.result(timeout=60) == "welcome, eve"


def priced(version: int) -> DAG:
    """As two releases of a service have it."""
    with DAG("priced", schedule=None) as made:

        @task(task_id=f"price_{version}")
        async def price() -> int:
            return version

        price()
    return made


async def test_a_new_release_beside_the_old_one(start: Start) -> None:
    """The one that owns the DAG runs what it was given; the next one takes over with its own."""
    _, end_old = await start(priced(1))
    new, _ = await start(priced(2))
    assert await new.run("priced", timeout=60) == 1
    await end_old()
    async with asyncio.timeout(60):
        while not new.control.dag_in_memory("priced"):
            await new.services.owner.take_over()
    assert await new.run("priced", timeout=60) == 2
    versions, total = await new.control.reads.dag_version_list("priced", 10)
    assert (total, [line.number for line in versions]) == (2, [2, 1])


# --------------------------------------------------------------------------- events from outside


def ordered(schedule: EventSchedule) -> DAG:
    """Tells how many events its run had."""
    with DAG("ordered", schedule=schedule, max_active_runs=3) as made:

        @task
        async def count(triggering_asset_events: Any = None) -> int:
            return sum(len(found) for found in triggering_asset_events.values())

        count()
    return made


async def committed_at_once(runtime: Runtime, db: Session, count: int) -> None:
    """Events that are there all together, however busy the machine is."""
    async with db.transaction():
        for n in range(count):
            await runtime.event("orders", {"n": n}, key=f"orders:{n}", connection=db)


async def sent(runtime: Runtime, count: int, name: str = "orders") -> None:
    for n in range(count):
        event = ExternalEvent(name, b'{"n": %d}' % n, f"{name}:{n}")
        assert (await runtime.control.store.asset_event_add(event))[1]
        assert not (await runtime.control.store.asset_event_add(event))[1]


async def counts(runtime: Runtime, runs: int) -> list[int]:
    """What the runs have returned, once there are so many and all have ended."""
    async with asyncio.timeout(60):
        while True:
            seen = await runtime.control.changes("runs", "ordered", 0, 0.0)
            rows, total = await runtime.control.reads.run_list(RunFilter("ordered", order_by="run_id"))
            if total >= runs and all(row.ended_at for row in rows):
                found = [StartedRun(runtime.control, "ordered", row.dag_run_id) for row in rows]
                return [await run.result(timeout=60) for run in found]
            await runtime.control.changes("runs", "ordered", seen, 1.0)


async def test_what_waits_is_there_after_a_restart(start: Start, db: Session) -> None:
    """The timer is not: the next runtime reads from the queue when it is due."""
    dag = ordered(EventSchedule("orders", debounce=0.3))
    runtime, end = await start(dag)
    await committed_at_once(runtime, db, 2)
    await end()
    runtime, _ = await start(dag)
    assert await counts(runtime, 1) == [2]


async def test_every_event_has_its_run_and_pauses_lose_none(start: Start) -> None:
    runtime, _ = await start(ordered(EventSchedule("orders")))
    await sent(runtime, 4)
    await runtime.control.dag_pause("ordered", paused=True)
    for n in range(4, 8):
        await runtime.control.store.asset_event_add(ExternalEvent("orders", b"{}", f"orders:{n}"))
    await runtime.control.dag_pause("ordered", paused=False)
    assert await counts(runtime, 8) == [1] * 8


async def test_batches_and_throttle_in_postgres(start: Start, db: Session) -> None:
    runtime, _ = await start(ordered(EventSchedule("orders", batch=2, max_wait=0.2, throttle=0.1)))
    await committed_at_once(runtime, db, 5)
    assert await counts(runtime, 3) == [2, 2, 1]
    rows, _ = await runtime.control.reads.run_list(RunFilter("ordered", order_by="run_id"))
    assert all(b.queued_at - a.queued_at >= timedelta(seconds=0.1) for a, b in pairwise(rows))
    summary = await runtime.control.reads.asset_queue_summary("ordered")
    assert (summary.size, summary.last_run_at) == (0, rows[-1].queued_at)
