"""Rows of the training images: copies are one row, samples keep groups whole, bad copies are all named."""

import csv
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import hubtune
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import ImageEntry
from hubtune.train import training_features
from hubtune.train.training_features import TrainingFeatures

MODULE, FAINT, DEFAULTS = "digitnet", {}, {"strategy": "frozen"}


@pytest.fixture
def make_features(tmp_path, monkeypatch):
    """Makes the features of entries or (label, content) pairs; groups are lists of their numbers."""
    monkeypatch.setattr(training_features, "hash_images", lambda images, check: images)

    def make(images, groups=(), balance="none", merge_copies=True, sets=None):
        entries = [
            image
            if isinstance(image, ImageEntry)
            else ImageEntry(tmp_path / f"{number}.png", image[0], sha256=image[1])
            for number, image in enumerate(images)
        ]
        group_of = {entries[member].path: n for n, group in enumerate(groups) for member in group}
        context = SimpleNamespace(
            data=SimpleNamespace(examples={"train": entries}, groups=group_of, label_sets=sets),
            config=SimpleNamespace(balance=balance, seed=0),
            stop=SimpleNamespace(check=lambda: None),
        )
        return TrainingFeatures(context, None, [4], merge_copies=merge_copies)

    return make


def _number(entry):
    return int(entry.path.stem)


def test_copies_of_one_class_are_one_row_with_their_number_and_classes_take_turns(make_features):
    images = [(0, "a"), (0, "b"), (0, "a"), (1, "a"), (1, "c"), (1, "c"), (1, "c")]
    features = make_features(images)
    assert [_number(entry) for entry in features.entries] == [0, 3, 1, 4]
    assert features.labels.tolist() == [0, 1, 0, 1]
    assert features.weights.tolist() == [2, 1, 1, 3]
    assert features.keys[0] == features.keys[1] != features.keys[2]  # the same bytes in two classes
    separate = make_features(images, merge_copies=False)
    assert [_number(entry) for entry in separate.entries] == [*range(7)]
    assert separate.weights.tolist() == [1] * 7
    balanced = make_features(images, balance="weights")
    for label in (0, 1):
        assert balanced.weights[balanced.labels == label].sum() == pytest.approx(3.5)
    assert len({each.digest for each in (features, separate, balanced)}) == 3


def test_a_picture_that_is_listed_twice_counts_twice_and_may_be_of_two_classes(make_features, tmp_path):
    features = make_features([(0, "a"), (0, "b"), (1, "c")])
    twice = [features.entries[0], *features.entries, replace(features.entries[0], label=1)]
    for merge_copies, weights in ((True, [2, 1, 1, 1]), (False, [1, 1, 1, 1, 1])):
        features = make_features(twice, merge_copies=merge_copies)
        assert features.weights.tolist() == weights
        assert features.labels.tolist() == ([0, 1, 0, 1] if merge_copies else [0, 0, 1, 0, 1])


def test_a_sample_of_multi_label_images_is_not_larger_for_many_sets_and_has_the_rare_labels(make_features):
    random = np.random.default_rng(0)
    own = random.random((900, 12)) < [0.012, *[0.4] * 11]
    sets = LabelSets.of([*"abcdefghijkl"], [np.flatnonzero(row).tolist() for row in own])
    assert len(sets.sets) > 600  # a class each would be two rows each
    numbers = [sets.number_of[tuple(np.flatnonzero(row).tolist())] for row in own]
    groups = [[number, number + 1, number + 2] for number in range(0, 90, 3)]
    images = [(number, f"a{place}") for place, number in enumerate(numbers)]
    features = make_features(images, groups, sets=sets)
    sample = features.sample(200)
    assert 190 <= len(sample) <= 200
    members = sets.matrix[features.labels]
    assert members[sample, 0].sum() >= min(10, members[:, 0].sum())
    assert np.abs(members[sample, 1:].mean(axis=0) - members[:, 1:].mean(axis=0)).max() < 0.1
    taken = set(sample.tolist())
    places = {_number(entry): row for row, entry in enumerate(features.entries)}
    assert all(len({places[member] in taken for member in group}) == 1 for group in groups)
    inner = features.sample(50, sample)
    assert len(inner) <= 50 and set(inner.tolist()) <= taken


def test_a_sample_has_all_classes_in_their_shares_and_groups_whole(make_features):
    images = [(0, f"a{number}") for number in range(60)] + [(1, f"b{number}") for number in range(30)]
    images += [(2, f"c{number}") for number in range(9)] + [(3, "d0")]
    groups = [[number, number + 1, number + 2] for number in range(0, 30, 3)]
    groups += [[*range(60, 90)], [*range(90, 93)]]  # class 1 is one group
    features = make_features(images, groups)
    sample = features.sample(20)
    counts = np.bincount(features.labels[sample], minlength=4)
    assert counts.tolist()[0] == 12
    assert counts[1] in range(1, 7)  # a part of its only group
    assert counts[2] == 2
    assert counts[3] == 1
    taken = set(sample.tolist())
    for key in {features.keys[row] for row in sample if features.labels[row] != 1}:
        members = {row for row, own in enumerate(features.keys) if own == key}
        assert members <= taken
    assert features.sample(20).tolist() == sample.tolist()
    assert set(features.sample(5, sample)) <= taken
    assert features.sample(1000).tolist() == [*range(len(images))]


def test_a_class_that_is_only_in_a_large_group_of_another_one_is_sampled(make_features):
    images = [(0, f"a{number}") for number in range(200)] + [(1, f"b{number}") for number in range(4)]
    features = make_features(images, [[*range(150, 204)]])
    for count in (20, 60):
        assert set(features.labels[features.sample(count)]) == {0, 1}


def test_all_copies_of_an_unreadable_image_are_named_also_from_the_cache(run, data):
    paths = [example.path for example in hubtune.ListDataset(data).examples("train")]
    for path in paths[1:3]:  # of the same class
        path.write_bytes(paths[0].read_bytes()[:-300])
    for name in ("first", "again"):
        trained = run(name, max_bad="20%")
        rows = [*csv.DictReader((trained.path / "skipped.csv").open())]
        assert [row["path"] for row in rows] == [str(path) for path in sorted(paths[1:3])]
