"""Which version of Airflow a DAG file is written for: some defaults follow it."""

from __future__ import annotations

import re
from functools import lru_cache
from importlib.machinery import SourceFileLoader
from typing import Final

_IMPORTS: Final = re.compile(rb"^\s*(?:from|import)\s+airflow\b(\.sdk\b)?", re.MULTILINE)


def written_for(source: bytes) -> int | None:
    """3 for a source that imports `airflow.sdk`, 2 for one that imports other names of airflow only, else None."""
    found = {match.group(1) is not None for match in _IMPORTS.finditer(source)}
    if not found:
        return None
    return 3 if True in found else 2


@lru_cache(maxsize=64)
def file_written_for(fileloc: str) -> int | None:
    """The same of a file that is run by itself; None where it cannot be read. It is read once, as an import does it."""
    try:
        return written_for(SourceFileLoader("source", fileloc).get_data(fileloc))
    except OSError:
        return None
