"""Images to label next are unsure, unlike training images, and unlike one another."""

from pathlib import Path

import numpy as np
import pytest

from hubtune.inference.predict import ImageScores, unit_mean
from hubtune.inference.reference import Reference
from hubtune.inference.suggestion import suggest_images


def _image(scores, features):
    return ImageScores(Path("a.jpg"), np.array(scores), None, unit_mean([np.array(features, float)]))


REFERENCE = Reference(np.array([[1, 0, 0]], np.float16), np.array([0]), ["known.jpg"])


def test_the_unsure_and_new_come_first_and_images_of_one_thing_only_once():
    pool = [
        _image([0.5, 0.5], [1, 0, 0]),  # a training image itself
        _image([1.0, 0.0], [0, 1, 0]),  # new, but sure
        _image([0.6, 0.4], [0, 1, 0.1]),  # new and unsure
        _image([0.6, 0.4], [0, 1, 0.1]),  # the same once more
        _image([0.7, 0.3], [0, 0.1, 1]),  # another thing
        ImageScores(Path("b.jpg"), None),
    ]
    found = suggest_images(pool, REFERENCE, 10)
    assert [suggestion.index for suggestion in found] == [2, 4]
    assert found[0].uncertainty == pytest.approx(0.8)
    assert found[0].novelty == pytest.approx(1.0)
    assert found[1].novelty < 1
    assert suggest_images(pool, REFERENCE, 1) == found[:1]


def test_without_training_images_the_pool_alone_counts():
    pool = [_image([0.5, 0.5], [1, 0, 0]), _image([0.5, 0.5], [0, 1, 0]), _image([0.5, 0.5], [1, 0, 0])]
    assert [each.index for each in suggest_images(pool, None, 5)] == [0, 1]


def test_nothing_readable_gives_nothing():
    assert suggest_images([ImageScores(Path("a"), None)], REFERENCE, 3) == []
    assert suggest_images([], None, 3) == []


def test_a_multi_label_image_is_as_unsure_as_its_least_sure_label():
    pool = [_image([0.99, 0.98], [1, 0, 0]), _image([0.99, 0.45], [0, 1, 0]), _image([0.1, 0.2], [0, 0, 1])]
    found = suggest_images(pool, None, 3, multi_label=True)
    assert [each.index for each in found] == [1, 2, 0]
    assert [each.uncertainty for each in found] == pytest.approx([0.9, 0.4, 0.04])
