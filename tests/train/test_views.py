"""Views of the whole image are what a network can take."""

import numpy as np
import pytest
from PIL import Image
from support.images import noise_image

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.models.catalog import BACKBONES
from hubtune.recipe.strategies import FrozenStrategy
from hubtune.train.views import area, first_views, mirrored, whole_view

CROP = Preprocessing(size=224, resize=256)


def test_the_whole_view_suits_the_sizes_that_the_network_takes():
    whole = whole_view(CROP, 1)
    assert (whole.fit, whole.resize) == ("whole", 288)
    assert (area(CROP), area(whole)) == (224**2, 0.75 * 288**2)  # in pixels of a 4:3 image
    assert whole_view(CROP, 1, larger=False).resize == 256
    assert whole_view(CROP, None) == CROP.model_copy(update={"fit": "stretch"})
    dino = whole_view(CROP, 14)
    assert (dino.fit, dino.size % 14, dino.size > 224) == ("stretch", 0, True)
    for fit in ("whole", "pad", "stretch"):
        assert whole_view(CROP.model_copy(update={"fit": fit}), 1) is None


@pytest.mark.parametrize("name", ["alexnet_imagenet", "dinov2_vits14", "inceptionv4_imagenet", "smallnet"])
def test_the_whole_view_of_a_record_gives_sides_that_the_network_takes(name):
    record = BACKBONES[name]
    own = Preprocessing(size=record.input_size, resize=record.resize)
    _, height, width = whole_view(own, record.size_multiple)(Image.new("RGB", (400, 300))).shape
    if record.size_multiple is None:
        assert (height, width) == (record.input_size, record.input_size)
    else:
        assert height % record.size_multiple == width % record.size_multiple == 0
        assert height * width > record.input_size**2


def test_a_fit_of_the_recipe_is_not_varied_and_a_mirrored_view_sees_the_mirror_image():
    whole = whole_view(CROP, 1)
    assert first_views(CROP, FrozenStrategy(), fixed=True, size_multiple=1) == (CROP, None)
    assert first_views(CROP, FrozenStrategy(), fixed=False, size_multiple=1) == (whole, None)
    logistic = FrozenStrategy(head="logistic")
    assert first_views(CROP, logistic, fixed=False, size_multiple=1) == (CROP, whole)
    small, _ = first_views(CROP, FrozenStrategy(views="fast"), fixed=False, size_multiple=1)
    assert area(small) < area(whole)
    image = noise_image(300, 300)
    assert np.array_equal(mirrored(CROP)(image), CROP(image)[:, :, ::-1])
