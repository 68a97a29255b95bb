"""Label errors, on features whose true labels are known."""

import numpy as np
import pytest

from hubtune.errors import DataError
from hubtune.inference.label_errors import find_label_errors


def clusters(rows=60, classes=3):
    """Features of well separated classes, and their labels."""
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(classes), rows)
    centres = 3 * random.standard_normal((classes, 16))
    return (centres[labels] + random.standard_normal((len(labels), 16))).astype(np.float32), labels


def suspects(rows, labels, groups=None):
    check = find_label_errors(rows, labels, groups or range(len(labels)))
    return [issue.index for issue in check.issues]


def test_planted_errors_are_found_with_the_right_class():
    rows, truth = clusters()
    labels = truth.copy()
    wrong = [3, 50, 70, 100, 130, 179]
    labels[wrong] = (truth[wrong] + 1) % 3
    check = find_label_errors(rows, labels, range(180))
    assert sorted(issue.index for issue in check.issues) == wrong
    assert check.issues == sorted(check.issues, key=lambda issue: issue.own)
    assert all(issue.other == truth[issue.index] for issue in check.issues)
    assert check.accuracy == pytest.approx(1 - len(wrong) / len(labels), abs=0.01)
    assert find_label_errors(rows, labels, range(180)) == check


def test_copies_do_not_confirm_each_other():
    rows, truth = clusters()
    # One wrong image, thirty times. In several folds, each would be predicted by a head fitted on its copies.
    labels = np.append(truth, [1] * 30)
    rows = np.vstack([rows, np.repeat(rows[:1], 30, axis=0)])
    groups = [*range(len(truth)), *["copies"] * 30]
    assert set(suspects(rows, labels, groups)) == set(range(len(truth), len(labels)))


def test_right_labels_and_images_that_cannot_be_checked_are_not_suspected():
    rows, labels = clusters()
    assert suspects(rows, labels) == []
    assert suspects(np.vstack([rows, rows[:1]]), np.append(labels, 3)) == []  # a class of one image
    labels[5], rows[5] = 2, np.nan
    assert suspects(rows, labels) == []
    with pytest.raises(DataError, match="too small to find wrong labels"):
        suspects(*clusters(rows=1))
