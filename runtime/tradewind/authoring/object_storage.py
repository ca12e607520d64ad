"""`ObjectStoragePath`: files and objects anywhere, by one kind of path.

::

    folder = ObjectStoragePath("s3://my_conn@bucket/data")
    with (folder / "a.csv").open() as file: ...

It stands on fsspec and universal_pathlib, which `pip install 'tradewind[object-storage]'` installs, with the
library of each store (s3fs, gcsfs …) beside them. A path can be returned from a task and is whole again in the next.
"""

from __future__ import annotations

import importlib
import shutil
from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from typing import IO, Any, Final

from tradewind.authoring.connection import Connection
from tradewind.authoring.object_names import StoragePathNames
from tradewind.model.errors import AuthoringError

_ON_THIS_MACHINE: Final = frozenset({"", "file", "local", "memory"})


class ObjectStoragePath(StoragePathNames):
    """A path in a store, such as ``s3://bucket/key``, ``file:///data/x`` or ``memory://x``.

    `conn_id` (or a login in the address: ``s3://conn_id@bucket/key``) names the connection whose login, password
    and extra the store's library is given, when the path is first used. Raises AuthoringError for a kind of store
    that is unknown, and on use where a library is missing.
    """

    __version__ = 1

    def __init__(self, path: object, *more: object, conn_id: str | None = None, **storage_options: Any) -> None:
        if isinstance(path, ObjectStoragePath):
            conn_id = conn_id or path.conn_id
            storage_options = {**path.storage_options, **storage_options}
        text, found = without_login(str(path))
        self.conn_id: str | None = conn_id or found
        self.storage_options: dict[str, Any] = storage_options
        made = _upath(text)
        self._path: Any = made.joinpath(*map(str, more)) if more else made

    @cached_property
    def _stored(self) -> Any:
        """The path with what its store wants: asked for on first use, so that DAG files load without the store."""
        return _with_store(str(self._path), self._options)

    @cached_property
    def _options(self) -> Mapping[str, Any]:
        if self.conn_id is None:
            return self.storage_options
        return {**storage_options_of(Connection.get(self.conn_id), self.protocol), **self.storage_options}

    # ------------------------------------------------------------------ the path itself

    @property
    def fs(self) -> Any:
        """The file system of fsspec."""
        return self._stored.fs

    def as_uri(self) -> str:
        """The address with its kind."""
        text = str(self._path)
        return text if "://" in text else f"file://{text}"

    def __str__(self) -> str:
        text = self.as_uri() if self.protocol != "file" else str(self._path)
        kind, mark, rest = text.partition("://")
        return f"{kind}://{self.conn_id}@{rest}" if self.conn_id and mark and kind not in _ON_THIS_MACHINE else text

    def __fspath__(self) -> str:
        if self.protocol not in ("file", "local"):
            raise TypeError(f"{self} is not on this machine; open it with .open(), or copy it here first")
        return self.path

    def __repr__(self) -> str:
        return f"ObjectStoragePath({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ObjectStoragePath) and (self.as_uri(), self.conn_id) == (other.as_uri(), other.conn_id)

    def __hash__(self) -> int:
        return hash((self.as_uri(), self.conn_id))

    def __lt__(self, other: ObjectStoragePath) -> bool:
        return self.as_uri() < other.as_uri()

    # ------------------------------------------------------------------ what is there

    def exists(self) -> bool:
        """Whether there is anything."""
        return bool(self._stored.exists())

    def is_file(self) -> bool:
        """Whether it is a file or an object."""
        return bool(self._stored.is_file())

    def is_dir(self) -> bool:
        """Whether it is a folder, or a prefix of objects."""
        return bool(self._stored.is_dir())

    def iterdir(self) -> Iterator[ObjectStoragePath]:
        """What lies in the folder."""
        return (self._like(item) for item in self._stored.iterdir())

    def glob(self, pattern: str) -> Iterator[ObjectStoragePath]:
        """What lies below it and matches the pattern."""
        return (self._like(item) for item in self._stored.glob(pattern))

    def rglob(self, pattern: str) -> Iterator[ObjectStoragePath]:
        """What lies below it, however deep, and matches the pattern."""
        return (self._like(item) for item in self._stored.rglob(pattern))

    def size(self) -> int:
        """How many bytes the file has."""
        return int(self.fs.size(self.path))

    def samefile(self, other: object) -> bool:
        """Whether the other path is the same file."""
        return isinstance(other, ObjectStoragePath) and self.samestore(other) and self.resolve() == other.resolve()

    def resolve(self, *, strict: bool = False) -> ObjectStoragePath:
        """The path without `.` and `..`, and on this machine without links."""
        del strict
        return self._like(self._path.resolve())

    absolute = resolve

    def stat(self) -> Any:
        """Size and times, as the store gives them."""
        return self._stored.stat()

    def checksum(self) -> int:
        """A number that changes with the content."""
        found: int = self.fs.checksum(self.path)
        return found

    def ukey(self) -> str:
        """A text that changes with the file."""
        return str(self.fs.ukey(self.path))

    def sign(self, expiration: int = 100, **options: Any) -> str:
        """An address of the file that anybody may read for `expiration` seconds, where the store has such."""
        return str(self.fs.sign(self.path, expiration=expiration, **options))

    # ------------------------------------------------------------------ reading and writing

    def open(self, mode: str = "r", **options: Any) -> IO[Any]:
        """Opens it like a file."""
        file: IO[Any] = self._stored.open(mode, **options)
        return file

    def read_text(self, encoding: str = "utf-8") -> str:
        """Its text."""
        return str(self._stored.read_text(encoding=encoding))

    def read_bytes(self) -> bytes:
        """Its bytes."""
        return bytes(self._stored.read_bytes())

    def read_block(self, offset: int, length: int | None, delimiter: bytes | None = None) -> bytes:
        """`length` bytes (None: all) from `offset` on; with a `delimiter` only whole records."""
        return bytes(self.fs.read_block(self.path, offset=offset, length=length, delimiter=delimiter))

    def touch(self, *, exist_ok: bool = True) -> None:
        """Makes an empty file where there is none; one that is there counts as changed now."""
        self._stored.touch(exist_ok=exist_ok)

    def write_text(self, text: str, encoding: str = "utf-8") -> int:
        """Puts the text in its place."""
        self._stored.write_text(text, encoding=encoding)
        return len(text)

    def write_bytes(self, data: bytes) -> int:
        """Puts the bytes in its place."""
        self._stored.write_bytes(data)
        return len(data)

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Makes the folder. `mode` is what pathlib has there; stores have no such thing."""
        del mode
        self._stored.mkdir(parents=parents, exist_ok=exist_ok)

    def unlink(self, missing_ok: bool = False) -> None:
        """Deletes the file."""
        self._stored.unlink(missing_ok=missing_ok)

    def rmdir(self, recursive: bool = True) -> None:
        """Deletes the folder with all in it."""
        self.fs.rm(self.path, recursive=recursive)

    def copy(self, dst: object, recursive: bool = True, **options: Any) -> ObjectStoragePath:
        """Copies the file, or the folder with all in it, also into another store. Returns where it is now.

        `options` are those of the store where `dst` is a text. Raises IsADirectoryError for a folder with
        `recursive=False`.
        """
        there = dst if isinstance(dst, ObjectStoragePath) else ObjectStoragePath(dst, **options)
        if self.is_dir():
            if not recursive:
                raise IsADirectoryError(f"{self} is a folder: copy it with recursive=True")
            there.mkdir(parents=True, exist_ok=True)
            for item in self.iterdir():
                item.copy(there / item.name)
            return there
        if there.is_dir():
            there = there / self.name
        with self.open("rb") as source, there.open("wb") as sink:
            shutil.copyfileobj(source, sink)
        return there

    def move(self, path: object, recursive: bool = True, **options: Any) -> ObjectStoragePath:
        """Copies and deletes here."""
        there = self.copy(path, recursive, **options)
        if self.is_dir():
            self.rmdir()
        else:
            self.unlink()
        return there

    def rename(self, target: object) -> ObjectStoragePath:
        """Moves it within its store. A text that names no store is a path in this one."""
        if isinstance(target, ObjectStoragePath) or "://" in str(target):
            return self.move(target)
        return self.move(self._like(_upath(_in_store(self.protocol, str(target)))))

    replace = rename

    # ------------------------------------------------------------------ through XCom

    def serialize(self) -> dict[str, Any]:
        """What an XCom keeps."""
        return {"path": str(self), "conn_id": self.conn_id, "options": self.storage_options}

    @staticmethod
    def deserialize(data: dict[str, Any], version: int) -> ObjectStoragePath:
        """The path that `serialize` wrote."""
        del version
        return ObjectStoragePath(data["path"], conn_id=data["conn_id"], **data["options"])


def _in_store(kind: str, path: str) -> str:
    return path if kind in ("file", "local") else f"{kind}://{path.lstrip('/') if kind != 'memory' else path}"


def attach(protocol: str | None = None, conn_id: str | None = None, **unused: Any) -> ObjectStoragePath:
    """The root of a store: `attach("s3", "my_conn") / "bucket" / "key"`."""
    del unused
    return ObjectStoragePath(f"{protocol or 'file'}:///", conn_id=conn_id)


def without_login(text: str) -> tuple[str, str | None]:
    """The address without the connection that its login names."""
    kind, mark, rest = text.partition("://")
    host, slash, path = rest.partition("/")
    login, at, place = host.rpartition("@")
    if not mark or not at or ":" in login or kind in _ON_THIS_MACHINE:
        return text, None
    return f"{kind}://{place}{slash}{path}", login


def storage_options_of(connection: Connection, kind: str) -> dict[str, Any]:
    """A connection as the library of a store of this kind wants it."""
    extra: dict[str, Any] = dict(connection.extra_dejson)
    if kind in ("s3", "s3a"):
        client: dict[str, Any] = {}
        if extra.get("endpoint_url"):
            client["endpoint_url"] = extra["endpoint_url"]
        if extra.get("region_name"):
            client["region_name"] = extra["region_name"]
        return {"key": connection.login, "secret": connection.password, "client_kwargs": client}
    named = {"username": connection.login, "password": connection.password, "host": connection.host}
    return {name: value for name, value in {**named, "port": connection.port, **extra}.items() if value is not None}


@cache
def _library() -> Any:
    try:
        return importlib.import_module("upath")
    except ImportError as why:
        raise AuthoringError(
            "ObjectStoragePath needs universal_pathlib and fsspec: pip install 'tradewind[object-storage]'"
        ) from why


def _upath(text: str) -> Any:
    try:
        return _library().UPath(text)
    except (ImportError, ValueError) as why:
        raise AuthoringError(f"ObjectStoragePath({text!r}): {why}") from why


def _with_store(text: str, options: Mapping[str, Any]) -> Any:
    try:
        made = _library().UPath(text, **options)
        _ = made.fs
    except (ImportError, ValueError) as why:
        raise AuthoringError(f"ObjectStoragePath({text!r}): {why}") from why
    return made
