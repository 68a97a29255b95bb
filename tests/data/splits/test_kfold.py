"""Tests of cross-validation: which images have to stay together, and the folds."""

import random
from pathlib import Path

from hubtune.data.listing import ImageEntry
from hubtune.data.splits.kfold import split_keys


def image(name: str, sha256: str = "") -> ImageEntry:
    return ImageEntry(Path(name), 0, sha256=sha256)


def test_byte_equal_images_have_one_key() -> None:
    assert split_keys([image("a", "11"), image("b", "22"), image("c", "11")], {}) == ["11", "22", "11"]


def test_images_of_a_group_have_the_least_sum_as_their_key() -> None:
    images = [image("a", "33"), image("b", "22"), image("c", "11")]
    assert split_keys(images, {Path("a"): 4, Path("b"): 4, Path("c"): 5}) == ["22", "22", "11"]


def test_a_copy_connects_the_group_of_its_mate_with_its_own() -> None:
    images = [image("a", "44"), image("b", "33"), image("mate", "33"), image("c", "22"), image("d", "11")]
    groups = {Path("a"): 0, Path("b"): 0, Path("mate"): 1, Path("c"): 1}
    assert split_keys(images, groups) == ["22", "22", "22", "22", "11"]


def test_a_copy_that_no_group_lists_stays_with_its_mate() -> None:
    images = [image("a", "22"), image("b", "33"), image("copy of b", "33")]
    assert split_keys(images, {Path("a"): 0, Path("b"): 0}) == ["22", "22", "22"]


def test_images_without_a_sum_stand_for_themselves_unless_they_are_grouped() -> None:
    images = [image("a"), image("b"), image("c"), image("d", "11")]
    alone, *pair, other = split_keys(images, {Path("b"): 0, Path("c"): 0, Path("elsewhere"): 0})
    assert pair[0] == pair[1]
    assert len({alone, pair[0], other}) == 3


def test_keys_do_not_depend_on_the_order_of_the_images() -> None:
    rng = random.Random(1)
    images = [image(f"{number}", rng.choice(["", f"{rng.randrange(30):02}"])) for number in range(60)]
    groups = {Path(f"{number}"): rng.randrange(20) for number in rng.sample(range(60), 25)}
    expected = dict(zip([each.path for each in images], split_keys(images, groups), strict=True))
    rng.shuffle(images)
    assert dict(zip([each.path for each in images], split_keys(images, groups), strict=True)) == expected
