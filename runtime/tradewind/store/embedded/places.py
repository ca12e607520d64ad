"""Where the embedded server's files live, and under which user it runs.

All that must last is in `HOME/postgres`: `data`, the password, the server's log, the lock files. Two
things may have to live elsewhere:

- the *socket*: its path must be short and its folder closed to others. It is `HOME/postgres/run` where
  that is short enough, else a 0700 folder in the user's runtime directory or in the temporary one;
- started by root, the server runs as another user (`tradewind` if there is one, else `nobody`). Where
  that user cannot walk down to the home (homes below /root are closed), root opens the way for the one
  process only: it changes into the data directory first, and the server calls it `/proc/self/cwd`. So the
  data stays in the home and no folder has to be opened to anybody. Programs that this user cannot read
  are copied once to a folder it can.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from tradewind.store.embedded.binaries import Binaries
from tradewind.store.embedded.errors import EmbeddedError

SOCKET_PORT = 5432
_SOCKET_NAME = f".s.PGSQL.{SOCKET_PORT}"
_SOCKET_PATH_MAX = 100
_NETWORK_FILESYSTEMS = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "fuse.sshfs", "fuse.s3fs"})
OWN_CWD = "/proc/self/cwd"
_COPY_LAYOUT = 2  # copies that were laid out otherwise are not taken
_FIRST_TO_STAY_IN_CWD = 16  # older ones change folders, and back by name, to find out where they are installed


@dataclass(frozen=True, slots=True)
class Account:
    """The user that the server runs as. `switch` is set where that is not the user of this process."""

    uid: int
    gid: int
    switch: bool

    @classmethod
    def current(cls) -> Account:
        """This process's own user, or for root the one it drops to."""
        if os.geteuid() != 0:
            return cls(uid=os.geteuid(), gid=os.getegid(), switch=False)
        for name in ("tradewind", "nobody"):
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                continue
            return cls(uid=entry.pw_uid, gid=entry.pw_gid, switch=True)
        return cls(uid=65534, gid=65534, switch=True)

    def may(self, path: Path, bits: int) -> bool:
        """Whether this user's permission bits (of 0o7) on one existing path include `bits`."""
        facts = path.stat()
        if facts.st_uid == self.uid:
            granted = facts.st_mode >> 6
        elif facts.st_gid == self.gid:
            granted = facts.st_mode >> 3
        else:
            granted = facts.st_mode
        return granted & bits == bits

    def reaches(self, path: Path) -> bool:
        """Whether this user can walk down to `path` (not whether it may read it)."""
        return all(self.may(parent, 0o1) for parent in path.resolve().parents)

    def own(self, path: Path) -> None:
        """Give a path to this user."""
        if self.switch:
            os.chown(path, self.uid, self.gid)


@dataclass(frozen=True, slots=True)
class Places:
    """Every path of one home's server.

    `run` is the socket's folder; until `open_run` has decided it is only the first choice. `data_argument` is how the
    server itself calls its data directory, `reachable` whether its user can walk down to that directory.
    """

    root: Path
    run: Path
    account: Account
    data_argument: str
    reachable: bool

    @property
    def data(self) -> Path:
        """The data directory."""
        return self.root / "data"

    @property
    def log(self) -> Path:
        """What the server and its keeper say."""
        return self.root / "server.log"

    @property
    def password(self) -> Path:
        """The superuser's password, readable by the owner of the home alone."""
        return self.root / "password"

    @property
    def state(self) -> Path:
        """What the keeper writes about itself and the server, one JSON object."""
        return self.root / "server.json"

    @property
    def start_lock(self) -> Path:
        """See `locks`."""
        return self.root / "start.lock"

    @property
    def users_lock(self) -> Path:
        """See `locks`."""
        return self.root / "users.lock"

    @property
    def keeper_lock(self) -> Path:
        """See `locks`."""
        return self.root / "keeper.lock"


def prepare(home: Path) -> Places:
    """Make the folders of a home's server and say where everything is. Blocking.

    Raises:
        EmbeddedError: the home cannot be written, belongs to another user, or is on a network file system.
    """
    root = home.expanduser().absolute() / "postgres"
    account = Account.current()
    try:
        is_new = not root.exists()
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if is_new and account.switch:
            root.chmod(0o711)  # whatever the umask says
    except OSError as error:
        raise EmbeddedError(f"The folder {root} cannot be made: {error.strerror}. Choose another home.") from error
    root = root.resolve()
    if not os.access(root, os.W_OK | os.X_OK) or root.stat().st_uid != os.geteuid():
        raise EmbeddedError(
            f"The folder {root} belongs to another user. Run as that user, or choose another home for this one."
        )
    refuse_network(root, _mount_table())
    reachable = account.reaches(root / "data")
    if not reachable:
        _need_proc(root, account)
    argument = str(root / "data") if reachable else OWN_CWD
    return Places(root=root, run=root / "run", account=account, data_argument=argument, reachable=reachable)


def _need_proc(root: Path, account: Account) -> None:
    if not sys.platform.startswith("linux") or not Path(OWN_CWD).exists():
        raise EmbeddedError(
            f"Started by root, the database runs as user {account.uid}, who cannot reach {root}. "
            "Choose a home whose parent folders may be entered by everybody, or run as an ordinary user."
        )


