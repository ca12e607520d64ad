"""Makes and checks the data directory. Blocking: called from a thread, under the start lock."""

from __future__ import annotations

import os
import pwd
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tradewind.store.embedded.binaries import Binaries
from tradewind.store.embedded.errors import EmbeddedError
from tradewind.store.embedded.places import OWN_CWD, Account, Places

SUPERUSER = "tradewind"
DATABASE = "tradewind"
_INITDB_TIMEOUT_S = 300.0
_SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "shared_buffers": "32MB",
    "max_connections": "50",
    "jit": "off",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "logging_collector": "off",
    "password_encryption": "scram-sha-256",
    "cluster_name": "tradewind",
    "max_logical_replication_workers": "0",
}
_SYNC_AT_ONCE: Mapping[str, str] = {"recovery_init_sync_method": "syncfs"}
"""After a crash the data directory is synced before it is read: 1,500 files one by one take seconds where a disk is
slow to flush, the file system at once milliseconds. Its errors are told since Linux 5.8, other systems do not have it.
"""
_SINCE_18: Mapping[str, str] = {"io_method": "sync"}


def existing_major(places: Places) -> int | None:
    """The major version that made the data directory; None where there is none yet.

    Raises:
        EmbeddedError: the folder exists but is not a data directory.
    """
    try:
        text = (places.data / "PG_VERSION").read_text().strip()
    except FileNotFoundError:
        if places.data.exists():
            raise EmbeddedError(
                f"{places.data} exists but is not a PostgreSQL data directory (it has no PG_VERSION). "
                "Move it away, or choose another home."
            ) from None
        return None
    return int(text.partition(".")[0])


def system_identifier(places: Places) -> int:
    """The identifier that `initdb` gave to this data directory, as its control file holds it."""
    with (places.data / "global" / "pg_control").open("rb") as control:
        return int.from_bytes(control.read(8), sys.byteorder)


def create(places: Places, binaries: Binaries, password: str) -> None:
    """Make the data directory, its superuser with that password.

    It appears under its name only when it is whole and on disk.

    Raises:
        EmbeddedError: `initdb` failed; its own words are in the text.
    """
    fresh = places.root / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    places.account.own(fresh)
    handed = places.run / "initdb-password"
    handed.unlink(missing_ok=True)
    descriptor = os.open(handed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(password + "\n")
    places.account.own(handed)
    try:
        _run_initdb(places, binaries, fresh, handed)
    finally:
        handed.unlink(missing_ok=True)
    fresh.rename(places.data)
    descriptor = os.open(places.root, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _run_initdb(places: Places, binaries: Binaries, fresh: Path, password_file: Path) -> None:
    account = places.account
    argument = OWN_CWD if places.data_argument == OWN_CWD else str(fresh)
    command = [
        *_with_a_name(account),
        str(binaries.initdb),
        "-D", argument,
        "-U", SUPERUSER,
        f"--pwfile={password_file}",
        "--auth=scram-sha-256",
        "--encoding=UTF8",
        "--data-checksums",
        "--no-instructions",
        *_locale(binaries),
    ]  # fmt: skip
    answer = subprocess.run(
        command,
        cwd=fresh,
        env=server_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_INITDB_TIMEOUT_S,
        check=False,
        user=account.uid if account.switch else None,
        group=account.gid if account.switch else None,
        extra_groups=[] if account.switch else None,
        start_new_session=True,  # Ctrl-C is for us: we stop when it is through
    )
    if answer.returncode != 0:
        shutil.rmtree(fresh, ignore_errors=True)
        said = (answer.stderr or answer.stdout).strip()
        if "could not look up effective user ID" in said or "unshare:" in said:
            said += f"\nGive user {account.uid} an entry in /etc/passwd, or use a database of your own."
        raise EmbeddedError(f"{binaries} could not make its data directory in {places.data}:\n{said}")


def _with_a_name(account: Account) -> list[str]:
    """`initdb` wants a user that /etc/passwd knows, which a container's user may not be.

    Such a user runs it, where the system allows that, in a user namespace in which it is called `nobody`.
    """
    try:
        pwd.getpwuid(account.uid)
    except KeyError:
        unshare = shutil.which("unshare")
        if unshare is not None:
            return [unshare, "--user", "--map-user=65534", "--map-group=65534"]
    return []


def _locale(binaries: Binaries) -> list[str]:
    if binaries.major >= 17:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C.UTF-8" if sys.platform.startswith("linux") else "--locale=C"]


def server_environment() -> dict[str, str]:
    """All that the programs of PostgreSQL see of our environment."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def server_command(places: Places, binaries: Binaries, settings: Mapping[str, str]) -> list[str]:
    """The command line of the server; `settings` overrides ours."""
    merged = {
        **_SETTINGS,
        **(_SYNC_AT_ONCE if _tells_of_errors_in_syncfs() else {}),
        **(_SINCE_18 if binaries.major >= 18 else {}),
        "unix_socket_directories": '"' + str(places.run).replace('"', '""') + '"',
        "unix_socket_permissions": "0700",
        **settings,
    }
    command = [str(binaries.postgres), "-D", places.data_argument]
    for name, value in merged.items():
        command += ["-c", f"{name}={value}"]
    return command


def _tells_of_errors_in_syncfs() -> bool:
    if not sys.platform.startswith("linux"):
        return False
    release = [int(number) for number in re.findall(r"\d+", os.uname().release)[:2]]
    return release >= [5, 8]


def read_password(places: Places) -> str:
    """The superuser's password; made, and kept in a 0600 file, when it is first asked for."""
    try:
        return places.password.read_text().strip()
    except FileNotFoundError:
        pass
    if places.data.exists():
        raise EmbeddedError(
            f"{places.password} is gone, and with it the password of the database in {places.data}. "
            "Put the file back from a copy of the home."
        )
    password = secrets.token_urlsafe(24)
    scratch = places.password.with_suffix(".new")
    scratch.unlink(missing_ok=True)
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(password + "\n")
        file.flush()
        os.fsync(descriptor)
    scratch.rename(places.password)
    return password
