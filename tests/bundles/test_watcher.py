"""The bundle watcher on real files, a real parse host and the memory store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tradewind.config import load_config
from tradewind.model.rows import DagRow
from tradewind.services.bundle_watcher import BundleWatcher
from tradewind.store.memory import MemoryStore

DAG = "from tradewind.authoring.dag import DAG\n"
SECONDS = 60.0


class Place:
    """A home with a DAG folder, a store, and what the watcher has published."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.folder = home / "dags"
        self.folder.mkdir()
        self.store = MemoryStore()
        self.published: list[list[str]] = []
        self.overrides: dict[str, object] = {}
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[BundleWatcher, None]:
        lease = await self.store.runtime_join("test")
        overrides = {"dags.load_examples": False, **self.overrides}
        config = await asyncio.to_thread(load_config, self.home, overrides, {})
        watcher = BundleWatcher(self.store, lambda: lease, config, self._on_published)
        self._task = task = asyncio.create_task(watcher.run())
        task.add_done_callback(lambda _: self._changed.set())
        try:
            waiting = asyncio.create_task(watcher.ready.wait())
            await asyncio.wait([waiting, task], return_when=asyncio.FIRST_COMPLETED, timeout=SECONDS)
            self._check()
            yield watcher
            self._check()
        finally:
            task.cancel()
            await asyncio.wait([task])
            await self.store.runtime_leave(lease)

    def _check(self) -> None:
        if self._task is not None and self._task.done():
            self._task.result()

    def _on_published(self, dag_ids: list[str]) -> None:
        self.published.append(dag_ids)
        self._changed.set()

    async def until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        """Waits for a publication after which the condition holds."""
        async with asyncio.timeout(SECONDS):
            while not await condition():
                self._changed.clear()
                if await condition():
                    return
                await self._changed.wait()
                self._check()

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.home / "draft"
        draft.write_text(text)
        draft.rename(path)
        return path

    def dag(self, name: str, dag_id: str, extra: str = "") -> Path:
        return self.write(name, f"{DAG}{extra}\nd = DAG({dag_id!r}, schedule=None)\n")

    async def row(self, dag_id: str) -> DagRow | None:
        return await self.store.dag_get(dag_id)

    async def active(self) -> set[str]:
        return {row.dag_id for row in await self.store.dag_list() if row.is_active}

    async def errors(self) -> dict[str, str]:
        return {row.relative_fileloc: row.stack_trace for row in await self.store.import_error_list()}

    async def until_active(self, *dag_ids: str) -> None:
        async def are() -> bool:
            return await self.active() == set(dag_ids)

        await self.until(are)

    async def until_errors(self, *names: str) -> None:
        async def are() -> bool:
            return set(await self.errors()) == set(names)

        await self.until(are)

    async def until_version(self, dag_id: str, number: int) -> None:
        async def is_it() -> bool:
            row = await self.row(dag_id)
            return row is not None and row.version_number == number

        await self.until(is_it)


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    place = Place(tmp_path)
    await place.store.open()
    yield place
    await place.store.close()


async def test_what_is_there_at_the_start(place: Place) -> None:
    place.dag("a.py", "a")
    place.dag("deep/b.py", "b")
    place.write("helper.py", "X = 1")
    place.write("broken.py", DAG + "1/0")
    async with place.watching() as watcher:
        assert await place.active() == {"a", "b"}
        errors = await place.errors()
        assert list(errors) == ["broken.py"]
        assert errors["broken.py"].splitlines()[-1] == "ZeroDivisionError: division by zero"
        row = await place.row("b")
        assert row is not None
        assert (row.source.bundle, row.source.relative_fileloc) == ("dags", "deep/b.py")
        assert row.source.fileloc == str(place.folder / "deep" / "b.py")
        assert watcher.sweep_finds == 0


@pytest.mark.spec("1:C5", "3:B04", "3:B16", "3:B01", "2:B-08")
async def test_new_changed_and_removed_files(place: Place) -> None:
    async with place.watching():
        place.dag("a.py", "a")
        await place.until_active("a")
        place.write("a.py", DAG + "d = DAG('a', schedule='@daily', start_date='2024-01-01')")
        await place.until_version("a", 2)
        place.write("a.py", DAG + "1/0")
        await place.until_errors("a.py")
        assert await place.active() == {"a"}
        place.dag("a.py", "other")
        await place.until_active("other")
        assert await place.errors() == {}
        (place.folder / "a.py").unlink()
        await place.until_active()


