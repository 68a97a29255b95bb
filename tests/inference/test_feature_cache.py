"""The feature cache returns what was put into it or nothing, whatever happens to its files."""

import errno
import hashlib
import logging
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hubtune.errors import UsageError
from hubtune.inference import shard, space
from hubtune.inference.feature_cache import DEFAULT_LIMIT, FeatureCache, bytes_of

FACTS = {"module": "resnet50_imagenet", "view": "crop 224"}
GIGABYTE = 10**9


def key(number: int) -> bytes:
    return hashlib.sha256(str(number).encode()).digest()


def values(number: int, length: int = 64) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(length).astype(np.float32)


def fill(folder: Path, numbers: range, facts: dict = FACTS, limit: int = GIGABYTE, length: int = 64) -> None:
    with FeatureCache(folder, limit).space(facts) as kept:
        for number in numbers:
            kept.put(key(number), values(number, length))


def found(folder: Path, numbers: range, facts: dict = FACTS) -> set[int]:
    """Which numbers a new run finds; all values that it finds must be right."""
    kept = FeatureCache(folder, GIGABYTE).space(facts)
    answers = {number: kept.get(key(number)) for number in numbers}
    for number, answer in answers.items():
        if answer is not None:
            np.testing.assert_array_equal(answer, values(number, len(answer)))
    return {number for number, answer in answers.items() if answer is not None}


def disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*.npy"))


def keys_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.keys.npy"))


def test_every_float_type_and_shape_comes_back_as_it_was(tmp_path):
    arrays = [
        np.arange(5, dtype=np.float32),
        np.arange(24, dtype=np.float16).reshape(2, 3, 4),
        np.arange(24, dtype=np.float16).reshape(2, 4, 3).transpose(0, 2, 1),
        np.array([np.nan, np.inf, -0.0], np.float64),
        np.array(1.5, np.float32),
        np.arange(4, dtype=">f4"),
    ]
    with FeatureCache(tmp_path, GIGABYTE).space(FACTS) as kept:
        for number, array in enumerate(arrays):
            kept.put(key(number), array)
        before = [kept.get(key(number)) for number in range(len(arrays))]
    kept = FeatureCache(tmp_path, GIGABYTE).space(FACTS)
    for number, array in enumerate(arrays):
        for answer in (before[number], kept.get(key(number))):
            assert answer.dtype == array.dtype
            np.testing.assert_array_equal(answer, array)
            answer[...] = 7  # a copy that the caller may change
        np.testing.assert_array_equal(kept.get(key(number)), array)
    assert kept.get(key(99)) is None


def test_what_is_put_is_copied(tmp_path):
    batch = np.ones((2, 3), np.float32)
    with FeatureCache(tmp_path, GIGABYTE).space(FACTS) as kept:
        kept.put(key(0), batch[0])
        batch[:] = 0
    assert FeatureCache(tmp_path, GIGABYTE).space(FACTS).get(key(0)).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("wrong_key", "wrong_values"),
    [(b"short", np.ones(3, np.float32)), (key(0), np.ones(3, np.int64)), (key(0), np.ones(0, np.float32))],
)
def test_what_is_no_feature_is_refused(tmp_path, wrong_key, wrong_values):
    with pytest.raises(ValueError, match="floats under a key of 32 bytes"):
        FeatureCache(tmp_path, GIGABYTE).space(FACTS).put(wrong_key, wrong_values)


def test_other_facts_are_another_space_whatever_their_order(tmp_path):
    fill(tmp_path, range(3))
    assert found(tmp_path, range(3), dict(reversed(FACTS.items()))) == {0, 1, 2}
    assert found(tmp_path, range(3), {**FACTS, "view": "crop 288"}) == set()
    [described] = tmp_path.rglob("space.json")
    assert '"view": "crop 224"' in described.read_text(encoding="utf-8")


def test_keys_that_begin_alike_are_told_apart(tmp_path):
    alike = [key(0)[:8] + key(number)[8:] for number in range(3)]
    with FeatureCache(tmp_path, GIGABYTE).space(FACTS) as kept:
        kept.put(alike[0], values(0))
        kept.put(alike[1], values(1))
    kept = FeatureCache(tmp_path, GIGABYTE).space(FACTS)
    np.testing.assert_array_equal(kept.get(alike[0]), values(0))
    np.testing.assert_array_equal(kept.get(alike[1]), values(1))
    assert kept.get(alike[2]) is None


