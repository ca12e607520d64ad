"""A git repository as a source of DAG files: a bare copy of it, and one folder for each commit in use.

    <cache>/<bundle>/repository.git     the copy, brought up to date by `fetch`
    <cache>/<bundle>/commits/<commit>   the files of one commit, never changed once they are there
    <cache>/<bundle>/current            the commit that new runs use

A run keeps the commit it began with, because its files stand in a folder of their own. Needs the `git` program.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio

from tradewind.bundles.bundle_list import BundleSource
from tradewind.config_values import without_password
from tradewind.model.errors import TradewindError

TIMEOUT: Final = 300.0
"""Seconds that one call of git may take."""

KEPT: Final = 10
"""So many of the latest commits stay though no run is known to use them."""

_QUIET: Final = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "true",
    "LC_ALL": "C",
    "GIT_SSH_COMMAND": os.environ.get("GIT_SSH_COMMAND", "ssh -o BatchMode=yes"),
}
"""Git never waits for a person, and says what is wrong in the words that are looked for below."""

_REASONS: Final = (
    ("Authentication failed", "the login was refused"),
    ("could not read Username", "it wants a login: put it into the url (https://user:token@host/…) or use ssh keys"),
    ("could not read Password", "it wants a password: put it into the url (https://user:token@host/…)"),
    ("Permission denied (publickey", "the ssh key was refused, or there is none"),
    ("Host key verification failed", "the ssh host is not in known_hosts"),
    ("couldn't find remote ref", "it has no branch or tag {ref!r}"),
    ("does not appear to be a git repository", "there is no git repository at this address"),
    ("does not exist", "there is no git repository at this address"),
    ("not found", "there is no git repository at this address"),
    ("Could not resolve host", "the name of the host is unknown"),
    ("unable to access", "it cannot be reached"),
    ("detected dubious ownership", "it belongs to another user; see git's safe.directory"),
)


class GitFailed(TradewindError):
    """The repository could not be read; the message says which and why."""


@dataclass(frozen=True, slots=True)
class GitRepository:
    """The copy of one bundle's repository below the folder `cache`."""

    source: BundleSource
    cache: Path

    @property
    def folder(self) -> Path:
        """Everything of this bundle."""
        return self.cache / self.source.name

    @property
    def refresh_file(self) -> Path:
        """Whoever touches this file asks the running runtime for a refresh now."""
        return self.cache / f"{self.source.name}.refresh"

    def root_of(self, commit: str) -> Path:
        """The folder with the DAG files of a commit."""
        files = self.folder / "commits" / commit
        return files / self.source.subdir if self.source.subdir else files

    def current(self) -> str | None:
        """The commit that was fetched last, where its files are here."""
        try:
            commit = (self.folder / "current").read_text(encoding="ascii").strip()
        except OSError:
            return None
        return commit if commit and (self.folder / "commits" / commit).is_dir() else None

    async def refresh(self) -> str:
        """Fetches the branch and checks its commit out. Returns the commit. Raises GitFailed."""
        copy = self.folder / "repository.git"
        if not await anyio.Path(copy / "HEAD").exists():
            await anyio.Path(self.folder).mkdir(parents=True, exist_ok=True)
            await self._git("init", "--quiet", "--bare", str(copy))
        fetch = ["fetch", "--quiet", "--force", "--no-tags", "--end-of-options", self.source.url, self.source.ref]
        await self._git("-C", str(copy), *fetch)
        commit = (await self._git("-C", str(copy), "rev-parse", "--verify", "FETCH_HEAD^{commit}")).strip()
        await self.check_out(commit)
        if self.source.subdir and not await anyio.Path(self.root_of(commit)).is_dir():
            raise self._failed(f"commit {commit[:12]} has no folder {self.source.subdir!r}")
        await asyncio.to_thread(self._point_at, commit)
        return commit

    async def check_out(self, commit: str) -> None:
        """The files of the commit are in their folder afterwards. Raises GitFailed."""
        files = self.folder / "commits" / commit
        if await anyio.Path(files).is_dir():
            return
        copy, draft = self.folder / "repository.git", self.folder / "draft"
        await asyncio.to_thread(_clear, draft)
        await anyio.Path(files.parent).mkdir(parents=True, exist_ok=True)
        await self._git("-C", str(copy), "worktree", "prune")
        await self._git("-C", str(copy), "worktree", "add", "--quiet", "--force", "--detach", str(draft), commit)
        await self._git("-C", str(copy), "worktree", "move", str(draft), str(files))  # half a checkout is never seen

    async def clean(self, in_use: Collection[str]) -> list[str]:
        """Removes the files of commits that are not in use, but for the latest. Returns those commits."""
        gone = await asyncio.to_thread(self._remove_unused, in_use)
        if gone:
            await self._git("-C", str(self.folder / "repository.git"), "worktree", "prune")
        return gone

    def commits_in(self, filelocs: Collection[str]) -> set[str]:
        """The commits whose files these are."""
        prefix = f"{self.folder / 'commits'}/"
        return {file[len(prefix) :].partition("/")[0] for file in filelocs if file.startswith(prefix)}

    def _point_at(self, commit: str) -> None:
        draft = self.folder / "current.new"
        draft.write_text(commit, encoding="ascii")
        draft.replace(self.folder / "current")
        os.utime(self.folder / "commits" / commit)

    def _remove_unused(self, in_use: Collection[str]) -> list[str]:
        folder = self.folder / "commits"
        by_age = sorted(folder.iterdir(), key=lambda entry: entry.stat().st_mtime, reverse=True)
        gone = [entry for entry in by_age[KEPT:] if entry.name not in in_use]
        for entry in gone:
            shutil.rmtree(entry, ignore_errors=True)
        return [entry.name for entry in gone]

    async def _git(self, *arguments: str) -> str:
        """What git printed. Raises GitFailed."""
        environment = {**os.environ, **_QUIET}
        for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
            environment.pop(name, None)  # of whoever started us from a hook
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                *arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=pipe,
                stderr=pipe,
                env=environment,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            raise self._failed("there is no program git; install it on this machine") from error
        try:
            async with asyncio.timeout(TIMEOUT):
                output, errors = await process.communicate()
        except TimeoutError as error:
            raise self._failed(f"git did not answer within {TIMEOUT:g} s") from error
        finally:
            await _end(process)
        if process.returncode:
            raise self._failed(self._reason(errors.decode("utf-8", "replace")))
        return output.decode("utf-8", "replace")

    def _reason(self, said: str) -> str:
        hint = next((text for sign, text in _REASONS if sign.lower() in said.lower()), "git failed")
        shown = said.strip().replace(self.source.url, without_password(self.source.url))
        return f"{hint.format(ref=self.source.ref)}\n{shown}"

    def _failed(self, reason: str) -> GitFailed:
        return GitFailed(f"bundle {self.source.name!r} from {without_password(self.source.url)}: {reason}")


async def _end(process: asyncio.subprocess.Process) -> None:
    """Git and what it has started (ssh) are gone afterwards."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, 9)
    with anyio.CancelScope(shield=True):
        await process.wait()


def _clear(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
