"""Mixing: targets are the exact shares of the classes, and the random draws alone decide."""

import numpy as np
import pytest

from hubtune.data.images.mixup import mix_batch
from hubtune.recipe.augment import AugmentSettings
from hubtune.rng import rng_for

CLASSES = 5


def batch(*shapes):
    """An image of each shape, all of its values the number of its class."""
    labels = [index % CLASSES for index in range(len(shapes))]
    return [
        np.full((3, *shape), label, np.float32) for shape, label in zip(shapes, labels, strict=True)
    ], labels


def mix(arrays, labels, *seed, **settings):
    return mix_batch(arrays, labels, CLASSES, AugmentSettings(**settings), rng_for(*seed))


def test_without_mixing_arrays_come_back_as_they_are():
    arrays, labels = batch((4, 4), (4, 6))
    mixed, targets = mix(arrays, labels, 0)
    assert all(one is other for one, other in zip(mixed, arrays, strict=True))
    assert (targets == [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0]]).all()
    assert targets.dtype == np.float32


def test_mixup_blends_images_and_labels_alike():
    arrays, labels = batch(*[(6, 8)] * 8)
    for seed in range(20):
        mixed, targets = mix(arrays, labels, seed, mixup=1.0)
        for array, target in zip(mixed, targets, strict=True):
            assert array.dtype == np.float32
            assert array == pytest.approx(np.full((3, 6, 8), target @ np.arange(CLASSES)), abs=1e-5)
        assert targets.sum(axis=1) == pytest.approx(np.ones(8), abs=1e-6)


def test_mixup_uses_one_proportion_per_batch():
    arrays, labels = batch(*[(2, 2)] * 5)
    own = set()
    for seed in range(10):
        _, targets = mix(arrays, labels, seed, mixup=1.0)
        shares = {round(float(target[label]), 5) for target, label in zip(targets, labels, strict=True)}
        assert len(shares) == 1
        own |= shares
    assert len(own) == 10


def test_each_image_has_one_partner_and_is_the_partner_of_one():
    arrays, labels = batch(*[(2, 2)] * 5)
    partners = set()
    for seed in range(20):
        _, targets = mix(arrays, labels, seed, mixup=10.0)
        assert (np.count_nonzero(targets, axis=1) == 2).all()
        assert (np.count_nonzero(targets, axis=0) == 2).all()
        partners.add((targets > 0).tobytes())
    assert len(partners) > 10


@pytest.mark.parametrize("shape", [(32, 32), (7, 41), (1, 1)])
def test_cutmix_targets_are_the_shares_of_the_pixels(shape):
    arrays, labels = batch(*[shape] * 10)
    for seed in range(30):
        mixed, targets = mix(arrays, labels, seed, cutmix=1.0)
        for array, target in zip(mixed, targets, strict=True):
            shares = [(array == label).mean() for label in range(CLASSES)]
            assert target == pytest.approx(shares, abs=1e-6)


def test_cutmix_puts_a_rectangle_into_its_own_place():
    height, width = 20, 30
    places = np.stack(np.broadcast_arrays(np.arange(height)[:, None], np.arange(width), 0)).astype(np.float32)
    arrays = [places.copy(), places.copy()]
    arrays[1][2] = 1
    cut = 0
    for seed in range(40):
        mixed, _ = mix(arrays, [0, 1], seed, cutmix=1.0)
        assert (mixed[0][:2] == places[:2]).all()
        foreign = mixed[0][2] == 1
        rows, columns = np.flatnonzero(foreign.any(axis=1)), np.flatnonzero(foreign.any(axis=0))
        if len(rows):
            assert foreign[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
            cut += 1
    assert cut > 10


def test_only_images_of_one_shape_are_mixed():
    shapes = [(8, 8), (8, 16)] * 4
    arrays = [np.full((3, *shape), index % 2, np.float32) for index, shape in enumerate(shapes)]
    for kind in ("mixup", "cutmix"):
        for seed in range(10):
            mixed, targets = mix(arrays, [0, 1] * 4, seed, **{kind: 1.0})
            assert [array.shape[1:] for array in mixed] == shapes
            assert all((one == other).all() for one, other in zip(mixed, arrays, strict=True))
            assert targets[:, :2] == pytest.approx(np.array([[1, 0], [0, 1]] * 4))


def test_with_both_each_batch_uses_one_of_them():
    arrays, labels = batch(*[(16, 16)] * 5)
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


def test_the_parameter_decides_how_even_the_proportions_are():
    arrays, labels = batch(*[(2, 2)] * 5)

    def evenness(alpha):
        every = [mix(arrays, labels, seed, mixup=alpha)[1] for seed in range(50)]
        return np.mean([np.sort(target)[-2] for targets in every for target in targets])

    assert evenness(0.001) < 0.05 < evenness(0.2) < evenness(10.0)


def test_the_result_depends_on_the_random_draws_alone_and_inputs_stay():
    arrays, labels = batch(*[(9, 9)] * 6)
    before = [array.copy() for array in arrays]
    for kind in ("mixup", "cutmix"):
        one, other = (mix(arrays, labels, 7, "mix", 3, **{kind: 1.0}) for _ in range(2))
        assert all((a == b).all() for a, b in zip(one[0], other[0], strict=True))
        assert (one[1] == other[1]).all()
        assert any(
            (mix(arrays, labels, 7, "mix", step, **{kind: 1.0})[1] != one[1]).any() for step in range(3)
        )
    assert all((a == b).all() for a, b in zip(arrays, before, strict=True))


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_batches_of_none_and_one_stay_as_they_are(kind):
    assert mix([], [], 0, **{kind: 1.0})[1].shape == (0, CLASSES)
    arrays, labels = batch((5, 5))
    mixed, targets = mix(arrays, labels, 0, **{kind: 1.0})
    assert (mixed[0] == arrays[0]).all() and targets[0, 0] == 1
