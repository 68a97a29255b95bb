"""Strength and temperature of a ridge head, by the scores of rows that are left out of the fit.

The residuals of rows that are not fitted follow from those of all rows (Golub, Heath and Wahba, "Generalized
Cross-Validation", 1979; for groups, An, Liu and Venkatesh, "Fast cross-validation algorithms for least
squares support vector machine and kernel ridge regression", 2007).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from hubtune.evaluation.thresholds import fit_thresholds
from hubtune.inference.feature_table import Table
from hubtune.inference.logistic import binary_cross_entropy, fit_logistic
from hubtune.inference.ridge_spectrum import Spectrum

STRENGTHS = tuple(float(value) for value in 10 ** np.arange(-4.0, 1.01, 0.25))
"""Strengths to try, for rows whose mean squared length is 1."""

TEMPERATURES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0)
"""Factors to try, by which scores are multiplied before the softmax."""

# Taken where no class has two groups, so that none of its rows can be predicted from others.
_USUAL_STRENGTH, _USUAL_TEMPERATURE = 0.1, 4.0


@dataclass(frozen=True)
class RidgeChoice:
    """The best strength and temperature; the other fields are those of a ``RidgeHead``.

    Attributes:
        logits: of the table's rows, each scored without its group, ``[N, classes that have rows]``; NaN where
            a row's class has no other group.
        shift: of multi-label rows, what is added to the scores of each label times its temperature.
    """

    strength: float
    temperature: float | np.ndarray
    loss: float
    accuracy: float | None
    errors: np.ndarray
    logits: np.ndarray
    shift: float | np.ndarray = 0.0
    thresholds: np.ndarray | None = None


def choose(table: Table, spectrum: Spectrum, check: Callable[[], None]) -> RidgeChoice:
    """Choose strength and temperature by the table's rows, each scored without its group."""
    if table.targets.members is not None:
        return _choose_for_labels(table, spectrum, check)
    groups, alone = _groups(table.keys, table.labels)
    columns = np.searchsorted(spectrum.present, table.labels)
    targets = np.eye(len(spectrum.present))[columns]
    root = spectrum.root[:, None]
    centred = root * (targets - spectrum.target_mean)
    judged = spectrum.root**2 * ~alone
    if not judged.any():
        errors, logits = np.full(len(columns), np.nan), np.full(targets.shape, np.nan)
        return RidgeChoice(_USUAL_STRENGTH, _USUAL_TEMPERATURE, np.nan, None, errors, logits)
    best: RidgeChoice | None = None
    number = 0
    for strength in STRENGTHS:
        inverse = 1 / (spectrum.values + strength)
        residuals = centred - spectrum.rows @ (inverse[:, None] * spectrum.projected)
        scores = targets - _without_groups(residuals, spectrum, inverse, groups) / root
        number, errors, loss = _best_temperature(scores, columns, judged, number)
        if best is None or loss < best.loss:
            accuracy = float((scores.argmax(axis=1) == columns)[~alone].mean())
            errors = np.where(alone, np.nan, errors)
            logits = np.where(alone[:, None], np.nan, TEMPERATURES[number] * scores)
            best = RidgeChoice(strength, TEMPERATURES[number], loss, accuracy, errors, logits)
        check()
    assert best is not None
    return best


