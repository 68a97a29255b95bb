"""What is minimised: the mean over a batch of what each picture's scores cost."""

from collections.abc import Sequence

import numpy as np
import paddle
from paddle.nn import functional

from hubtune.recipe.optimization import LossSettings


class Loss:
    """Cross entropy or focal loss of logits ``[N, classes]`` and targets ``[N, classes]``, summed over N.

    Focal: Lin et al., "Focal Loss for Dense Object Detection", 2017, without its α, which class weights are.
    """

    def __init__(self, settings: LossSettings, weights: np.ndarray | None = None) -> None:
        """Take the settings.

        Args:
            settings: which loss.
            weights: factor on what each class costs, float ``[classes]``; ``None``: 1.
        """
        self._gamma = settings.gamma if settings.name == "focal" else 0.0
        self._smoothing = settings.label_smoothing
        self._weights = None if weights is None else paddle.to_tensor(weights.astype(np.float32))

    def __call__(self, logits: paddle.Tensor, targets: np.ndarray) -> paddle.Tensor:
        """The sum over the pictures.

        Args:
            logits: ``[N, classes]``, of any floating type; computed in float32.
            targets: each class's share, float ``[N, classes]``, rows that add up to 1.
        """
        shares = (1 - self._smoothing) * targets + self._smoothing / targets.shape[1]
        logs = functional.log_softmax(logits.astype("float32"))
        costs = -logs * paddle.to_tensor(shares.astype(np.float32))
        if self._gamma:
            # Above 0, where the power has a derivative for every γ.
            costs = costs * (1 - logs.exp()).clip(min=1e-7) ** self._gamma
        if self._weights is not None:
            costs = costs * self._weights
        return costs.sum()


def one_hot(labels: Sequence[int] | np.ndarray, num_classes: int) -> np.ndarray:
    """Targets of pictures of one class each, float32 ``[N, num_classes]``."""
    return np.eye(num_classes, dtype=np.float32)[np.asarray(labels, dtype=np.int64)]


def class_weights(labels: Sequence[int] | np.ndarray, num_classes: int) -> np.ndarray:
    """Weights with which each class costs the same in total; their mean over the pictures is 1.

    Args:
        labels: class of each training picture.
        num_classes: how many there are; one without a picture has weight 0.

    Returns:
        float64 ``[num_classes]``.
    """
    counts = np.bincount(labels, minlength=num_classes)
    present = np.count_nonzero(counts)
    return np.where(counts, len(labels) / (present * np.maximum(counts, 1)), 0.0)
