"""Folders that cannot be written, are full, or are on a network disk."""

import os
import tempfile
from pathlib import Path

import pytest

from hubtune.doctor import places
from hubtune.doctor.check import BAD, GOOD, NOTE

GB = 10**9


def _check(place, folder, free=100 * GB, kind=None):
    return places.check_writable(place, folder, free=lambda path: free, network=lambda path: kind)


def test_a_folder_that_is_well_and_one_that_does_not_exist_yet(tmp_path):
    check = _check(places.CACHE, tmp_path / "a" / "b")
    assert (check.state, check.finding) == (GOOD, f"Cache {tmp_path / 'a' / 'b'}: 100 GB free")
    assert _check(places.WORKING, tmp_path).state == GOOD
    assert not [*tmp_path.iterdir()]
    assert places.check_writable(places.TEMPORARY, tmp_path).name == "temporary-folder"


@pytest.mark.parametrize(
    ("place", "free", "state", "cure"),
    [
        (places.CACHE, GB, NOTE, "hubtune cache prune"),
        (places.CACHE, 1000, BAD, "hubtune cache prune"),
        (places.WORKING, GB, NOTE, "another disk"),
        (places.TEMPORARY, 1000, BAD, "TMPDIR"),
    ],
)
def test_a_full_disk(place, free, state, cure, tmp_path):
    check = _check(place, tmp_path, free)
    assert check.state == state and " free" in check.finding and cure in check.cure


def test_a_network_disk_is_a_note_for_the_cache_only(tmp_path):
    check = _check(places.CACHE, tmp_path, kind="nfs4")
    assert check.state == NOTE and "network disk (nfs4)" in check.finding and "HUBTUNE_HOME" in check.cure
    assert _check(places.WORKING, tmp_path, kind="nfs4").state == GOOD


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    for name in ("TemporaryFile", "TemporaryDirectory"):
        monkeypatch.setattr(tempfile, name, refuse)
    for folder in (tmp_path, tmp_path / "new"):
        check = _check(places.CACHE, folder)
        assert check.state == BAD and check.finding.endswith("cannot be written: Permission denied")
        assert "HUBTUNE_HOME" in check.cure


def test_of_a_read_only_working_folder_that_of_the_runs_counts(tmp_path, monkeypatch):
    """As in a container, where only the runs are mounted to be written."""
    write = places._write_problem

    def refuse(folder, *, made):
        return "Read-only file system" if folder == tmp_path else write(folder, made=made)

    monkeypatch.setattr(places, "_write_problem", refuse)
    check = places.check_working_folder(tmp_path)
    assert check.state == BAD and "Read-only file system" in check.finding
    (tmp_path / "runs").mkdir()
    check = places.check_working_folder(tmp_path)
    assert check.state in (GOOD, NOTE) and check.name == "working-folder"
    assert check.finding.startswith(f"Working folder read-only, but for {tmp_path / 'runs'}: ")


@pytest.mark.skipif(os.name == "nt", reason="a folder in use cannot be removed there")
def test_a_working_folder_that_was_removed_is_left(tmp_path, monkeypatch):
    assert places.leave_lost_folder() is None
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    folder.rmdir()
    assert places.leave_lost_folder().cure == "cd ~"
    assert Path.cwd() == Path("/")


@pytest.mark.parametrize(
    ("value", "state", "words"),
    [
        ("relative", NOTE, "is another folder in each working folder"),
        ("file", BAD, "is a file"),
        ("~no-such-user/x", BAD, "names a user that does not exist"),
        ("'/quoted'", BAD, "quotes"),
        (" /blank", BAD, "blanks"),
    ],
)
def test_values_of_hubtune_home(value, state, words, tmp_path):
    if value == "file":
        value = str(tmp_path / "file")
        Path(value).touch()
    check = places.check_cache_variable({"HUBTUNE_HOME": value})
    assert check.state == state and words in check.finding and "HUBTUNE_HOME=" in check.cure


def test_a_user_without_a_home_and_values_that_can_be_used(tmp_path, monkeypatch):
    assert places.check_cache_variable({"HUBTUNE_HOME": str(tmp_path)}) is None
    assert places.check_cache_variable({}) is None

    def homeless():
        raise RuntimeError

    monkeypatch.setattr(Path, "home", homeless)
    assert places.check_cache_variable({}).state == BAD


def test_a_temporary_folder_that_is_not_the_one_asked_for_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert places.check_temporary_folder({"TMPDIR": str(tmp_path)}).state == GOOD
    check = places.check_temporary_folder({"TMPDIR": "/full"})
    assert check.state == NOTE and check.cure in ("unset TMPDIR", "set TMPDIR=")
    assert check.finding == f"TMPDIR=/full cannot be written: {tmp_path} is taken in its place"

    def none():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    check = places.check_temporary_folder({})
    assert check.state == BAD and "There is no folder for temporary files" in check.finding
    assert "TMPDIR=" in check.cure