def _choose_for_labels(table: Table, spectrum: Spectrum, check: Callable[[], None]) -> RidgeChoice:
    """Choose the strength of multi-label rows, and the temperature, shift and threshold of each label."""
    groups, _ = _groups(table.keys, table.labels)
    targets = table.targets.of(table.labels, spectrum.present)
    root = spectrum.root[:, None]
    centred, weights = root * (targets - spectrum.target_mean), spectrum.root**2
    of_labels = _label_weights(targets, weights, spectrum)
    if len(set(table.keys)) < 2:
        errors, logits = np.full(len(targets), np.nan), np.full(targets.shape, np.nan)
        temperature = np.full(targets.shape[1], _USUAL_TEMPERATURE)
        choice = RidgeChoice(_USUAL_STRENGTH, temperature, np.nan, None, errors, logits)
        return replace(choice, shift=-temperature / 2, thresholds=np.full(targets.shape[1], 0.5))
    best: RidgeChoice | None = None
    for strength in STRENGTHS:
        inverse = 1 / (spectrum.values + strength)
        residuals = centred - spectrum.rows @ (inverse[:, None] * spectrum.projected)
        scores = targets - _without_groups(residuals, spectrum, inverse, groups) / root
        temperature, shift = fit_logistic(scores, targets, of_labels)
        logits = temperature * scores + shift
        errors = binary_cross_entropy(logits, targets).mean(axis=1)
        loss = float(weights @ errors / weights.sum())
        if best is None or loss < best.loss:
            best = RidgeChoice(strength, temperature, loss, None, errors, logits, shift)
        check()
    assert best is not None
    probabilities, truth = 1 / (1 + np.exp(-best.logits)), targets > 0
    thresholds = fit_thresholds(probabilities, truth)
    right = ((probabilities >= thresholds) == truth).all(axis=1)
    return replace(best, accuracy=float(right.mean()), thresholds=thresholds)


def _label_weights(targets: np.ndarray, weights: np.ndarray, spectrum: Spectrum) -> np.ndarray:
    """Return weights ``[N, labels]`` with which the table's shares of labels are those of all rows.

    A sample of many rows has more of the rare labels.
    """
    own, everything = weights @ targets / weights.sum(), spectrum.target_mean
    known = (own > 0) & (own < 1) & (everything > 0) & (everything < 1)
    odds = np.divide(everything * (1 - own), own * (1 - everything), out=np.ones(len(own)), where=known)
    return np.asarray(weights[:, None] * np.where(targets > 0, odds, 1.0))


def _best_temperature(
    scores: np.ndarray, columns: np.ndarray, weights: np.ndarray, start: int
) -> tuple[int, np.ndarray, float]:
    """Return the number of the best temperature, and the cross entropy of each row with it and their mean."""

    def errors_of(number: int) -> tuple[int, np.ndarray, float]:
        errors = cross_entropy(TEMPERATURES[number] * scores, columns)
        return number, errors, float(weights @ errors / weights.sum())

    # The loss is convex in the temperature.
    best = errors_of(start)
    for step in (1, -1):
        while 0 <= best[0] + step < len(TEMPERATURES):
            following = errors_of(best[0] + step)
            if following[2] >= best[2]:
                break
            best = following
    return best


def _without_groups(
    residuals: np.ndarray, spectrum: Spectrum, inverse: np.ndarray, groups: Sequence[np.ndarray]
) -> np.ndarray:
    """Return the residuals that rows have if their group is not fitted, from those of the fit to all."""
    own = (spectrum.rows**2) @ inverse + spectrum.root**2 / spectrum.total
    result = residuals / np.maximum(1 - own, 1e-9)[:, None]
    for group in groups:
        rows, root = spectrum.rows[group], spectrum.root[group]
        hat = (rows * inverse) @ rows.T + np.outer(root, root) / spectrum.total
        result[group] = np.linalg.solve(np.eye(len(group)) * (1 + 1e-9) - hat, residuals[group])
    return result


def _groups(keys: Sequence[str], labels: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the rows of each key that has several, and which rows' class has no other key."""
    _, numbers, counts = np.unique(np.asarray(keys), return_inverse=True, return_counts=True)
    order = np.argsort(numbers, kind="stable")
    groups = [part for part in np.split(order, np.cumsum(counts)[:-1]) if len(part) > 1]
    alone = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        rows = labels == label
        alone |= rows & (len(np.unique(numbers[rows])) == 1)
    return groups, alone


def cross_entropy(logits: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the cross entropy ``[N]`` of logits ``[N, classes]`` whose true columns are ``[N]``."""
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(columns)), columns]
