"""Batches that memory cannot hold are refused before they are computed."""

import numpy as np
import pytest
from paddle import nn

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import MachineError
from hubtune.inference import memory
from hubtune.inference.memory import BatchCheck, ImageMemory, running_memory, training_memory
from hubtune.inference.program import Subnetwork


@pytest.fixture
def free(monkeypatch):
    """Set the bytes that are free."""
    return lambda count: monkeypatch.setattr(memory, "free_bytes", lambda **_: count)


def test_estimates_follow_the_layers_and_large_images_are_run_in_part():
    network = nn.Sequential(nn.Conv2D(3, 8, 1), nn.ReLU(), nn.Conv2D(8, 1, 1))
    seen = []
    network.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape))
    for side in (100, 1600):
        image = np.zeros((3, side, side), "f4")
        running, training = running_memory(network, network, image), training_memory(network, network, image)
        assert running.least == 16 * 4 * side**2  # what goes into the second layer, and comes out
        assert running.least <= training.least <= 17 * 4 * side**2 <= training.most
        half = training_memory(network, network, image, half=True)
        assert (half.least, half.most) == (training.least / 2, training.most)
    assert max(max(shape) for shape in seen) == 224


def test_a_batch_that_cannot_fit_is_refused_and_memory_that_ends_is_named(free):
    image = ImageMemory(10, 20)
    free(99)
    image.check(9, (4, 4))
    with pytest.raises(
        MachineError, match=r"a batch of 10 pictures of 4 × 4 pixels .*: try a batch size of 4"
    ):
        image.check(10, (4, 4))
    with pytest.raises(MachineError, match="a batch of 9 pictures"), image.checked(9, (4, 4)):
        raise MemoryError
    free(None)
    image.check(10**9, (4, 4))


def test_the_network_is_only_run_where_memory_may_be_short(free):
    def fail(images):
        raise RuntimeError("of a user's own")

    image, runs = np.zeros((10, 10, 3), "u1"), []
    layer = nn.Conv2D(3, 4, 1)
    network = Subnetwork(layer, layer, Preprocessing())
    network.register_forward_pre_hook(lambda *_: runs.append(1))
    for plenty, batches, expected in ((10**9, (4, 32), 0), (10**5, (4, 4, 3), 1), (None, (10**6,), 0)):
        free(plenty)
        runs.clear()
        check = BatchCheck(network)
        for count in batches:
            check(count, image)
        assert len(runs) == expected
    free(10**5)
    with pytest.raises(MachineError, match="a batch of 1000 pictures of 10 × 10 pixels"):
        BatchCheck(network)(1000, image)
    assert running_memory(network, fail, image) == ImageMemory(0, 4 * image.nbytes)
