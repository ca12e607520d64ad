"""DAG files packed into a zip: the modules at its root define DAGs, everything in it can be imported by them."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Final

MAX_TEXT: Final = 16 << 20
"""Bytes of one module; more is no DAG file, or a bomb."""


class PackedError(ValueError):
    """The archive cannot be read; the message says why."""


def is_packed(path: Path | str) -> bool:
    """Whether this is the name of an archive."""
    return str(path).endswith(".zip")


def packed_modules(content: bytes) -> dict[str, bytes]:
    """The modules at the root of the archive, by file name, in its order. Raises PackedError."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            return {
                entry.filename: _text(archive, entry)
                for entry in archive.infolist()
                if "/" not in entry.filename and entry.filename.endswith(".py") and entry.filename != "__init__.py"
            }
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, OSError) as error:
        raise PackedError(f"it is no zip archive that can be read: {error}") from error


def _text(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    if entry.file_size > MAX_TEXT:
        raise PackedError(f"its file {entry.filename} has {entry.file_size:,} bytes; {MAX_TEXT:,} are possible")
    return archive.read(entry)


def joined(modules: dict[str, bytes]) -> bytes:
    """The texts of all modules one after another, for views."""
    return b"\n\n".join(b"# " + name.encode() + b"\n\n" + text for name, text in modules.items())
