"""Shards are fetched before their images are read, one after another, below the limit."""

import pytest
from support.images import draw_tree
from support.object_service import FaultyProxy, use_endpoint
from support.packed import most_shard_bytes, pack, upload

from hubtune.data.images.decode import read_content
from hubtune.data.loader import load_batches
from hubtune.data.shards.cache import LIMIT_VARIABLE
from hubtune.data.shards.members import shards_of
from hubtune.data.shards.read_ahead import ReadAhead
from hubtune.data.sources.open import open_source
from hubtune.errors import DataError


@pytest.fixture
def paths(tmp_path, bucket):
    folder = pack(draw_tree(tmp_path / "pics", {"a": 20, "b": 20}), tmp_path / "shards", 40_000)
    return [file.path for file in open_source(upload(folder, bucket, "s")).files]


def _load(paths, batches, **options):
    loaded = load_batches(paths, batches, lambda index: read_content(paths[index]), workers=2, **options)
    return [content for batch in loaded for content in batch.arrays]


def _batches(order, size=4):
    return [order[start : start + size] for start in range(0, len(order), size)]


@pytest.mark.parametrize("shares", [1.3, 2.5, 100])
def test_a_pass_in_order_fetches_each_shard_once_and_whole(paths, shares, moto_endpoint, monkeypatch):
    shards, _ = shards_of(paths)
    expected = [read_content(path) for path in paths]
    limit = int(shares * max(shard.entry.size for shard in shards))
    monkeypatch.setenv(LIMIT_VARIABLE, str(limit))
    ranges = []
    with FaultyProxy(moto_endpoint, lambda method, path, number: ranges.append(path)) as proxy:
        use_endpoint(monkeypatch, proxy.endpoint)
        with most_shard_bytes() as most:
            assert _load(paths, _batches([*range(len(paths))])) == expected
    assert 0 < most[0] <= limit and len(shards) > 4
    assert len([path for path in ranges if path.endswith(".tar")]) == len(shards)


def test_images_in_any_order_are_right_however_small_the_cache_is(paths, monkeypatch):
    expected = [read_content(path) for path in paths]
    order = [(7 * place) % len(paths) for place in range(len(paths))]
    for limit in ("0", "60000", "100000", "20GB"):
        monkeypatch.setenv(LIMIT_VARIABLE, limit)
        with most_shard_bytes() as most:
            assert _load(paths, _batches(order)) == [expected[index] for index in order]
        assert most[0] <= 20 * 10**9 if limit[-2:] == "GB" else most[0] <= int(limit)


def test_single_images_and_those_that_are_not_read_fetch_no_shard(tmp_path, bucket):
    folder = pack(draw_tree(tmp_path / "pics", {"a": 20, "b": 20}), tmp_path / "shards", 200_000)
    paths = [file.path for file in open_source(upload(folder, bucket, "s")).files]
    with most_shard_bytes() as most:
        assert len(_load(paths, [[3]])) == 1
        _load(paths, [[*range(20)]], unread=range(20))
    assert most[0] == 0
    with most_shard_bytes() as most:
        _load(paths, [[3]], readers=40)
    assert most[0] > 0


def test_a_damaged_shard_ends_the_loading(paths, bucket):
    bucket.client.put_object(Bucket=bucket.name, Key="s/shard-000002.tar", Body=b"x")
    with pytest.raises(DataError, match=r"shard-000002.tar is damaged"):
        _load(paths, _batches([*range(len(paths))]))


def test_files_need_nothing(tmp_path):
    pics = draw_tree(tmp_path / "pics", {"a": 2})
    ahead = ReadAhead([*pics.glob("a/*")], [[0, 1]])
    ahead.start()
    ahead.reach(1, lambda: 0)
    ahead.close()
