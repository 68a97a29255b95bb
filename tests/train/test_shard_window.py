"""Training reads shards as it reads files: the same weights from here and from a bucket, below the limit."""

import shutil
import signal

import numpy as np
import pytest
from support.callbacks import AtStep
from support.images import draw_tree
from support.packed import most_shard_bytes, pack, shard_bytes_on_disk, upload
from support.split_folder import write_lists
from support.tiny_task import smallnet, tiny_config, train, train_frozen, weight_bytes

import hubtune
from hubtune.data.dataset import ListDataset
from hubtune.data.shards.cache import LIMIT_VARIABLE, shards_folder
from hubtune.data.shards.index import read_index
from hubtune.errors import StoppedError
from hubtune.train.batches import order_by_windows
from hubtune.train.shard_window import settle_shard_window


@pytest.fixture
def places(tmp_path, bucket, monkeypatch):
    """Lists of the same shards, here and in a bucket; none is in the cache."""
    monkeypatch.setenv(LIMIT_VARIABLE, "0")
    pics = draw_tree(tmp_path / "pics", dict.fromkeys("abc", 16))
    lists = write_lists(pics)
    shards = pack(lists, tmp_path / "shards", 30_000)
    address = upload(shards, bucket, "s")
    for name, source in (("here", shards), ("there", address)):
        hubtune.split(source).write(tmp_path / name)
    return tmp_path


def _largest(top):
    return max(shard.size for shard in read_index(top / "shards").shards)


@pytest.mark.slow
def test_lists_of_shards_name_keys_and_each_shard_is_of_one_list(places):
    texts = [(places / name / "train_list.txt").read_text() for name in ("here", "there")]
    assert texts[0].replace("../shards/", "") == texts[1]
    assert texts[1].startswith("shard-000000.tar/000000000.png ")
    for name in ("train", "validate", "test"):
        entries = ListDataset(places / "there").examples(name)
        own = {entry.path.parent.name for entry in entries}
        others = [other for other in ("train", "validate", "test") if other != name]
        for other in others:
            assert not own & {
                entry.path.parent.name for entry in ListDataset(places / "there").examples(other)
            }
        assert entries == sorted(entries, key=lambda entry: entry.path)


@pytest.mark.slow
def test_gradients_from_here_and_there_give_the_same_weights(places, monkeypatch):
    module = smallnet()
    monkeypatch.setenv(LIMIT_VARIABLE, "20GB")
    whole = train(module, places / "here", places / "run-1")
    assert weight_bytes(train(module, places / "there", places / "run-2")) == weight_bytes(whole)
    window = train(module, places / "here", places / "run-3", shard_window=1)
    assert weight_bytes(window) != weight_bytes(whole)
    shutil.rmtree(shards_folder())
    limit = 3 * _largest(places)
    monkeypatch.setenv(LIMIT_VARIABLE, str(limit))
    with most_shard_bytes() as most:
        bounded = train(module, places / "there", places / "run-4")
    assert 0 < most[0] <= limit
    assert '"shard_window": 1' in (bounded.path / "manifest.json").read_text()
    assert weight_bytes(bounded) == weight_bytes(window)
    # An image here and there, by the same names.
    assert hubtune.load_model(bounded.path).evaluate(ListDataset(places / "there"), "test").count == 12


@pytest.mark.slow
def test_frozen_from_here_and_there_gives_the_same_weights(places, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, str(2 * _largest(places)))
    monkeypatch.setenv("HUBTUNE_CACHE_SIZE", "0")
    with most_shard_bytes() as most:
        runs = [train_frozen(smallnet(), places / name, places / f"run-{name}") for name in ("here", "there")]
    assert weight_bytes(runs[0]) == weight_bytes(runs[1]) and 0 < most[0] <= 2 * _largest(places)


@pytest.mark.slow
def test_a_stopped_run_goes_on_with_the_window_it_began_with(places, monkeypatch):
    monkeypatch.setenv(LIMIT_VARIABLE, str(3 * _largest(places)))
    undisturbed = train(smallnet(), places / "there", places / "run-1")
    with pytest.raises(StoppedError):
        train(
            smallnet(),
            places / "there",
            places / "run-2",
            callback=AtStep(3, lambda: signal.raise_signal(signal.SIGTERM)),
        )
    monkeypatch.setenv(LIMIT_VARIABLE, "20GB")
    resumed = train(smallnet(), places / "there", places / "run-2", resume=True)
    assert weight_bytes(resumed) == weight_bytes(undisturbed)


def test_the_window_follows_from_the_cache_or_the_recipe(places, monkeypatch, caplog):
    def settle(name, limit, **options):
        monkeypatch.setenv(LIMIT_VARIABLE, str(limit))
        images = ListDataset(places / name).examples("train")
        config = tiny_config(places / "run", **options)
        return settle_shard_window(config, images, by_gradients=True).shard_window

    largest = _largest(places)
    assert settle("there", "20GB") is None and settle("here", 0) is None
    assert settle("there", 3 * largest) == 1 and settle("there", 3 * largest, shard_window=7) == 7
    assert "holds fewer than three" not in caplog.text
    assert settle("there", largest) == 1
    assert "holds fewer than three" in caplog.text
    assert shard_bytes_on_disk() == 0


def test_an_order_by_windows_has_all_images_once_and_few_shards_at_a_time():
    shards = np.repeat(np.arange(6), 10)
    order = np.random.default_rng(0).permutation(60).tolist()
    ordered = order_by_windows(order, shards, 2, np.random.default_rng(1))
    assert sorted(ordered) == list(range(60)) and ordered != order
    whole = order_by_windows(order, shards, 7, np.random.default_rng(1))
    assert whole == order
    spans = [shards[ordered].tolist().index(each) for each in range(6)]
    ends = [59 - shards[ordered][::-1].tolist().index(each) for each in range(6)]
    assert max(end - start for start, end in zip(spans, ends, strict=True)) < 20
    # Files that are in no shard count as one.
    assert sorted(order_by_windows([0, 1, 2], np.array([-1, 0, 1]), 1, np.random.default_rng(0))) == [0, 1, 2]
