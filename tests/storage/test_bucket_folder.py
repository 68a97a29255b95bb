"""A folder in a bucket is read whole or not at all, whatever its writer and the network do."""

import json

import pytest

from hubtune.storage import checked_folder
from hubtune.storage.bucket_folder import (
    DamagedFolderError,
    fetch_checked,
    manifest_of,
    put_checked,
    read_manifest,
    remove_checked,
    unused_name,
)
from hubtune.storage.checked_folder import MANIFEST, integrity_error, write_checked
from hubtune.storage.object_store import MissingObjectError, ObjectStore

FILES = {"model.bin": b"m" * 5000, "empty": b"", "state.json": b"{}"}


@pytest.fixture
def store(bucket):
    return ObjectStore(bucket.at("run"))


@pytest.fixture
def folder(tmp_path):
    write_checked(tmp_path / "step-1", FILES)
    return tmp_path / "step-1"


def test_a_folder_is_copied_there_and_back(store, folder, tmp_path):
    assert put_checked(store, folder, "c-1") == manifest_of(store, "c-1") == (folder / MANIFEST).read_bytes()
    fetch_checked(store, "c-1", tmp_path / "back")
    assert integrity_error(tmp_path / "back") is None
    assert {path.name: path.read_bytes() for path in (tmp_path / "back").iterdir()} == {
        **FILES,
        MANIFEST: (folder / MANIFEST).read_bytes(),
    }
    fetch_checked(store, "c-1", tmp_path / "back")  # in place of an older one
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "step-1"]


def test_the_manifest_comes_last_and_goes_first(store, folder, monkeypatch):
    order = []
    for method in ("put", "delete"):
        own = getattr(ObjectStore, method)

        def call(self, name, *content, own=own, method=method):
            order.append((method, name))
            return own(self, name, *content)

        monkeypatch.setattr(ObjectStore, method, call)
    put_checked(store, folder, "c-1")
    remove_checked(store, "c-1", store.list())
    assert order[3] == ("put", f"c-1/{MANIFEST}") and order[4] == ("delete", f"c-1/{MANIFEST}")
    assert len(order) == 8 and store.list() == {}


def test_a_folder_that_changes_while_it_is_copied_gets_no_manifest(store, folder):
    (folder / "state.json").write_bytes(b"[]")
    assert put_checked(store, folder, "c-1") is None and manifest_of(store, "c-1") is None
    assert put_checked(store, folder.parent / "gone", "c-2") is None
    checked_folder.write_checked(folder, FILES)
    assert put_checked(store, folder, "c-3") is not None


@pytest.mark.parametrize("damage", ["cut", "other", "gone", "manifest", "hostile"])
def test_a_damaged_folder_is_refused_and_an_older_one_stays(store, folder, tmp_path, damage):
    put_checked(store, folder, "c-1")
    write_checked(tmp_path / "mine", {"a": b"1"})
    manifest = json.loads(store.get(f"c-1/{MANIFEST}"))
    if damage == "cut":
        store.put("c-1/model.bin", FILES["model.bin"][:-1])
    elif damage == "other":
        store.put("c-1/model.bin", b"n" * 5000)
    elif damage == "gone":
        store.delete("c-1/model.bin")
    elif damage == "manifest":
        store.put(f"c-1/{MANIFEST}", b"[1")
    else:
        store.put(f"c-1/{MANIFEST}", json.dumps({**manifest, "../../x": manifest["empty"]}).encode())
    with pytest.raises((DamagedFolderError, MissingObjectError)):
        fetch_checked(store, "c-1", tmp_path / "mine")
    assert (tmp_path / "mine" / "a").read_bytes() == b"1" and integrity_error(tmp_path / "mine") is None
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "step-1"]


def test_names_are_never_used_again_and_manifests_name_files_only():
    assert len({unused_name("step") for _ in range(100)}) == 100
    for name in ("../x", "a/b", "a\\b", "/x", "..", ""):
        with pytest.raises(DamagedFolderError):
            read_manifest(json.dumps({name: {"size": 1, "sha256": "0"}}).encode())
