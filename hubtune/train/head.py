"""The head of the `frozen` strategy: logistic regression on pooled features, solved to convergence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold

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
    features: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str],
    *,
    num_classes: int,
    folds: int,
    seed: int,
    check: Callable[[], None] = lambda: None,
) -> SolvedHead:
    """Fit a multinomial logistic head whose regularisation is chosen by stratified cross-validation.

    Args:
        features: pooled features ``[N, width]``.
        labels: class of each row.
        groups: rows with the same word are copies of one picture, and stay in one fold.
        num_classes: number of classes, those without a row included: they get a score of about 0.
        folds: at most so many folds; fewer where the smallest class of two or more has fewer pictures.
        seed: decides the folds.
        check: called between solutions; may raise to stop.

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
    strength, accuracy = _DEFAULT_STRENGTH, None
    several = [int(count) for count in counts if count > 1]
    if len(several) > 1:
        splitter = StratifiedGroupKFold(min(folds, *several), shuffle=True, random_state=seed % 2**32)
        parts = list(splitter.split(scaled, labels, groups))
        strength, accuracy = _choose_strength(scaled, labels, parts, check)
    else:
        logger.info("too few training pictures to choose the regularisation by cross-validation")
    weight, bias = _coefficients(_fit(scaled, labels, strength))
    full_weight = np.zeros((features.shape[1], num_classes))
    # A class without a picture: far below all others, but finite.
    full_bias = np.full(num_classes, bias.min() - 50.0)
    full_weight[:, present] = weight / std[:, None]
    full_bias[present] = bias - (mean / std) @ weight
    return SolvedHead(full_weight.astype(np.float32), full_bias.astype(np.float32), strength, accuracy)


def _choose_strength(
    scaled: np.ndarray,
    labels: np.ndarray,
    parts: list[tuple[np.ndarray, np.ndarray]],
    check: Callable[[], None],
) -> tuple[float, float | None]:
    """The strength with the least cross-validated cross entropy, and the accuracy there."""
    loss, correct, count = np.zeros(len(STRENGTHS)), np.zeros(len(STRENGTHS)), 0
    for train, tested in parts:
        # A class whose pictures are all held out cannot be answered.
        held_out = tested[np.isin(labels[tested], labels[train])]
        if len(held_out) == 0 or len(np.unique(labels[train])) < 2:
            continue
        count += len(held_out)
        solver: LogisticRegression | None = None
        for number, strength in enumerate(STRENGTHS):
            check()
            # From strong to weak, each starting at the solution before it.
            solver = _fit(scaled[train], labels[train], strength, solver)
            scores = solver.predict_log_proba(scaled[held_out])
            columns = np.searchsorted(solver.classes_, labels[held_out])
            loss[number] -= scores[np.arange(len(columns)), columns].sum()
            correct[number] += (scores.argmax(axis=1) == columns).sum()
    if not count:
        return _DEFAULT_STRENGTH, None
    best = int(loss.argmin())
    return STRENGTHS[best], float(correct[best] / count)


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
