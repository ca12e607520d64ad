"""Git repositories as bundles: real repositories, the real git program, the memory store."""

from __future__ import annotations

import asyncio
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.bundles.test_watcher import DAG, Place
from tradewind.bundles.bundle_list import BundleSource, bundle_list
from tradewind.bundles.git import KEPT, GitFailed, GitRepository


class Repository:
    """A repository that somebody commits to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self("init", "--quiet", "--initial-branch", "main")

    def __call__(self, *arguments: str) -> str:
        who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", "-C", str(self.folder), *who, *arguments], check=True, stdout=subprocess.PIPE)
        return done.stdout.decode().strip()

    def commit(self, **files: str | None) -> str:
        """Writes modules (None: removes), commits, and returns the commit."""
        for name, text in files.items():
            path = self.folder / "dags" / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_text(text)
        self("add", "--all")
        self("commit", "--quiet", "--allow-empty", "--message", "change")
        return self("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def source(repository: Repository) -> BundleSource:
    return BundleSource("team", "git", url=str(repository.folder), ref="main", subdir="dags")


def _flow(dag_id: str, number: int) -> str:
    return f"{DAG}import shared\nd = DAG({dag_id!r}, schedule=None)  # {number}\n"


async def current(copy: GitRepository) -> str | None:
    return await asyncio.to_thread(copy.current)


async def test_each_commit_has_files_of_its_own(repository: Repository, source: BundleSource, tmp_path: Path) -> None:
    copy = GitRepository(source, tmp_path / "cache")
    assert await current(copy) is None
    first = repository.commit(flow="1")
    assert await copy.refresh() == await current(copy) == first
    second = repository.commit(flow="2")
    assert await copy.refresh() == await current(copy) == second
    texts = [(copy.root_of(commit) / "flow.py").read_text() for commit in (first, second)]
    assert texts == ["1", "2"]
    repository("tag", "v1", first)
    assert await GitRepository(replace(source, ref="v1"), tmp_path / "other").refresh() == first
    repository("reset", "--quiet", "--hard", first)
    assert await copy.refresh() == first, "a branch that was set back is followed"


async def test_commits_that_nobody_uses_go(repository: Repository, source: BundleSource, tmp_path: Path) -> None:
    copy = GitRepository(source, tmp_path / "cache")
    commits: list[str] = []
    for number in range(KEPT + 2):
        commits.append(repository.commit(flow=str(number)))
        await copy.refresh()
    used = str(copy.root_of(commits[0]) / "flow.py")
    assert await copy.clean(copy.commits_in([used, "/elsewhere/flow.py"])) == [commits[1]]
    assert not copy.root_of(commits[1]).exists()
    await copy.check_out(commits[1])
    assert (copy.root_of(commits[1]) / "flow.py").read_text() == "1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ref": "nowhere"}, "no branch or tag 'nowhere'"),
        ({"subdir": "flows"}, "has no folder 'flows'"),
        ({"url": "/nonexistent/repository"}, "no git repository at this address"),
        ({"url": "http://user:geheim@127.0.0.1:1/x.git"}, "cannot be reached"),
    ],
)
async def test_what_is_wrong_is_said_without_passwords(
    repository: Repository, source: BundleSource, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    repository.commit(flow="1")
    with pytest.raises(GitFailed, match="bundle 'team'") as caught:
        await GitRepository(replace(source, **change), tmp_path / "cache").refresh()  # type: ignore[arg-type]  # texts
    assert said in caught.value.message
    assert "geheim" not in caught.value.message


async def test_a_refused_login(source: BundleSource, tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(
            b'HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm="x"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
        )
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        for url in (f"http://ada:geheim@127.0.0.1:{port}/x.git", f"http://127.0.0.1:{port}/x.git"):
            with pytest.raises(GitFailed, match=r"login was refused|it wants a login"):
                await GitRepository(replace(source, url=url), tmp_path / "cache").refresh()


async def test_without_git(source: BundleSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitFailed, match="no program git; install it"):
        await GitRepository(source, tmp_path / "cache").refresh()


@pytest.mark.spec("3:D03", "3:D08", "3:D10")
async def test_a_repository_in_force(repository: Repository, tmp_path: Path) -> None:
    """A commit, a refresh that somebody asks for, a file that goes, a branch that is gone and comes back."""
    repository.commit(shared="X = 1", flow=_flow("flow", 1), other=f"{DAG}d = DAG('other', schedule=None)")
    (tmp_path / "home").mkdir()
    place = Place(tmp_path / "home")
    bundle = {"name": "team", "kind": "git", "url": str(repository.folder), "subdir": "dags", "refresh_interval": 3600}
    place.overrides["dags.bundles"] = json.dumps([bundle, {"name": "dags"}])
    place.dag("local.py", "local")
    copy = GitRepository(bundle_list(json.dumps([bundle]))[0], place.home / "cache" / "bundles")

    async with place.watching():
        first = {row.dag_id: row for row in await place.store.dag_list()}
        assert first.keys() == {"flow", "other", "local"}
        assert first["flow"].source.fileloc == str(copy.root_of(await current(copy) or "") / "flow.py")

        commit = repository.commit(shared="X = 2", other=None)
        copy.refresh_file.touch()

        async def replaced() -> bool:
            rows = {row.dag_id: row for row in await place.store.dag_list() if row.is_active}
            return rows.keys() == {"flow", "local"} and rows["flow"].source.bundle_version == commit

        await place.until(replaced)
        now = await place.store.dag_get("flow")
        assert now is not None
        assert now.version_hash != first["flow"].version_hash, "what it imports has changed"
        old = await place.store.dag_version_get("flow", first["flow"].version_hash)
        assert old is not None
        assert await asyncio.to_thread(Path(old.source.fileloc).is_file), "runs of before have their files"

        repository("branch", "--move", "main", "away")
        copy.refresh_file.touch()

        async def told() -> bool:
            return any("no branch or tag 'main'" in e.stack_trace for e in await place.store.import_error_list())

        await place.until(told)
        repository("branch", "--move", "away", "main")
        copy.refresh_file.touch()

        async def well() -> bool:
            return not await place.store.import_error_list()

        await place.until(well)

    published = len(place.published)
    async with place.watching():
        assert {row.dag_id for row in await place.store.dag_list() if row.is_active} == {"flow", "local"}
    assert not any(place.published[published:]), "the same commit again changes nothing"
