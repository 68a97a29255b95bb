"""An engine starts with its first images, and a stored program that fails is replaced by a new engine."""

import numpy as np
import paddle
import pytest
from paddle import nn

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference import lazy_engine
from hubtune.inference.lazy_engine import LazyEngine
from hubtune.inference.program import Subnetwork
from hubtune.inference.stored_program import StoredProgram


@pytest.fixture
def build():
    """Builds a small network, and counts how often."""
    paddle.seed(0)
    network = nn.Sequential(nn.Conv2D(3, 4, 3), nn.AdaptiveAvgPool2D(1), nn.Flatten())
    built = []

    def make():
        built.append(1)
        return Subnetwork(network, network, Preprocessing())

    make.count = lambda: len(built)
    return make


IMAGE = np.random.default_rng(0).integers(0, 255, (16, 16, 3), dtype=np.uint8)


def test_nothing_is_built_before_the_first_images_and_not_again_after(build):
    engine = LazyEngine(build)
    assert (engine.name, build.count()) == ("auto", 0)
    first = engine.begin([IMAGE])()
    assert (engine.name, build.count()) == ("openvino", 1)
    assert np.array_equal(engine.begin([IMAGE])()[0], first[0])
    assert build.count() == 1


def test_with_a_key_the_network_is_built_once_and_never_again(build):
    rows = [LazyEngine(build, key="one").begin([IMAGE])()[0] for _ in range(3)]
    assert build.count() == 1
    assert all(np.array_equal(row, rows[0]) for row in rows)
    LazyEngine(build, key="another").begin([IMAGE])()
    assert build.count() == 2
    # Paddle's values, in Paddle's precision, are never stored.
    LazyEngine(build, "paddle", key="third").begin([IMAGE])()
    LazyEngine(build, "paddle", key="third").begin([IMAGE])()
    assert build.count() == 4


def test_shapes_that_were_checked_by_different_processes_are_all_stored(build):
    wide = np.ascontiguousarray(IMAGE[:8])
    for images in ([IMAGE], [wide], [IMAGE], [wide], [IMAGE, wide]):
        LazyEngine(build, key="one").begin(images)()
    assert build.count() == 2  # once for each shape


def test_a_stored_program_that_fails_is_replaced_by_a_new_engine(build, monkeypatch):
    class Broken:
        count = 1

        def begin(self, arrays):
            def fail():
                raise RuntimeError("broken")

            return fail

    expected = LazyEngine(build).begin([IMAGE])()
    monkeypatch.setattr(lazy_engine, "find_program", lambda key: StoredProgram(Broken(), {IMAGE.shape: True}))
    engine = LazyEngine(build, key="one")
    assert np.array_equal(engine.begin([IMAGE])()[0], expected[0])
    assert np.array_equal(engine.begin([IMAGE])()[0], expected[0])
