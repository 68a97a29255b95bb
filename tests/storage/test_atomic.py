"""Files and folders are written whole or not at all."""

import hashlib
import os
from pathlib import Path

import pytest

from hubtune.storage import atomic
from hubtune.storage.atomic import replacing_folder, sha256_of, write_atomically


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_has_its_new_content_or_after_a_failure_its_old_one(tmp_path, monkeypatch):
    write_atomically(tmp_path / "a", "é\n")
    assert (tmp_path / "a").read_bytes() == b"\xc3\xa9\n"
    write_atomically(tmp_path / "a", b"abc")
    assert sha256_of(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"abc"
    assert names(tmp_path) == ["a"]


def test_a_folder_appears_when_its_block_ends_and_one_with_content_is_only_replaced_on_request(tmp_path):
    folder, unfinished, previous = tmp_path / "f", tmp_path / "f.new", tmp_path / "f.old"
    (unfinished / "left by a killed process").mkdir(parents=True)
    with replacing_folder(folder, unfinished) as new:
        (new / "old").touch()
        assert not folder.exists()
    with pytest.raises(OSError), replacing_folder(folder, unfinished):
        pass
    with pytest.raises(KeyboardInterrupt), replacing_folder(folder, unfinished, previous):
        raise KeyboardInterrupt
    assert (names(tmp_path), names(folder)) == (["f"], ["old"])
    with replacing_folder(folder, unfinished, previous) as new:
        (new / "new").touch()
    assert (names(tmp_path), names(folder)) == (["f"], ["new"])


def test_on_windows_a_file_that_is_open_elsewhere_is_waited_for(tmp_path, monkeypatch):
    """As a virus scanner opens each new file for a moment."""
    tries, replace = [], Path.replace

    def refuse(source, target):
        tries.append(target)
        if len(tries) % 4:
            raise PermissionError(13, "Permission denied")
        return replace(source, target)

    monkeypatch.setattr(Path, "replace", refuse)
    monkeypatch.setattr(atomic, "_WAITS", (0, 0, 0, 0))
    with pytest.raises(PermissionError):
        write_atomically(tmp_path / "a", b"1")
    assert len(tries) == 1 and not names(tmp_path)
    monkeypatch.setattr(atomic, "_WINDOWS", True)
    tries.clear()
    write_atomically(tmp_path / "a", b"2")
    assert len(tries) == 4 and (tmp_path / "a").read_bytes() == b"2"
    monkeypatch.setattr(atomic, "_WAITS", (0,))
    with pytest.raises(PermissionError):
        write_atomically(tmp_path / "a", b"3")
    assert (tmp_path / "a").read_bytes() == b"2" and names(tmp_path) == ["a"]