def test_what_others_finished_is_found_when_the_space_is_opened(tmp_path):
    mine = FeatureCache(tmp_path, GIGABYTE)
    fill(tmp_path, range(3))
    assert mine.space(FACTS).get(key(1)) is not None


def test_a_full_buffer_is_written_before_the_end(tmp_path):
    kept = FeatureCache(tmp_path, 80_000).space(FACTS)
    for number in range(100):
        kept.put(key(number), values(number, 64 + number % 2))
    assert found(tmp_path, range(100)) < set(range(100))
    assert disk_bytes(tmp_path) > 20_000
    kept.flush()
    assert found(tmp_path, range(100)) == set(range(100))


def _flip(path: Path, position: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def _huge_header(path: Path) -> None:
    path.write_bytes(b"\x93NUMPY\x02\x00\xff\xff\xff\xff" + b" " * 100_000)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "x").touch()


class _Trap:
    def __reduce__(self):
        return Path.touch, (Path("unpickled"),)


def _pickled(path: Path) -> None:
    np.save(path, np.array([_Trap()], object), allow_pickle=True)


def _claims(path: Path, header: str) -> None:
    text = header.encode().ljust(117) + b"\n"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + b"\0" * 4)


def _endless(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


SPOILERS: dict[str, Callable[[Path], None]] = {
    "a bit of the content flips": _flip,
    "a bit of the header's type flips": lambda path: _flip(
        path, path.read_bytes().index(b"<f4" if b"<f4" in path.read_bytes() else b"|u1") + 2
    ),
    "a bit of the header's shape flips": lambda path: _flip(path, path.read_bytes().index(b"(") + 1),
    "its end is missing": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "its content is missing": lambda path: path.write_bytes(path.read_bytes()[:128]),
    "it is empty": lambda path: path.write_bytes(b""),
    "it is longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "it is missing": Path.unlink,
    "it is text": lambda path: path.write_text("<html>"),
    "it is a folder": _folder,
    "it is a pipe": _endless,
    "it is pickled": _pickled,
    "its header is huge": _huge_header,
    "its header is nested": lambda path: _claims(path, "(" * 110),
    "its header has no end": lambda path: _claims(path, "{'descr': '"),
    "its shape is negative": lambda path: _claims(
        path, "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, -1)}"
    ),
    "its shape is enormous": lambda path: _claims(
        path, "{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999, 9999999999)}"
    ),
    "it holds numbers of another kind": lambda path: np.save(path, np.zeros((10, 64), np.int32)),
    "it holds zeros": lambda path: path.write_bytes(
        path.read_bytes()[:128] + bytes(path.stat().st_size - 128)
    ),
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes in folders")
@pytest.mark.parametrize("which", ["keys", "values"])
@pytest.mark.parametrize("spoil", SPOILERS.values(), ids=SPOILERS)
def test_damage_is_never_returned_and_repaired_by_the_next_run(tmp_path, spoil, which):
    fill(tmp_path, range(10))
    [spoiled] = tmp_path.rglob(f"*.{which}.npy")
    fill(tmp_path, range(10, 20))
    spoil(spoiled)
    sound = found(tmp_path, range(20))
    assert sound >= set(range(10, 20))
    assert not sound >= set(range(20))
    assert not Path("unpickled").exists()
    with FeatureCache(tmp_path, GIGABYTE).space(FACTS) as kept:
        for number in set(range(20)) - sound:
            kept.put(key(number), values(number))
            np.testing.assert_array_equal(kept.get(key(number)), values(number))
    assert found(tmp_path, range(20)) == set(range(20))


@pytest.mark.parametrize("which", ["keys", "values"])
def test_files_of_shards_that_were_mixed_up_return_nothing_wrong(tmp_path, which):
    fill(tmp_path, range(10))
    fill(tmp_path, range(10, 20))
    one, other = tmp_path.rglob(f"*.{which}.npy")
    one.rename(tmp_path / "x")
    other.rename(one)
    (tmp_path / "x").rename(other)
    assert found(tmp_path, range(20)) == set()


def test_a_damaged_row_is_told_once_a_shard(tmp_path, caplog):
    fill(tmp_path, range(10))
    [file] = tmp_path.rglob("*.values.npy")
    file.write_bytes(file.read_bytes()[:128] + bytes(10 * 64 * 4))
    with caplog.at_level(logging.INFO, "hubtune"):
        kept = FeatureCache(tmp_path, GIGABYTE).space(FACTS)
        assert [kept.get(key(number)) for number in range(10)] == [None] * 10
    assert len(caplog.records) == 1
    assert "is damaged" in caplog.text


def test_a_file_that_is_spoiled_while_it_is_in_use_returns_nothing(tmp_path):
    fill(tmp_path, range(10))
    kept = FeatureCache(tmp_path, GIGABYTE).space(FACTS)
    [file] = tmp_path.rglob("*.values.npy")
    os.truncate(file, 200)
    assert [kept.get(key(number)) for number in range(10)] == [None] * 10


@pytest.mark.parametrize("spoil", [_flip, _folder, lambda path: path.write_text("[1]"), Path.unlink])
def test_a_note_is_kept_and_a_damaged_one_is_none(tmp_path, spoil):
    cache = FeatureCache(tmp_path, GIGABYTE)
    asked = {"pictures": "af01", "views": ("a", None)}
    assert cache.note(asked) is None
    cache.keep_note(asked, {"strength": 0.25, "views": ["é"]})
    assert FeatureCache(tmp_path, GIGABYTE).note(asked) == {"strength": 0.25, "views": ["é"]}
    assert cache.note({**asked, "pictures": "af02"}) is None
    [file] = (tmp_path / "notes").iterdir()
    # The last bit is of the line break, which means nothing.
    file.write_bytes(file.read_bytes().rstrip().rstrip(b"}").rstrip().rstrip(b'"'))
    spoil(file)
    assert cache.note(asked) is None
    cache.keep_note(asked, {"strength": 4})
    assert cache.note(asked) == {"strength": 4}


def test_a_note_of_another_key_in_its_place_is_none(tmp_path):
    cache = FeatureCache(tmp_path, GIGABYTE)
    cache.keep_note({"a": 1}, {"x": 1})
    [file] = (tmp_path / "notes").iterdir()
    file.write_text(file.read_text().replace('"x": 1', '"x": 2'))
    assert cache.note({"a": 1}) is None
    cache.keep_note({"a": 1}, {"x": 1})
    cache.keep_note({"a": 2}, {"x": 2})
    one, other = (tmp_path / "notes").iterdir()
    one.replace(other)
    assert None in (cache.note({"a": 1}), cache.note({"a": 2}))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10GB", 10 * 10**9),
        ("500 MB", 500 * 10**6),
        ("1.5 GiB", 3 * 2**29),
        ("2g", 2 * 10**9),
        ("7 kb", 7000),
        ("1234", 1234),
        ("12 B", 12),
        (" 1TiB ", 2**40),
        ("0", 0),
        ("", DEFAULT_LIMIT),
    ],
)
def test_the_limit_is_a_size_in_words(tmp_path, monkeypatch, text, expected):
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", text)
    assert FeatureCache(tmp_path).limit == expected