async def test_a_file_saved_again_makes_no_version(place: Place) -> None:
    path = place.dag("a.py", "a")
    async with place.watching():
        before = await place.row("a")
        count = len(place.published)
        os.utime(path)

        async def published() -> bool:
            return len(place.published) > count

        await place.until(published)
        after = await place.row("a")
        assert before is not None
        assert after is not None
        assert (after.version_hash, after.version_number) == (before.version_hash, 1)


async def test_a_changed_helper_renews_the_files_that_import_it(place: Place) -> None:
    place.write("parts/__init__.py", "")
    place.write("parts/names.py", "NAME = 'first'")
    place.write("flow.py", DAG + "from parts.names import NAME\nd = DAG(NAME, schedule=None)")
    place.dag("other.py", "other")
    async with place.watching():
        assert await place.active() == {"first", "other"}
        before = await place.row("other")
        place.write("parts/names.py", "NAME = 'second'")
        await place.until_active("second", "other")
        after = await place.row("other")
        assert before is not None
        assert after is not None
        assert after.last_parsed_at == before.last_parsed_at


async def test_changed_data_renews_the_files_that_read_it(place: Place) -> None:
    place.write("names.txt", "a b")
    text = "from pathlib import Path\nfor n in (Path(__file__).parent / 'names.txt').read_text().split():\n"
    place.write("flow.py", DAG + text + "    with DAG(n, schedule=None):\n        pass")
    async with place.watching():
        assert await place.active() == {"a", "b"}
        place.write("names.txt", "b c")
        await place.until_active("b", "c")


async def test_a_missing_helper_that_comes(place: Place) -> None:
    place.write("flow.py", DAG + "import coming_soon\nd = DAG(coming_soon.NAME, schedule=None)")
    async with place.watching():
        assert "coming_soon" in (await place.errors())["flow.py"]
        place.write("coming_soon.py", "NAME = 'here'")
        await place.until_active("here")
        assert await place.errors() == {}


async def test_a_renamed_file_keeps_its_dags_active(place: Place) -> None:
    path = place.dag("a.py", "a")
    seen: list[bool] = []
    async with place.watching():
        path.rename(place.folder / "b.py")

        async def moved() -> bool:
            row = await place.row("a")
            assert row is not None
            seen.append(row.is_active)
            return row.source.relative_fileloc == "b.py"

        await place.until(moved)
        assert all(seen)
        row = await place.row("a")
        assert row is not None
        assert row.is_active


async def test_an_id_belongs_to_the_file_that_had_it_first(place: Place) -> None:
    first = place.dag("a.py", "same")
    async with place.watching():
        place.dag("b.py", "same")
        await place.until_errors("b.py")
        error = (await place.errors())["b.py"]
        assert f"'same' is already used in {first}" in error
        row = await place.row("same")
        assert row is not None
        assert row.source.relative_fileloc == "a.py"
        first.unlink()

        async def taken_over() -> bool:
            row = await place.row("same")
            return row is not None and row.is_active and row.source.relative_fileloc == "b.py"

        await place.until(taken_over)
        await place.until_errors()


async def test_ignore_files_take_effect_at_once(place: Place) -> None:
    place.dag("a.py", "a")
    place.dag("drafts/b.py", "b")
    async with place.watching():
        assert await place.active() == {"a", "b"}
        place.write(".tradewindignore", "drafts/")
        await place.until_active("a")
        (place.folder / ".tradewindignore").unlink()
        await place.until_active("a", "b")


async def test_what_changed_while_nobody_watched(place: Place) -> None:
    place.dag("a.py", "a")
    place.dag("b.py", "b")
    async with place.watching():
        assert await place.active() == {"a", "b"}
    (place.folder / "a.py").unlink()
    place.dag("b.py", "b", extra="import os")
    place.dag("c.py", "c")
    async with place.watching():
        assert await place.active() == {"b", "c"}


