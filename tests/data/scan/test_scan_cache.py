"""A rescan reads only new or changed files, whatever happens to the cache; see also ``test_sqlite.py``."""

import os
import shutil
import sqlite3

import pytest

from hubtune.data.images.decode import ImageError
from hubtune.data.scan import scan_cache, scanner
from hubtune.data.scan.scan_cache import cache_file, delete_scan_cache
from hubtune.data.scan.scanner import scan_classes

ALL = ["000.png", "000.png", "001.png", "001.png", "002.png"]


@pytest.fixture
def scan(pics, monkeypatch):
    """Scans the folder; returns the scan and the names of the files that were read."""
    # Files of this moment count as settled: their time of change cannot be set back.
    monkeypatch.setattr(scan_cache, "_RACY_SECONDS", -1000)
    names = []
    inspect = scanner.inspect_image
    monkeypatch.setattr(scanner, "inspect_image", lambda path: names.append(path.name) or inspect(path))

    def run():
        names.clear()
        return scan_classes(pics), sorted(names)

    return run


def test_a_rescan_reads_only_what_is_new_changed_or_renamed_without_any_name_in_the_cache(pics, scan):
    (pics / "cat" / "page.jpg").write_bytes(b"<html>")
    first, names = scan()
    assert len(names) == 6
    assert scan() == (first, [])
    assert first.left_out[0].reason == "not a picture, but an HTML page"
    content = cache_file().read_bytes()
    assert b"000.png" not in content and os.fsencode(pics) not in content
    shutil.copy(pics / "cat" / "000.png", pics / "cat" / "new.png")
    shutil.copy(pics / "dog" / "000.png", pics / "cat" / "001.png")
    (pics / "dog" / "001.png").rename(pics / "dog" / "renamed.png")
    assert scan()[1] == ["001.png", "new.png", "renamed.png"]
    assert scan()[1] == []
    size = cache_file().stat().st_size
    assert delete_scan_cache() == size > 0 == delete_scan_cache()
    assert len(scan()[1]) == 7


def test_a_file_is_known_by_another_way_to_it(pics):
    keys = {scan_cache.stamp_file(pics / way / "000.png").key for way in ("cat", "dog/../cat", "./cat")}
    assert len(keys) == 1 and keys != {scan_cache.stamp_file(pics / "dog" / "000.png").key}


def test_files_of_one_size_and_time_that_swap_their_names_are_read(pics, scan):
    one, other = pics / "cat" / "a.bmp", pics / "cat" / "b.bmp"
    for file, content in ((one, b"\1"), (other, b"\2")):
        file.write_bytes(content * 100)
        os.utime(file, (1e9, 1e9))
    scan()
    one.rename(pics / "x")
    other.rename(one)
    (pics / "x").rename(other)
    assert {"a.bmp", "b.bmp"} <= set(scan()[1])


@pytest.mark.parametrize(("name", "value"), [("_RACY_SECONDS", 1000), ("_VERSIONS", ("later",))])
def test_recent_files_and_other_versions_are_read_again(scan, monkeypatch, name, value):
    scan()
    monkeypatch.setattr(scan_cache, name, value)
    assert scan()[1] == ALL


@pytest.mark.parametrize("cause", [OSError(5, "Input/output error"), MemoryError()])
def test_errors_of_the_machine_are_not_stored(scan, monkeypatch, cause):
    inspect = scanner.inspect_image

    def fail(path):
        if path.name == "002.png":
            raise ImageError(path, "cannot be read") from cause
        return inspect(path)

    with monkeypatch.context() as broken:
        broken.setattr(scanner, "inspect_image", fail)
        assert len(scan()[0].left_out) == 1
    assert scan()[1] == ["002.png"]


def test_an_interrupted_scan_stores_what_it_has_done(pics, scan):
    results = scanner.inspect_files(sorted(pics.rglob("*.png")))
    for _ in range(3):
        next(results)
    results.close()
    assert len(scan()[1]) <= 2


def test_a_damaged_cache_is_replaced_with_a_warning_and_a_damaged_row_silently(scan, told):
    first, _ = scan()
    content = bytearray(cache_file().read_bytes())
    content[content.index(first.classes["cat"][0].sha256.encode())] ^= 1  # SQLite itself cannot notice this
    cache_file().write_bytes(content)
    again, names = scan()
    assert (again, len(names), told.messages) == (first, 1, [])
    cache_file().write_bytes(content[: len(content) // 2])
    assert scan() == (first, ALL)
    assert told.messages == [f"{cache_file()} is damaged and is replaced"]
    assert scan() == (first, [])


@pytest.mark.parametrize("fault", ["no folder", "full disk"])
def test_a_cache_that_cannot_be_written_only_costs_time(scan, told, tmp_path, monkeypatch, fault):
    connect = sqlite3.connect

    def connect_to_a_full_disk(file, **options):
        database = connect(file, **options)
        database.execute("PRAGMA max_page_count = 4")
        return database

    if fault == "full disk":
        monkeypatch.setattr(sqlite3, "connect", connect_to_a_full_disk)
    else:
        (tmp_path / "file").touch()
        monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "file" / "home"))
    first, _ = scan()
    assert scan() == (first, ALL)
    assert not told.messages


def test_the_oldest_entries_are_deleted_first(scan, monkeypatch):
    monkeypatch.setattr(scan_cache, "MAX_FILES", 3)
    scan()
    assert scan()[1] == ["000.png", "001.png"]