@pytest.mark.parametrize("text", ["ten", "-1", "1 XB", "1e9", "nan", "10 iB", "1,5GB", "٣GB", "9" * 400])
def test_a_limit_that_is_no_size_is_refused_by_name(tmp_path, monkeypatch, text):
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", text)
    with pytest.raises(UsageError, match=r"HUBTUNE_CACHE_SIZE: .* is no size: write 10GB"):
        FeatureCache(tmp_path)


def test_the_folder_is_in_hubtunes_home():
    assert FeatureCache().folder == Path(os.environ["HUBTUNE_HOME"]) / "features"


def test_no_limit_is_ever_exceeded(tmp_path):
    for number in range(60):
        fill(tmp_path, range(10 * number, 10 * number + 10), {"run": number % 7}, limit=20_000)
        assert disk_bytes(tmp_path) <= 20_000
    assert disk_bytes(tmp_path) > 10_000
    assert FeatureCache(tmp_path, GIGABYTE).size() == disk_bytes(tmp_path)


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    limit = 3 * 10 * (64 * 4 + 40) + 3 * 256 + 500  # three spaces of ten, headers included
    for name in "abc":
        fill(tmp_path, range(10), {"name": name}, limit)
        time.sleep(0.02)
    FeatureCache(tmp_path, limit).space({"name": "a"})
    time.sleep(0.02)
    fill(tmp_path, range(10), {"name": "d"}, limit)
    assert {name for name in "abcd" if found(tmp_path, range(10), {"name": name})} == set("acd")


