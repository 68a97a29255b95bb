"""The feature cache returns what was put into it or nothing, whatever happens to its file."""

import hashlib
import logging
import os
import random
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from support.waiting import HANG_SECONDS

from hubtune.errors import UsageError
from hubtune.inference.feature_cache import DEFAULT_LIMIT, FILE_NAME, FeatureCache, Space

FACTS = {"module": "resnet50_imagenet", "view": "crop 224"}
GIGABYTE = 10**9
# Of values of 256 float32, with keys and indices.
ROW_BYTES = 1500


def key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def values(number: int, length: int = 256) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(length).astype(np.float32)


def fill(folder: Path, numbers: range, facts: dict = FACTS, limit: int = GIGABYTE, length: int = 256) -> None:
    with FeatureCache(folder, limit).space(facts) as space:
        for number in numbers:
            space.put(key(number), values(number, length))


def stored(folder: Path, numbers: range, facts: dict = FACTS) -> set[int]:
    """Which numbers a new run finds; all values that it finds must be right."""
    return intact(FeatureCache(folder, GIGABYTE).space(facts), numbers)


def intact(space: Space, numbers: range) -> set[int]:
    rows = {number: space.get(key(number)) for number in numbers}
    for number, row in rows.items():
        if row is not None:
            np.testing.assert_array_equal(row, values(number, len(row)))
    return {number for number, row in rows.items() if row is not None}


def change(folder: Path, statement: str, *values: object) -> None:
    """Change the file behind the cache's back."""
    with sqlite3.connect(folder / FILE_NAME) as database:
        database.execute(statement, values)
    database.close()


def test_every_float_type_and_shape_comes_back_to_the_bit(tmp_path):
    arrays = [
        np.arange(5, dtype=np.float32),
        np.arange(24, dtype=np.float16).reshape(2, 3, 4),
        np.arange(24, dtype=np.float16).reshape(2, 4, 3).transpose(0, 2, 1),
        np.array([np.nan, np.inf, -0.0], np.float64),
        np.array(1.5, np.float32),
        np.arange(4, dtype=">f4"),
        np.random.default_rng(0).standard_normal((196, 7, 7, 32)).astype(np.float16),  # larger than a page
    ]
    with FeatureCache(tmp_path, GIGABYTE).space(FACTS) as space:
        for number, array in enumerate(arrays):
            space.put(key(number), array)
        before = [space.get(key(number)) for number in range(len(arrays))]
    space = FeatureCache(tmp_path, GIGABYTE).space(FACTS)
    for number, array in enumerate(arrays):
        for row in (before[number], space.get(key(number))):
            assert (row.dtype, row.shape, row.tobytes()) == (array.dtype, array.shape, array.tobytes())
            row[...] = 7  # a copy that the caller may change
        np.testing.assert_array_equal(space.get(key(number)), array)
    assert space.get(key(99)) is None


def test_what_is_put_is_copied(tmp_path):
    batch = np.ones((2, 3), np.float32)
    with FeatureCache(tmp_path, GIGABYTE).space(FACTS) as space:
        space.put(key(0), batch[0])
        batch[:] = 0
    assert FeatureCache(tmp_path, GIGABYTE).space(FACTS).get(key(0)).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("wrong_key", "wrong_values"),
    [(b"short", np.ones(3, np.float32)), (key(0), np.ones(3, np.int64)), (key(0), np.ones(0, np.float32))],
)
def test_what_is_not_a_feature_is_refused(tmp_path, wrong_key, wrong_values):
    with pytest.raises(ValueError, match="only floats under a key of 32 bytes"):
        FeatureCache(tmp_path, GIGABYTE).space(FACTS).put(wrong_key, wrong_values)


def test_other_facts_are_another_space_whatever_their_order(tmp_path):
    fill(tmp_path, range(3))
    assert stored(tmp_path, range(3), dict(reversed(FACTS.items()))) == {0, 1, 2}
    assert stored(tmp_path, range(3), {**FACTS, "view": "crop 288"}) == set()
    [space] = FeatureCache(tmp_path, GIGABYTE).spaces()
    assert (space.description, space.images, space.bytes) == (FACTS, 3, 3 * 1024)


def test_what_others_write_is_found_at_once(tmp_path):
    space = FeatureCache(tmp_path, GIGABYTE).space(FACTS)
    assert space.get(key(1)) is None
    fill(tmp_path, range(3))
    assert intact(space, range(3)) == {0, 1, 2}