def open_run(places: Places, last: Path | None) -> Places:
    """Decide on the socket's folder and make it: 0700 and owned by the server's user. Under the start lock.

    `last` is the folder of the server before, which is taken again where that can be: users know it by that path.

    Raises:
        EmbeddedError: no folder is short enough, reachable and ours.
    """
    refused: list[str] = []
    for folder in _run_choices(places, last):
        if len(os.fsencode(folder / _SOCKET_NAME)) > _SOCKET_PATH_MAX:
            refused.append(f"{folder} is too long")
            continue
        reason = _private(folder, places.account)
        if reason is None:
            return replace(places, run=folder)
        refused.append(reason)
    raise EmbeddedError("No folder for the database's socket: " + "; ".join(refused) + ".")


def _run_choices(places: Places, last: Path | None) -> Iterator[Path]:
    key = hashlib.sha256(os.fsencode(places.root)).hexdigest()[:12]
    if last is not None:
        yield last
    if places.reachable:
        yield places.root / "run"
    if places.account.switch:
        yield Path("/run") / f"tradewind-{key}"
    elif os.environ.get("XDG_RUNTIME_DIR"):
        yield Path(os.environ["XDG_RUNTIME_DIR"]) / f"tradewind-{key}"
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108 (the folder is 0700, and its owner is checked)
        yield Path(parent) / f"tradewind-{places.account.uid}-{key}"


def _private(folder: Path, account: Account) -> str | None:
    """Make `folder` 0700 for the server's user; the reason where somebody else has it."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        facts = folder.lstat()
        if not stat.S_ISDIR(facts.st_mode) or facts.st_uid not in (os.geteuid(), account.uid):
            return f"{folder} belongs to another user"
        if not account.reaches(folder):
            return f"{folder} cannot be reached by user {account.uid}"
        folder.chmod(0o700)
        account.own(folder)
    except OSError as error:
        return f"{folder}: {error.strerror}"
    return None


def readable_binaries(binaries: Binaries, account: Account) -> Binaries:
    """The same programs where the server's user can run them: themselves, or a copy made once. Blocking."""
    if not account.switch or _usable(binaries.folder, account):
        return binaries
    install = binaries.folder.parent
    facts = binaries.postgres.stat()
    mark = f"{_COPY_LAYOUT}:{install}:{binaries.version}:{facts.st_size}:{facts.st_mtime_ns}"
    name = f"postgresql-{binaries.version}-{hashlib.sha256(mark.encode()).hexdigest()[:12]}"
    for parent in (Path("/var/lib/tradewind"), Path("/var/tmp/tradewind-0")):  # noqa: S108 (owned by root, checked)
        copy = parent / name
        try:
            parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            if parent.lstat().st_uid != 0:
                continue
            if not copy.exists():
                _copy_install(install, copy)
        except OSError:
            if not copy.exists():  # unless another process made it meanwhile
                continue
        folder = copy / install.parent.name / install.name / "bin"
        if _usable(folder, account):
            return replace(binaries, folder=folder)
    raise EmbeddedError(
        f"Started by root, the database runs as user {account.uid}, who cannot read {install}, and no copy could be "
        "made in /var/lib/tradewind or /var/tmp. Install Tradewind where everybody can read it."
    )


def need_walkable(places: Places, binaries: Binaries) -> None:
    """Raise where these programs cannot start in a folder that their user cannot walk down to."""
    if not places.reachable and binaries.major < _FIRST_TO_STAY_IN_CWD:
        raise EmbeddedError(
            f"{binaries} cannot run as user {places.account.uid} in {places.root}, which that user cannot reach. "
            "Choose a home whose parent folders may be entered by everybody, or use PostgreSQL "
            f"{_FIRST_TO_STAY_IN_CWD} or newer."
        )


def _usable(folder: Path, account: Account) -> bool:
    needed = [folder / "postgres", folder / "initdb"]
    return all(account.reaches(path) and account.may(path.resolve(), 0o5) for path in needed) and all(
        account.may(path, 0o5) for path in (folder.parent / "share", folder.parent / "lib") if path.exists()
    )


def _copy_install(install: Path, copy: Path) -> None:
    """Copies a PostgreSQL, and its wheel's folder of shared libraries to where its programs look for them:
    ``COPY/PACKAGE/INSTALL/bin`` beside ``COPY/PACKAGE.libs``.
    """
    package = install.parent
    with tempfile.TemporaryDirectory(dir=copy.parent, prefix="copying-") as scratch:
        fresh = Path(scratch) / "all"
        home = fresh / package.name / install.name
        shutil.copytree(install, home, symlinks=True, ignore=shutil.ignore_patterns("include", "*.a"))
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, fresh / libraries.name, symlinks=True)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
        for path in (home / "bin").iterdir():
            path.chmod(0o755)
        fresh.rename(copy)


def _mount_table() -> str:
    try:
        return Path("/proc/self/mountinfo").read_text()
    except OSError:
        return ""


def refuse_network(root: Path, mountinfo: str) -> None:
    """Raise where `root` is on a network file system, by the text of /proc/self/mountinfo."""
    kind = filesystem_of(root, mountinfo)
    if kind in _NETWORK_FILESYSTEMS:
        raise EmbeddedError(
            f"{root} is on a network file system ({kind}), where neither file locks nor fsync can be relied on. "
            "Put the home on a local disk, or use a database of your own with `--database URL`."
        )


def filesystem_of(path: Path, mountinfo: str) -> str | None:
    """The type of the file system that holds `path`, by the text of /proc/self/mountinfo."""
    best: tuple[int, str] | None = None
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, rest = left.split(), right.split()
        if len(fields) < 5 or not rest:
            continue
        point = Path(fields[4].replace("\\040", " "))
        if path.is_relative_to(point) and (best is None or len(point.parts) >= best[0]):
            best = (len(point.parts), rest[0])
    return best[1] if best else None
