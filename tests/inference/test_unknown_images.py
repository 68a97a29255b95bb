"""Figures of unknown images: shares without a label, AUROC, and each class left out."""

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from hubtune.inference.predict import ImageScores, unit_mean
from hubtune.inference.reference import Reference
from hubtune.inference.unknown_images import measure_unknown

RANDOM = np.random.default_rng(0)


def _images(centre, count, spread=0.4):
    rows = np.asarray(centre, float) + spread * RANDOM.standard_normal((count, 4))
    scores = RANDOM.dirichlet([1, 1], count)
    return [
        ImageScores(Path("x"), own, None, unit_mean([row])) for own, row in zip(scores, rows, strict=True)
    ]


def _features(images):
    return np.array([image.features for image in images])


def test_the_figures_are_those_of_the_similarities():
    training = _images([1, 0, 0, 0], 20) + _images([0, 1, 0, 0], 20)
    reference = Reference(_features(training), np.repeat([0, 1], 20), ["x"] * 40)
    known, truth = _images([1, 0, 0, 0], 30) + _images([0, 1, 0, 0], 10), [0] * 30 + [1] * 10
    unknown = [*_images([0, 0, 1, 1], 25), ImageScores(Path("bad"), None)]
    figures = measure_unknown(reference, 0.9, ["a", "b"], (known, truth), unknown)
    similar = reference.similarities(_features(known))
    other = reference.similarities(_features(unknown[:-1]))
    assert (figures.count, figures.unreadable) == (25, 1)
    assert figures.rejected == (other < 0.9).mean()
    assert figures.known_rejected == (similar < 0.9).mean()
    labels = [1] * 40 + [0] * 25
    assert figures.auroc == pytest.approx(roc_auc_score(labels, np.concatenate([similar, other])), abs=1e-12)
    low, high = figures.interval
    assert low < figures.auroc <= high
    highest = [image.values.max() for image in known + unknown[:-1]]
    assert figures.auroc_of_score == pytest.approx(roc_auc_score(labels, highest), abs=1e-12)
    without = (_features(known) @ reference.features[reference.labels != 1].T).max(axis=1)
    expected = roc_auc_score([1] * 30 + [0] * 10, without)
    assert figures.classes["b"] == pytest.approx(expected, abs=1e-12)
    assert figures.class_left_out == pytest.approx(np.mean([*figures.classes.values()]))
    assert figures.as_dict()["class_left_out"] == figures.class_left_out


def test_what_cannot_be_judged_has_no_figure():
    reference = Reference(_features(_images([1, 0, 0, 0], 3)), np.zeros(3, int), ["x"] * 3)
    known = _images([1, 0, 0, 0], 2)
    figures = measure_unknown(reference, 0.9, ["a", "b"], (known, [0, 0]), [ImageScores(Path("bad"), None)])
    assert (figures.count, figures.rejected, figures.auroc, figures.interval) == (0, None, None, None)
    assert figures.classes == {"a": None, "b": None}
    assert figures.class_left_out is None
