"""The logistic head that is solved on frozen features, and the cross-validation that chooses how."""

import warnings

import numpy as np
import pytest

from hubtune.data.splits.kfold import make_folds
from hubtune.errors import DataError
from hubtune.inference.linear_head import STRENGTHS, cross_validate_head, fit_head


def _features(count=60, width=20, classes=3, distance=3.0, seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    centres = distance * random.standard_normal((classes, width))
    return (centres[labels] + random.standard_normal((count, width))) * 5 + 100, labels


def _folds(labels, groups=None, *, folds=5, seed=0):
    return make_folds(labels, range(len(labels)) if groups is None else groups, folds=folds, seed=seed)


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("width", [20, 100])  # less and more than there are rows
@pytest.mark.parametrize("classes", [2, 3])
def test_scores_equal_those_of_scikit_learn_itself(balance, width, classes):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, labels = _features(width=width, distance=0.3, classes=classes)
    features[:, 3] = 7.0  # a constant feature does no harm
    features, labels = features[5:], labels[5:]  # of the classes, none has as many rows as another
    strength = 0.03
    # Of two classes, scikit-learn punishes one weight where there are two here, of half its size.
    its_strength = 2 * strength if classes == 2 else strength
    solved = fit_head(features, labels, strength, num_classes=classes, balance=balance)
    assert solved.weight.dtype == solved.bias.dtype == np.float32
    weight = "balanced" if balance else None
    reference = make_pipeline(
        StandardScaler(), LogisticRegression(C=its_strength, max_iter=5000, tol=1e-9, class_weight=weight)
    )
    reference.fit(features, labels)
    logits = features @ solved.weight.astype(float) + solved.bias
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert np.abs(scores - reference.predict_proba(features)).max() < 1e-3


def test_the_strength_with_the_least_loss_is_found():
    from sklearn.linear_model import LogisticRegression

    features, labels = _features(distance=0.3, width=30)
    folds = _folds(labels)
    found = cross_validate_head(features, labels, folds)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)

    def loss(strength):
        total = 0.0
        for fitted, tested in folds:
            solver = LogisticRegression(C=strength, max_iter=5000, tol=1e-8)
            scores = solver.fit(scaled[fitted], labels[fitted]).predict_log_proba(scaled[tested])
            total -= scores[np.arange(len(tested)), labels[tested]].sum()
        return total / len(labels)

    assert found.loss == pytest.approx(loss(found.strength), abs=1e-3)
    assert found.loss <= min(map(loss, STRENGTHS)) + 1e-3


def test_folds_test_every_row_once_and_never_one_that_was_fitted():
    labels = np.arange(31) % 3
    folds = _folds(labels)
    assert len(folds) == 5
    for fitted, tested in folds:
        assert sorted(np.concatenate([fitted, tested])) == list(range(31))
        assert np.bincount(labels[tested]).min() >= 1
    assert not np.array_equal(_folds(labels, seed=1)[0][1], folds[0][1])
    # A class that is small costs the others no folds.
    for some, count in ((labels, 5), (np.array([0] * 20 + [1] * 3), 5), (np.array([0, 0, 1, 1, 1]), 3)):
        tested = [tested for _, tested in _folds(some)]
        assert len(tested) == count
        assert sorted(np.concatenate(tested)) == list(range(len(some)))
    # One class with one image of two, or with one each: nothing can be tested.
    assert _folds(np.where(np.arange(11) == 0, 1, 0)) == _folds(np.array([0, 1, 2])) == []


def test_copies_stay_in_one_fold_and_a_class_of_one_image_is_never_tested():
    features, labels = _features(count=30)
    groups = [0 if label == 2 else number for number, label in enumerate(labels, 1)]
    for fitted, tested in _folds(labels, np.arange(30) // 6):
        assert not set(fitted // 6) & set(tested // 6)
    folds = _folds(labels, groups)
    assert sorted(np.concatenate([tested for _, tested in folds])) == [*np.flatnonzero(labels != 2)]
    assert cross_validate_head(features, labels, folds).accuracy > 0.9


def test_a_class_without_an_image_is_never_the_answer_and_one_class_alone_is_refused():
    features, labels = _features(classes=2)
    solved = fit_head(features, labels * 2, 0.01, num_classes=3)
    logits = features @ solved.weight + solved.bias
    assert set(logits.argmax(axis=1)) == {0, 2}
    assert np.isfinite(solved.bias).all()
    assert (np.exp(logits[:, 1] - logits.max(axis=1)) < 1e-9).all()
    message = r"^All readable training pictures are of one class: a classifier needs two$"
    with pytest.raises(DataError, match=message):
        fit_head(features, np.zeros(60, int), 1.0, num_classes=2)


def test_a_stop_is_heard_while_it_solves_and_nothing_is_warned_about():
    def check():
        raise InterruptedError

    features, labels = _features(distance=30.0)  # so far apart that no strength is weak enough
    with pytest.raises(InterruptedError):
        cross_validate_head(features, labels, _folds(labels), check=check)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = cross_validate_head(features, labels, _folds(labels))
        fit_head(features, labels, found.strength, num_classes=3)
    assert np.isfinite(found.loss)
