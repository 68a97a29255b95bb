"""Accuracy by the number of images: as of heads that are really fitted, groups undivided."""

from dataclasses import replace

import numpy as np
import pytest

from hubtune.inference import subset_accuracy
from hubtune.inference.feature_table import Table
from hubtune.inference.ridge_head import fit_ridge
from hubtune.inference.subset_accuracy import accuracy_by_size


def _table(each=32, classes=3, *, blocks=(6, 20), seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(each * classes) % classes
    width = sum(blocks)
    rows = 0.9 * random.standard_normal((classes, width))[labels] + random.standard_normal(
        (len(labels), width)
    )
    keys = [f"{number:04}" for number in range(len(labels))]
    return Table(rows.astype(np.float32), labels, np.ones(len(labels)), keys, list(blocks))


def test_more_images_are_better_and_sizes_double():
    found = accuracy_by_size(_table())
    assert [round(size.images) for size in found] == [1, 2, 4, 8, 16, 32]
    means = [np.mean(size.accuracies) for size in found]
    assert means[0] < means[-2] - 0.05
    assert [len(size.accuracies) for size in found] == [6] * 5 + [1]
    assert found[0].tested == 93
    assert found[-1].tested == 96
    assert all(size.per_class.shape == (3,) for size in found)
    assert found[-1].per_class.mean() == pytest.approx(found[-1].accuracies[0])
    again = accuracy_by_size(_table())
    assert [size.accuracies for size in again] == [size.accuracies for size in found]


def test_the_head_of_all_images_is_that_of_the_run():
    table = _table()
    assert accuracy_by_size(table)[-1].accuracies == [fit_ridge(table, 3).accuracy]


def test_a_draw_is_tested_as_a_head_that_is_fitted_to_it(monkeypatch):
    # With the scaling of all images, which is that of the draw up to chance.
    monkeypatch.setattr(subset_accuracy, "_DRAWS", 3)
    table = _table(each=48, blocks=(10,))
    [*_, size, _] = accuracy_by_size(table)
    expected = []
    for draw in range(3):
        rows = subset_accuracy._draw_rows(table, 16, draw)
        assert np.bincount(table.labels[rows]).tolist() == [16, 16, 16]
        head = fit_ridge(table.take(rows), 3)
        others = np.setdiff1d(np.arange(len(table.labels)), rows)
        answers = (table.rows[others] @ head.weight + head.bias).argmax(axis=1)
        expected.append((answers == table.labels[others]).mean())
    np.testing.assert_allclose(size.accuracies, expected, atol=0.08)


def test_copies_are_on_one_side():
    table = _table(each=8)
    copies = table.take(np.repeat(np.arange(24), 2))
    found = accuracy_by_size(copies)
    rows = subset_accuracy._draw_rows(copies, 4, 0)
    assert len({copies.keys[row] for row in rows}) * 2 == len(rows)
    assert found[0].images == pytest.approx(2)  # a group is never divided


def test_too_few_images_give_no_curve():
    assert accuracy_by_size(_table(each=1)) == []
    assert accuracy_by_size(replace(_table(each=2), keys=["same"] * 6)) == []


def test_small_classes_are_tested_at_every_size():
    table = _table(each=48)
    rows = np.flatnonzero((table.labels > 0) | (np.arange(len(table.labels)) < 24))  # 8 of the first class
    found = accuracy_by_size(table.take(rows))
    assert len(found) == 7
    assert not any(np.isnan(size.per_class).any() for size in found)
