"""What is in a folder bundle: listings, stamps, ignore files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tradewind.bundles.folder import FolderBundle, compare


def fill(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


def python(root: Path, syntax: str = "regexp") -> set[str]:
    bundle = FolderBundle("dags", root, "glob" if syntax == "glob" else "regexp")
    return set(bundle.list_files().python)


def test_listing(tmp_path: Path) -> None:
    fill(tmp_path, "a.py", "b/c.py", "b/data.yaml", ".git/x.py", "__pycache__/a.pyc", "readme.md")
    listing = FolderBundle("dags", tmp_path).list_files()
    assert set(listing.python) == {"a.py", "b/c.py"}
    assert set(listing.data) == {"b/data.yaml", "readme.md"}


def test_a_missing_folder_is_empty(tmp_path: Path) -> None:
    assert python(tmp_path / "none") == set()


def test_links_are_followed_once(tmp_path: Path) -> None:
    fill(tmp_path, "real/a.py")
    (tmp_path / "real" / "loop").symlink_to(tmp_path)
    assert python(tmp_path) == {"real/a.py"}


def test_compare(tmp_path: Path) -> None:
    fill(tmp_path, "a.py", "b.py", "c.py")
    bundle = FolderBundle("dags", tmp_path)
    before = bundle.list_files()
    (tmp_path / "a.py").write_text("longer")
    (tmp_path / "b.py").unlink()
    fill(tmp_path, "d.py")
    changes = compare(before.python, bundle.list_files().python)
    assert [set(part) for part in changes] == [{"d.py"}, {"a.py"}, {"b.py"}]
    assert not compare(before.python, before.python)


def test_replacing_a_file_by_one_of_the_same_time_and_size_is_seen(tmp_path: Path) -> None:
    import os

    fill(tmp_path, "a.py", "new.txt")
    bundle = FolderBundle("dags", tmp_path)
    before = bundle.list_files()
    stat = (tmp_path / "a.py").stat()
    os.utime(tmp_path / "new.txt", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    (tmp_path / "new.txt").rename(tmp_path / "a.py")
    assert compare(before.python, bundle.list_files().python).changed == {"a.py"}


FILES = (
    "project_a_dag_1.py",
    "TESTING_project_a.py",
    "tenant_1.py",
    "project_a/dag_1.py",
    "keep.py",
    "sub/tenant_2.py",
)


@pytest.mark.parametrize(
    ("name", "syntax", "text", "left"),
    [
        (".airflowignore", "regexp", "project_a\ntenant_[\\d]\n", {"keep.py"}),
        (".airflowignore", "regexp", "# keep\n^keep   # the one\n", set(FILES) - {"keep.py"}),
        (".airflowignore", "regexp", "^sub/", set(FILES) - {"sub/tenant_2.py"}),
        (
            ".airflowignore",
            "glob",
            "**/*project_a*\ntenant_[0-9]*\n",
            {"keep.py", "project_a/dag_1.py"} - {"project_a/dag_1.py"},
        ),
        (".airflowignore", "glob", "*\n!keep.py\n", {"keep.py"}),
        (
            ".tradewindignore",
            "regexp",
            "tenant_*.py\n!tenant_2.py\nproject_a/\n",
            set(FILES) - {"tenant_1.py", "project_a/dag_1.py"},
        ),
        (".tradewindignore", "regexp", "/tenant_*.py", set(FILES) - {"tenant_1.py"}),
    ],
)
def test_ignore_files(tmp_path: Path, name: str, syntax: str, text: str, left: set[str]) -> None:
    fill(tmp_path, *FILES)
    (tmp_path / name).write_text(text)
    assert python(tmp_path, syntax) == left


def test_an_ignore_file_holds_below_its_own_folder_only(tmp_path: Path) -> None:
    fill(tmp_path, "x.py", "sub/x.py", "sub/deep/x.py")
    (tmp_path / "sub" / ".airflowignore").write_text("^x.py$")
    assert python(tmp_path) == {"x.py", "sub/deep/x.py"}


def test_a_bad_expression_is_named_and_the_others_hold(tmp_path: Path) -> None:
    fill(tmp_path, "a.py", "b.py", "sub/c.py", "sub/d.py")
    (tmp_path / "sub" / ".airflowignore").write_text("*_test.py\n^c\n")
    (tmp_path / ".tradewindignore").write_bytes(b"\xff\n")
    listing = FolderBundle("dags", tmp_path).list_files()
    assert set(listing.python) == {"a.py", "b.py", "sub/d.py"}
    assert set(listing.problems) == {".tradewindignore", "sub/.airflowignore"}
    assert "'*_test.py' is not a regular expression (nothing to repeat" in listing.problems["sub/.airflowignore"]
    assert "set dags.ignore_file_syntax = glob" in listing.problems["sub/.airflowignore"]
    assert "cannot be read" in listing.problems[".tradewindignore"]


def test_names_that_are_no_utf_8_are_left_out_and_told_of(tmp_path: Path) -> None:
    fill(tmp_path, "a.py", *(os.fsdecode(name) for name in (b"b\xff.py", b"sub\xff/c.py", b"data\xff.csv")))
    listing = FolderBundle("dags", tmp_path).list_files()
    assert (set(listing.python), set(listing.data)) == ({"a.py"}, set())
    assert set(listing.problems) == {"b\\udcff.py", "sub\\udcff"}
    assert "its name is no UTF-8" in listing.problems["sub\\udcff"]


def test_ignored_files_still_count_as_data(tmp_path: Path) -> None:
    fill(tmp_path, "helper.py")
    (tmp_path / ".airflowignore").write_text("helper")
    assert "helper.py" in FolderBundle("dags", tmp_path).list_files().data


def test_relative(tmp_path: Path) -> None:
    bundle = FolderBundle("dags", tmp_path)
    assert bundle.relative(str(tmp_path / "a" / "b.py")) == "a/b.py"
    assert bundle.relative(str(tmp_path / ".git" / "b.py")) is None
    assert bundle.relative("/elsewhere/b.py") is None


def test_what_is_no_regular_file_is_left_out(tmp_path: Path) -> None:
    """Reading a pipe would never end."""
    os.mkfifo(tmp_path / "pipe.py")
    assert FolderBundle("dags", tmp_path).list_files() == ({}, {}, {})
