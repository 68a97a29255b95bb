"""The second scan opens only what is new or changed, whatever becomes of the cache."""

import os
import shutil
import sqlite3
import subprocess
import sys
import time

import pytest

from hubtune.data.images.decode import ImageError
from hubtune.data.scan import looks, scan_cache
from hubtune.data.scan.scan_cache import ScanCache, cache_file, delete_scan_cache, stamp_file
from hubtune.data.scan.scanner import scan_classes

OLD = time.time() - 3600


@pytest.fixture(autouse=True)
def _settled(monkeypatch):
    """Files of this moment count as settled: their time of change cannot be set back."""
    monkeypatch.setattr(scan_cache, "_RACY_SECONDS", -1000)


@pytest.fixture
def pics(tmp_path, draw_photos):
    return draw_photos(tmp_path / "pics", {"cat": 3, "dog": 2}, size=8)


@pytest.fixture
def opened(monkeypatch):
    """The files that are looked at."""
    names = []
    inspect = looks.inspect_image

    def noted(path):
        names.append(path.name)
        return inspect(path)

    monkeypatch.setattr(looks, "inspect_image", noted)
    return names


def scanned(pics, opened):
    """A scan, and which files it opened."""
    opened.clear()
    scan = scan_classes(pics)
    return scan, sorted(opened)


def test_the_second_scan_opens_nothing_and_finds_the_same(pics, opened):
    (pics / "cat" / "page.jpg").write_bytes(b"<html>")
    first, names = scanned(pics, opened)
    assert len(names) == 6
    assert scanned(pics, opened) == (first, [])
    assert first.left_out[0].reason == "not a picture, but an HTML page"


def test_new_changed_and_renamed_files_are_opened(pics, opened):
    scanned(pics, opened)
    shutil.copy(pics / "cat" / "000.png", pics / "cat" / "new.png")
    shutil.copy(pics / "dog" / "000.png", pics / "cat" / "001.png")
    (pics / "dog" / "001.png").rename(pics / "dog" / "renamed.png")
    assert scanned(pics, opened)[1] == ["001.png", "new.png", "renamed.png"]
    assert scanned(pics, opened)[1] == []


def test_files_of_one_size_and_time_that_exchange_their_names_are_opened(pics, opened):
    one, other = pics / "cat" / "a.bmp", pics / "cat" / "b.bmp"
    for file, content in ((one, b"\1"), (other, b"\2")):
        file.write_bytes(content * 100)
        os.utime(file, (OLD, OLD))
    scanned(pics, opened)
    one.rename(pics / "x")
    other.rename(one)
    (pics / "x").rename(other)
    assert {"a.bmp", "b.bmp"} <= set(scanned(pics, opened)[1])


def test_a_file_changed_a_moment_ago_is_opened_again(pics, opened, monkeypatch):
    monkeypatch.setattr(scan_cache, "_RACY_SECONDS", 2)
    assert len(scanned(pics, opened)[1]) == 5
    assert len(scanned(pics, opened)[1]) == 5


def test_another_version_of_facts_is_computed_anew(pics, opened, monkeypatch):
    scanned(pics, opened)
    monkeypatch.setattr(scan_cache, "_VERSIONS", ("later",))
    assert len(scanned(pics, opened)[1]) == 5


@pytest.mark.parametrize("cause", [OSError(5, "Input/output error"), MemoryError()])
def test_what_the_machine_is_to_blame_for_is_tried_again(pics, opened, monkeypatch, cause):
    def failing(path):
        opened.append(path.name)
        if path.name == "002.png":
            raise ImageError(path, "cannot be read") from cause
        return inspect(path)

    inspect = looks.inspect_image
    monkeypatch.setattr(looks, "inspect_image", failing)
    scanned(pics, opened)
    assert scanned(pics, opened)[1] == ["002.png"]


def test_a_stopped_scan_keeps_what_it_has_done(pics, opened):
    paths = sorted(pics.rglob("*.png"))
    outcomes = looks.inspect_files(paths)
    for _ in range(3):
        next(outcomes)
    outcomes.close()
    assert len(scanned(pics, opened)[1]) <= 2


