"""Cross-validation: which images have to stay together."""

import random
from pathlib import Path

import numpy as np
import pytest
from support.scans import fake_label_scan, given_group, split_scan

from hubtune.data.listing import ImageEntry
from hubtune.data.splits.kfold import fold_splits, held_out, make_folds, split_keys
from hubtune.data.splits.split import images_of
from hubtune.errors import DataError


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


def label_split(images=120):
    """A split of images with a label that most have, one of a third, a rare one, and none."""
    rows = {
        f"{number:03}.jpg": ["most"] * (number % 10 > 1)
        + ["third"] * (number % 3 == 0)
        + ["rare"] * (0 < number < 4)
        for number in range(images)
    }
    scan = fake_label_scan(["most", "third", "rare"], rows)
    place = {image.name: number for number, image in enumerate(images_of(scan))}
    groups = [
        given_group(*sorted(place[f"{number + more:03}.jpg"] for more in range(4)))
        for number in range(60, 100, 4)
    ]
    return split_scan(scan, groups=groups)


def test_folds_of_several_labels_share_each_and_test_every_picture_with_its_group():
    split = label_split()
    folds = fold_splits(split, 5, seed=1)
    assert split.remarks[1:] == []
    tested = [image.name for fold in folds for image in fold.lists["validate"]]
    assert sorted(tested) == sorted(image.name for image in split.lists["train"])
    for fold in folds:
        counts = fold.counts()
        assert fold.image_counts()["validate"] == pytest.approx(24, abs=1)
        assert counts["most"]["validate"] == pytest.approx(96 / 5, abs=1)
        assert counts["third"]["validate"] == pytest.approx(8, abs=1)
        assert counts["rare"]["validate"] <= 1
        names = {image.name for image in fold.lists["validate"]}
        assert all(len({f"{n:03}.jpg", f"{n + 3:03}.jpg"} & names) != 1 for n in range(60, 100, 4))
    lists = held_out(folds[0], seed=1, validate=True)
    counts = lists.counts()
    assert all(own["train"] > 0 for own in counts.values())
    assert counts["third"]["validate"] and counts["most"]["validate"]
    assert lists.image_counts()["test"] == folds[0].image_counts()["validate"]


def test_folds_share_pictures_without_a_label():
    rows = np.repeat([0, 1, 2, 3], [20, 5, 5, 5])  # most have both labels, and few have none
    members = np.array([[True, True], [False, False], [True, False], [False, True]])
    folds = make_folds(rows, [*range(len(rows))], folds=5, seed=0, members=members)
    assert [int((rows[tested] == 1).sum()) for _, tested in folds] == [1] * 5


def test_a_validation_list_leaves_training_a_picture_of_each_label():
    rows = {f"{number:02}.jpg": ["half"] * (number % 2) + ["one"] * (number == 3) for number in range(20)}
    split = split_scan(fake_label_scan(["half", "one"], rows))
    for seed in range(12):
        for fold in fold_splits(split, 2, seed=seed):
            lists = held_out(fold, seed=seed, validate=True)
            assert lists.counts()["one"]["train"] + lists.counts()["one"]["test"] == 1
            assert lists.lists["validate"]


def test_too_few_pictures_of_several_labels_are_refused():
    split = split_scan(fake_label_scan(["a", "b"], {"1.jpg": ["a"], "2.jpg": ["b"], "3.jpg": ["a", "b"]}))
    with pytest.raises(DataError) as caught:
        fold_splits(split, 3, seed=0)
    assert str(caught.value) == (
        "3 training pictures with 2 labels are too few for 3 folds: add pictures, or take fewer folds"
    )
    nothing = np.zeros((1, 2), bool)
    assert make_folds(np.zeros(9, np.int64), range(9), folds=3, seed=0, members=nothing) == []
    empty = np.zeros(0, np.int64)
    assert make_folds(empty, [], folds=3, seed=0, members=nothing) == []
