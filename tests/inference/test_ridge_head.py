"""Ridge in closed form: equal to fits without each group, and to scikit-learn's; few and odd rows work."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from hubtune.errors import DataError
from hubtune.inference.ridge_head import TEMPERATURES, choose_ridge, fit_ridge

RANDOM = np.random.default_rng(0)


def _rows(count, width, classes=3, noise=1.0):
    labels = np.arange(count) % classes
    centres = np.random.default_rng(1).standard_normal((classes, width))
    return (centres[labels] + noise * RANDOM.standard_normal((count, width))).astype(np.float32), labels


def _scores(rows, labels, strength, weights):
    """Scikit-learn's solution for one-hot targets."""
    model = Ridge(alpha=strength).fit(rows, np.eye(labels.max() + 1)[labels], sample_weight=weights)
    return model.predict


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("keys", [[], [str(row // 3) for row in range(30)]])
def test_scores_without_each_group_are_those_of_fits_without_it(keys, balance):
    rows, labels = _rows(30, 8)
    labels = np.minimum(labels, np.arange(30) % 5)  # of different sizes
    head = fit_ridge(rows, labels, [8], num_classes=3, keys=keys, balance=balance)
    deviation = rows.std(axis=0)
    scaled = (rows - rows.mean(axis=0)) / deviation / np.sqrt(8)
    weights = np.ones(30)
    if balance:
        weights = 30 / 3 / np.bincount(labels)[labels]
    groups = keys or [str(row) for row in range(30)]
    scores = np.empty((30, 3))
    for key in set(groups):
        out = np.array([one == key for one in groups])
        # As many rows as before: the strength is that of all rows.
        predict = _scores(scaled[~out], labels[~out], head.strength, weights[~out])
        scores[out] = predict(scaled[out])
    losses = []
    for temperature in TEMPERATURES:
        logits = temperature * scores
        logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        losses.append(-(weights @ logs[np.arange(30), labels]) / 30)
    assert head.loss == pytest.approx(min(losses), rel=1e-4)
    expected = _scores(scaled, labels, head.strength, weights)(scaled)
    logits = rows @ head.weight + head.bias
    assert logits / TEMPERATURES[int(np.argmin(losses))] == pytest.approx(expected, abs=1e-4)


def test_a_block_that_does_not_help_is_left_out():
    rows, labels = _rows(60, 6, noise=0.7)
    noise = RANDOM.standard_normal((60, 40)).astype(np.float32)
    assert len(choose_ridge(np.hstack([rows, noise]), labels, [6, 40], num_classes=3).weight) == 6
    assert len(choose_ridge(np.hstack([noise, rows]), labels, [40, 6], num_classes=3).weight) == 46


def test_one_row_a_class_works_and_classes_without_rows_are_never_chosen():
    rows, labels = _rows(3, 20)
    head = fit_ridge(rows, labels, [20], num_classes=5)
    logits = rows @ head.weight + head.bias
    assert logits.argmax(axis=1).tolist() == [0, 1, 2]
    assert (logits[:, 3:] < logits[:, :3].min() - 20).all()
    with pytest.raises(DataError, match="of one class"):
        fit_ridge(rows, np.zeros(3, int), [20], num_classes=5)
