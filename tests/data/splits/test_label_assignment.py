"""Splits of multi-label data: every label in every list, as asked, and remarks where it cannot be."""

import random

import numpy as np
import pytest
from support.scans import fake_label_scan, given_group, part_of, split_scan

from hubtune.data.splits.quota import SplitSize
from hubtune.data.splits.split import images_of

LABELS = ("red", "round", "small", "rare", "common")


def drawn(count=400, seed=0, rare=12):
    """Return name → labels of images; a fifth of them have none, and most others are common."""
    rng = np.random.default_rng(seed)
    images = {}
    for number in range(count):
        own = [
            label
            for label, share in zip(LABELS, (0.4, 0.2, 0.1, 0, 0.9), strict=True)
            if rng.random() < share
        ]
        images[f"{number:03}.jpg"] = own + ["rare"] * (0 < number <= rare) if number % 5 else []
    for number in range(1, rare * 2):
        if number % 5 == 0 and number <= rare:
            images[f"{number:03}.jpg"] = ["rare"]
    return images


def size(text):
    return SplitSize.parse(text)


def sums(split):
    return {name: len(images) for name, images in split.lists.items()}


def test_each_list_gets_its_share_of_each_label_and_of_images_without_one():
    split = split_scan(fake_label_scan(LABELS, drawn()), validate=size("25%"), test=size("0.25"))
    assert [split.image_counts()[name] for name in split.lists] == pytest.approx([200, 100, 100], abs=2)
    for label, counts in split.counts().items():
        total = sum(counts.values())
        for name in ("validate", "test"):
            assert counts[name] == pytest.approx(total / 4, abs=1.5), (label, name)
    without = split.counts_without_label()
    assert without["validate"] == pytest.approx(sum(without.values()) / 4, abs=1.5)
    assert split.remarks == []


def test_a_number_is_of_pictures_of_each_label():
    split = split_scan(fake_label_scan(LABELS, drawn()), validate=size(10))
    counts, total = split.counts(), split.image_counts()
    assert all(own["validate"] >= (6 if label == "rare" else 10) for label, own in counts.items())
    assert total["validate"] < 80
    assert counts["rare"] == {"train": 2, "validate": 10, "test": 0, "left_over": 0}
    without = split.counts_without_label()
    assert without["validate"] / sum(without.values()) == pytest.approx(total["validate"] / 400, abs=0.02)
    left = split_scan(fake_label_scan(LABELS, drawn()), validate=size(10), train=15)
    assert all(own["train"] >= 15 for label, own in left.counts().items() if label != "rare")
    assert left.image_counts()["left_over"] > 100
    assert sum(left.image_counts().values()) == 400
    assert left.remarks == [
        "Label 'rare' has 12 pictures, too few for 15 in the training list: it "
        "gives 2 for training, 10 for validation."
    ]


@pytest.mark.parametrize(
    ("rare", "expected"),
    [(1, [1, 0, 0]), (2, [1, 1, 0]), (3, [1, 1, 1]), (4, [2, 1, 1])],
)
def test_a_rare_label_is_in_training_first_and_then_in_as_many_lists_as_it_can(rare, expected):
    for seed in range(4):
        split = split_scan(
            fake_label_scan(LABELS, drawn(rare=rare)), validate=size("10%"), test=size("10%"), seed=seed
        )
        counts = split.counts()["rare"]
        got = [counts[name] for name in ("train", "validate", "test")]
        assert sum(got) == rare and got[0] >= 1
        if rare >= 3:
            assert got == expected
        assert sums(split)["validate"] == pytest.approx(40, abs=1)
        assert bool([text for text in split.remarks if "Label 'rare'" in text]) == (rare < 3)


