"""Rows are returned as they were written or not at all, whatever happens to their file, within its limit."""

import logging
import random
import sqlite3
import subprocess
import sys
import time

import pytest
from support.features import FACTS, GIGABYTE, change_rows, fill, key, stored, values
from support.waiting import HANG_SECONDS

from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.feature_rows import FILE_NAME

# Of values of 256 float32, with keys and indices.
ROW_BYTES = 1500

DAMAGED_COLUMNS = {
    "a bit of a value": "data = CAST(x'00' || substr(data, 2) AS BLOB)",
    "the type": "dtype = CAST('<f8' AS BLOB)",
    "the shape": "shape = CAST('[2, 128]' AS BLOB)",
    "nothing left of a column": "shape = NULL",
    "a trap": "dtype = CAST('O' AS BLOB)",
    "another row's": "(data, checksum) = (SELECT data, checksum FROM entries WHERE id = 9)",
}


@pytest.mark.parametrize("change_of", DAMAGED_COLUMNS.values(), ids=DAMAGED_COLUMNS)
def test_a_damaged_row_is_never_returned_and_is_repaired_by_the_next_run(tmp_path, caplog, change_of):
    caplog.set_level(logging.INFO, "hubtune")
    fill(tmp_path, range(10))
    change_rows(tmp_path, f"UPDATE entries SET {change_of} WHERE id IN (3, 4)")
    assert stored(tmp_path, range(10)) == set(range(10)) - {2, 3}
    assert caplog.messages == ["Some stored features are damaged: they are computed again."]
    fill(tmp_path, range(2, 4))
    assert stored(tmp_path, range(10)) == set(range(10))


@pytest.mark.parametrize("seed", range(20))
def test_no_bit_that_flips_anywhere_gives_a_wrong_value_or_an_error(tmp_path, seed):
    fill(tmp_path, range(20))
    FeatureCache(tmp_path, GIGABYTE).put_note({"a": 1}, {"b": 2})
    file = tmp_path / FILE_NAME
    content = bytearray(file.read_bytes())
    draw = random.Random(seed)
    for _ in range(10):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    file.write_bytes(content)
    stored(tmp_path, range(20))
    cache = FeatureCache(tmp_path, GIGABYTE)
    assert cache.note({"a": 1}) in ({"b": 2}, None)
    list(cache.verify())
    cache.prune(keep=10_000)
    fill(tmp_path, range(20))
    stored(tmp_path, range(20))


@pytest.mark.parametrize("length", [256, 1200, 5000])  # some leave half of a page empty
def test_the_limit_is_never_exceeded(tmp_path, length):
    limit = 400_000
    for number in range(40):
        fill(tmp_path, range(10 * number, 10 * number + 10), {"run": number % 7}, limit, length)
        assert FeatureCache(tmp_path, limit).size() <= limit
    assert FeatureCache(tmp_path, limit).size() > limit / 2


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    limit = 8 * 40 * ROW_BYTES + 50_000
    for name in "abcdefgh":
        fill(tmp_path, range(40), {"name": name}, limit)
    with FeatureCache(tmp_path, limit).space({"name": "a"}) as space:
        assert space.get(key(5)) is not None
    fill(tmp_path, range(40), {"name": "i"}, limit)
    left = {name: len(stored(tmp_path, range(40), {"name": name})) for name in "abcdefghi"}
    assert left == {**dict.fromkeys("abcdefghi", 40), "b": 0}


def test_more_than_the_limit_at_once_is_not_stored_and_removes_nothing(tmp_path, caplog):
    caplog.set_level(logging.INFO, "hubtune")
    fill(tmp_path, range(10), limit=100_000)
    fill(tmp_path, range(100, 102), limit=100_000, length=40_000)
    assert stored(tmp_path, range(102)) == set(range(10))
    [message] = caplog.messages
    assert message.startswith("The feature cache is full (100 kB): ") and "HUBTUNE_CACHE_SIZE" in message


def test_a_folder_that_cannot_be_written_is_reported_once(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    cache = FeatureCache(tmp_path / "file", GIGABYTE)
    for _ in range(2):
        with cache.space(FACTS) as space:
            space.put(key(0), values(0))
            assert space.get(key(1)) is None
        cache.put_note({"a": 1}, {"b": 2})
    assert (cache.note({"a": 1}), space.get(key(0))) == (None, None)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "the run goes on without" in caplog.text


def test_a_cache_that_can_only_be_read_is_used_and_a_full_disk_fails_no_run(tmp_path, monkeypatch, caplog):
    fill(tmp_path, range(3))
    connect = sqlite3.connect

    def read_only(file, **options):
        return connect(f"file:{file}?mode=ro", uri=True, **options)

    def full(file, **options):
        database = connect(file, **options)
        database.execute("PRAGMA max_page_count = 12")
        return database

    reasons = {read_only: "attempt to write a readonly database", full: "database or disk is full"}
    for replacement, reason in reasons.items():
        with monkeypatch.context() as patched:
            patched.setattr(sqlite3, "connect", replacement)
            assert stored(tmp_path, range(3)) == {0, 1, 2}
            assert reason not in caplog.text
            fill(tmp_path, range(3, 60))
        assert reason in caplog.text
        assert stored(tmp_path, range(60)) == {0, 1, 2}


# Goes through all images in an order of its own, in three threads; what it finds must be right.
_PROGRAM = """
import hashlib, random, sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import numpy as np
from hubtune.inference.feature_cache import FeatureCache

def work(number):
    key = hashlib.sha256(str(number).encode()).digest()
    values = np.random.default_rng(number).standard_normal(256).astype(np.float32)
    row = space.get(key)
    assert row is None or (row == values).all(), number
    if row is None or draw.random() < 0.2:
        space.put(key, values)

draw = random.Random(int(sys.argv[2]))
print("at work", flush=True)
for _ in range(int(sys.argv[3])):
    cache = FeatureCache(Path(sys.argv[1]), 10**6)  # with small batches, which are written on the way
    with cache.space({"module": "m"}) as space, ThreadPoolExecutor(3) as pool:
        list(pool.map(work, draw.sample(range(300), 200)))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_processes_and_threads_share_a_space_though_some_are_killed(tmp_path):
    def start(seed, rounds):
        command = [sys.executable, "-c", _PROGRAM, str(tmp_path), str(seed), str(rounds)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    workers = [start(seed, 4) for seed in range(3)]
    for seed in range(10, 13):
        doomed = start(seed, 10**6)
        doomed.stdout.readline()  # it is at work
        time.sleep((seed - 10) * 0.07)
        doomed.kill()
        doomed.communicate()
        assert doomed.returncode < 0
    for worker in workers:
        assert worker.communicate(timeout=HANG_SECONDS)[1] == ""
        assert worker.returncode == 0
    assert len(stored(tmp_path, range(300), {"module": "m"})) > 200
    assert [result[1] for result in FeatureCache(tmp_path, GIGABYTE).verify()] == [0]
