"""The documentation is true where a program can tell: made pages equal their source, links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs.generate import DOCS, PAGES
from tests.architecture.pages import FILES, LINK, PICTURE, anchors_in, blocks_of, prose_of
from tests.architecture.tree import ROOT, shown

PYTHON = [(path, code) for path in FILES for code in blocks_of(path)]
NAMES = [f"{shown(path)}-{number}" for number, (path, _) in enumerate(PYTHON)]


@pytest.mark.parametrize("name", PAGES)
def test_made_pages_equal_their_source(name: str) -> None:
    assert (DOCS / name).read_text(encoding="utf-8") == PAGES[name](), "run: python -m docs.generate"


@pytest.mark.parametrize("path", FILES, ids=shown)
def test_links_lead_somewhere(path: Path) -> None:
    broken: list[str] = []
    for target in LINK.findall(prose_of(path)):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        file = (path.parent / place).resolve() if place else path
        if not file.exists() or (anchor and anchor not in anchors_in(file)):
            broken.append(target)
    assert not broken


def test_every_page_can_be_found() -> None:
    """From the README, by links."""
    seen: set[Path] = set()
    ahead = [ROOT / "README.md"]
    while ahead:
        page = ahead.pop()
        if page in seen or page.suffix != ".md" or not page.exists():
            continue
        seen.add(page)
        targets = (target.partition("#")[0] for target in LINK.findall(prose_of(page)))
        ahead += [(page.parent / target).resolve() for target in targets if target and ":" not in target]
    assert not [shown(path) for path in FILES if path not in seen]


def test_pictures_are_described_used_and_small() -> None:
    used = {
        (path.parent / target).resolve(): text for path in FILES for text, target in PICTURE.findall(path.read_text())
    }
    assert all(used.values()), "a picture without a description"
    for picture in (ROOT / "docs/images").iterdir():
        assert picture in used, f"no page shows {shown(picture)}"
        assert picture.stat().st_size < 150_000, f"{shown(picture)} is too large"


@pytest.mark.parametrize(("path", "code"), PYTHON, ids=NAMES)
def test_python_can_be_read(path: Path, code: str) -> None:
    compile(code, str(path), "exec")
