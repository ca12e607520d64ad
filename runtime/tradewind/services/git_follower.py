"""Keeps one git bundle up to date: fetches now and then, or when somebody asks for it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import anyio

from tradewind.bundles.folder_events import watching
from tradewind.bundles.git import GitFailed, GitRepository

log = logging.getLogger(__name__)


class GitBundleOwner(Protocol):
    """Who uses the files."""

    async def use_commit(self, bundle: str, commit: str) -> None:
        """New runs use this commit from now on; the same again changes nothing."""
        ...

    async def tell_fetched(self, bundle: str, error: str | None) -> None:
        """The repository was asked; None: it answered."""
        ...


class GitFollower:
    """One bundle's repository. `in_use` gives the files that runs still need."""

    def __init__(
        self, repository: GitRepository, owner: GitBundleOwner, in_use: Callable[[], Awaitable[Collection[str]]]
    ) -> None:
        self._repository = repository
        self._owner = owner
        self._in_use = in_use
        self._asked = asyncio.Event()

    async def run(self) -> None:
        """Ends only when it is cancelled."""
        repository = self._repository
        name = repository.source.name
        await anyio.Path(repository.cache).mkdir(parents=True, exist_ok=True)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._listen)
            await self._restore()
            while True:
                self._asked.clear()
                try:
                    commit = await repository.refresh()
                except GitFailed as error:
                    log.error("%s", error.message)
                    await self._owner.tell_fetched(name, error.message)
                else:
                    await self._owner.use_commit(name, commit)
                    await self._owner.tell_fetched(name, None)
                    await self._clean()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(repository.source.refresh_interval):
                        await self._asked.wait()

    async def _listen(self) -> None:
        """`tradewind bundles refresh` touches a file."""
        async with watching(self._repository.cache, recursive=False) as events:
            while True:
                if str(self._repository.refresh_file) in await events.next_burst():
                    self._asked.set()

    async def _restore(self) -> None:
        """Runs that began before go on with their commit, also where its files were cleaned away."""
        for commit in self._repository.commits_in(await self._in_use()):
            try:
                await self._repository.check_out(commit)
            except GitFailed as error:
                log.error("a run needs commit %s, whose files cannot be had again: %s", commit, error.message)

    async def _clean(self) -> None:
        repository = self._repository
        in_use = repository.commits_in(await self._in_use())
        try:
            gone = await repository.clean(in_use)
        except (GitFailed, OSError) as error:
            log.warning("old commits of bundle %s cannot be removed: %s", repository.source.name, error)
        else:
            if gone:
                log.info("bundle %s: the files of %d unused commits are removed", repository.source.name, len(gone))
