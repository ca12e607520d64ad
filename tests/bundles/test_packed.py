"""DAG files in zip archives, and other bundles that are no plain folder."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from tests.bundles.test_watcher import DAG, Place
from tradewind.bundles.bundle_list import BundleSource, bundle_list, module_folder, module_version
from tradewind.bundles.loader import DagFileError, load_file
from tradewind.model.errors import ConfigError


def pack(path: Path, **texts: str) -> Path:
    """An archive; `lib_x` is the module x of the package lib."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(f"{name.replace('lib_', 'lib/')}.py", text)
        archive.writestr("lib/__init__.py", "")
    return path


def test_an_archive_brings_its_own_modules(tmp_path: Path) -> None:
    one, helper = f"{DAG}from lib import names\nd = DAG(names.NAME, schedule=None)\n", "lib_names"
    path = pack(tmp_path / "flows.zip", one=one, two=f"{DAG}d = DAG('two', schedule=None)", **{helper: "NAME = 'one'"})
    loaded = load_file(path, root=tmp_path, private_helpers=True)
    assert list(loaded.dags) == ["one", "two"]
    assert loaded.helpers == ()
    pack(path, one=one, **{helper: "NAME = 'other'"})
    assert list(load_file(path, root=tmp_path, private_helpers=True).dags) == ["other"]


def test_one_broken_module_leaves_the_others(tmp_path: Path) -> None:
    path = pack(tmp_path / "flows.zip", bad=f"{DAG}1 / 0", good=f"{DAG}d = DAG('good', schedule=None)", plain="1 / 0")
    loaded = load_file(path)
    assert list(loaded.dags) == ["good"]
    (problem,) = loaded.problems
    assert f'{path}/bad.py", line 2' in problem
    assert "ZeroDivisionError" in problem
    path.write_bytes(b"PK no")
    with pytest.raises(DagFileError, match="no zip archive"):
        load_file(path)


async def test_archives_and_folders_in_force(tmp_path: Path) -> None:
    """A second folder and an installed package beside the DAG folder, an archive in it that changes."""
    (tmp_path / "home").mkdir()
    (tmp_path / "more").mkdir()
    place = Place(tmp_path / "home")
    local = "airflow.dag_processing.bundles.local.LocalDagBundle"
    place.overrides["dags.bundles"] = json.dumps(
        [
            {"name": "dags-folder", "classpath": local, "kwargs": {}},
            {"name": "more", "classpath": local, "kwargs": {"path": str(tmp_path / "more")}},
            {"name": "examples-of-the-package", "kind": "module", "module": "tradewind:examples"},
        ]
    )
    pack(place.folder / "flows.zip", flow=f"{DAG}d = DAG('packed', schedule=None)")
    async with place.watching():
        rows = {row.dag_id: row.source for row in await place.store.dag_list()}
        assert rows["packed"].bundle == "dags-folder"
        assert "DAG('packed'" in (await place.store.dag_code_get("packed") or "")
        assert {source.bundle for source in rows.values()} == {"dags-folder", "examples-of-the-package"}
        (tmp_path / "more" / "late.py").write_text(f"{DAG}d = DAG('late', schedule=None)")
        pack(place.folder / "flows.zip", flow=f"{DAG}d = DAG('repacked', schedule=None)")

        async def changed() -> bool:
            active = {row.dag_id for row in await place.store.dag_list() if row.is_active}
            return {"late", "repacked"} <= active and "packed" not in active

        await place.until(changed)


def test_installed_packages() -> None:
    source = BundleSource("x", "module", module="pathspec")
    assert (module_folder(source) / "__init__.py").is_file()
    assert module_version(source).startswith("pathspec ")
    with pytest.raises(ConfigError, match=r"no installed package 'pathspec\.nothing'"):
        module_folder(BundleSource("x", "module", module="pathspec:nothing"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("no", "is not JSON"),
        ("[]", "must be a JSON list"),
        ('["a"]', "is no bundle"),
        ('[{"name": "a/b"}]', "is no name"),
        ('[{"name": "a"}, {"name": "a"}]', "'a' is taken"),
        ('[{"name": "plugins"}]', "'plugins' is taken"),
        ('[{"name": "a", "kind": "svn"}]', "'svn' is unknown"),
        ('[{"name": "a", "kind": "git"}]', "needs url"),
        ('[{"name": "a", "kind": "git", "url": "x", "branch": "y"}]', "'branch' is unknown for a git bundle"),
        ('[{"name": "a", "kind": "git", "url": "--upload-pack=x"}]', "url = '--upload-pack=x' is not possible"),
        ('[{"name": "a", "kind": "git", "url": "x", "subdir": "../y"}]', "subdir must lie within"),
        ('[{"name": "a", "refresh_interval": "often"}]', "refresh_interval must be a number"),
    ],
)
def test_a_bad_list_names_the_entry(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=r"dags\.bundles") as caught:
        bundle_list(text)
    assert said in caught.value.message