def test_groups_stay_together_and_the_order_of_the_pictures_does_not_matter():
    images = drawn()
    names = [*images]
    groups_of_names = [names[start : start + 7] for start in range(0, 210, 7)]

    def split_of(order):
        scan = fake_label_scan(LABELS, {name: images[name] for name in order})
        place = {image.name: number for number, image in enumerate(images_of(scan))}
        groups = [given_group(*sorted(place[name] for name in own)) for own in groups_of_names]
        return split_scan(scan, groups=groups, validate=size("20%"), test=size("10%"), seed=3)

    split, shuffled = split_of(names), split_of(random.Random(0).sample(names, len(names)))
    places = part_of(split)
    assert places == part_of(shuffled)
    assert split.remarks == shuffled.remarks
    assert all(len({places[name] for name in own}) == 1 for own in groups_of_names)
    for label, counts in split.counts().items():
        # Two groups have all the images of the rare one.
        expected = 6 if label == "rare" else pytest.approx(0.2 * sum(counts.values()), abs=2.5)
        assert counts["validate"] == expected, label
    assert places != part_of(split_scan(fake_label_scan(LABELS, images), validate=size("20%"), seed=4))


def test_labels_that_every_picture_has_or_none_are_named():
    images = {f"{number}.jpg": ["all", "one"] if number % 3 else ["all"] for number in range(30)}
    split = split_scan(fake_label_scan(["one", "all", "none"], images), validate=size("20%"))
    assert split.counts()["all"] == {"train": 24, "validate": 6, "test": 0, "left_over": 0}
    assert split.counts()["one"]["validate"] == 4
    assert split.counts()["none"]["train"] == 0
    assert split.remarks == [
        "Every training picture has the label 'all': nothing can be learned of it.",
        "Label 'none' has no training picture: nothing can be learned of it.",
    ]
    assert split_scan(fake_label_scan(["none"], {"1.jpg": [], "2.jpg": []}), validate=size("50%")).counts()


def test_copies_with_different_labels_are_bound_to_training():
    images = drawn()
    images["000.jpg"], images["001.jpg"] = (["red"], "copy"), (["round", "rare"], "copy")
    for seed in range(5):
        split = split_scan(fake_label_scan(LABELS, images), validate=size("40%"), seed=seed)
        assert {part_of(split)[name] for name in ("000.jpg", "001.jpg")} == {"train"}
        assert "The same picture has different labels: 000.jpg, 001.jpg. All are in the training list; " in (
            " ".join(split.remarks)
        )
    assert [[image.name for image in group] for group in split.conflicts] == [["000.jpg", "001.jpg"]]


def test_of_many_labels_with_too_few_pictures_ten_are_described():
    labels = [f"l{number:02}" for number in range(14)]
    images = {f"{number}.jpg": [labels[number % 14]] for number in range(28)}
    remarks = split_scan(fake_label_scan(labels, images), validate=size(5)).remarks
    assert len(remarks) == 11
    assert remarks[0] == (
        "Label 'l00' has 2 pictures, too few for 5 in the validation list: it gives 1 for training, 1 for "
        "validation."
    )
    assert remarks[-1].startswith("Fewer than asked, likewise: 'l10', 'l11'")
    images = {f"{number}.jpg": [labels[0]] if number % 2 else [] for number in range(28)}
    remarks = split_scan(fake_label_scan(labels, images), validate=size("20%")).remarks
    assert remarks[-1] == "… and 3 more labels of which nothing can be learned."


def test_groups_that_cannot_be_divided_are_described():
    images = {f"{number:02}.jpg": ["red"] if number < 10 else ["round"] for number in range(40)}
    scan = fake_label_scan(["red", "round"], images)
    place = {image.name: number for number, image in enumerate(images_of(scan))}
    groups = [given_group(*sorted(place[f"{number:02}.jpg"] for number in range(10)))]
    split = split_scan(scan, groups=groups, validate=size("20%"))
    assert split.counts()["red"]["train"] == 10
    assert (
        "Label 'red' has 10 pictures in groups of up to 10 that stay together, with which 2 in the "
        "validation list cannot be met: it gives 10 for training."
    ) in split.remarks
