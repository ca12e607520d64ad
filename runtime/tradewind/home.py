"""What the home folder keeps: secrets that are made once and never leave it (mode 600)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tradewind.model.errors import ConfigError

FERNET_KEY: Final = "fernet.key"
WEB_SECRET: Final = "web.secret"  # noqa: S105  the name of a file
ADMIN_PASSWORD: Final = "admin.password"  # noqa: S105  the name of a file


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
