"""Keeps the store's DAGs the same as the DAG files, from the moment a file changes.

A change in a folder is an event (inotify and its likes); the files that it touches are parsed in child
processes, the edited ones first, and published in groups. One broken file costs nothing but itself.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, NamedTuple

import anyio

from tradewind.bundles.claims import DagClaims
from tradewind.bundles.folder import Changes, FolderBundle, compare
from tradewind.bundles.known_files import KnownFile, KnownFiles, fingerprint_of, read_cache, write_cache
from tradewind.bundles.parse_queue import ParseQueue, Urgency
from tradewind.bundles.parser import FileToParse, ParseHostFailed, Parser, ParseResult
from tradewind.bundles.traces import in_one_line
from tradewind.config import Config
from tradewind.config_values import without_password
from tradewind.model.rows import DagRow, Lease, ParsedFile
from tradewind.model.specs import DagSource
from tradewind.services.bundle_sources import (
    DAGS_BUNDLE,
    EXAMPLES_BUNDLE,
    bundles_of,
    file_of,
    look,
    parse_settings,
    repository_of,
    sources_of,
    versioned,
)
from tradewind.services.dag_publisher import FIRST_RETRY, LAST_RETRY, DagPublisher, DagPublishing
from tradewind.services.folder_listener import listen
from tradewind.services.git_follower import GitFollower
from tradewind.services.given_dags import is_handed_over

log = logging.getLogger(__name__)

EXTERNAL_SECONDS: Final = 300.0
"""Files that ask the network or a program are parsed again this often: no file tells of such a change."""

REPOSITORY: Final = "(repository)"
"""In place of a file, where a whole repository cannot be read."""


class _Watched(NamedTuple):
    bundle: FolderBundle
    known: KnownFiles


class BundleWatcher:
    """Watches the DAG folder and the examples. `run` ends only when it is cancelled.

    Args:
        store: where DAGs are published.
        lease: the runtime's lease at the moment of a write.
        config: folders and limits of parsing.
        on_published: called on the loop after each commit, with the ids of DAGs that changed (none where
            only import errors did).
    """

    def __init__(
        self,
        store: DagPublishing,
        lease: Callable[[], Lease],
        config: Config,
        on_published: Callable[[list[str]], None],
    ) -> None:
        self._publisher = DagPublisher(store, lease, on_published)
        self._config = config
        self._settings = parse_settings(config)
        self._parser = Parser(self._settings)
        self._queue = ParseQueue()
        self._claims = DagClaims()
        self._repositories = {s.name: repository_of(config, s) for s in sources_of(config) if s.kind == "git"}
        self._unfetched = set(self._repositories)
        """Git bundles that have not been asked yet since the start."""
        self._unreachable: set[str] = set()
        self._watched: dict[str, _Watched] = {}
        self._hints: set[str] = set()
        self._hinted = asyncio.Event()
        self._results: list[ParseResult] = []
        self._resulted = asyncio.Event()
        self._gone: dict[str, set[str]] = {}
        self._stored: frozenset[tuple[str, str]] = frozenset()
        self._fingerprint = ""
        self._cache = config.home / "cache" / "dag_files.json"
        self.ready = asyncio.Event()
        """Set when every file that was there at the start has been published."""
        self.sweep_finds = 0
        """Changes that no event told of. 0 in a healthy system."""
        self.on_parsed: list[Callable[[float, bool], None]] = []
        """Called after each file that was read, with the seconds that it took and whether it does not load."""

    async def run(self) -> None:
        """Publishes what is there, then every change. Raises Fenced when the lease is lost, ConfigError where a
        bundle cannot be.
        """
        bundles = await asyncio.to_thread(bundles_of, self._config)
        self._watched = {bundle.name: _Watched(bundle, KnownFiles()) for bundle in bundles}
        try:
            async with anyio.create_task_group() as tasks:
                for bundle, _ in self._watched.values():
                    if bundle.name == DAGS_BUNDLE:
                        await asyncio.to_thread(bundle.root.mkdir, parents=True, exist_ok=True)
                    if bundle.name != EXAMPLES_BUNDLE and not bundle.is_commit:
                        tasks.start_soon(listen, bundle.root, self._hint, self._config.dags.sweep_interval)
                for _ in range(self._settings.processes):
                    tasks.start_soon(self._work)
                tasks.start_soon(self._publish)
                await self._first_pass()
                for repository in self._repositories.values():
                    tasks.start_soon(GitFollower(repository, self, self._publisher.files_in_use).run)
                tasks.start_soon(self._sweep)
                tasks.start_soon(self._reparse_external)
                await self._follow()
        finally:
            with anyio.CancelScope(shield=True):
                await self._parser.close()

    def files(self) -> tuple[int, int]:
        """How many files are known, and how many of them do not load."""
        known = [watched.known for watched in self._watched.values()]
        return sum(map(len, known)), sum(files.failing() for files in known)

    # -------------------------------------------------------------- what has changed

    def _hint(self, paths: Iterable[str]) -> None:
        self._hints.update(paths)
        self._hinted.set()

    async def _follow(self) -> None:
        while True:
            await self._hinted.wait()
            self._hinted.clear()
            hints, self._hints = self._hints, set()
            for watched in self._watched.values():
                await self._update(watched, hints)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(self._config.dags.sweep_interval)
            for watched in self._watched.values():
                if not self._hints:
                    self.sweep_finds += await self._update(watched, None)

    async def _reparse_external(self) -> None:
        while True:
            await asyncio.sleep(EXTERNAL_SECONDS)
            for bundle, known in self._watched.values():
                await self._queue.put((file_of(bundle, path) for path in known.external_files()), Urgency.KNOWN)

    async def _update(self, watched: _Watched, hints: set[str] | None) -> int:
        """Lists what the hints tell of (None: everything), and queues what must be parsed. Returns how
        many files had changed.
        """
        bundle, known = watched
        before = known.listing
        after = await asyncio.to_thread(look, bundle, before, hints)
        if after is None:
            return 0
        known.listing = after
        await self._tell_ignoring(bundle, before.problems, after.problems)
        python, data = compare(before.python, after.python), compare(before.data, after.data)
        for path in python.removed:
            await self._forget(bundle, known, path)
        await self._queue.put((file_of(bundle, path) for path in python.added | python.changed), Urgency.CHANGED)
        await self._queue.put((file_of(bundle, path) for path in known.touched_by(python, data)), Urgency.TOUCHED)
        if python.removed:
            self._resulted.set()
        return _count(python) + _count(data)

    async def _tell_ignoring(self, bundle: FolderBundle, before: Mapping[str, str], now: Mapping[str, str]) -> None:
        """What is wrong with names and ignore files is an import error: somebody misses files, or has too many."""
        wrong = {path: why for path, why in now.items() if before.get(path) != why}
        for why in wrong.values():
            log.error("%s", why)
        root = str(bundle.root)
        parsed = [ParsedFile(DagSource(bundle.name, "", f"{root}/{path}", path), error=wrong[path]) for path in wrong]
        if parsed:
            await self._publisher.publish(bundle.name, parsed)
        if mended := sorted(before.keys() - now.keys()):
            await self._publisher.retire(bundle.name, mended)

    async def _forget(self, bundle: FolderBundle, known: KnownFiles, path: str) -> None:
        file = file_of(bundle, path)
        self._queue.drop(file)
        known.forget(path)
        self._gone.setdefault(bundle.name, set()).add(path)
        await self._queue.put(self._claims.release(file), Urgency.TOUCHED)

    # -------------------------------------------------------------- git

    async def use_commit(self, bundle: str, commit: str) -> None:
        """See `GitBundleOwner`: every file of the commit is parsed; ids of DAGs stay with their files."""
        old, known = self._watched[bundle]
        if old.version == commit:
            return
        new = replace(old, root=self._repositories[bundle].root_of(commit), version=commit)
        after = KnownFiles()
        after.listing = await asyncio.to_thread(new.list_files)
        await self._tell_ignoring(new, known.listing.problems, after.listing.problems)
        for path in known.listing.python:
            self._queue.drop(file_of(old, path))
        self._claims.move(bundle, str(new.root))
        self._watched[bundle] = _Watched(new, after)
        stored = {path for name, path in self._stored if name == bundle}
        for path in (stored | known.listing.python.keys()) - after.listing.python.keys():
            await self._forget(new, after, path)
        await self._queue.put((file_of(new, path) for path in after.listing.python), Urgency.CHANGED)
        self._resulted.set()

    async def tell_fetched(self, bundle: str, error: str | None) -> None:
        """See `GitBundleOwner`: what is wrong with a repository is an import error."""
        url = without_password(self._repositories[bundle].source.url)
        if error is not None:
            self._unreachable.add(bundle)
            parsed = ParsedFile(DagSource(bundle, "", url, REPOSITORY), error=error)
            await self._publisher.publish(bundle, [parsed])
        elif bundle in self._unreachable:
            self._unreachable.discard(bundle)
            await self._publisher.retire(bundle, [REPOSITORY])
        self._unfetched.discard(bundle)
        self._resulted.set()

    # -------------------------------------------------------------- the start

    async def _first_pass(self) -> None:
        rows, errors = await self._publisher.known()
        self._fingerprint = await asyncio.to_thread(fingerprint_of, self._settings)
        cached = await asyncio.to_thread(read_cache, self._cache, self._fingerprint)
        stored = {(row.source.bundle, row.source.relative_fileloc) for row in rows if row.is_active}
        stored |= {(error.bundle, error.relative_fileloc) for error in errors}
        self._stored = frozenset(stored)
        versions = {row.dag_id: row for row in rows if row.is_active}
        for bundle, known in self._watched.values():
            known.listing = await asyncio.to_thread(bundle.list_files)
            await self._tell_ignoring(bundle, {}, known.listing.problems)
            _restore(known, cached.get(_cache_key(bundle)))
            wanted: list[FileToParse] = []
            for path in known.listing.python:
                if known.unchanged(path) and _is_stored(bundle, path, known[path], versions):
                    self._claims.claim(file_of(bundle, path), known[path].dag_ids)
                else:
                    known.forget(path)
                    wanted.append(file_of(bundle, path))
            await self._queue.put(wanted, Urgency.KNOWN)
            gone = {path for name, path in stored if name == bundle.name and not known.listing.has(path)}
            if bundle.is_commit and not bundle.version:
                continue  # nothing is known of it before it has been fetched
            self._gone.setdefault(bundle.name, set()).update(gone)
        handed_over = any(is_handed_over(name) for name in self._watched)
        for name, path in stored:  # of bundles that are no longer configured; those of services are not ours
            if name not in self._watched and not handed_over and not is_handed_over(name):
                self._gone.setdefault(name, set()).add(path)
        self._resulted.set()

    # -------------------------------------------------------------- parsing and publishing

    async def _work(self) -> None:
        delay = FIRST_RETRY
        while True:
            file = await self._queue.take()
            try:
                result = await self._parser.parse_one(file)
                for tell in self.on_parsed:
                    tell(result.parsed.seconds, result.parsed.error is not None)
                self._results.append(result)  # looked up only now: the list is exchanged while we wait
                self._resulted.set()
                delay = FIRST_RETRY
            except ParseHostFailed as error:
                log.error("%s", error.message)
                await self._queue.put([file], Urgency.KNOWN)
                await asyncio.sleep(delay)
                delay = min(delay * 2, LAST_RETRY)
            finally:
                await self._queue.done(file)

    async def _publish(self) -> None:
        """Writes what has come in since the last write: the first file at once, many in groups."""
        while True:
            await self._resulted.wait()
            self._resulted.clear()
            results, self._results = self._results, []
            files: dict[str, list[ParsedFile]] = {}
            for result in results:
                files.setdefault(result.file.bundle, []).extend(await self._learn(result))
            for name, parsed in files.items():
                if parsed:
                    await self._publisher.publish(name, parsed)
            if not (self._results or self._resulted.is_set()) and self._queue.idle:
                await self._settle()

    async def _settle(self) -> None:
        """Nothing is in work: files that are gone can be retired, and the cache is true."""
        gone, self._gone = self._gone, {}
        for name, paths in gone.items():
            known = self._watched[name].known if name in self._watched else None
            left = sorted(path for path in paths if known is None or not known.listing.has(path))
            if left:
                await self._publisher.retire(name, left)
        bundles = {_cache_key(bundle): known.to_json() for bundle, known in self._watched.values()}
        try:
            await asyncio.to_thread(write_cache, self._cache, self._fingerprint, bundles)
        except OSError as error:
            log.warning("the list of parsed files cannot be kept; the next start parses all again: %s", error)
        if not self._unfetched:
            self.ready.set()

    async def _learn(self, result: ParseResult) -> list[ParsedFile]:
        """What to publish of a parse: nothing where the file is gone, or has nothing and never had."""
        bundle, known = self._watched[result.file.bundle]
        path = result.file.relative
        if path not in known.listing.python or result.file.root != str(bundle.root):
            return []
        claims = self._claims.claim(result.file, [spec.dag_id for spec in result.parsed.dags])
        await self._queue.put(claims.freed, Urgency.TOUCHED)
        parsed = self._as_configured(versioned(_without(result.parsed, claims.taken), bundle))
        before = known.get(path)
        known.learn(result._replace(parsed=parsed))
        if parsed.error is not None:
            log.warning("%s: %s", parsed.source.fileloc, in_one_line(parsed.error))
        if before is None and not result.is_dag_file and not self._was_stored(result.file):
            return []
        return [parsed]

    def _as_configured(self, parsed: ParsedFile) -> ParsedFile:
        """New DAGs that do not say whether they start paused start as `core.dags_are_paused_at_creation` says."""
        if self._config.core.dags_are_paused_at_creation:
            return parsed  # so does the store
        dags = (
            replace(spec, is_paused_upon_creation=False) if spec.is_paused_upon_creation is None else spec
            for spec in parsed.dags
        )
        return replace(parsed, dags=tuple(dags))

    def _was_stored(self, file: FileToParse) -> bool:
        return (file.bundle, file.relative) in self._stored


def _count(changes: Changes) -> int:
    return len(changes.added) + len(changes.changed) + len(changes.removed)


def _cache_key(bundle: FolderBundle) -> str:
    return f"{bundle.name}:{bundle.root}"


def _restore(known: KnownFiles, files: Mapping[str, Any] | None) -> None:
    try:
        known.restore(files or {})
    except (KeyError, TypeError, ValueError):
        log.warning("the list of parsed files is damaged: everything is parsed again")


def _is_stored(bundle: FolderBundle, path: str, known: KnownFile, rows: Mapping[str, DagRow]) -> bool:
    """Whether the store has the file's DAGs just as the cache says."""
    return all(
        (row := rows.get(dag_id)) is not None
        and (row.source.bundle, row.source.relative_fileloc) == (bundle.name, path)
        and row.source.bundle_version == known.version
        and row.source.fileloc == str(bundle.root / path)
        for dag_id in known.dag_ids
    )


def _without(parsed: ParsedFile, taken: Mapping[str, FileToParse]) -> ParsedFile:
    """The parsed file without DAGs whose id another file has; its error says so."""
    if not taken:
        return parsed
    said = [
        f"DAG id {dag_id!r} is already used in {holder.root}/{holder.relative}. Give one of the two another id."
        for dag_id, holder in taken.items()
    ]
    dags = tuple(spec for spec in parsed.dags if spec.dag_id not in taken)
    return replace(parsed, dags=dags, error="\n\n".join([*([parsed.error] if parsed.error else []), *said]))
