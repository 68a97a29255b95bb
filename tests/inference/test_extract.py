"""Images run through an engine in order, batch after batch; the cache is asked first."""

import hashlib

import numpy as np
import pytest
from PIL import Image

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.extract import run_images, sample_inputs
from hubtune.inference.feature_cache import FeatureCache

VIEWS = [Preprocessing(size=8, resize=8), Preprocessing(size=8, resize=8, mirror=True)]


class MeanEngine:
    """Returns the mean of each input; notes when batches begin and when they are waited for."""

    def __init__(self):
        self.events = []

    def begin(self, arrays):
        self.events.append(("begin", len(arrays)))

        def wait():
            self.events.append(("wait", len(arrays)))
            return [array.mean(axis=(0, 1)).astype(np.float32) for array in arrays]

        return wait


@pytest.fixture
def paths(tmp_path):
    random = np.random.default_rng(0)
    files = [tmp_path / f"{number}.png" for number in range(5)]
    for file in files:
        Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(file)
    files[3].write_text("no picture")
    return files


def extract(paths, engine, spaces=()):
    return list(run_images(engine, VIEWS, paths, batch_size=2, workers=2, spaces=spaces))


def test_outputs_are_in_order_and_the_next_batch_begins_before_one_is_waited_for(paths):
    engine = MeanEngine()
    outputs = extract(paths, engine)
    assert [output.path for output in outputs] == paths
    assert [output.error is not None for output in outputs] == [False, False, False, True, False]
    for output in outputs[:3]:
        expected = np.asarray(Image.open(output.path)).mean(axis=(0, 1))
        for row in output.rows:
            np.testing.assert_allclose(row, expected, rtol=1e-6)
        assert output.digest is None
    assert engine.events == [("begin", 4), ("begin", 2), ("wait", 4), ("begin", 2), ("wait", 2), ("wait", 2)]


def test_only_what_is_missing_in_the_cache_is_computed(paths, tmp_path):
    cache = FeatureCache(tmp_path / "cache", 10**9)
    spaces = [cache.space({"view": number}) for number in range(2)]
    expected = extract(paths, MeanEngine())
    digests = [hashlib.sha256(path.read_bytes()).digest() for path in paths]
    for number, view in [(0, 0), (0, 1), (1, 0)]:
        spaces[view].put(digests[number], expected[number].rows[view])
    engine = MeanEngine()
    outputs = extract(paths, engine, spaces)
    assert engine.events[0] == ("begin", 1)  # the second view of the second image
    for output, other, digest in zip(outputs, expected, digests, strict=True):
        assert (output.rows is None) == (other.rows is None)
        if output.rows:
            np.testing.assert_array_equal(output.rows, other.rows)
            assert output.digest == digest


def test_a_sample_leaves_out_unreadable_images(paths):
    assert len(sample_inputs(VIEWS, paths[2:], 2)) == 4
    assert len(sample_inputs(VIEWS[:1], paths[3:4])) == 0
    assert sample_inputs(VIEWS, paths)[0].shape == (8, 8, 3)
