"""Losses are those of the papers, checked against numpy."""

import numpy as np
import paddle
import pytest

from hubtune.recipe.optimization import LossSettings
from hubtune.train.loss import Loss, class_weights, one_hot

LOGITS = np.array([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3], [-3.0, 4.0, 0.0]])
LABELS = [0, 2, 0]


PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)


def _loss(targets=None, weights=None, **settings):
    loss = Loss(LossSettings(**settings), weights)
    targets = one_hot(LABELS, 3) if targets is None else targets
    return float(loss(paddle.to_tensor(LOGITS.astype(np.float32)), targets))


def test_cross_entropy_is_paddles_and_smoothing_spreads_a_share_over_all_classes():
    logits, labels = paddle.to_tensor(LOGITS.astype(np.float32)), paddle.to_tensor(LABELS)
    expected = paddle.nn.functional.cross_entropy(logits, labels, reduction="sum")
    assert _loss() == pytest.approx(float(expected), rel=1e-5)
    assert _loss(gamma=5.0) == _loss()  # γ is of the focal loss only
    logs = np.log(PROBABILITIES)
    expected = -sum(0.8 * logs[row, label] + 0.2 * logs[row].mean() for row, label in enumerate(LABELS))
    assert _loss(label_smoothing=0.2) == pytest.approx(expected, rel=1e-5)


def test_focal_loss_discounts_what_is_classified_well():
    p = PROBABILITIES[range(3), LABELS]
    assert _loss(name="focal", gamma=1.5) == pytest.approx(-((1 - p) ** 1.5 * np.log(p)).sum(), rel=1e-5)
    assert _loss(name="focal", gamma=0.0) == pytest.approx(_loss(), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_a_picture_that_is_certain_has_a_finite_gradient(gamma):
    logits = paddle.to_tensor([[30.0, 0.0, 0.0]], stop_gradient=False)
    Loss(LossSettings(name="focal", gamma=gamma))(logits, one_hot([0], 3)).backward()
    assert np.isfinite(logits.grad.numpy()).all()


def test_targets_may_be_shares_of_several_classes():
    targets = np.array([[0.25, 0.75, 0], [0, 0, 1], [0.5, 0, 0.5]], np.float32)
    assert _loss(targets) == pytest.approx(-(targets * np.log(PROBABILITIES)).sum(), rel=1e-5)


def test_class_weights_make_each_class_count_the_same_and_pictures_once_on_average():
    weights = class_weights([0, 0, 0, 2], 4)
    assert weights.tolist() == pytest.approx([2 / 3, 0, 2, 0])
    assert weights[[0, 0, 0, 2]].mean() == pytest.approx(1)
    weights, p = np.array([2.0, 1.0, 0.5]), PROBABILITIES[range(3), LABELS]
    assert _loss(weights=weights) == pytest.approx(-(weights[LABELS] * np.log(p)).sum(), rel=1e-5)
