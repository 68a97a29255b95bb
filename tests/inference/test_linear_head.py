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


def _validate(features, labels, groups=None, *, seed=0, **options):
    return cross_validate_head(features, labels, _folds(labels, groups, seed=seed), **options)


def _answers(solved, features):
    return (features @ solved.weight + solved.bias).argmax(axis=1)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("width", [20, 200])
def test_separable_classes_are_learned(classes, width):
    features, labels = _features(width=width, classes=classes)
    features[:, 3] = 7.0  # a constant feature does no harm
    found, other = (_validate(features, labels, seed=4) for _ in range(2))
    assert found == other
    assert found.accuracy > 0.95
    solved, again = (fit_head(features, labels, found.strength, num_classes=classes) for _ in range(2))
    assert (solved.weight == again.weight).all()
    assert solved.weight.dtype == solved.bias.dtype == np.float32
    assert solved.weight.shape == (width, classes)
    assert solved.bias.shape == (classes,)
    assert (_answers(solved, features) == labels).all()


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("width", [20, 100])  # less and more than there are rows
@pytest.mark.parametrize("classes", [2, 3])
def test_scores_equal_those_of_scikit_learn_itself(balance, width, classes):
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, labels = _features(width=width, distance=0.3, classes=classes)
    features, labels = features[5:], labels[5:]  # of the classes, none has as many rows as another
    strength = 0.03
    # Of two classes, scikit-learn punishes one weight where there are two here, of half its size.
    its_strength = 2 * strength if classes == 2 else strength
    solved = fit_head(features, labels, strength, num_classes=classes, balance=balance)
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
    assert sorted(np.concatenate([tested for _, tested in folds])) == list(range(31))
    for fitted, tested in folds:
        assert sorted(np.concatenate([fitted, tested])) == list(range(31))
        assert np.bincount(labels[tested]).min() >= 1
    assert not np.array_equal(_folds(labels, seed=1)[0][1], folds[0][1])
    # A class that is small costs the others no folds.
    folds = _folds(np.array([0] * 20 + [1] * 3))
    assert len(folds) == 5
    assert sorted(np.concatenate([tested for _, tested in folds])) == list(range(23))
    assert len(_folds(np.array([0, 0, 1, 1, 1]))) == 3
    # One class with one image of two, or with one each: nothing can be tested.
    assert _folds(np.where(np.arange(11) == 0, 1, 0)) == _folds(np.array([0, 1, 2])) == []


@pytest.mark.parametrize("copies", [False, True], ids=["one image", "copies of one image"])
def test_a_class_of_one_image_is_fitted_and_never_tested(copies):
    features, labels = _features(count=30)
    groups = [0 if label == 2 else number for number, label in enumerate(labels, 1)]
    if not copies:
        rows = np.flatnonzero((labels != 2) | (np.arange(30) == 2))
        features, labels, groups = features[rows], labels[rows], range(len(rows))
    folds = _folds(labels, groups)
    assert sorted(np.concatenate([tested for _, tested in folds])) == [*np.flatnonzero(labels != 2)]
    assert cross_validate_head(features, labels, folds).accuracy > 0.9


def test_a_class_without_an_image_is_never_the_answer_and_one_class_alone_is_refused():
    features, labels = _features(classes=2)
    solved = fit_head(features, labels * 2, 0.01, num_classes=3)
    assert set(_answers(solved, features)) == {0, 2}
    assert np.isfinite(solved.bias).all()
    logits = features @ solved.weight + solved.bias
    assert (np.exp(logits[:, 1] - logits.max(axis=1)) < 1e-9).all()
    message = r"^All readable training pictures are of one class: a classifier needs two$"
    with pytest.raises(DataError, match=message):
        fit_head(features, np.zeros(60, int), 1.0, num_classes=2)


def test_copies_of_an_image_stay_in_one_fold():
    random = np.random.default_rng(0)
    features, labels = random.standard_normal((40, 30)), random.integers(0, 2, 40)  # nothing to learn
    copied, doubled = np.repeat(features, 3, axis=0), np.repeat(labels, 3)
    groups = np.repeat(np.arange(40), 3).tolist()
    for fitted, tested in _folds(doubled, groups):
        assert not set(fitted // 3) & set(tested // 3)
    assert _validate(copied, doubled).accuracy > 0.8  # copies on both sides are remembered
    assert _validate(copied, doubled, groups).accuracy < 0.7


def test_balance_helps_the_smaller_class():
    random = np.random.default_rng(0)
    labels = np.array([0] * 190 + [1] * 10)
    features = random.standard_normal((200, 5)) + 1.2 * labels[:, None]
    fresh = random.standard_normal((500, 5)) + 1.2

    def recall(balance):
        strength = _validate(features, labels, balance=balance).strength
        solved = fit_head(features, labels, strength, num_classes=2, balance=balance)
        return (_answers(solved, fresh) == 1).mean()

    assert recall(balance=True) > recall(balance=False) + 0.1


def test_a_stop_is_heard_while_it_solves():
    def check():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        _validate(*_features(), check=check)


def test_nothing_is_warned_about():
    features, labels = _features(distance=30.0)  # so far apart that no strength is weak enough
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = _validate(features, labels)
        fit_head(features, labels, found.strength, num_classes=3)
    assert np.isfinite(found.loss)
