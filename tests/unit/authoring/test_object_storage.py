"""Paths in stores: on this machine, in memory, and through XCom."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tradewind.authoring import object_storage, xcom
from tradewind.authoring.object_storage import ObjectStoragePath, attach
from tradewind.model.errors import AuthoringError, NotFoundError

pytest.importorskip("upath")


@pytest.fixture(params=["file", "memory"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStoragePath:
    if request.param == "file":
        return ObjectStoragePath(f"file://{tmp_path}")
    return ObjectStoragePath(f"memory://bucket{tmp_path}")


def test_reading_writing_and_listing(root: ObjectStoragePath) -> None:
    folder = root / "data"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "a.csv"
    assert not file.exists()
    assert file.write_text("x,y\n") == 4
    with file.open() as opened:
        assert opened.read() == "x,y\n"
    assert (file.name, file.stem, file.suffix, file.parent) == ("a.csv", "a", ".csv", folder)
    assert file.is_file()
    assert folder.is_dir()
    (folder / "b.bin").write_bytes(b"\x00")
    assert [item.name for item in sorted(folder.iterdir())] == ["a.csv", "b.bin"]
    assert [item.name for item in folder.glob("*.csv")] == ["a.csv"]
    assert file.stat().st_size == 4
    file.unlink()
    assert not file.exists()


def test_copying_between_stores(root: ObjectStoragePath, tmp_path: Path) -> None:
    source = root / "from"
    source.mkdir(parents=True, exist_ok=True)
    (source / "a").write_text("one")
    other = ObjectStoragePath(f"memory://elsewhere{tmp_path}")
    copied = source.copy(other)
    assert (copied / "a").read_text() == "one"
    assert (source / "a").copy(other / "b").read_bytes() == b"one"
    moved = (source / "a").move(other / "c")
    assert moved.read_text() == "one"
    assert not (source / "a").exists()


def test_what_pathlib_and_airflow_have(root: ObjectStoragePath) -> None:
    deep = root / "a" / "b"
    deep.mkdir(0o777, True, True)
    file = deep / "x.tar.gz"
    file.touch()
    file.write_bytes(b"one,two,")
    assert [item.name for item in root.rglob("*.gz")] == ["x.tar.gz"]
    assert (file.size(), file.suffixes, file.read_block(4, None)) == (8, [".tar", ".gz"], b"two,")
    assert (file.with_name("y.gz").name, file.with_suffix(".bz2").name) == ("y.gz", "x.tar.bz2")
    assert file.with_stem("z").name == "z.gz"
    assert root / file.relative_to(root) == file
    assert [file.parents[0], file.parents[1].name] == [deep, "a"]
    assert file.is_relative_to(root)
    assert not root.is_relative_to(deep)
    assert not file.is_relative_to(ObjectStoragePath("s3://elsewhere"))
    assert file.match("b/*.gz")
    assert file.samefile(deep / ".." / "b" / "x.tar.gz")
    assert isinstance(file.checksum(), int)
    assert file.ukey() == file.ukey()
    moved = file.rename(deep / "moved")
    assert moved.replace((root / "again").path) == root / "again"
    assert (root / "again").read_bytes() == b"one,two,"
    assert not moved.exists()
    with pytest.raises(IsADirectoryError, match="copy it with recursive=True"):
        root.copy(root / "copy", recursive=False)
    assert deep.copy(str(root / "copied"), recursive=True).is_dir()


def test_through_xcom(root: ObjectStoragePath) -> None:
    (root / "kept").parent.mkdir(parents=True, exist_ok=True)
    (root / "kept").write_text("here")
    back: Any = xcom.decode(xcom.encode({"where": root / "kept"}))["where"]
    assert back == root / "kept"
    assert back.read_text() == "here"
    assert hash(back) == hash(root / "kept")


def test_addresses() -> None:
    path = ObjectStoragePath("memory://bucket/some/key.txt")
    assert (path.protocol, path.bucket, path.key) == ("memory", "bucket", "some/key.txt")
    assert str(path / "x") == "memory://bucket/some/key.txt/x"
    assert ObjectStoragePath(path, "y") == path / "y"
    assert (path.container, path.namespace, path.parts[-1]) == ("bucket", "memory://bucket", "key.txt")
    assert attach("memory") / "bucket" == ObjectStoragePath("memory:///bucket")
    assert Path(ObjectStoragePath(__file__)).read_text().startswith('"""Paths')
    with pytest.raises(TypeError, match="not on this machine"):
        os.fspath(path)


def test_logins_name_connections(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_STORE", '{"conn_type": "aws", "login": "k", "password": "s"}')
    seen: dict[str, Any] = {}

    def made(text: str, options: dict[str, Any]) -> Path:
        seen.update(text=text, **options)
        return tmp_path

    monkeypatch.setattr(object_storage, "_with_store", made)
    path = ObjectStoragePath("s3://store@bucket/", anon=False) / "key"
    assert str(path) == "s3://store@bucket/key"
    assert ObjectStoragePath(str(path), anon=False) == path
    assert path.conn_id == "store"
    assert not seen, "the connection is asked for on use"
    assert path.exists()
    assert seen == {"text": "s3://bucket/key", "key": "k", "secret": "s", "client_kwargs": {}, "anon": False}


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AuthoringError, match=r"ObjectStoragePath\('nothing://x'\)"):
        ObjectStoragePath("nothing://x")
    unknown = ObjectStoragePath("s3://no_such_store@bucket/key")
    with pytest.raises(NotFoundError, match="no_such_store"):
        unknown.exists()
