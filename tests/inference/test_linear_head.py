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
    found = _validate(features, labels)
    solved = fit_head(features, labels, found.strength, num_classes=classes)
    assert solved.weight.dtype == solved.bias.dtype == np.float32
    assert solved.weight.shape == (width, classes)
    assert solved.bias.shape == (classes,)
    assert (_answers(solved, features) == labels).all()
    assert found.accuracy > 0.95


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
    reference = make_pipeline(
        StandardScaler(),
        LogisticRegression(
            C=its_strength, max_iter=5000, tol=1e-9, class_weight="balanced" if balance else None
        ),
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


def test_shuffled_labels_are_not_learned():
    features, labels = _features(count=200, distance=0.0)
    found = _validate(features, labels)
    assert abs(found.accuracy - 1 / 3) < 0.12
    assert found.loss > np.log(3) - 0.05


def test_the_same_seed_gives_the_same_head_and_another_seed_other_folds():
    features, labels = _features(distance=0.5)
    one, other = (_validate(features, labels, seed=4) for _ in range(2))
    assert one == other
    heads = [fit_head(features, labels, one.strength, num_classes=3) for _ in range(2)]
    assert (heads[0].weight == heads[1].weight).all()
    assert not np.array_equal(_folds(labels, seed=4)[0][1], _folds(labels, seed=5)[0][1])


def test_folds_test_every_row_once_and_never_one_that_was_fitted():
    labels = np.arange(31) % 3
    folds = _folds(labels)
    assert len(folds) == 5
    assert sorted(np.concatenate([tested for _, tested in folds])) == list(range(31))
    for fitted, tested in folds:
        assert sorted(np.concatenate([fitted, tested])) == list(range(31))
        assert np.bincount(labels[tested]).min() >= 1


def test_a_class_without_a_picture_is_never_the_answer():
    features, labels = _features(classes=2)
    solved = fit_head(features, labels * 2, 0.01, num_classes=3)
    assert set(_answers(solved, features)) == {0, 2}
    assert np.isfinite(solved.bias).all()
    logits = features @ solved.weight + solved.bias
    assert (np.exp(logits[:, 1] - logits.max(axis=1)) < 1e-9).all()


def test_a_class_with_one_picture_of_two_needs_no_cross_validation():
    labels = np.where(np.arange(11) == 0, 1, 0)
    assert _folds(labels) == []
    assert _folds(np.array([0, 1, 2])) == []


def test_a_class_with_one_picture_is_fitted_and_never_tested():
    features, labels = _features(count=20, classes=2)
    labels[0] = 2
    folds = _folds(labels)
    tested = np.concatenate([tested for _, tested in folds])
    assert sorted(tested) == list(range(1, 20))
    assert cross_validate_head(features, labels, folds).accuracy > 0.9


def test_a_class_whose_pictures_are_all_copies_is_never_tested():
    features, labels = _features(count=30)
    groups = [0 if label == 2 else number for number, label in enumerate(labels, 1)]
    folds = _folds(labels, groups)
    assert not any((labels[tested] == 2).any() for _, tested in folds)
    assert cross_validate_head(features, labels, folds).accuracy > 0.9


def test_a_small_class_does_not_cost_the_others_their_folds():
    labels = np.array([0] * 20 + [1] * 3)
    folds = _folds(labels, folds=5)
    assert len(folds) == 5
    assert sorted(np.concatenate([tested for _, tested in folds])) == list(range(23))
    assert len(_folds(np.array([0, 0, 1, 1, 1]), folds=5)) == 3


def test_constant_features_do_no_harm():
    features, labels = _features()
    features[:, 3] = 7.0
    assert np.isfinite(fit_head(features, labels, 0.01, num_classes=3).weight).all()
    assert np.isfinite(_validate(features, labels).loss)


def test_one_class_alone_is_refused():
    with pytest.raises(
        DataError, match=r"^All readable training pictures are of one class: a classifier needs two$"
    ):
        fit_head(np.ones((4, 2)), np.zeros(4, int), 1.0, num_classes=2)


def test_copies_of_a_picture_stay_in_one_fold():
    random = np.random.default_rng(0)
    features, labels = random.standard_normal((40, 30)), random.integers(0, 2, 40)  # nothing to learn
    copied, doubled = np.repeat(features, 3, axis=0), np.repeat(labels, 3)
    groups = [str(number) for number in np.repeat(np.arange(40), 3)]
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

    features, labels = _features()
    with pytest.raises(InterruptedError):
        _validate(features, labels, check=check)


def test_nothing_is_warned_about():
    features, labels = _features(distance=30.0)  # so far apart that no strength is weak enough
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = _validate(features, labels)
        fit_head(features, labels, found.strength, num_classes=3)
    assert np.isfinite(found.loss)
