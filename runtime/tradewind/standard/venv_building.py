"""Making virtual environments: with uv where it is there, else with venv and pip; kept or thrown away."""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
import shutil
import site
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from tradewind.model.errors import TaskFailed
from tradewind.standard.child_process import LAST_LINES, ChildProcess

MARKER: Final = "install_complete_marker.json"
"""Written last into a kept environment; one without it is made anew."""

_NAME: Final = re.compile(r"^\s*([A-Za-z0-9][A-Za-z0-9._-]*)")


@dataclass(frozen=True, slots=True)
class VenvPlan:
    """What is to be in an environment. Equal plans share a kept one."""

    requirements: tuple[str, ...] = ()
    python_version: str | None = None
    system_site_packages: bool = True
    pip_install_options: tuple[str, ...] = ()
    index_urls: tuple[str, ...] | None = None
    """None: the installer's own settings; empty: no index at all."""
    cache_key: str = ""

    def digest(self) -> str:
        """A short name for what is in it and for the interpreter that makes it."""
        text = json.dumps([asdict(self), sys.version, sys.prefix], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


class VenvBuilder:
    """Makes environments for one task. `child` runs the tools, so that a kill of the task ends them."""

    def __init__(self, where: str, child: ChildProcess) -> None:
        self._where = where
        self._child = child
        self._uv = shutil.which("uv")

    @contextmanager
    def kept(self, cache: Path, plan: VenvPlan) -> Generator[Path]:
        """Path of the interpreter of a kept environment, made by whoever comes first."""
        folder = cache / f"venv-{plan.digest()}"
        try:
            cache.mkdir(parents=True, exist_ok=True)
            lock = (cache / f"{folder.name}.lock").open("w")
        except OSError as why:
            raise TaskFailed(f"{self._where}: venv_cache_path {str(cache)!r} cannot be used: {why}") from why
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not (folder / MARKER).is_file():
                shutil.rmtree(folder, ignore_errors=True)
                self.build(folder, plan)
                (folder / MARKER).write_text(json.dumps(asdict(plan)), encoding="utf-8")
        yield folder / "bin" / "python"

    def build(self, folder: Path, plan: VenvPlan) -> Path:
        """Makes an environment and installs the requirements. Returns its interpreter. Raises TaskFailed."""
        self._make(folder, plan)
        python = folder / "bin" / "python"
        if plan.system_site_packages:
            _share_packages(python)
        if plan.requirements:
            self._install(folder, python, plan)
        return python

    def _make(self, folder: Path, plan: VenvPlan) -> None:
        with_system = ["--system-site-packages"] if plan.system_site_packages else []
        if self._uv is not None:
            wanted = plan.python_version or sys.executable
            command = [self._uv, "venv", "--quiet", "--python", wanted, *with_system, str(folder)]
        else:
            without_pip = [] if plan.requirements else ["--without-pip"]
            command = [self._interpreter(plan.python_version), "-m", "venv", *with_system, *without_pip, str(folder)]
        lines: deque[str] = deque(maxlen=LAST_LINES)
        code, _ = self._child.run(command, on_line=lines.append)
        if code:
            raise TaskFailed(
                f"{self._where}: the virtual environment could not be made ({' '.join(command[:3])}, "
                f"exit code {code}):\n" + "\n".join(lines)
            )

    def _interpreter(self, version: str | None) -> str:
        if version is None or f"{sys.version_info[0]}.{sys.version_info[1]}" == version:
            return sys.executable
        for name in (f"python{version}", version):
            found = shutil.which(name)
            if found is not None:
                return found
        raise TaskFailed(
            f"{self._where}: there is no python{version} on this machine; install it, or uv, which fetches it"
        )

    def _install(self, folder: Path, python: Path, plan: VenvPlan) -> None:
        listed = folder / "requirements.txt"
        listed.write_text("".join(f"{line}\n" for line in plan.requirements), encoding="utf-8")
        if self._uv is not None:
            tool, command = "uv", [self._uv, "pip", "install", "--python", str(python)]
        else:
            tool, command = "pip", [str(python), "-m", "pip", "install", "--disable-pip-version-check"]
        command += [*_index_options(plan.index_urls), *plan.pip_install_options, "-r", str(listed)]
        lines: deque[str] = deque(maxlen=LAST_LINES)
        code, _ = self._child.run(command, on_line=lines.append)
        if code:
            culprits = _named_in(lines, plan.requirements) or list(plan.requirements)
            some = "requirement" if len(culprits) == 1 else "requirements"
            raise TaskFailed(
                f"{self._where}: {some} {', '.join(map(repr, culprits))} could not be installed with {tool} "
                f"(exit code {code}):\n" + "\n".join(lines)
            )


def _index_options(urls: Sequence[str] | None) -> list[str]:
    if urls is None:
        return []
    if not urls:
        return ["--no-index"]
    return ["--index-url", urls[0], *(option for url in urls[1:] for option in ("--extra-index-url", url))]


def _named_in(lines: Sequence[str], requirements: Sequence[str]) -> list[str]:
    """The requirements that the installer's last words are about."""
    errors = [line for line in lines if "ERROR" in line] or lines
    said = re.sub(r"[-_.]+", "-", " ".join(errors).lower())
    found: list[str] = []
    for requirement in requirements:
        match = _NAME.match(requirement)
        name = re.sub(r"[-_.]+", "-", match[1].lower()) if match else requirement.lower()
        if re.search(rf"(?<![a-z0-9-]){re.escape(name)}(?![a-z0-9-])", said):
            found.append(requirement)
    return found


def _share_packages(python: Path) -> None:
    """Lets the environment see the packages of the interpreter that runs this task.

    `--system-site-packages` means those of the base interpreter; where this one runs in an
    environment of its own, its packages are what the author sees.
    """
    if sys.prefix == sys.base_prefix:
        return
    asked = "import sys, sysconfig; print(sys.version_info[:2], sysconfig.get_path('purelib'), sep='|')"
    found = subprocess.run([str(python), "-c", asked], capture_output=True, text=True, check=False)
    version, _, folder = found.stdout.strip().partition("|")
    if found.returncode or version != str(sys.version_info[:2]):
        return
    shared = [path for path in (*site.getsitepackages(), *_on_path()) if Path(path).is_dir()]
    lines = "".join(f"{path}\n" for path in dict.fromkeys(shared))
    Path(folder, "of_the_worker.pth").write_text(lines, encoding="utf-8")


def _on_path() -> list[str]:
    """Folders that editable installations have put on the path."""
    return [path for path in sys.path if path and not path.startswith((sys.base_prefix, sys.prefix))]
