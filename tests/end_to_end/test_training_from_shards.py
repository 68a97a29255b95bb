"""Commands on shards in a bucket: any number of processes, a small cache, and processes that are killed."""

import os
import re
import signal
import time

import pytest
from support.images import draw_tree
from support.object_service import FaultyProxy, use_endpoint
from support.packed import most_shard_bytes, pack, upload
from support.ranks import Job
from support.split_folder import write_lists
from support.waiting import wait_for

from hubtune.data.prepare import split
from hubtune.data.shards.cache import LIMIT_VARIABLE, shards_folder
from hubtune.data.shards.index import read_index

pytestmark = pytest.mark.slow
SETTINGS = ("epochs=4", "batch_size=8", "shards=4", "save_ckpt_interval=2", "learning_rate=0.003")


@pytest.fixture
def folder(tmp_path, bucket, monkeypatch):
    """Shards here and in a bucket, lists of both, and recipes; the cache holds three shards."""
    lists = write_lists(draw_tree(tmp_path / "pics", dict.fromkeys("abc", 20)))
    shards = pack(lists, tmp_path / "shards", 40_000)
    monkeypatch.setenv(LIMIT_VARIABLE, "0")
    for name, source in (("here", shards), ("there", upload(shards, bucket, "s"))):
        split(source).write(tmp_path / name)
        recipe = f"data: {{base: {tmp_path / name}}}\nmodule: digitnet\nreport: off\n"
        (tmp_path / f"{name}.yaml").write_text(recipe)
    largest = max(shard.size for shard in read_index(shards).shards)
    monkeypatch.setenv(LIMIT_VARIABLE, str(3 * largest))
    return tmp_path


def _job(folder, place, name, nproc, *more):
    options = [word for setting in SETTINGS for word in ("-o", f"train.{setting}")]
    return Job(folder, folder / f"{place}.yaml", *options, *more, nproc=nproc, name=name)


def test_one_and_two_processes_and_shards_here_and_in_a_bucket_give_the_same_bits(
    folder, moto_endpoint, monkeypatch
):
    here = _job(folder, "here", "local", 1, "-o", "train.shard_window=1").finish()
    most_allowed = int(os.environ[LIMIT_VARIABLE])
    fetched = []

    def watch(method, path, number):
        fetched.append(path)

    with FaultyProxy(moto_endpoint, watch) as proxy, most_shard_bytes() as most:
        use_endpoint(monkeypatch, proxy.endpoint)
        one = _job(folder, "there", "one", 1).finish()
        count = len([path for path in fetched if path.endswith(".tar")])
        two = _job(folder, "there", "two", 2).finish()
    assert one.weights == two.weights == here.weights
    assert 0 < most[0] <= most_allowed
    # The processes of a machine share the cache.
    assert len([path for path in fetched if path.endswith(".tar")]) < 3 * count


def test_a_job_that_is_killed_while_it_fetches_goes_on(folder, moto_endpoint, monkeypatch):
    undisturbed = _job(folder, "there", "undisturbed", 1).finish()
    for file in shards_folder().glob("*/*.tar"):
        file.unlink()
    slow = []

    def fault(method, path, number):
        if path.endswith("shard-000002.tar"):
            slow.append(path)
            time.sleep(5)

    with FaultyProxy(moto_endpoint, fault) as proxy:
        use_endpoint(monkeypatch, proxy.endpoint)
        killed = _job(folder, "there", "killed", 1)
        wait_for(lambda: slow or killed.process.poll() is not None)
        killed.process.send_signal(signal.SIGKILL)
        killed.process.wait()
    assert [*shards_folder().glob("*/*.part")]
    use_endpoint(monkeypatch, moto_endpoint)
    with most_shard_bytes() as most:
        resumed = _job(folder, "there", "killed", 1, "--resume").finish()
    assert resumed.weights == undisturbed.weights
    assert not [*shards_folder().glob("*/*.part")] and most[0] <= int(os.environ[LIMIT_VARIABLE])


def test_a_network_that_fails_now_and_then_changes_nothing(folder, moto_endpoint, monkeypatch):
    undisturbed = _job(folder, "there", "undisturbed", 1).finish()
    for file in shards_folder().glob("*/*.tar"):
        file.unlink()

    def fault(method, path, number):
        return "half" if re.search(r"\.tar$", path) and number % 3 == 0 else None

    with FaultyProxy(moto_endpoint, fault) as proxy:
        use_endpoint(monkeypatch, proxy.endpoint)
        assert _job(folder, "there", "faulty", 1).finish().weights == undisturbed.weights
        assert proxy.faults > 3
