"""The cache's folders: named by source, built once, and never half."""

from pathlib import Path

import pytest

from hubtune.errors import MachineError
from hubtune.storage.cache_folder import build_once, cache_root, source_folder


def test_the_cache_is_where_the_user_wants_it_and_each_source_has_a_readable_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path))
    assert cache_root() == tmp_path
    one, two = (source_folder("remote", "a b/../c", identity) for identity in ("1", "2"))
    assert one != two
    assert one.parent == two.parent == tmp_path / "data" / "remote"
    monkeypatch.delenv("HUBTUNE_HOME")
    assert cache_root() == Path.home() / ".cache" / "hubtune"


def test_a_folder_is_built_once_and_a_failed_one_not_kept(tmp_path):
    folder, calls = tmp_path / "kind" / "f", []

    def make(new):
        calls.append(new)
        (new / "a").touch()
        if len(calls) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_once(folder, make)
    assert [path.name for path in folder.parent.iterdir()] == ["f.lock"]
    assert build_once(folder, make) == build_once(folder, make) == folder
    assert len(calls) == 2
    assert (folder / "a").exists()
    with pytest.raises(MachineError, match=r"^The cache cannot keep .*set HUBTUNE_HOME to a folder"):
        build_once(folder / "a" / "f", make)
