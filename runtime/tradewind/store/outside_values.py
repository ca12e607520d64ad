"""Large values outside the database: files of a folder, or objects of a store such as S3.

Each lies under the hash of its content, a moment and a few random digits: `ab/ab12….66aa00ff1c2d3e4f`. The
database says which of them stands for a hash, so equal values share one. Nobody ever writes to a name that has
been there before; so what no row names, and is older than any batch, can be deleted without asking who else may be
about to name it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import tempfile
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from tradewind.model.errors import ConfigError, XComError

T = TypeVar("T")

AT_ONCE: Final = 4
"""Threads in which values are written and read: a store that hangs holds up nothing else."""

PENDING_MAX: Final = 10_000
"""Values that are put aside and not committed yet; each is a hash and an address."""

_NAME: Final = re.compile(r"(?P<digest>[0-9a-f]{64})\.(?P<seconds>[0-9a-f]{8})[0-9a-f]{8}$")


class Files(Protocol):
    """Where values lie. All of it blocks."""

    def write(self, name: str, data: bytes) -> None:
        """Writes a new file, whole and durable when it returns."""
        ...

    def read(self, name: str) -> bytes:
        """Its bytes. Raises OSError."""
        ...

    def delete(self, name: str) -> None:
        """Deletes it, if it is there."""
        ...

    def names(self) -> Iterable[str]:
        """All names, of files of other kinds too."""
        ...


class FolderFiles:
    """Files of a folder of this machine, or of one that it has mounted."""

    def __init__(self, root: str) -> None:
        self._root = Path(root)

    def write(self, name: str, data: bytes) -> None:
        """By a rename of what is on the disk already."""
        path = self._root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(unfinished).rename(path)
        except BaseException:
            with suppress(OSError):
                Path(unfinished).unlink()
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def read(self, name: str) -> bytes:
        """The file."""
        return (self._root / name).read_bytes()

    def delete(self, name: str) -> None:
        """The file, and its folder where it is empty then."""
        path = self._root / name
        path.unlink(missing_ok=True)
        with suppress(OSError):
            path.parent.rmdir()

    def names(self) -> Iterable[str]:
        """Also unfinished ones, whose names mean nothing."""
        return (f"{path.parent.name}/{path.name}" for path in self._root.glob("*/*"))


class StoredObjects:
    """Objects of whatever kind of store fsspec knows."""

    def __init__(self, root: str, options: Mapping[str, Any]) -> None:
        from tradewind.authoring.object_storage import ObjectStoragePath

        self._root = ObjectStoragePath(root, **options)

    def write(self, name: str, data: bytes) -> None:
        """One object."""
        (self._root / name).write_bytes(data)

    def read(self, name: str) -> bytes:
        """The object."""
        return (self._root / name).read_bytes()

    def delete(self, name: str) -> None:
        """The object."""
        (self._root / name).unlink(missing_ok=True)

    def names(self) -> Iterable[str]:
        """Of all objects below the address."""
        fs: Any = self._root.fs
        fs.invalidate_cache()
        with suppress(FileNotFoundError):
            return ["/".join(str(found).rsplit("/", 2)[1:]) for found in fs.find(self._root.path)]
        return []


class OutsideValues:
    """The configured place (`core.xcom_spill_path`), for the loop: whatever blocks is done in threads."""

    def __init__(self, place: str | None) -> None:
        """`place`: a folder or an address such as ``s3://connection@bucket/prefix``; None: values are read from
        wherever they lie, and new ones go into the database.
        """
        self.place = place
        self.pending: OrderedDict[bytes, str] = OrderedDict()
        """Hash to address of values that are put aside for a batch to come."""
        self.connection_text: Callable[[str], Awaitable[str | None]] | None = None
        """Finds the connection that the address names."""
        self.installation: Callable[[], Awaitable[str]] | None = None
        """Finds what sets this installation apart from all others."""
        self._root: str | None = None
        self._base: str | None = None
        self._options: Mapping[str, Any] = {}
        self._threads: ThreadPoolExecutor | None = None

    async def attach(self) -> None:
        """Settles where this installation's values go: those of others below the same address are not its own.
        Raises ConfigError, StoreUnavailable.
        """
        if self.place is None or self._root is not None or self.installation is None:
            return
        from tradewind.authoring.connection import Connection
        from tradewind.authoring.object_storage import storage_options_of, without_login

        base, conn_id = without_login(self.place)
        options: Mapping[str, Any] = {}
        if conn_id is not None:
            found = None if self.connection_text is None else await self.connection_text(conn_id)
            if found is None:
                raise ConfigError(f"core.xcom_spill_path = {self.place!r}: there is no connection {conn_id!r}")
            options = storage_options_of(Connection.from_text(conn_id, found), base.partition(":")[0])
        own = hashlib.sha256((await self.installation()).encode()).hexdigest()[:12]
        self._options = options
        self._base = folder_of(base) or base.rstrip("/")
        self._root = f"{self._base}/{own}"

    async def write(self, digest: bytes, data: bytes) -> str:
        """Writes the value; its address. Raises OSError, and what the store's library raises."""
        await self.attach()
        if self._root is None:
            raise ConfigError("core.xcom_spill_path is not set")
        text = digest.hex()
        name = f"{text[:2]}/{text}.{int(time.time()):08x}{secrets.token_hex(4)}"
        await self._in_thread(lambda: self._files(self._root or "").write(name, data))
        return f"{self._root}/{name}"

    async def read(self, digest: bytes, address: str) -> bytes:
        """The value of this hash. Raises XComError."""
        await self.attach()
        root, name = split(address)

        def read() -> bytes:
            data = self._files(root).read(name)
            if hashlib.sha256(data).digest() != digest:
                raise XComError(f"the value at {address} is damaged: it is not the one that was written")
            return data

        try:
            return await self._in_thread(read)
        except XComError:
            raise
        except Exception as error:  # whatever the library of a store raises
            raise XComError(f"the value at {address} cannot be read: {type(error).__name__}: {error}") from error

    async def delete(self, addresses: Sequence[str]) -> int:
        """Deletes those of this installation; how many. Raises OSError, and what the store's library raises."""
        await self.attach()
        own = [name for root, name in map(split, addresses) if root == self._root]

        def delete() -> None:
            files = self._files(self._root or "")
            for name in own:
                files.delete(name)

        if own:
            await self._in_thread(delete)
        return len(own)

    async def older_than(self, age: float) -> list[str]:
        """Addresses of this installation's values that were written more than `age` seconds ago."""
        await self.attach()
        if self._root is None:
            return []
        before = time.time() - age

        def look() -> list[str]:
            found: list[str] = []
            for name in self._files(self._root or "").names():
                match = _NAME.search(name)
                if match is not None and int(match["seconds"], 16) <= before:
                    found.append(f"{self._root}/{name}")
            return found

        return await self._in_thread(look)

    def expect(self, digest: bytes, address: str) -> None:
        """A batch to come will name the value."""
        self.pending[digest] = address
        while len(self.pending) > PENDING_MAX:
            self.pending.popitem(last=False)

    def close(self) -> None:
        """Ends the threads; nothing waits for a store that hangs."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)
            self._threads = None

    def _files(self, root: str) -> Files:
        folder = folder_of(root)
        if folder is not None:
            return FolderFiles(folder)
        return StoredObjects(root, self._options if root.rpartition("/")[0] == self._base else {})

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(AT_ONCE, "tradewind-values")
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)


def folder_of(address: str) -> str | None:
    """The folder that it is; None for an address of a store."""
    kind, mark, rest = address.partition("://")
    if not mark:
        return address.rstrip("/")
    return rest.rstrip("/") if kind == "file" else None


def split(address: str) -> tuple[str, str]:
    """(where the installation's values lie, name within it)."""
    root, folder, name = address.rsplit("/", 2)
    return root, f"{folder}/{name}"


def require_place(place: str) -> None:
    """Raises ConfigError for what is neither a folder's path from the root nor an address."""
    folder = folder_of(place)
    if folder is not None and not folder.startswith("/"):
        raise ConfigError(
            f"core.xcom_spill_path = {place!r} must be a folder's whole path, such as /var/lib/tradewind/values, or "
            "an address such as s3://bucket/prefix"
        )
