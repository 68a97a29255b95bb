"""Shards of buckets never take more than the limit, whoever fetches them, and none is half."""

import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
from support.images import draw_tree
from support.object_service import FaultyProxy, use_endpoint
from support.packed import most_shard_bytes, pack, shard_bytes_on_disk, upload
from support.waiting import wait_for

from hubtune.data.shards.cache import (
    LIMIT_VARIABLE,
    fetch_shard,
    pin,
    shard_cache_limit,
    shards_folder,
    unpin,
)
from hubtune.data.shards.members import shards_of
from hubtune.data.sources.open import open_source
from hubtune.errors import DataError, UsageError


@pytest.fixture
def shards(tmp_path, bucket):
    folder = pack(draw_tree(tmp_path / "pics", {"a": 12, "b": 12}), tmp_path / "shards", 25_000)
    found, _ = shards_of([file.path for file in open_source(upload(folder, bucket, "s")).files])
    assert len(found) > 4
    return found


def test_the_limit_is_a_size(monkeypatch):
    monkeypatch.delenv(LIMIT_VARIABLE, raising=False)
    assert shard_cache_limit() == 20 * 10**9
    monkeypatch.setenv(LIMIT_VARIABLE, "1.5GiB")
    assert shard_cache_limit() == 3 * 2**29
    monkeypatch.setenv(LIMIT_VARIABLE, "much")
    with pytest.raises(UsageError, match="HUBTUNE_SHARD_CACHE: 'much' is not a size"):
        shard_cache_limit()


def test_the_least_recently_needed_shard_makes_room_unless_it_is_pinned(shards, monkeypatch):
    limit = 2 * max(shard.entry.size for shard in shards)
    monkeypatch.setenv(LIMIT_VARIABLE, str(limit))
    one, other, third, *_ = shards
    with most_shard_bytes() as most:
        pin(one)
        assert fetch_shard(one) and fetch_shard(other) and fetch_shard(third)
        assert one.file.exists() and third.file.exists() and not other.file.exists()
        pin(third)
        assert not fetch_shard(other)
        unpin(one)
        assert fetch_shard(other) and not one.file.exists()
        unpin(third)
    assert 0 < most[0] <= limit


def test_a_shard_is_fetched_once_by_all_who_need_it(shards, moto_endpoint, monkeypatch):
    with FaultyProxy(moto_endpoint, lambda method, path, number: None) as proxy:
        use_endpoint(monkeypatch, proxy.endpoint)
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(lambda _: fetch_shard(shards[0]), range(16)))
        assert proxy.count == 1


def test_a_shard_that_is_damaged_or_lost_is_named_and_leaves_nothing(shards, bucket):
    bucket.client.put_object(Bucket=bucket.name, Key=f"s/{shards[0].entry.name}", Body=b"x")
    bucket.client.delete_object(Bucket=bucket.name, Key=f"s/{shards[1].entry.name}")
    with pytest.raises(DataError, match="is damaged"):
        fetch_shard(shards[0])
    with pytest.raises(DataError, match="no longer there"):
        fetch_shard(shards[1])
    assert shard_bytes_on_disk() == 0


def test_what_a_killed_process_left_is_removed_and_counts_until_then(shards, monkeypatch, bucket):
    program = f"""
        import time
        from pathlib import Path
        from hubtune.data.shards import cache
        from hubtune.data.shards.members import find_shard
        def half(shard, part):
            part.write_bytes(b"x" * (shard.entry.size // 2))
            print("half", flush=True)
            time.sleep(600)
        cache._download = half
        cache.fetch_shard(find_shard({str(shards[0].file)!r}))
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"half\n"
    limit = 2 * max(shard.entry.size for shard in shards)
    monkeypatch.setenv(LIMIT_VARIABLE, str(limit))
    # While it is being fetched by another process, nobody removes it.
    pin(shards[1])
    assert fetch_shard(shards[1]) and not fetch_shard(shards[2])
    process.kill()
    process.wait()
    wait_for(lambda: fetch_shard(shards[2]))
    assert not [*shards_folder().glob("*/*.part")]
    unpin(shards[1])
    assert fetch_shard(shards[0]) and shards[0].file.stat().st_size == shards[0].entry.size