def test_a_full_batch_is_written_before_the_end(tmp_path):
    space = FeatureCache(tmp_path, GIGABYTE // 1000).space(FACTS)  # batches of 125 kB
    for number in range(200):
        space.put(key(number), values(number, 256 + number % 2))
    assert set() < stored(tmp_path, range(200)) < set(range(200))
    space.flush()
    assert stored(tmp_path, range(200)) == set(range(200))


def test_a_value_that_is_put_again_replaces_the_first(tmp_path):
    for number in range(2):
        with FeatureCache(tmp_path, GIGABYTE).space(FACTS) as space:
            for _ in range(2):
                space.put(key(0), np.full(3, number, np.float32))
    cache = FeatureCache(tmp_path, GIGABYTE)
    assert cache.space(FACTS).get(key(0)).tolist() == [1, 1, 1]
    assert [(space.images, space.bytes) for space in cache.spaces()] == [(1, 12)]


DAMAGED_COLUMNS = {
    "a bit of a value": "data = CAST(x'00' || substr(data, 2) AS BLOB)",
    "its end": "data = CAST(substr(data, 1, 99) AS BLOB)",
    "the type": "dtype = CAST('<f8' AS BLOB)",
    "the shape": "shape = CAST('[2, 128]' AS BLOB)",
    "the kind of a column": "data = 7",
    "nothing left of a column": "shape = NULL",
    "the checksum": "checksum = CAST('12345678' AS BLOB)",
    "a trap": "dtype = CAST('O' AS BLOB)",
}


@pytest.mark.parametrize("change_of", DAMAGED_COLUMNS.values(), ids=DAMAGED_COLUMNS)
def test_a_damaged_row_is_never_returned_and_is_repaired_by_the_next_run(tmp_path, caplog, change_of):
    caplog.set_level(logging.INFO, "hubtune")
    fill(tmp_path, range(10))
    change(tmp_path, f"UPDATE entries SET {change_of} WHERE id IN (3, 4)")
    assert stored(tmp_path, range(10)) == set(range(10)) - {2, 3}
    assert caplog.messages == ["Some stored features are damaged: they are computed again."]
    fill(tmp_path, range(2, 4))
    assert stored(tmp_path, range(10)) == set(range(10))


def test_rows_that_were_mixed_up_are_not_returned(tmp_path):
    fill(tmp_path, range(10))
    change(tmp_path, "UPDATE entries SET key = CAST('x' AS BLOB) WHERE id = 1")
    change(tmp_path, "UPDATE entries SET key = (SELECT ?) WHERE id = 2", _row_key(tmp_path, 0))
    assert stored(tmp_path, range(10)) == set(range(2, 10))


def _row_key(folder: Path, number: int) -> bytes:
    return hashlib.sha256(bytes.fromhex(FeatureCache(folder, 1).space(FACTS).name) + key(number)).digest()


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


def test_a_file_that_is_damaged_while_it_is_in_use_is_replaced(tmp_path, caplog):
    fill(tmp_path, range(10))
    space = FeatureCache(tmp_path, GIGABYTE).space(FACTS)
    assert intact(space, range(10)) == set(range(10))
    (tmp_path / FILE_NAME).write_bytes(b"<html>" * 10_000)
    assert intact(space, range(10)) == set()
    assert "features.sqlite is damaged and is replaced" in caplog.text
    with space:
        space.put(key(0), values(0))
    assert stored(tmp_path, range(10)) == {0}


def test_a_note_is_returned_until_it_is_damaged(tmp_path):
    cache = FeatureCache(tmp_path, GIGABYTE)
    facts = {"pictures": "af01", "views": ("a", None)}
    assert cache.note(facts) is None
    cache.put_note(facts, {"strength": 0.25, "views": ["é"]})
    assert FeatureCache(tmp_path, GIGABYTE).note(facts) == {"strength": 0.25, "views": ["é"]}
    assert cache.note({**facts, "pictures": "af02"}) is None
    assert cache.spaces() == []
    change(tmp_path, "UPDATE entries SET data = CAST('{}' AS BLOB)")
    assert cache.note(facts) is None
    cache.put_note(facts, {"strength": 4})
    assert cache.note(facts) == {"strength": 4}


@pytest.mark.parametrize(("text", "expected"), [("10GB", 10**10), ("0", 0), ("", DEFAULT_LIMIT)])
def test_the_limit_is_from_the_environment(tmp_path, monkeypatch, text, expected):
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", text)
    assert FeatureCache(tmp_path).limit == expected


@pytest.mark.parametrize("text", ["ten", "-1", "9" * 400])
def test_a_limit_that_is_not_a_size_is_refused_by_name(tmp_path, monkeypatch, text):
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", text)
    with pytest.raises(UsageError, match=r"HUBTUNE_CACHE_SIZE: .* is not a size: write 10GB"):
        FeatureCache(tmp_path)


def test_the_folder_is_in_hubtunes_home():
    assert FeatureCache().folder == Path(os.environ["HUBTUNE_HOME"]) / "features"


@pytest.mark.parametrize("length", [256, 530, 1200, 5000])  # some leave half of a page empty
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
    fill(tmp_path, range(100, 102), {"name": "large"}, limit=100_000, length=40_000)
    assert stored(tmp_path, range(10)) == set(range(10))
    assert stored(tmp_path, range(100, 102), {"name": "large"}) == set()
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "The feature cache is full (100 kB)" in caplog.text
    assert "HUBTUNE_CACHE_SIZE" in caplog.text


def test_a_run_that_needs_more_than_fits_finds_a_part_the_next_time(tmp_path):
    for _ in range(3):
        with FeatureCache(tmp_path, 200 * ROW_BYTES).space(FACTS) as space:
            hits = 0
            for number in range(400):  # twice the limit, in the same order each time
                if space.get(key(number)) is None:
                    space.put(key(number), values(number))
                else:
                    hits += 1
    assert hits > 100


def test_a_limit_of_zero_writes_and_reads_nothing(tmp_path):
    fill(tmp_path / "full", range(3))
    for folder in (tmp_path / "new", tmp_path / "full"):
        cache = FeatureCache(folder, 0)
        with cache.space(FACTS) as space:
            space.put(key(0), values(0))
        cache.put_note({"a": 1}, {"b": 2})
        assert space.get(key(1)) is None
        assert cache.note({"a": 1}) is None
    assert not (tmp_path / "new").exists()
    assert stored(tmp_path / "full", range(3)) == {0, 1, 2}


def test_a_folder_that_cannot_be_written_is_reported_once(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    cache = FeatureCache(tmp_path / "file", GIGABYTE)
    for _ in range(2):
        with cache.space(FACTS) as space:
            space.put(key(0), values(0))
            assert space.get(key(1)) is None
        cache.put_note({"a": 1}, {"b": 2})
    assert cache.note({"a": 1}) is None
    assert space.get(key(0)) is None
    assert not cache.writable
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "the run goes on without" in caplog.text


def _connect_read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(
        sqlite3, "connect", lambda file, **options: connect(f"file:{file}?mode=ro", uri=True, **options)
    )


def test_a_cache_that_can_only_be_read_is_used(tmp_path, monkeypatch, caplog):
    fill(tmp_path, range(3))
    _connect_read_only(monkeypatch)
    with FeatureCache(tmp_path, GIGABYTE).space(FACTS) as space:
        assert intact(space, range(3)) == {0, 1, 2}
    assert not caplog.messages
    with FeatureCache(tmp_path, GIGABYTE).space(FACTS) as space:
        space.put(key(3), values(3))
    assert intact(space, range(4)) == {0, 1, 2}
    assert "attempt to write a readonly database" in caplog.text
    assert FeatureCache(tmp_path, GIGABYTE).prune(keep=0)[1] == 0


def test_a_full_disk_fails_no_run(tmp_path, monkeypatch, caplog):
    fill(tmp_path, range(3))
    connect = sqlite3.connect

    def full(file, **options):
        database = connect(file, **options)
        database.execute("PRAGMA max_page_count = 12")
        return database

    with monkeypatch.context() as patched:
        patched.setattr(sqlite3, "connect", full)
        fill(tmp_path, range(3, 60))
    assert "database or disk is full" in caplog.text
    assert stored(tmp_path, range(60)) == {0, 1, 2}


def test_what_others_remove_meanwhile_is_absent(tmp_path):
    fill(tmp_path, range(5))
    space = FeatureCache(tmp_path, GIGABYTE).space(FACTS)
    assert space.get(key(0)) is not None
    FeatureCache(tmp_path, GIGABYTE).prune(keep=0)
    assert intact(space, range(5)) == set()
    with space:
        space.put(key(0), values(0))
    assert stored(tmp_path, range(5)) == {0}


def test_verify_removes_the_damaged_rows_alone(tmp_path, monkeypatch):
    fill(tmp_path, range(10))
    fill(tmp_path, range(20, 25), {"name": "sound"})
    change(
        tmp_path, "UPDATE entries SET data = CAST(x'00' || substr(data, 2) AS BLOB) WHERE id IN (1, 6, 10)"
    )

    def results() -> set[tuple[int, int, int]]:
        cache = FeatureCache(tmp_path, 0)  # whatever the limit
        return {(space.images, damaged, removed) for space, damaged, removed in cache.verify()}

    with monkeypatch.context() as patched:
        _connect_read_only(patched)
        assert results() == {(10, 3, 0), (5, 0, 0)}
    assert results() == {(10, 3, 3), (5, 0, 0)}
    assert results() == {(7, 0, 0), (5, 0, 0)}
    assert stored(tmp_path, range(10)) == set(range(10)) - {0, 5, 9}


def test_prune_removes_batches_by_their_age_and_the_file_gets_smaller(tmp_path):
    for name in "abcd":
        fill(tmp_path, range(100), {"name": name})
    change(tmp_path, "UPDATE batches SET used = ? WHERE id = 3", time.time() - 1000)
    cache = FeatureCache(tmp_path, GIGABYTE)
    full = cache.size()
    estimate = cache.prune(unused_since=time.time() - 500, dry_run=True)
    assert cache.size() == full
    count, freed = cache.prune(unused_since=time.time() - 500)
    assert (count, cache.size()) == (estimate[0], full - freed) == (1, full - freed)
    assert freed == pytest.approx(full / 4, rel=0.1) == pytest.approx(estimate[1], rel=0.1)
    cache.prune(keep=round(0.6 * full))
    assert [space.description["name"] for space in cache.spaces()] == ["d", "b"]
    cache.prune(keep=0)
    assert cache.spaces() == []
    assert cache.size() < 40_000  # empty tables
    assert cache.prune() == (0, 0)


def test_files_of_older_versions_are_counted_passed_over_and_pruned(tmp_path):
    space, notes = tmp_path / ("0" * 63 + "a"), tmp_path / "notes"
    for file in (space / "x.keys.npy", space / "x.values.npy", notes / "x.json", tmp_path / "merge.lock"):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x" * 1000)
    (tmp_path / "thesis").mkdir()  # not the cache's
    fill(tmp_path, range(3))
    cache = FeatureCache(tmp_path, GIGABYTE)
    own = (tmp_path / FILE_NAME).stat().st_size
    assert cache.size() == own + 4000
    assert len(cache.spaces()) == 1
    assert cache.prune(dry_run=True) == cache.prune() == (3, 4000)
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME, "thesis"]
    assert stored(tmp_path, range(3)) == {0, 1, 2}


def test_threads_share_a_space(tmp_path):
    wrong = []
    with FeatureCache(tmp_path, 10**6).space(FACTS) as space:  # small batches: many writes on the way

        def work(start: int) -> None:
            for number in random.Random(start).sample(range(400), 400):
                row = space.get(key(number))
                if row is None:
                    space.put(key(number), values(number))
                elif not np.array_equal(row, values(number)):
                    wrong.append(number)

        threads = [threading.Thread(target=work, args=(start,)) for start in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not wrong
    assert stored(tmp_path, range(400)) == set(range(400))


# Goes through all images in an order of its own, for ever; what it finds must be right.
_PROGRAM = """
import hashlib, random, sys
from pathlib import Path
import numpy as np
from hubtune.inference.feature_cache import FeatureCache
draw = random.Random(int(sys.argv[2]))
print("at work", flush=True)
for _ in range(int(sys.argv[3])):
    with FeatureCache(Path(sys.argv[1]), 10**9).space({"module": "m"}) as space:
        for number in draw.sample(range(300), 40):
            key = hashlib.sha256(str(number).encode()).digest()
            values = np.random.default_rng(number).standard_normal(256).astype(np.float32)
            row = space.get(key)
            assert row is None or (row == values).all(), number
            if row is None or draw.random() < 0.2:
                space.put(key, values)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_processes_share_a_space_though_some_are_killed(tmp_path):
    def start(seed: int, rounds: int) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(tmp_path), str(seed), str(rounds)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    workers = [start(seed, 12) for seed in range(3)]
    draw = random.Random(0)
    for seed in range(10, 13):
        doomed = start(seed, 10**6)
        doomed.stdout.readline()  # it is at work
        time.sleep(draw.uniform(0, 0.15))
        doomed.kill()
        doomed.communicate()
        assert doomed.returncode < 0
    for worker in workers:
        assert worker.communicate(timeout=HANG_SECONDS)[1] == ""
        assert worker.returncode == 0
    assert len(stored(tmp_path, range(300), {"module": "m"})) > 200
    assert [result[1] for result in FeatureCache(tmp_path, GIGABYTE).verify()] == [0]


def test_it_needs_no_paddle():
    program = (
        "import sys; sys.modules['paddle'] = None; import hubtune.inference.feature_cache, hubtune.cli.cache"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
