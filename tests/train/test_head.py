"""The logistic head of the `frozen` strategy."""

import numpy as np
import pytest

from hubtune.errors import DataError
from hubtune.train.head import solve_head


def _features(count=60, width=20, classes=3, distance=3.0, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = distance * random.standard_normal((classes, width))
    return (centres[labels] + random.standard_normal((count, width))) * 5 + 100, labels


def _answers(solved, features):
    return (features @ solved.weight + solved.bias).argmax(axis=1)


@pytest.mark.parametrize("classes", [2, 3])
def test_separable_classes_are_learned(classes):
    features, labels = _features(classes=classes)
    solved = solve_head(features, labels, classes, folds=5, seed=0)
    assert solved.weight.dtype == np.float32
    assert solved.weight.shape == (20, classes)
    assert (_answers(solved, features) == labels).all()
    assert solved.accuracy > 0.95


def test_scores_equal_those_of_scikit_learn_itself():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, labels = _features(distance=0.3)
    solved = solve_head(features, labels, 3, folds=5, seed=0)
    reference = make_pipeline(
        StandardScaler(), LogisticRegression(C=solved.strength, max_iter=5000, tol=1e-8)
    )
    reference.fit(features, labels)
    logits = features @ solved.weight.astype(float) + solved.bias
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.abs(scores - reference.predict_proba(features)).max() < 1e-3


def test_shuffled_labels_are_not_learned():
    features, labels = _features(count=200, distance=0.0)
    assert abs(solve_head(features, labels, 3, folds=5, seed=0).accuracy - 1 / 3) < 0.12


def test_the_same_seed_gives_the_same_head():
    features, labels = _features(distance=0.5)
    one, other = (solve_head(features, labels, 3, folds=5, seed=4) for _ in range(2))
    assert one.strength == other.strength
    assert (one.weight == other.weight).all()


def test_a_class_without_a_picture_is_never_the_answer():
    features, labels = _features(classes=2)
    solved = solve_head(features, labels * 2, 3, folds=5, seed=0)
    assert set(_answers(solved, features)) == {0, 2}
    assert np.isfinite(solved.bias).all()


def test_a_class_with_one_picture_needs_no_cross_validation():
    features, labels = _features(count=11, classes=2)
    labels = np.where(np.arange(11) == 0, 1, 0)
    assert solve_head(features, labels, 2, folds=5, seed=0).accuracy is None


def test_constant_features_do_no_harm():
    features, labels = _features()
    features[:, 3] = 7.0
    assert np.isfinite(solve_head(features, labels, 3, folds=5, seed=0).weight).all()


def test_one_class_alone_is_refused():
    with pytest.raises(DataError, match="are of one class"):
        solve_head(np.ones((4, 2)), np.zeros(4, int), 2, folds=5, seed=0)
