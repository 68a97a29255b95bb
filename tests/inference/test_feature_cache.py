"""The feature cache returns what was put into a space, or a note, and is pruned."""

import numpy as np
import pytest
from support.features import FACTS, GIGABYTE, fill, intact, key, stored, values

from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.feature_rows import FILE_NAME


def test_every_float_type_and_shape_comes_back_to_the_bit_as_a_copy(tmp_path):
    arrays = [
        np.arange(24, dtype=np.float16).reshape(2, 4, 3).transpose(0, 2, 1),
        np.array([np.nan, np.inf, -0.0], np.float64),
        np.array(1.5, np.float32),
        np.arange(4, dtype=">f4"),
        np.random.default_rng(0).standard_normal((196, 7, 7, 32)).astype(np.float16),  # larger than a page
    ]
    with FeatureCache(tmp_path, GIGABYTE).space(FACTS) as space:
        for number, array in enumerate(arrays):
            batch = array.copy("K")
            space.put(key(number), batch)
            batch[...] = 7
        before = [space.get(key(number)) for number in range(len(arrays))]
    space = FeatureCache(tmp_path, GIGABYTE).space(FACTS)
    for number, array in enumerate(arrays):
        for row in (before[number], space.get(key(number))):
            assert (row.dtype, row.shape, row.tobytes()) == (array.dtype, array.shape, array.tobytes())
            row[...] = 7
        np.testing.assert_array_equal(space.get(key(number)), array)
    for wrong in ((b"short", arrays[0]), (key(0), np.ones(3, np.int64)), (key(0), np.ones(0, np.float32))):
        with pytest.raises(ValueError, match="only floats under a key of 32 bytes"):
            space.put(*wrong)


def test_other_facts_are_another_space_and_a_value_put_again_replaces_the_first(tmp_path):
    earlier = FeatureCache(tmp_path, GIGABYTE).space(FACTS)
    assert earlier.get(key(1)) is None
    fill(tmp_path, range(3))
    assert intact(earlier, range(3)) == {0, 1, 2}  # what others write is found at once
    assert stored(tmp_path, range(3), dict(reversed(FACTS.items()))) == {0, 1, 2}
    assert stored(tmp_path, range(3), {**FACTS, "view": "crop 288"}) == set()
    for number in range(2):
        with earlier:
            for _ in range(2):
                earlier.put(key(0), np.full(3, number, np.float32))
    cache = FeatureCache(tmp_path, GIGABYTE)
    assert cache.space(FACTS).get(key(0)).tolist() == [1, 1, 1]
    [space] = cache.spaces()
    assert (space.description, space.images, space.bytes) == (FACTS, 3, 2 * 1024 + 12)


def test_a_limit_of_zero_writes_and_reads_nothing(tmp_path):
    fill(tmp_path / "full", range(3))
    for folder in (tmp_path / "new", tmp_path / "full"):
        cache = FeatureCache(folder, 0)
        with cache.space(FACTS) as space:
            space.put(key(0), values(0))
        cache.put_note({"a": 1}, {"b": 2})
        assert (space.get(key(1)), cache.note({"a": 1})) == (None, None)
    assert not (tmp_path / "new").exists()
    assert stored(tmp_path / "full", range(3)) == {0, 1, 2}


def test_files_of_older_versions_and_nothing_else_in_the_folder_are_pruned(tmp_path):
    space, notes = tmp_path / ("0" * 63 + "a"), tmp_path / "notes"
    for file in (space / "x.keys.npy", notes / "x.json", tmp_path / "merge.lock"):
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(b"x" * 1000)
    (tmp_path / "thesis").mkdir()
    fill(tmp_path, range(3))
    cache = FeatureCache(tmp_path, GIGABYTE)
    assert cache.size() == (tmp_path / FILE_NAME).stat().st_size + 3000
    assert cache.prune(dry_run=True) == cache.prune() == (3, 3000)
    assert sorted(path.name for path in tmp_path.iterdir()) == [FILE_NAME, "thesis"]
    assert stored(tmp_path, range(3)) == {0, 1, 2}
