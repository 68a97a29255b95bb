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


def _solve(features, labels, num_classes, *, groups=None, seed=0):
    groups = [str(number) for number in range(len(labels))] if groups is None else groups
    return solve_head(features, labels, groups, num_classes=num_classes, folds=5, seed=seed)


def _answers(solved, features):
    return (features @ solved.weight + solved.bias).argmax(axis=1)


@pytest.mark.parametrize("classes", [2, 3])
def test_separable_classes_are_learned(classes):
    features, labels = _features(classes=classes)
    solved = _solve(features, labels, classes)
    assert solved.weight.dtype == np.float32
    assert solved.weight.shape == (20, classes)
    assert (_answers(solved, features) == labels).all()
    assert solved.accuracy > 0.95


def test_scores_equal_those_of_scikit_learn_itself():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, labels = _features(distance=0.3)
    solved = _solve(features, labels, 3)
    reference = make_pipeline(
        StandardScaler(), LogisticRegression(C=solved.strength, max_iter=5000, tol=1e-8)
    )
    reference.fit(features, labels)
    logits = features @ solved.weight.astype(float) + solved.bias
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.abs(scores - reference.predict_proba(features)).max() < 1e-3


def test_shuffled_labels_are_not_learned():
    features, labels = _features(count=200, distance=0.0)
    assert abs(_solve(features, labels, 3).accuracy - 1 / 3) < 0.12


def test_the_same_seed_gives_the_same_head():
    features, labels = _features(distance=0.5)
    one, other = (_solve(features, labels, 3, seed=4) for _ in range(2))
    assert one.strength == other.strength
    assert (one.weight == other.weight).all()


def test_a_class_without_a_picture_is_never_the_answer():
    features, labels = _features(classes=2)
    solved = _solve(features, labels * 2, 3)
    assert set(_answers(solved, features)) == {0, 2}
    assert np.isfinite(solved.bias).all()


def test_a_class_with_one_picture_needs_no_cross_validation():
    features, labels = _features(count=11, classes=2)
    labels = np.where(np.arange(11) == 0, 1, 0)
    assert _solve(features, labels, 2).accuracy is None


def test_constant_features_do_no_harm():
    features, labels = _features()
    features[:, 3] = 7.0
    assert np.isfinite(_solve(features, labels, 3).weight).all()


def test_one_class_alone_is_refused():
    with pytest.raises(DataError, match="are of one class"):
        _solve(np.ones((4, 2)), np.zeros(4, int), 2)


def test_copies_of_a_picture_stay_in_one_fold():
    random = np.random.default_rng(0)
    features, labels = random.standard_normal((40, 30)), random.integers(0, 2, 40)  # nothing to learn
    copied, doubled = np.repeat(features, 3, axis=0), np.repeat(labels, 3)
    groups = [str(number) for number in np.repeat(np.arange(40), 3)]
    assert _solve(copied, doubled, 2).accuracy > 0.8  # copies on both sides are remembered
    assert _solve(copied, doubled, 2, groups=groups).accuracy < 0.7


def test_a_stop_is_heard_while_it_solves():
    def check():
        raise InterruptedError

    features, labels = _features()
    with pytest.raises(InterruptedError):
        solve_head(features, labels, ["a"] * 30 + ["b"] * 30, num_classes=3, folds=2, seed=0, check=check)
