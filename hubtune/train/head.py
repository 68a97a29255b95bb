"""The head of the `frozen` strategy: logistic regression on pooled features, solved to convergence."""

from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from hubtune.errors import DataError
from hubtune.log import logger

STRENGTHS = tuple(float(10.0**power) for power in np.arange(-5.0, 1.01, 0.5))
"""Inverse strengths of L2 regularisation that are tried, strongest first; features have unit variance."""

_DEFAULT_STRENGTH = 0.01  # where classes are too small to choose it


@dataclass(frozen=True)
class SolvedHead:
    """A linear head.

    Attributes:
        weight: float32 ``[width, num_classes]``; the scaling of the features is folded in.
        bias: float32 ``[num_classes]``.
        strength: inverse strength of the L2 regularisation.
        accuracy: cross-validated accuracy on the training pictures at that strength, ``None`` if there was
            no cross-validation; the strength was chosen with it, so it is no honest estimate.
    """

    weight: np.ndarray
    bias: np.ndarray
    strength: float
    accuracy: float | None


def solve_head(
    features: np.ndarray, labels: np.ndarray, num_classes: int, *, folds: int, seed: int
) -> SolvedHead:
    """Fit a multinomial logistic head whose regularisation is chosen by stratified cross-validation.

    Args:
        features: pooled features ``[N, width]``.
        labels: class of each row.
        num_classes: number of classes, those without a row included: they get a score of about 0.
        folds: at most so many folds; fewer where the smallest class has fewer pictures.
        seed: decides the folds.

    Raises:
        DataError: if all rows are of one class.
    """
    present, counts = np.unique(labels, return_counts=True)
    if len(present) < 2:
        raise DataError("All readable training pictures are of one class: a classifier needs two")
    mean = features.mean(axis=0)
    std = features.std(axis=0)
    std[std < 1e-8 * max(1.0, float(np.abs(mean).max()))] = 1.0  # constant features say nothing
    scaled = (features - mean) / std
    smallest = int(counts.min())
    strength, accuracy = _DEFAULT_STRENGTH, None
    if smallest >= 2:
        strength, accuracy = _choose_strength(scaled, labels, min(folds, smallest), seed)
    else:
        logger.info("a class has a single training picture: regularisation is not chosen by cross-validation")
    weight, bias = _coefficients(_fit(scaled, labels, strength))
    full_weight = np.zeros((features.shape[1], num_classes))
    # A class without a picture: far below all others, but finite.
    full_bias = np.full(num_classes, bias.min() - 50.0)
    full_weight[:, present] = weight / std[:, None]
    full_bias[present] = bias - (mean / std) @ weight
    return SolvedHead(full_weight.astype(np.float32), full_bias.astype(np.float32), strength, accuracy)


def _choose_strength(scaled: np.ndarray, labels: np.ndarray, folds: int, seed: int) -> tuple[float, float]:
    """The strength with the least cross-validated cross entropy, and the accuracy there."""
    loss, correct = np.zeros(len(STRENGTHS)), np.zeros(len(STRENGTHS))
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed % 2**32)
    for train, held_out in splitter.split(scaled, labels):
        solver: LogisticRegression | None = None
        for number, strength in enumerate(STRENGTHS):
            # From strong to weak, each starting at the solution before it.
            solver = _fit(scaled[train], labels[train], strength, solver)
            scores = solver.predict_log_proba(scaled[held_out])
            columns = np.searchsorted(solver.classes_, labels[held_out])
            loss[number] -= scores[np.arange(len(columns)), columns].sum()
            correct[number] += (scores.argmax(axis=1) == columns).sum()
    best = int(loss.argmin())
    return STRENGTHS[best], float(correct[best] / len(labels))


def _fit(
    scaled: np.ndarray, labels: np.ndarray, strength: float, start: LogisticRegression | None = None
) -> LogisticRegression:
    solver = start or LogisticRegression(max_iter=2000, tol=1e-5, warm_start=True)
    return solver.set_params(C=strength).fit(scaled, labels)


def _coefficients(solver: LogisticRegression) -> tuple[np.ndarray, np.ndarray]:
    """Weight ``[width, classes]`` and bias; of two classes scikit-learn keeps only the difference."""
    weight, bias = solver.coef_.T, solver.intercept_
    if weight.shape[1] == 1:
        return np.hstack([-weight / 2, weight / 2]), np.concatenate([-bias / 2, bias / 2])
    return weight, bias
