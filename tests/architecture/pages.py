"""The pages of the documentation, as the tests read them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.tree import ROOT

FILES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PICTURE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def prose_of(path: Path) -> str:
    """A page without its blocks of code."""
    return _FENCE.sub("", path.read_text(encoding="utf-8"))


def anchor_of(heading: str) -> str:
    """The name by which a heading can be linked."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def anchors_in(path: Path) -> set[str]:
    return {anchor_of(line.lstrip("#")) for line in prose_of(path).splitlines() if line.startswith("#")}


def blocks_of(path: Path) -> Iterator[str]:
    """The blocks of Python on a page."""
    for language, code in _FENCE.findall(path.read_text(encoding="utf-8")):
        if language == "python":
            yield code
