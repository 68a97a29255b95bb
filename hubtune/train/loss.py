"""Losses: cross entropy, focal loss and binary cross entropy, with label smoothing and class weights."""

from collections.abc import Sequence

import numpy as np
import paddle
from paddle.nn import functional

from hubtune.recipe.optimization import LossSettings


class Loss:
    """The loss of logits ``[N, classes]`` and targets ``[N, classes]``, summed over N.

    Binary cross entropy, for multi-label targets, is the mean over the labels.

    Focal: Lin et al., "Focal Loss for Dense Object Detection", 2017, without its α, which the class weights
    replace.
    """

    def __init__(self, settings: LossSettings, weights: np.ndarray | None = None) -> None:
        """Take the settings, and factors on the loss of each class, float ``[classes]``; ``None``: 1."""
        self._gamma = settings.gamma if settings.name == "focal" else 0.0
        self._is_binary = settings.name == "bce"
        self._smoothing = settings.label_smoothing
        self._auxiliary = settings.auxiliary
        self._weights = None if weights is None else paddle.to_tensor(weights.astype(np.float32))

    def __call__(self, logits: paddle.Tensor, targets: np.ndarray) -> paddle.Tensor:
        """Return the sum over the images, computed in float32; each row of ``targets`` adds up to 1.

        Logits ``[N, 1 + outputs, classes]`` are those of the network and of its auxiliary outputs, whose
        losses are added with their weight.
        """
        if logits.ndim == 2:
            return self._sum(logits, targets)
        main, *others = logits.unbind(1)
        return self._sum(main, targets) + self._auxiliary * sum(self._sum(each, targets) for each in others)

    def right(self, logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Return which images are classified correctly, bool ``[N]``; multi-label: with all labels right."""
        if self._is_binary:
            return np.asarray(((logits > 0) == (targets > 0.5)).all(axis=1))
        return np.asarray(logits.argmax(axis=1) == targets.argmax(axis=1))

    def _sum(self, logits: paddle.Tensor, targets: np.ndarray) -> paddle.Tensor:
        if self._is_binary:
            shares = (1 - self._smoothing) * targets + self._smoothing / 2
            wanted = paddle.to_tensor(shares.astype(np.float32))
            costs = functional.binary_cross_entropy_with_logits(
                logits.astype("float32"), wanted, reduction="none"
            )
            return costs.mean(axis=1).sum()
        shares = (1 - self._smoothing) * targets + self._smoothing / targets.shape[1]
        logs = functional.log_softmax(logits.astype("float32"))
        costs = -logs * paddle.to_tensor(shares.astype(np.float32))
        if self._gamma:
            # At 0 the power has no finite derivative for γ < 1.
            costs = costs * (1 - logs.exp()).clip(min=1e-7) ** self._gamma
        if self._weights is not None:
            costs = costs * self._weights
        return costs.sum()


def one_hot(labels: Sequence[int] | np.ndarray, num_classes: int) -> np.ndarray:
    """Return the targets of images of one class each, float32 ``[N, num_classes]``."""
    return np.eye(num_classes, dtype=np.float32)[np.asarray(labels, dtype=np.int64)]


def class_weights(labels: Sequence[int] | np.ndarray, num_classes: int) -> np.ndarray:
    """Return weights, float64 ``[num_classes]``, that give each class the same total loss.

    Their mean over the images is 1. A class without images has weight 0.
    """
    counts = np.bincount(labels, minlength=num_classes)
    present = np.count_nonzero(counts)
    return np.where(counts, len(labels) / (present * np.maximum(counts, 1)), 0.0)
