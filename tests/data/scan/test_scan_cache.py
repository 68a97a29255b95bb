"""A rescan reads only new or changed files, whatever happens to the cache; see also ``test_sqlite.py``."""

import os
import shutil
import sqlite3
from contextlib import closing

import pytest

from hubtune.data.images.decode import ImageError
from hubtune.data.scan import scan_cache, scanner
from hubtune.data.scan.scan_cache import ScanCache, cache_file, delete_scan_cache, stamp_file
from hubtune.data.scan.scanner import scan_classes

ALL = ["000.png", "000.png", "001.png", "001.png", "002.png"]


@pytest.fixture(autouse=True)
def _settled(monkeypatch):
    """Files of this moment count as settled: their time of change cannot be set back."""
    monkeypatch.setattr(scan_cache, "_RACY_SECONDS", -1000)


@pytest.fixture
def scan(pics, monkeypatch):
    """Scans the folder; returns the scan and the names of the files that were read."""
    names = []
    inspect = scanner.inspect_image
    monkeypatch.setattr(scanner, "inspect_image", lambda path: names.append(path.name) or inspect(path))

    def run():
        names.clear()
        return scan_classes(pics), sorted(names)

    return run


def change_database(statement, *values):
    with closing(sqlite3.connect(cache_file())) as database, database:
        return database.execute(statement, values).fetchall()


def test_a_rescan_reads_nothing_and_gives_the_same_without_any_name_in_the_cache(pics, scan):
    (pics / "cat" / "page.jpg").write_bytes(b"<html>")
    first, names = scan()
    assert len(names) == 6
    assert scan() == (first, [])
    assert first.left_out[0].reason == "not a picture, but an HTML page"
    content = cache_file().read_bytes()
    assert b"000.png" not in content and os.fsencode(pics) not in content


def test_new_changed_and_renamed_files_are_read(pics, scan):
    scan()
    shutil.copy(pics / "cat" / "000.png", pics / "cat" / "new.png")
    shutil.copy(pics / "dog" / "000.png", pics / "cat" / "001.png")
    (pics / "dog" / "001.png").rename(pics / "dog" / "renamed.png")
    assert scan()[1] == ["001.png", "new.png", "renamed.png"]
    assert scan()[1] == []


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
    inspect, names = scanner.inspect_image, []

    def fail(path):
        names.append(path.name)
        if path.name == "002.png":
            raise ImageError(path, "cannot be read") from cause
        return inspect(path)

    monkeypatch.setattr(scanner, "inspect_image", fail)
    scan()
    assert sorted(names) == ALL
    names.clear()
    scan()
    assert names == ["002.png"]


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
    assert scan() == (first, [])
    cache_file().write_bytes(content[: len(content) // 2])
    assert scan() == (first, ALL)
    assert told.messages == [f"{cache_file()} is damaged and is replaced"]
    assert scan() == (first, [])


def test_a_read_only_cache_is_used(pics, scan, told, monkeypatch):
    scan()
    shutil.copy(pics / "cat" / "000.png", pics / "cat" / "new.png")
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda file, **options: connect(f"file:{file}?mode=ro", uri=True, **options)
    )
    assert scan()[1] == scan()[1] == ["new.png"]
    assert not told.messages


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


def test_the_oldest_entries_are_deleted_first_and_damaged_copies_ignored(scan, monkeypatch):
    monkeypatch.setattr(scan_cache, "MAX_FILES", 3)
    monkeypatch.setattr(scan_cache, "_MAX_IMAGE_SETS", 2)
    scan()
    assert scan()[1] == ["000.png", "001.png"]
    assert change_database("SELECT count(*) FROM looks") == [(3,)]
    with ScanCache() as cache:
        for key in (b"1", b"2", b"3"):
            cache.put_copies(key, [(0, 3), (1, 2)])
    with ScanCache() as cache:
        assert cache.get_copies(b"1") is None
        assert cache.get_copies(b"2") == cache.get_copies(b"3") == [(0, 3), (1, 2)]
    change_database("UPDATE copies SET pairs = ?", b"[[0, 1]]")  # damaged: the checksum is another one
    with ScanCache() as cache:
        assert cache.get_copies(b"2") is None


def test_the_cache_can_be_deleted(scan):
    assert delete_scan_cache() == 0
    scan()
    size = cache_file().stat().st_size
    assert delete_scan_cache() == size > 0
    assert scan()[1] == ALL


def test_a_missing_file_is_not_in_the_cache(tmp_path):
    with ScanCache() as cache:
        assert cache.get(stamp_file(tmp_path / "gone")) is None
