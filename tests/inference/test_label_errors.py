"""Labels that are probably wrong, on features whose truth is known."""

import numpy as np
import pytest

from hubtune.errors import DataError
from hubtune.inference.label_errors import find_label_errors


def clusters(seed=0, rows=60, classes=3):
    """Features of well parted classes, and their labels."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), rows)
    centres = 3 * random.standard_normal((classes, 16))
    return (centres[labels] + random.standard_normal((len(labels), 16))).astype(np.float32), labels


def places(doubts):
    return [suspect.place for suspect in doubts.suspects]


def test_planted_errors_are_found_with_the_right_class():
    rows, truth = clusters()
    labels = truth.copy()
    wrong = [3, 50, 70, 100, 130, 179]
    labels[wrong] = (truth[wrong] + 1) % 3
    doubts = find_label_errors(rows, labels, list(range(len(labels))))
    assert sorted(places(doubts)) == wrong
    assert all(suspect.other == truth[suspect.place] for suspect in doubts.suspects)
    own = [suspect.own for suspect in doubts.suspects]
    assert own == sorted(own)
    assert doubts.accuracy == pytest.approx(1 - len(wrong) / len(labels), abs=0.01)


def test_right_labels_are_not_suspected():
    rows, labels = clusters()
    assert places(find_label_errors(rows, labels, list(range(len(labels))))) == []


def test_copies_do_not_vouch_for_one_another():
    rows, truth = clusters()
    # One wrong picture, thirty times: apart, each would find its like among those that the head is fitted on.
    labels = np.append(truth, [1] * 30)
    rows = np.vstack([rows, np.repeat(rows[:1], 30, axis=0)])
    together = find_label_errors(rows, labels, [*range(len(truth)), *["copies"] * 30])
    assert set(places(together)) == set(range(len(truth), len(labels)))


def test_pictures_without_features_are_not_asked_about():
    rows, labels = clusters()
    labels[5] = 2
    rows[5] = np.nan
    assert places(find_label_errors(rows, labels, list(range(len(labels))))) == []


def test_a_class_of_one_picture_is_not_asked_about():
    rows, labels = clusters()
    rows, labels = np.vstack([rows, rows[:1]]), np.append(labels, 3)
    assert places(find_label_errors(rows, labels, list(range(len(labels))))) == []


def test_classes_that_are_too_small_are_refused():
    rows, labels = clusters(rows=1)
    with pytest.raises(DataError, match="too small to find wrong labels"):
        find_label_errors(rows, labels, list(range(len(labels))))


def test_the_answer_is_the_same_every_time():
    rows, labels = clusters()
    labels[[3, 70]] = 2
    assert find_label_errors(rows, labels, range(180)) == find_label_errors(rows, labels, range(180))
