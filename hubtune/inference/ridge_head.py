"""A linear head by ridge regression, in closed form; its strength and temperature by leaving groups out.

The residuals of rows that are left out follow from those of all rows (Golub, Heath and Wahba, "Generalized
Cross-Validation", 1979; for groups of rows, An, Liu and Venkatesh, "Fast cross-validation algorithms for
least squares support vector machine and kernel ridge regression", 2007). The scores of the left out rows
become probabilities by a softmax, whose temperature is chosen with the strength by their mean cross entropy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from hubtune.errors import DataError

STRENGTHS = tuple(10 ** np.arange(-4.0, 1.01, 0.25))
"""Strengths to try, for rows whose mean squared length is 1."""

TEMPERATURES = (2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0)
"""Factors to try, by which scores are multiplied before the softmax."""

# With fewer rows, blocks beside the first weigh less.
_FEW_ROWS, _FEW_WEIGHT = 100, 0.25


@dataclass(frozen=True)
class RidgeHead:
    """A linear head for blocks of features.

    Attributes:
        weight: float32 ``[width, num_classes]``, with scaling and temperature folded in.
        bias: float32 ``[num_classes]``.
        strength: of the regularisation; of :data:`STRENGTHS`.
        loss: mean cross entropy of the rows, each scored without its group.
        errors: the same of each row, float64 ``[N]``.
        accuracy: share of the rows that are right so.
    """

    weight: np.ndarray
    bias: np.ndarray
    strength: float
    loss: float
    errors: np.ndarray
    accuracy: float


def fit_ridge(
    rows: np.ndarray,
    labels: np.ndarray,
    blocks: Sequence[int],
    *,
    num_classes: int,
    keys: Sequence[str] = (),
    balance: bool = False,
    check: Callable[[], None] = lambda: None,
) -> RidgeHead:
    """Fit a head to features ``[N, width]`` and their class numbers ``[N]``.

    Args:
        rows: the features, in blocks side by side.
        labels: class numbers.
        blocks: width of each block. The first is standardised value by value, the others are centred; then
            all have the same mean squared length.
        num_classes: classes without a row score far below all others.
        keys: rows of one key are left out together.
        balance: whether all classes weigh the same, whatever their number of rows.
        check: called between steps; may raise to stop.

    Raises:
        DataError: if all rows are of one class.
    """
    present, columns = np.unique(labels, return_inverse=True)
    if len(present) < 2:
        raise DataError("All readable training pictures are of one class: a classifier needs two")
    count = len(rows)
    weights = np.ones(count)
    if balance:
        weights = count / len(present) / np.bincount(columns)[columns]
    # One thread: sums of several threads depend on their number in the last digits.
    with threadpool_limits(1):
        shift, scale = _scaling(rows, blocks)
        scaled = (rows - shift) * scale
        check()
        targets = np.eye(len(present))[columns]
        root = np.sqrt(weights)[:, None]
        mean = weights @ scaled / count
        centred = (scaled - mean) * root
        target_mean = weights @ targets / count
        values, vectors = np.linalg.eigh(centred @ centred.T)
        values = np.maximum(values, 0.0)
        projected = vectors.T @ ((targets - target_mean) * root)
        check()
        groups = _groups(keys, count)
        best: tuple[float, float, float, np.ndarray, np.ndarray] | None = None
        for strength in STRENGTHS:
            shares = values / (values + strength)
            residuals = (targets - target_mean) * root - vectors @ (shares[:, None] * projected)
            left_out = targets - _without_groups(residuals, vectors, shares, root, groups) / root
            for temperature in TEMPERATURES:
                errors = _cross_entropy(temperature * left_out, columns)
                loss = float(weights @ errors / count)
                if best is None or loss < best[0]:
                    best = (loss, strength, temperature, errors, left_out)
            check()
        assert best is not None
        loss, strength, temperature, errors, left_out = best
        dual = vectors @ (projected / (values + strength)[:, None])
        weight = temperature * (centred.T @ dual)
        bias = temperature * target_mean - mean @ weight
    full_weight = np.zeros((rows.shape[1], num_classes))
    full_bias = np.full(num_classes, bias.min() - 50.0)
    full_weight[:, present] = weight * scale[:, None]
    full_bias[present] = bias - (shift * scale) @ weight
    accuracy = float((left_out.argmax(axis=1) == columns).mean())
    return RidgeHead(
        full_weight.astype(np.float32), full_bias.astype(np.float32), strength, loss, errors, accuracy
    )


def choose_ridge(
    rows: np.ndarray,
    labels: np.ndarray,
    blocks: Sequence[int],
    *,
    num_classes: int,
    keys: Sequence[str] = (),
    balance: bool = False,
    check: Callable[[], None] = lambda: None,
) -> RidgeHead:
    """Fit a head to the first block alone and to all, and return the second if it is clearly better.

    Its loss must be lower by more than the standard error of the difference. Arguments and errors are those
    of :func:`fit_ridge`.
    """
    options: dict[str, Any] = {"num_classes": num_classes, "keys": keys, "balance": balance, "check": check}
    if len(blocks) == 1:
        return fit_ridge(rows, labels, blocks, **options)
    everything = fit_ridge(rows, labels, blocks, **options)
    alone = fit_ridge(rows[:, : blocks[0]], labels, blocks[:1], **options)
    gains = alone.errors - everything.errors
    error = float(gains.std(ddof=1)) / np.sqrt(len(gains))
    return everything if float(gains.mean()) > error else alone


def _scaling(rows: np.ndarray, blocks: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return what is subtracted from the features, and what they are multiplied by then."""
    shift = rows.mean(axis=0, dtype=np.float64)
    scale = np.ones(rows.shape[1])
    shares = np.array([1.0] + [_FEW_WEIGHT if len(rows) < _FEW_ROWS else 1.0] * (len(blocks) - 1))
    start = 0
    for width, share in zip(blocks, shares / shares.sum(), strict=True):
        block = slice(start, start + width)
        variances = ((rows[:, block] - shift[block]) ** 2).mean(axis=0)
        if start == 0:
            deviation = np.sqrt(variances)
            # Variation of the size of float32's rounding errors is noise, and must not be scaled up.
            noise = np.maximum(1e-5 * np.abs(shift[block]), 1e-8 * max(1.0, np.abs(shift[block]).max()))
            deviation[deviation < noise] = 1.0
            scale[block] = 1 / deviation
            variances = variances * scale[block] ** 2
        scale[block] *= np.sqrt(share / max(float(variances.sum()), 1e-12))
        start += width
    return shift, scale


