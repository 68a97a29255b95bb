"""A module's parts, its preprocessing under a recipe, and the sizes that it takes."""

import paddle
import pytest

import hubtune
from hubtune.errors import UsageError
from hubtune.recipe.schema import ImageSettings


def test_a_module_is_ready_to_be_used_with_a_recipes_fit_size_and_channels():
    digitnet = hubtune.Module("digitnet")
    assert digitnet.labels == tuple("0123456")
    assert len(digitnet.weights_sha256) == 64
    assert not digitnet.network.training
    assert digitnet.features(paddle.zeros([2, 3, 32, 32])).shape == [2, digitnet.backbone.width]
    assert digitnet.preprocessing_for(ImageSettings()) == digitnet.preprocessing
    changed = digitnet.preprocessing_for(ImageSettings(fit="pad", size=48, channels=1))
    assert (changed.fit, changed.size, changed.channels) == ("pad", 48, 1)
    for size in (16, 24, 32, 500):
        digitnet.check_size(size)


def test_random_weights_have_no_labels_and_a_size_is_refused_if_nothing_is_left_of_the_images():
    module = hubtune.Module("paddle.vision:squeezenet1_1", weights=None)
    assert (module.labels, module.weights_file, module.weights_sha256) == ((), None, None)
    again = hubtune.Module("paddle.vision:squeezenet1_1", weights=None)
    for one, other in zip(module.network.parameters(), again.network.parameters(), strict=True):
        assert (one.numpy() == other.numpy()).all()  # the same in each run
    with pytest.raises(hubtune.UsageError, match=r"^size: 16 is too small for .*: take 32 or more$"):
        module.check_size(16)


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ([1, 32, 32, 3], r"the channels are last: give images.transpose\(\[0, 3, 1, 2\]\)"),
        ([3, 32, 32], r"it is one image: give images.unsqueeze\(0\)"),
        ([32, 32, 3], r"channels are last: give images.transpose\(\[2, 0, 1\]\)"),
        ([32, 32], "prepare images by module.preprocessing"),
        ([1, 4, 32, 32], r"a network takes \[N, 3, height, width\]"),
    ],
)
def test_images_of_another_shape_are_refused_with_what_to_write(shape, advice):
    with pytest.raises(UsageError, match=advice):
        hubtune.Module("digitnet").features(paddle.zeros(shape))
