"""Tests of cross-validation: which images have to stay together."""

import random
from pathlib import Path

import pytest

from hubtune.data.listing import ImageEntry
from hubtune.data.splits.kfold import split_keys


def image(name: str, sha256: str = "") -> ImageEntry:
    return ImageEntry(Path(name), 0, sha256=sha256)


@pytest.mark.parametrize(
    ("sums", "groups", "keys"),
    [
        pytest.param(["11", "22", "11"], {}, ["11", "22", "11"], id="equal bytes"),
        pytest.param(["33", "22", "11"], {0: 4, 1: 4, 2: 5}, ["22", "22", "11"], id="groups"),
        pytest.param(
            *(["44", "33", "33", "22", "11"], {0: 0, 1: 0, 2: 1, 3: 1}, ["22", "22", "22", "22", "11"]),
            id="a copy connects the group of its mate with its own",
        ),
        pytest.param(["22", "33", "33"], {0: 0, 1: 0}, ["22"] * 3, id="a copy that no group lists"),
    ],
)
def test_copies_and_images_of_a_group_have_the_least_sum_as_their_key(sums, groups, keys) -> None:
    images = [image(f"{number}", sha256) for number, sha256 in enumerate(sums)]
    assert split_keys(images, {Path(f"{number}"): group for number, group in groups.items()}) == keys


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
