"""A secrets back end of files beside the runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from tradewind.authoring.connection import Connection
from tradewind.authoring.secrets_backend import BaseSecretsBackend
from tradewind.services.secret_files import Entries, read_connections, read_variables


class _Kept(NamedTuple):
    stamp: tuple[int, int]
    entries: Entries


class LocalFilesystemBackend(BaseSecretsBackend):
    """Variables and connections of JSON, YAML or env files, read anew when a file has changed."""

    def __init__(self, variables_file_path: str | None = None, connections_file_path: str | None = None) -> None:
        self._variables = None if variables_file_path is None else Path(variables_file_path)
        self._connections = None if connections_file_path is None else Path(connections_file_path)
        self._kept: dict[Path, _Kept] = {}

    def get_variable(self, key: str) -> str | None:
        """The variable's text. Raises ConfigError, ValueError where file or entry cannot be read."""
        entry = self._entry(self._variables, key, variables=True)
        return None if entry is None else entry.value

    def get_connection(self, conn_id: str) -> Connection | None:
        """The connection. Raises ConfigError, ValueError where file or entry cannot be read."""
        found: Connection | None = self._entry(self._connections, conn_id, variables=False)
        return found

    def get_conn_value(self, conn_id: str) -> str | None:
        """The connection as JSON text."""
        found = self.get_connection(conn_id)
        return None if found is None else found.stored_text()

    def _entry(self, path: Path | None, name: str, *, variables: bool) -> Any:
        if path is None:
            return None
        stat = path.stat()
        stamp = (stat.st_mtime_ns, stat.st_size)
        kept = self._kept.get(path)
        if kept is None or kept.stamp != stamp:
            entries = read_variables(path) if variables else read_connections(path)
            kept = self._kept[path] = _Kept(stamp, entries)
        if name in kept.entries.bad:
            raise ValueError(f"{path}: {name!r}: {kept.entries.bad[name]}")
        return kept.entries.good.get(name)
