"""Mixing: targets are the exact shares of the classes, and the random draws alone decide."""

import numpy as np
import pytest

from hubtune.data.images.mixup import mix_batch
from hubtune.recipe.augment import AugmentSettings
from hubtune.rng import rng_for

CLASSES = 5


def batch(count, shape):
    """Images of one shape, all values of each the number of its class."""
    labels = [index % CLASSES for index in range(count)]
    return [np.full((3, *shape), label, np.float32) for label in labels], labels


def mix(arrays, labels, *seed, **settings):
    return mix_batch(
        arrays, np.eye(CLASSES, dtype=np.float32)[labels], AugmentSettings(**settings), rng_for(*seed)
    )


def test_mixup_blends_each_image_with_one_other_in_one_proportion_per_batch():
    arrays, labels = batch(5, (6, 8))
    own, partners = set(), set()
    for seed in range(20):
        mixed, targets = mix(arrays, labels, seed, mixup=10.0)
        for array, target in zip(mixed, targets, strict=True):
            assert array.dtype == target.dtype == np.float32
            assert array == pytest.approx(np.full((3, 6, 8), target @ np.arange(CLASSES)), abs=1e-5)
        assert targets.sum(axis=1) == pytest.approx(np.ones(5), abs=1e-6)
        assert all((np.count_nonzero(targets, axis=axis) == 2).all() for axis in (0, 1))
        [share] = {round(float(target[label]), 5) for target, label in zip(targets, labels, strict=True)}
        own.add(share)
        partners.add((targets > 0).tobytes())
    assert len(own) == 20 and len(partners) > 10


@pytest.mark.parametrize("shape", [(32, 32), (7, 41), (1, 1)])
def test_cutmix_copies_a_rectangle_to_the_same_place_and_targets_are_the_shares_of_the_pixels(shape):
    arrays, labels = batch(10, shape)
    for seed in range(30):
        for array, target in zip(*mix(arrays, labels, seed, cutmix=1.0), strict=True):
            assert target == pytest.approx([(array == label).mean() for label in range(CLASSES)], abs=1e-6)
    places = np.stack([*np.indices(shape), np.zeros(shape)]).astype(np.float32)
    other = np.stack([*places[:2], np.ones(shape)]).astype(np.float32)
    cut = 0
    for seed in range(40):
        [mixed, _], _ = mix([places, other], [0, 1], seed, cutmix=1.0)
        assert (mixed[:2] == places[:2]).all()
        rows, columns = np.nonzero(mixed[2])
        if len(rows):
            assert len(rows) == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
            cut += 1
    assert cut > 10


def test_with_both_each_batch_uses_one_of_them():
    arrays, labels = batch(5, (16, 16))
    blended = cut = 0
    for seed in range(200):
        mixed, _ = mix(arrays, labels, seed, mixup=2.0, cutmix=2.0)
        # Blends of integers are not integers; parts of images keep their values.
        whole = [bool((array == np.rint(array)).all()) for array in mixed]
        varied = [len(np.unique(array)) > 1 for array in mixed]
        assert not (any(varied) and not all(whole))
        blended += not all(whole)
        cut += any(varied)
    assert 60 < blended < 140 and 60 < cut < 140


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_images_of_one_shape_are_mixed_by_the_random_draws_alone_and_inputs_stay(kind):
    shapes = [(8, 8), (8, 16)] * 4
    arrays = [np.full((3, *shape), index % 2, np.float32) for index, shape in enumerate(shapes)]
    for seed in range(10):  # those of one shape are of one class here
        mixed, targets = mix(arrays, [0, 1] * 4, seed, **{kind: 1.0})
        assert all((one == other).all() for one, other in zip(mixed, arrays, strict=True))
        assert targets[:, :2] == pytest.approx(np.array([[1, 0], [0, 1]] * 4))
    assert mix([], [], 0, **{kind: 1.0})[1].shape == (0, CLASSES)
    arrays, labels = batch(6, (9, 9))
    assert all(a is b for a, b in zip(mix(arrays, labels, 0)[0], arrays, strict=True))  # without mixing
    one, other, *later = (mix(arrays, labels, 7, "mix", step, **{kind: 1.0}) for step in (3, 3, 0, 1, 2))
    assert all((a == b).all() for a, b in zip(one[0], other[0], strict=True))
    assert (one[1] == other[1]).all()
    assert any((targets != one[1]).any() for _, targets in later)
    assert all((a == b).all() for a, b in zip(arrays, batch(6, (9, 9))[0], strict=True))
