"""What the home folder keeps: secrets that are made once and never leave it (mode 600), and where its server is."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tradewind.model.errors import ConfigError

FERNET_KEY: Final = "fernet.key"
WEB_SECRET: Final = "web.secret"  # noqa: S105  the name of a file
ADMIN_PASSWORD: Final = "admin.password"  # noqa: S105  the name of a file

WEB_ADDRESS: Final = "web.address"


def tell_address(home: Path, url: str) -> None:
    """Notes where a server of this home listens, for commands that ask it. Of several the latest counts. In a home that
    cannot be written to it stays untold.
    """
    with contextlib.suppress(OSError):
        (home / WEB_ADDRESS).write_text(url + "\n")


def told_address(home: Path) -> str | None:
    """Where the server of this home listens; None where none runs."""
    try:
        return (home / WEB_ADDRESS).read_text().strip() or None
    except OSError:
        return None


def forget_address(home: Path, url: str) -> None:
    """The server at this address has stopped."""
    if told_address(home) == url:
        with contextlib.suppress(OSError):
            (home / WEB_ADDRESS).unlink()


def kept_secret(home: Path, name: str, make: Callable[[], str]) -> str:
    """The secret in the file, made at first use. Raises ConfigError if it cannot be read or kept."""
    path = home / name
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        secret = make()
        return secret if keep_secret(path, secret) else path.read_text().strip()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def keep_secret(path: Path, secret: str) -> bool:
    """Writes a new file that only its owner can read. False if there is one already."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return False
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    with os.fdopen(file, "w") as out:
        out.write(secret + "\n")
    return True
