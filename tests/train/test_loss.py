"""Losses are those of the papers, checked against numpy."""

import numpy as np
import paddle
import pytest

from hubtune.recipe.optimization import LossSettings
from hubtune.train.loss import Loss, class_weights, one_hot

LOGITS = np.array([[2.0, -1.0, 0.5], [0.1, 0.2, 0.3], [-3.0, 4.0, 0.0]])
LABELS = [0, 2, 0]
LOGS = np.log(np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True))
LOG = LOGS[range(3), LABELS]
WEIGHTS, TARGETS = (
    np.array([2.0, 1.0, 0.5]),
    np.array([[0.25, 0.75, 0], [0, 0, 1], [0.5, 0, 0.5]], np.float32),
)


@pytest.mark.parametrize(
    ("settings", "targets", "weights", "expected"),
    [
        ({}, None, None, -LOG.sum()),
        ({"gamma": 5.0}, None, None, -LOG.sum()),  # γ is of the focal loss only
        ({"label_smoothing": 0.2}, None, None, -(0.8 * LOG + 0.2 * LOGS.mean(1)).sum()),
        ({"name": "focal", "gamma": 1.5}, None, None, -((1 - np.exp(LOG)) ** 1.5 * LOG).sum()),
        ({"name": "focal", "gamma": 0.0}, None, None, -LOG.sum()),
        ({}, TARGETS, None, -(TARGETS * LOGS).sum()),  # shares of several classes
        ({}, None, WEIGHTS, -(WEIGHTS[LABELS] * LOG).sum()),
    ],
)
def test_losses_follow_their_formulas(settings, targets, weights, expected):
    loss = Loss(LossSettings(**settings), weights)
    targets = one_hot(LABELS, 3) if targets is None else targets
    assert float(loss(paddle.to_tensor(LOGITS.astype(np.float32)), targets)) == pytest.approx(
        expected, rel=1e-5
    )


def test_losses_of_auxiliary_outputs_are_added_with_their_weight():
    logits = paddle.to_tensor(np.stack([LOGITS, 2 * LOGITS, -LOGITS], axis=1).astype(np.float32))
    targets, plain = one_hot(LABELS, 3), Loss(LossSettings(label_smoothing=0.1))
    main, first, second = (float(plain(logits[:, number], targets)) for number in range(3))
    loss = Loss(LossSettings(label_smoothing=0.1, auxiliary=0.3))
    assert float(loss(logits, targets)) == pytest.approx(main + 0.3 * (first + second), rel=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 1.0, 2.0])
def test_a_picture_that_is_certain_has_a_finite_gradient(gamma):
    logits = paddle.to_tensor([[30.0, 0.0, 0.0]], stop_gradient=False)
    Loss(LossSettings(name="focal", gamma=gamma))(logits, one_hot([0], 3)).backward()
    assert np.isfinite(logits.grad.numpy()).all()


def test_class_weights_make_each_class_count_the_same_and_pictures_once_on_average():
    weights = class_weights([0, 0, 0, 2], 4)
    assert weights.tolist() == pytest.approx([2 / 3, 0, 2, 0])
    assert weights[[0, 0, 0, 2]].mean() == pytest.approx(1)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_binary_cross_entropy_is_the_mean_over_labels_summed_over_pictures(smoothing):
    targets = np.array([[1, 0, 1], [0, 0, 0]], np.float32)
    logits = LOGITS[:2]
    wanted = (1 - smoothing) * targets + smoothing / 2
    costs = np.log1p(np.exp(-logits)) * wanted + np.log1p(np.exp(logits)) * (1 - wanted)
    loss = Loss(LossSettings(name="bce", label_smoothing=smoothing))
    found = float(loss(paddle.to_tensor(logits.astype(np.float32)), targets))
    assert found == pytest.approx(costs.mean(axis=1).sum(), rel=1e-5)


def test_a_multi_label_picture_is_right_with_all_labels_right():
    logits = np.array([[2.0, -1.0], [2.0, 1.0], [-0.1, -5.0]])
    targets = np.array([[1, 0], [1, 0], [0, 0]], np.float32)
    assert Loss(LossSettings(name="bce")).right(logits, targets).tolist() == [True, False, True]
    assert Loss(LossSettings()).right(logits, targets).tolist() == [True, True, True]