def test_more_than_the_limit_at_once_is_not_kept_and_evicts_nothing(tmp_path, caplog):
    fill(tmp_path, range(10), limit=10_000)
    with caplog.at_level(logging.INFO, "hubtune"):
        fill(tmp_path, range(100, 102), {"name": "large"}, limit=10_000, length=4000)
    assert found(tmp_path, range(10)) == set(range(10))
    assert found(tmp_path, range(100, 102), {"name": "large"}) == set()
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "HUBTUNE_CACHE_SIZE" in caplog.text


def test_a_run_that_needs_more_than_fits_finds_a_part_the_next_time(tmp_path):
    for _ in range(3):
        with FeatureCache(tmp_path, 40_000).space(FACTS) as kept:
            hits = 0
            for number in range(300):  # twice the limit, in the same order each time
                if kept.get(key(number)) is None:
                    kept.put(key(number), values(number))
                else:
                    hits += 1
    assert hits > 90


def test_a_limit_of_zero_writes_and_reads_nothing(tmp_path):
    fill(tmp_path / "kept", range(3))
    for folder in (tmp_path / "new", tmp_path / "kept"):
        cache = FeatureCache(folder, 0)
        with cache.space(FACTS) as kept:
            kept.put(key(0), values(0))
        cache.keep_note({"a": 1}, {"b": 2})
        assert kept.get(key(1)) is None
        assert cache.note({"a": 1}) is None
    assert not (tmp_path / "new").exists()
    assert found(tmp_path / "kept", range(3)) == {0, 1, 2}


