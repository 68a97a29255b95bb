"""Cross-validation: which images have to stay together."""

import random
from pathlib import Path

import pytest

from hubtune.data.listing import ImageEntry
from hubtune.data.splits.kfold import split_keys


def keys_of(sums, groups, order=None):
    images = [ImageEntry(Path(f"{number}"), 0, sha256=checksum) for number, checksum in enumerate(sums)]
    images = images if order is None else [images[number] for number in order]
    return split_keys(images, {Path(f"{number}"): group for number, group in groups.items()})


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
def test_copies_and_images_of_a_group_have_the_least_sum_as_their_key(sums, groups, keys):
    assert keys_of(sums, groups) == keys


def test_images_without_a_sum_stand_for_themselves_and_the_order_does_not_matter():
    alone, *pair, other = keys_of(["", "", "", "11"], {1: 0, 2: 0, 99: 0})
    assert pair[0] == pair[1]
    assert len({alone, pair[0], other}) == 3
    rng = random.Random(1)
    sums = [rng.choice(["", f"{rng.randrange(30):02}"]) for _ in range(60)]
    groups = {number: rng.randrange(20) for number in rng.sample(range(60), 25)}
    order = rng.sample(range(60), 60)
    keys = keys_of(sums, groups)
    assert keys_of(sums, groups, order) == [keys[number] for number in order]
