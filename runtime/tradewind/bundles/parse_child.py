"""Parses one file inside a process that was forked for it and ends afterwards."""

from __future__ import annotations

import hashlib
import inspect
import os
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tradewind.authoring.dag import DAG
from tradewind.authoring.serialize import dag_to_spec
from tradewind.bundles.loader import DagFileError, LoadedFile, load_file
from tradewind.bundles.packed import PackedError, is_packed, joined, packed_modules
from tradewind.bundles.parse_protocol import ParseAnswer, ParseJob
from tradewind.bundles.traces import user_trace
from tradewind.model.errors import TradewindError

WHOLE_FILE_BYTES: Final = 1 << 20
"""Larger files that a DAG file reads count by size and time, not by content."""

_OUTSIDE: Final = frozenset({"socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.posix_spawn", "os.system"})
"""Audit events of code that asks the network or another program."""

_HEARD: Final = _OUTSIDE | {"open", "os.listdir", "os.scandir"}


class ReadTracker:
    """Which files and folders of the bundle user code looks into, by Python's audit events.

    An audit hook stays for the life of its process, which is why this is only for forked children.
    """

    def __init__(self, root: str) -> None:
        self._prefix = root.rstrip("/") + "/"
        self.files: set[str] = set()
        self.folders: set[str] = set()
        self.external = False

    def install(self) -> None:
        """Begins to listen."""
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event not in _HEARD:
            return
        here = inspect.currentframe()
        if here is not None and here.f_back is not None and here.f_back.f_code.co_filename.startswith("<frozen"):
            return  # what the import system looks into is known from the modules
        if event == "open":
            path, mode = args[0], args[1]
            if isinstance(path, (str, os.PathLike)) and (mode is None or "r" in str(mode)):
                self._note(self.files, os.fspath(path))
        elif event in ("os.listdir", "os.scandir"):
            self._note(self.folders, os.fspath(args[0]) if isinstance(args[0], (str, os.PathLike)) else ".")
        else:
            self.external = True

    def _note(self, found: set[str], path: str | bytes) -> None:
        full = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - Path would cost more than the read
        if any("\ud800" <= letter <= "\udfff" for letter in full):
            return  # not a text: such a name cannot travel, and no change of it would be told either
        if full.startswith(self._prefix) and "/__pycache__/" not in full:
            found.add(full[len(self._prefix) :])
        elif full + "/" == self._prefix and found is self.folders:
            found.add("")


def parse_file(job: ParseJob, *, catchup_by_file: bool = True) -> ParseAnswer:
    """Loads the file and serializes its DAGs. Whatever the file does wrong becomes the answer's error."""
    tracker = ReadTracker(job.root)
    tracker.install()
    began = time.monotonic()
    loaded: LoadedFile | None = None
    specs: list[bytes] = []
    problems: list[str] = []
    try:
        loaded = load_file(job.fileloc, root=job.root, catchup_by_file=catchup_by_file)
    except DagFileError as error:
        problems.append(error.trace)
    if loaded is not None:
        problems += loaded.problems
        specs = specs_of(loaded.dags.values(), problems)
    seconds = time.monotonic() - began
    content = loaded.content if loaded is not None else _content_of(job.fileloc)
    helpers = {name[len(job.root) + 1 :] for name in loaded.helpers} if loaded is not None else set[str]()
    reads = sorted((tracker.files | helpers) - {job.relative})
    return ParseAnswer(
        job.job_id,
        version=version_of(job.root, content, reads),
        specs=tuple(specs),
        error="\n\n".join(problems) or None,
        code=text_of(job.fileloc, content),
        seconds=seconds,
        reads=tuple(reads),
        lists=tuple(sorted(tracker.folders)),
        external=tracker.external,
    )


def text_of(fileloc: str, content: bytes) -> str:
    """What people see as the code of the file."""
    if is_packed(fileloc):
        try:
            content = joined(packed_modules(content))
        except PackedError:
            return ""
    return content.decode("utf-8", "replace")


def specs_of(dags: Iterable[DAG], problems: list[str]) -> list[bytes]:
    """The serialized DAGs; what is wrong with one is added to the problems."""
    specs: list[bytes] = []
    for dag in dags:
        try:
            specs.append(dag_to_spec(dag).to_json())
        except TradewindError as error:
            problems.append(f"DAG {dag.dag_id!r}: {type(error).__name__}: {error}")
        except Exception as error:
            problems.append(f"DAG {dag.dag_id!r} cannot be serialized:\n{user_trace(error)}")
    return specs


def version_of(root: str, content: bytes, reads: Iterable[str]) -> str:
    """The version of one file of a folder: 40 hexadecimal digits over its text and all that it read
    of its bundle, so that a process that has imported it is known to be stale when any of that changes.
    """
    digest = hashlib.sha256(content)
    for path in sorted(reads):
        digest.update(b"\0" + path.encode("utf-8", "surrogateescape") + b"\0" + _fingerprint(Path(root, path)))
    return digest.hexdigest()[:40]


def _fingerprint(path: Path) -> bytes:
    try:
        stat = path.stat()
        if stat.st_size > WHOLE_FILE_BYTES:
            return f"{stat.st_size} {stat.st_mtime_ns}".encode()
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b"missing"


def _content_of(fileloc: str) -> bytes:
    try:
        return Path(fileloc).read_bytes()
    except OSError:
        return b""
