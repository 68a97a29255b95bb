"""A SQLite file of the cache folder may be lost at any time: no error, and nothing wrong is read."""

import shutil
import sqlite3
import subprocess
import sys

import pytest

from hubtune.storage.sqlite import CacheDatabase, remove_database

TABLES = ("CREATE TABLE numbers (number INTEGER, name TEXT)",)


def opened(folder, version=1):
    return CacheDatabase(folder / "sub" / "x.sqlite", TABLES, version)


def insert(database, *numbers):
    statement = "INSERT INTO numbers VALUES (?, 'é')"
    return database.write(lambda file: file.executemany(statement, [(n,) for n in numbers]).rowcount)


def numbers(database):
    return [number for [number] in database.read("SELECT number FROM numbers ORDER BY number")]


def test_what_is_written_is_read_by_the_next_until_it_is_removed_with_its_journal(tmp_path, told):
    assert numbers(opened(tmp_path)) == []
    assert not (tmp_path / "sub").exists()  # reading makes no file
    assert insert(opened(tmp_path), 2, 1) == 2
    database = opened(tmp_path)
    assert database.read("SELECT * FROM numbers WHERE number = ?", (2,)) == [(2, "é".encode())]
    database.close()

    def work(file):
        file.execute("DELETE FROM numbers")
        raise KeyError("stop")

    with pytest.raises(KeyError, match="stop"):
        database.write(work)
    assert numbers(database) == [1, 2]  # opened again; what raises is undone
    database.close()
    assert numbers(opened(tmp_path, version=2)) == []
    assert not told.messages
    shutil.copy(database.file, f"{database.file}-journal")
    assert remove_database(database.file) > 0
    assert list(database.file.parent.iterdir()) == []
    assert remove_database(database.file) == 0


@pytest.mark.parametrize(
    ("start", "rest", "written"),
    [(0, 20_000, []), (0, 20_000, [7]), (4096, 20_000, []), (4096, 20_000, [7]), (20_000, 0, [])],
)
def test_a_damaged_file_is_replaced_once(tmp_path, told, start, rest, written):
    insert(opened(tmp_path), *range(2000))
    file = opened(tmp_path).file
    file.write_bytes(file.read_bytes()[:start] + b"\xaa" * rest)
    database = opened(tmp_path)
    if written:
        insert(database, *written)
    assert numbers(database) == written
    assert database.replaced and database.error is None
    assert told.messages == [f"{file} is damaged and is replaced"]
    database.close()
    file.write_bytes(b"garbage " * 2000)
    assert numbers(database) == []
    assert database.error == "file is not a database"


def test_a_busy_file_is_waited_for_and_then_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("hubtune.storage.sqlite._BUSY_SECONDS", 0.01)
    insert(opened(tmp_path), 1)
    other = sqlite3.connect(opened(tmp_path).file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    database = opened(tmp_path)
    assert numbers(database) == []
    assert database.error == "database is locked"
    other.close()
    assert numbers(opened(tmp_path)) == [1]


def test_several_processes_make_it_at_once(tmp_path):
    program = (
        "import sys; from pathlib import Path; from hubtune.storage.sqlite import CacheDatabase\n"
        f"file = CacheDatabase(Path(sys.argv[1]), {TABLES!r}, 1)\n"
        "for number in range(20):\n"
        "    statement = f'INSERT INTO numbers VALUES ({number}, 1)'\n"
        "    assert file.write(lambda database: database.execute(statement)), file.error"
    )
    command = [sys.executable, "-c", program, str(opened(tmp_path).file)]
    processes = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(60) for process in processes] == [0] * 4
    assert len(numbers(opened(tmp_path))) == 80