@pytest.mark.parametrize("damage", ["no database", "half", "page", "row"])
def test_a_damaged_file_is_thrown_away_and_told_once(pics, opened, told, damage):
    first, _ = scanned(pics, opened)
    file = cache_file()
    content = bytearray(file.read_bytes())
    if damage == "no database":
        content[:] = b"garbage " * 2000
    elif damage == "half":
        del content[len(content) // 2 :]
    elif damage == "page":
        content[4096:] = b"\xaa" * (len(content) - 4096)
    else:  # SQLite itself cannot notice this
        place = content.index(first.classes["cat"][0].sha256.encode())
        content[place] ^= 1
    file.write_bytes(content)
    again, names = scanned(pics, opened)
    assert again == first
    assert len(names) == (1 if damage == "row" else 5)
    assert told.messages.count(f"{file} is damaged, and begun anew") == (damage != "row")
    assert scanned(pics, opened) == (first, [])


def test_a_file_of_another_layout_is_replaced_without_a_word(pics, opened, told):
    cache_file().parent.mkdir(parents=True, exist_ok=True)
    with sqlite3.connect(cache_file()) as database:
        database.execute("CREATE TABLE looks (other TEXT)")
        database.execute("PRAGMA user_version = 99")
    database.close()
    scanned(pics, opened)
    assert scanned(pics, opened)[1] == []
    assert not told.messages


def test_a_home_that_cannot_be_written_only_costs_time(pics, opened, told, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("HUBTUNE_HOME", str(tmp_path / "file" / "home"))
    first, _ = scanned(pics, opened)
    assert scanned(pics, opened) == (first, ["000.png", "000.png", "001.png", "001.png", "002.png"])
    assert not told.messages


def test_a_cache_that_can_only_be_read_is_used(pics, opened, told, monkeypatch):
    scanned(pics, opened)
    shutil.copy(pics / "cat" / "000.png", pics / "cat" / "new.png")
    connect = sqlite3.connect

    def read_only(file, **options):
        return connect(f"file:{file}?mode=ro", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    assert scanned(pics, opened)[1] == ["new.png"]
    assert scanned(pics, opened)[1] == ["new.png"]
    assert not told.messages


def test_a_full_disk_only_costs_time(pics, opened, told, monkeypatch):
    connect = sqlite3.connect

    def full(file, **options):
        database = connect(file, **options)
        database.execute("PRAGMA max_page_count = 4")
        return database

    monkeypatch.setattr(sqlite3, "connect", full)
    first, _ = scanned(pics, opened)
    again, names = scanned(pics, opened)
    assert (again, len(names)) == (first, 5)
    assert not told.messages


def test_the_oldest_looks_go_when_there_are_too_many(pics, opened, monkeypatch):
    monkeypatch.setattr(scan_cache, "MAX_FILES", 3)
    scanned(pics, opened)
    assert scanned(pics, opened)[1] == ["000.png", "001.png"]
    with sqlite3.connect(cache_file()) as database:
        assert database.execute("SELECT count(*) FROM looks").fetchone() == (3,)
    database.close()


def test_damaged_copies_are_searched_again():
    with ScanCache() as cache:
        cache.put_copies(b"some", [(0, 3), (1, 2)])
        assert cache.get_copies(b"some") == [(0, 3), (1, 2)]
        assert cache.get_copies(b"others") is None
    with sqlite3.connect(cache_file()) as database:
        database.execute("UPDATE copies SET pairs = ?", (b"[[0, 1]]",))
    database.close()
    with ScanCache() as cache:
        assert cache.get_copies(b"some") is None


def test_copies_of_the_oldest_sets_go_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(scan_cache, "_MOST_SETS", 2)
    with ScanCache() as cache:
        for key in (b"1", b"2", b"3"):
            cache.put_copies(key, [(0, 1)])
    with ScanCache() as cache:
        assert [cache.get_copies(key) for key in (b"1", b"2", b"3")] == [None, [(0, 1)], [(0, 1)]]


def test_neither_names_nor_places_are_kept(pics, opened):
    scanned(pics, opened)
    content = cache_file().read_bytes()
    assert b"000.png" not in content
    assert os.fsencode(pics) not in content


def test_several_processes_use_it_at_once(pics):
    program = (
        "import sys, pathlib; from hubtune.data.scan.scanner import scan_classes; "
        "scan_classes(pathlib.Path(sys.argv[1]))"
    )
    processes = [subprocess.Popen([sys.executable, "-c", program, str(pics)]) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert len(scan_classes(pics).classes["cat"]) == 3


def test_it_can_be_removed(pics, opened):
    assert delete_scan_cache() == 0
    scanned(pics, opened)
    size = cache_file().stat().st_size
    assert delete_scan_cache() == size > 0
    assert len(scanned(pics, opened)[1]) == 5


def test_a_missing_file_has_no_state(tmp_path):
    assert stamp_file(tmp_path / "gone").state is None
    with ScanCache() as cache:
        assert cache.get(stamp_file(tmp_path / "gone")) is None