async def test_unchanged_files_are_not_parsed_at_the_next_start(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    count = f"open({str(place.home / 'count')!r}, 'a').write('x')"
    place.write("names.txt", "one")
    read = "open(__file__.replace('a.py', 'names.txt')).read()"
    place.dag("a.py", "a", extra=f"{count}\n{read}")
    counted = place.home / "count"
    async with place.watching():
        assert counted.read_text() == "x"
    async with place.watching():
        assert counted.read_text() == "x"
        assert await place.active() == {"a"}
    place.write("names.txt", "two")
    async with place.watching():
        assert counted.read_text() == "xx"
    monkeypatch.setenv("RATINGS_BUCKET", "other")
    async with place.watching():
        assert counted.read_text() == "xxx"


async def test_a_lost_database_makes_the_cache_void(place: Place) -> None:
    place.dag("a.py", "a")
    async with place.watching():
        assert await place.active() == {"a"}
    place.store = MemoryStore()
    await place.store.open()
    async with place.watching():
        assert await place.active() == {"a"}


async def test_the_folder_goes_and_comes_back(place: Place) -> None:
    place.dag("a.py", "a")
    async with place.watching():
        away = place.home / "away"
        place.folder.rename(away)
        await place.until_active()
        away.rename(place.folder)
        await place.until_active("a")


async def test_a_missing_folder_is_made(place: Place) -> None:
    place.folder.rmdir()
    async with place.watching():
        assert place.folder.is_dir()
        place.dag("a.py", "a")
        await place.until_active("a")


async def test_a_bad_ignore_file_is_an_import_error_and_stops_nothing(place: Place) -> None:
    place.dag("a.py", "a")
    async with place.watching():
        place.write(".airflowignore", "*.py")
        place.dag("b.py", "b")
        await place.until_active("a", "b")
        assert list(await place.errors()) == [".airflowignore"]
    for _ in range(2):  # also after a start that knows of it already
        async with place.watching() as watcher:
            await watcher.ready.wait()
            await place.until_active("a", "b")
            assert "'*.py' is not a regular expression" in (await place.errors())[".airflowignore"]
    place.write(".airflowignore", "^b")
    async with place.watching() as watcher:
        await watcher.ready.wait()
        await place.until_active("a")
        assert await place.errors() == {}


async def test_a_folder_that_is_replaced_in_one_step(place: Place) -> None:
    place.dag("a.py", "a")
    async with place.watching():
        fresh = place.home / "fresh"
        fresh.mkdir()
        (fresh / "b.py").write_text(DAG + "d = DAG('b', schedule=None)")
        place.folder.rename(place.home / "old")
        fresh.rename(place.folder)
        await place.until_active("b")
        place.dag("c.py", "c")
        await place.until_active("b", "c")


@pytest.mark.parametrize("inside", [True, False])
async def test_a_link_that_is_pointed_elsewhere(place: Place, inside: bool) -> None:
    for number in (1, 2):
        revision = place.home / f"revision{number}"
        revision.mkdir()
        (revision / "flow.py").write_text(DAG + f"d = DAG('r{number}', schedule=None)")
    if not inside:
        place.folder.rmdir()
    link = place.folder / "current" if inside else place.folder
    link.symlink_to(place.home / "revision1")
    async with place.watching():
        assert await place.active() == {"r1"}
        draft = place.home / "draft-link"
        draft.symlink_to(place.home / "revision2")
        draft.rename(link)
        await place.until_active("r2")
        (place.home / "revision2" / "more.py").write_text(DAG + "d = DAG('more', schedule=None)")
        await place.until_active("r2", "more")


async def test_new_folders_are_watched_too(place: Place) -> None:
    async with place.watching():
        place.dag("new/deep/a.py", "a")
        await place.until_active("a")
        place.dag("new/deep/b.py", "b")
        await place.until_active("a", "b")


async def test_whether_new_dags_start_paused(place: Place) -> None:
    place.dag("a.py", "a")
    async with place.watching():
        row = await place.row("a")
        assert row is not None
        assert row.is_paused
    place.overrides["core.dags_are_paused_at_creation"] = False
    async with place.watching():
        place.dag("b.py", "b")
        await place.until_active("a", "b")
        rows = {row.dag_id: row.is_paused for row in await place.store.dag_list()}
        assert rows == {"a": True, "b": False}