def test_a_folder_that_cannot_be_written_is_told_once(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    cache = FeatureCache(tmp_path / "file", GIGABYTE)
    for _ in range(2):
        with cache.space(FACTS) as kept:
            kept.put(key(0), values(0))
            kept.get(key(1))
        cache.keep_note({"a": 1}, {"b": 2})
    assert cache.note({"a": 1}) is None
    assert kept.get(key(0)) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "the run goes on without" in caplog.text


def test_a_full_disk_fails_no_run_and_leaves_nothing(tmp_path, monkeypatch, caplog):
    fill(tmp_path, range(3))
    before = sorted(tmp_path.rglob("*"))

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    fill(tmp_path, range(3, 6))
    assert "No space left on device" in caplog.text
    assert sorted(tmp_path.rglob("*")) == before


def test_what_others_evict_meanwhile_is_absent(tmp_path):
    fill(tmp_path, range(5))
    kept = FeatureCache(tmp_path, GIGABYTE).space(FACTS)
    assert kept.get(key(0)) is not None
    FeatureCache(tmp_path, GIGABYTE).prune(keep=0)
    assert [kept.get(key(number)) for number in range(5)] == [None] * 5
    with kept:
        kept.put(key(0), values(0))
    assert found(tmp_path, range(5)) == {0}


def test_small_shards_are_merged_and_readers_do_not_notice(tmp_path):
    fill(tmp_path, range(1))
    reader = FeatureCache(tmp_path, GIGABYTE).space(FACTS)
    assert reader.get(key(0)) is not None
    most = 0
    for number in range(1, 50):
        fill(tmp_path, range(number, number + 1))
        fill(tmp_path, range(1000, 1001))  # the same again and again
        most = max(most, len(keys_files(tmp_path)))
    assert most <= space.MERGE_ABOVE + 1
    np.testing.assert_array_equal(reader.get(key(0)), values(0))
    assert found(tmp_path, range(50)) == set(range(50))
    rows = [shard.open_shard(file).count for file in keys_files(tmp_path)]
    assert sum(rows) < 51 + space.MERGE_ABOVE
    assert len(list(tmp_path.rglob("*.npy"))) == 2 * len(rows)


def test_merging_leaves_damaged_rows_behind(tmp_path):
    fill(tmp_path, range(10))
    _flip(next(tmp_path.rglob("*.values.npy")))
    for number in range(100, 100 + space.MERGE_ABOVE):
        fill(tmp_path, range(number, number + 1))
    [merged] = keys_files(tmp_path)
    assert shard.open_shard(merged).count == 9 + space.MERGE_ABOVE
    assert found(tmp_path, range(10)) == set(range(9))


def _three_damaged(folder: Path) -> Path:
    """A shard of which rows 0, 5 and 9 are damaged."""
    fill(folder, range(10))
    [file] = folder.rglob("*.values.npy")
    for row in (0, 5, 9):
        _flip(file, 128 + row * 64 * 4 + 17)
    return file


SOUND = set(range(10)) - {0, 5, 9}


def test_verify_removes_damaged_rows_and_keeps_the_others(tmp_path):
    file = _three_damaged(tmp_path)
    fill(tmp_path, range(20, 25), {"name": "sound"})
    [sound_file] = set(tmp_path.rglob("*.values.npy")) - {file}
    [damaged_keys] = set(keys_files(tmp_path)) - {
        sound_file.with_name(sound_file.name.replace("values", "keys"))
    }
    os.utime(damaged_keys, (1000, 1000))
    reader = FeatureCache(tmp_path, GIGABYTE).space(FACTS)
    os.utime(damaged_keys, (1000, 1000))  # opening is use
    checked = {
        (space.rows, space.damaged_rows, space.damaged_shards, space.removed_shards, space.saved_rows)
        for space in FeatureCache(tmp_path, 0).verify()  # whatever the limit
    }
    assert checked == {(10, 3, 1, 1, 7), (5, 0, 0, 0, 0)}
    assert not file.exists() and sound_file.exists()
    # Another process, and one that had the space open; as old as it was for those that make room.
    assert min(path.stat().st_mtime for path in keys_files(tmp_path)) == 1000
    assert {number for number in range(10) if reader.get(key(number)) is not None} == SOUND
    assert found(tmp_path, range(10)) == SOUND
    assert len(list(tmp_path.rglob("*.npy"))) == 4
    assert {space.damaged_shards for space in FeatureCache(tmp_path, GIGABYTE).verify()} == {0}


def test_verify_removes_a_shard_without_a_sound_row(tmp_path):
    fill(tmp_path, range(3))
    [file] = tmp_path.rglob("*.values.npy")
    file.write_bytes(file.read_bytes()[:128] + bytes(3 * 64 * 4))
    [checked] = FeatureCache(tmp_path, GIGABYTE).verify()
    assert (checked.damaged_rows, checked.removed_shards, checked.saved_rows) == (3, 1, 0)
    assert not keys_files(tmp_path)


@pytest.mark.parametrize("moment", ["fsync", "utime"])
def test_verify_that_is_killed_or_fails_loses_no_sound_row(tmp_path, monkeypatch, moment):
    _three_damaged(tmp_path)

    class Killed(BaseException):
        pass

    for failure in (Killed(), OSError(errno.EIO, "bad disk")):

        def fail(*arguments: object, failure: BaseException = failure, **more: object) -> None:
            raise failure

        with monkeypatch.context() as patched:
            patched.setattr(os, moment, fail)
            try:
                [checked] = FeatureCache(tmp_path, GIGABYTE).verify()
            except Killed:
                pass
            else:
                assert (checked.damaged_shards, checked.removed_shards, checked.saved_rows) == (1, 0, 0)
        assert found(tmp_path, range(10)) == SOUND
    [checked] = [space for space in FeatureCache(tmp_path, GIGABYTE).verify() if space.damaged_shards]
    assert found(tmp_path, range(10)) == SOUND


def test_of_two_that_verify_at_once_one_keeps_its_rows(tmp_path, monkeypatch):
    _three_damaged(tmp_path)
    write = shard.write_shard
    others = []

    def write_while_another_does(*arguments: object) -> object:
        monkeypatch.setattr(shard, "write_shard", write)
        written = write(*arguments)
        others.extend(FeatureCache(tmp_path, GIGABYTE).verify())
        return written

    monkeypatch.setattr(shard, "write_shard", write_while_another_does)
    [checked] = FeatureCache(tmp_path, GIGABYTE).verify()
    assert checked.removed_shards == others[0].removed_shards == 1
    assert found(tmp_path, range(10)) == SOUND
    assert len(list(tmp_path.rglob("*.npy"))) == 2


def test_verify_leaves_what_cannot_be_read_just_now(tmp_path, monkeypatch):
    fill(tmp_path, range(10))

    def fail(*arguments: object) -> None:
        raise OSError(errno.EIO, "bad disk")

    with monkeypatch.context() as patched:
        patched.setattr(shard.Shard, "row", fail)
        [checked] = FeatureCache(tmp_path, GIGABYTE).verify()
    assert (checked.rows, checked.damaged_shards, checked.removed_shards) == (10, 1, 0)
    assert found(tmp_path, range(10)) == set(range(10))


@pytest.mark.parametrize("which", ["keys", "values"])
@pytest.mark.parametrize(
    "spoil", ["a bit of the header's shape flips", "it is empty", "it is text", "it is a folder"]
)
def test_damage_is_told_without_the_names_of_files(tmp_path, spoil, which):
    fill(tmp_path, range(3))
    [keys_file] = keys_files(tmp_path)
    SPOILERS[spoil](next(tmp_path.rglob(f"*.{which}.npy")))
    with pytest.raises(shard.Damaged) as damage:
        shard.open_shard(keys_file)
    assert "its file of" in str(damage.value)
    assert keys_file.name[:10] not in str(damage.value)


def test_leftovers_of_killed_processes_are_removed_when_they_are_old(tmp_path):
    fill(tmp_path, range(3))
    [folder] = [path.parent for path in keys_files(tmp_path)]
    old, young, part = folder / "aa.values.npy", folder / "bb.values.npy", folder / ".cc.tmp"
    for file in (old, young, part):
        file.write_bytes(b"x" * 1000)
    for file in (old, part):
        os.utime(file, (time.time() - 7200,) * 2)
    assert FeatureCache(tmp_path, GIGABYTE).size() > 3000
    fill(tmp_path, range(3, 6))
    assert [file.exists() for file in (old, young, part)] == [False, True, False]
    assert found(tmp_path, range(6)) == set(range(6))


def test_what_is_not_the_caches_is_left_alone(tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "x.keys.npy").write_bytes(b"mine")
    (tmp_path / "letter.txt").write_text("mine")
    fill(tmp_path, range(3))
    FeatureCache(tmp_path, GIGABYTE).prune(keep=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["letter.txt", "thesis"]
    assert (tmp_path / "thesis" / "x.keys.npy").read_bytes() == b"mine"


def test_threads_share_a_space(tmp_path):
    wrong = []
    with FeatureCache(tmp_path, 400_000).space(FACTS) as kept:  # small shards: many writes on the way

        def work(start: int) -> None:
            for number in random.Random(start).sample(range(400), 400):
                answer = kept.get(key(number))
                if answer is None:
                    kept.put(key(number), values(number))
                elif not np.array_equal(answer, values(number)):
                    wrong.append(number)

        threads = [threading.Thread(target=work, args=(start,)) for start in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert not wrong
    assert found(tmp_path, range(400)) == set(range(400))


# Goes through all pictures in an order of its own, for ever; what it finds must be right.
_PROGRAM = """
import hashlib, random, sys
from pathlib import Path
import numpy as np
from hubtune.inference.feature_cache import FeatureCache
draw = random.Random(int(sys.argv[2]))
print("at work", flush=True)
for _ in range(int(sys.argv[3])):
    with FeatureCache(Path(sys.argv[1]), 10**9).space({"module": "m"}) as kept:
        for number in draw.sample(range(300), 40):
            key = hashlib.sha256(str(number).encode()).digest()
            values = np.random.default_rng(number).standard_normal(64).astype(np.float32)
            answer = kept.get(key)
            assert answer is None or (answer == values).all(), number
            if answer is None or draw.random() < 0.2:
                kept.put(key, values)
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
        assert worker.communicate(timeout=60)[1] == ""
        assert worker.returncode == 0
    sound = found(tmp_path, range(300), {"module": "m"})
    assert len(sound) > 200
    [checked] = FeatureCache(tmp_path, GIGABYTE).verify()
    assert (checked.damaged_rows, checked.damaged_shards) == (0, 0)


def test_it_needs_no_paddle():
    program = (
        "import sys; sys.modules['paddle'] = None; import hubtune.inference.feature_cache, hubtune.cli.cache"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.slow
def test_a_million_pictures_are_opened_and_found_quickly(tmp_path):
    count, numbers = 1_000_000, range(0, 1_000_000, 1000)
    resource = pytest.importorskip("resource")  # Windows has none
    with FeatureCache(tmp_path, GIGABYTE).space(FACTS) as kept:
        for number in range(count):
            kept.put(key(number), np.full(16, number, np.float32))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    kept = FeatureCache(tmp_path, GIGABYTE).space(FACTS)
    opened = time.perf_counter()
    for number in numbers:
        assert (kept.get(key(number)) == number).all()
    done = time.perf_counter()
    assert opened - start < 5
    assert done - opened < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB
    assert len(list(tmp_path.rglob("*.npy"))) < 100


def test_sizes_that_are_no_sizes_are_told():
    with pytest.raises(ValueError, match="'lots' is no size: write 10GB"):
        bytes_of("lots")