def _groups(keys: Sequence[str], count: int) -> list[np.ndarray]:
    """Return the rows of each key that has more than one."""
    if not keys:
        return []
    _, numbers, counts = np.unique(keys, return_inverse=True, return_counts=True)
    order = np.argsort(numbers, kind="stable")
    parts = np.split(order, np.cumsum(counts)[:-1])
    return [part for part in parts if 1 < len(part) < count]


def _without_groups(
    residuals: np.ndarray,
    vectors: np.ndarray,
    shares: np.ndarray,
    root: np.ndarray,
    groups: Sequence[np.ndarray],
) -> np.ndarray:
    """Return the residuals that rows have if their group is not fitted, from those of the fit to all.

    The fit is ``H y`` with ``H = U diag(shares) Uᵀ`` on centred rows, plus the mean.
    """
    total = float((root**2).sum())
    own = ((vectors**2) @ shares)[:, None] + root**2 / total
    result = residuals / np.maximum(1 - own, 1e-9)
    for group in groups:
        part = vectors[group]
        hat = (part * shares) @ part.T + root[group] @ root[group].T / total
        result[group] = np.linalg.solve(np.eye(len(group)) * (1 + 1e-9) - hat, residuals[group])
    return result


def _cross_entropy(logits: np.ndarray, columns: np.ndarray) -> np.ndarray:
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(columns)), columns]
