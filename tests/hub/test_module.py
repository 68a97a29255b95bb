"""A module's parts, its preprocessing under a recipe, and the sizes that it takes."""

import paddle
import pytest

import hubtune
from hubtune.recipe.schema import ImageSettings


@pytest.fixture(scope="module")
def digitnet():
    return hubtune.Module("digitnet")


def test_a_module_is_ready_to_be_used(digitnet):
    assert digitnet.labels == tuple("0123456")
    assert len(digitnet.weights_sha256) == 64
    assert not digitnet.network.training
    assert digitnet.features(paddle.zeros([2, 3, 32, 32])).shape == [2, digitnet.backbone.width]
    random = hubtune.Module("smallnet", weights=None)
    assert (random.labels, random.weights_file, random.weights_sha256) == ((), None, None)


def test_a_recipe_changes_fit_size_and_channels(digitnet):
    assert digitnet.preprocessing_for(ImageSettings()) == digitnet.preprocessing
    changed = digitnet.preprocessing_for(ImageSettings(fit="pad", size=48, channels=1))
    assert (changed.fit, changed.size, changed.channels) == ("pad", 48, 1)


def test_a_size_is_refused_if_nothing_is_left_of_the_images(digitnet):
    for size in (16, 24, 32, 500):
        digitnet.check_size(size)
    module = hubtune.Module("paddle.vision:squeezenet1_1", weights=None)
    with pytest.raises(hubtune.UsageError, match=r"^size: 16 is too small for .*: take 32 or more$"):
        module.check_size(16)
