"""What can be said of a path in a store without asking the store: its parts, and paths made of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any, Self


class StoragePathNames:
    """The names in a path, as `pathlib` has them. Paths made of it are of the same store."""

    _path: Any
    conn_id: str | None

    def _like(self, made: Any) -> Self:
        """Another path of the same store; what is known about the store is kept."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__, _path=made)
        other.__dict__.pop("_stored", None)
        return other

    def __truediv__(self, part: object) -> Self:
        return self._like(self._path / str(part))

    def joinpath(self, *parts: object) -> Self:
        """The path with more parts."""
        return self._like(self._path.joinpath(*map(str, parts)))

    def with_name(self, name: str) -> Self:
        """The path with another last part."""
        return self._like(self._path.with_name(name))

    def with_stem(self, stem: str) -> Self:
        """The path with another last part before the suffix."""
        return self._like(self._path.with_stem(stem))

    def with_suffix(self, suffix: str) -> Self:
        """The path with another suffix."""
        return self._like(self._path.with_suffix(suffix))

    @property
    def parent(self) -> Self:
        """The folder that it is in."""
        return self._like(self._path.parent)

    @property
    def parents(self) -> Sequence[Self]:
        """The folders above it, the nearest first."""
        return tuple(self._like(one) for one in self._path.parents)

    @property
    def parts(self) -> tuple[str, ...]:
        """Its parts."""
        return tuple(map(str, self._path.parts))

    @property
    def name(self) -> str:
        """Its last part."""
        return str(self._path.name)

    @property
    def stem(self) -> str:
        """Its last part without the suffix."""
        return str(self._path.stem)

    @property
    def suffix(self) -> str:
        """The ending of its last part, such as `.csv`."""
        return str(self._path.suffix)

    @property
    def suffixes(self) -> list[str]:
        """All endings of its last part, such as `.tar` and `.gz`."""
        return list(map(str, self._path.suffixes))

    @property
    def protocol(self) -> str:
        """The kind of store, such as `s3`."""
        return str(self._path.protocol) or "file"

    @property
    def path(self) -> str:
        """The path within the store, without its kind."""
        return str(self._path.path)

    @property
    def bucket(self) -> str:
        """The first part of the path: of an object store the bucket."""
        return self.path.lstrip("/").partition("/")[0]

    @property
    def container(self) -> str:
        """Another word for `bucket`."""
        return self.bucket

    @property
    def key(self) -> str:
        """What follows the bucket."""
        return self.path.lstrip("/").partition("/")[2]

    @property
    def namespace(self) -> str:
        """The kind of store and the bucket, of which a machine's own files have none."""
        return self.protocol if self.protocol in ("file", "local") else f"{self.protocol}://{self.bucket}"

    def match(self, pattern: str) -> bool:
        """Whether the path's end fits the pattern."""
        return PurePosixPath(self.path).match(pattern)

    def samestore(self, other: object) -> bool:
        """Whether the other path lies in the same store, reached by the same connection."""
        if not isinstance(other, StoragePathNames):
            return False
        return (self.protocol, self.conn_id) == (other.protocol, other.conn_id)

    def relative_to(self, other: object) -> PurePosixPath:
        """The way from a folder above to this path. Raises ValueError where it is not above."""
        if isinstance(other, StoragePathNames) and not self.samestore(other):
            raise ValueError(f"{self} is not below {other}: they are in different stores")
        above = other.path if isinstance(other, StoragePathNames) else str(other)
        return PurePosixPath(self.path).relative_to(above)

    def is_relative_to(self, other: object) -> bool:
        """Whether the other path is a folder above."""
        try:
            self.relative_to(other)
        except ValueError:
            return False
        return True
