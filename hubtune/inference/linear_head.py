"""The linear head of the `frozen` strategy: logistic regression on pooled features, solved to convergence.

The objective is that of scikit-learn's ``LogisticRegression``, and so is the solver (L-BFGS, of SciPy). It is
not scikit-learn's because its import takes a tenth of a small run, and its solver copies all features.
"""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits

from hubtune.data.splits.kfold import Fold
from hubtune.errors import DataError

STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
"""Inverse strengths of the L2 regularisation to try, for features with unit variance."""

# The search starts here and goes to weaker regularisation, then to stronger if weaker does not help.
_START = STRENGTHS.index(1e-3)
DEFAULT_STRENGTH = 0.01
"""The inverse strength if the classes are too small for cross-validation."""
_FINER = 10**0.5  # the steps around the best strength
# With less work than this, threads mostly wait for one another: with 420 rows of 420 values, one thread was
# 25 times as fast as two.
_MIN_THREADED_SIZE = 4_000_000
# More rows are processed in chunks, so that no float64 copy of all of them is needed.
_CHUNK_ROWS = 8192


@dataclass(frozen=True)
class Validation:
    """The inverse strength of the L2 regularisation with the lowest loss, the mean cross entropy.

    Loss and accuracy are of the held-out rows; slightly optimistic, as the strength was chosen on them.
    """

    strength: float
    loss: float
    accuracy: float


@dataclass(frozen=True)
class LinearHead:
    """Weights ``[width, num_classes]``, with the features' scaling folded in, and biases; both float32."""

    weight: np.ndarray
    bias: np.ndarray


def cross_validate_head(
    features: np.ndarray,
    labels: np.ndarray,
    folds: Sequence[Fold],
    *,
    balance: bool = False,
    check: Callable[[], None] = lambda: None,
) -> Validation:
    """Choose the regularisation with the lowest cross-validated loss.

    Features are scaled by the statistics of all rows, which do not depend on labels. The arguments are those
    of :func:`fit_head`, with at least one fold of :func:`~hubtune.data.splits.kfold.make_folds`.
    """
    present, columns = np.unique(labels, return_inverse=True)
    rows, _ = _rotation(_scale(features, *_statistics(features)))
    tried: dict[float, Validation] = {}
    starts: list[np.ndarray | None] = [None] * len(folds)

    def try_strength(strength: float) -> Validation:
        loss = weight = 0.0
        correct = count = 0
        for number, (fitted, tested) in enumerate(folds):
            # Starting at the solution for the previous strength takes fewer iterations.
            problem = _Problem(rows[fitted], columns[fitted], len(present), balance, check)
            starts[number] = solution = problem.solve(strength, starts[number], tolerance=1e-4)
            logits = rows[tested] @ solution[:-1] + solution[-1]
            # Classes without a row to fit on.
            logits[:, np.setdiff1d(columns, columns[fitted])] = -np.inf
            logits -= logits.max(axis=1, keepdims=True)
            right = columns[tested]
            scores = logits[np.arange(len(right)), right] - np.log(np.exp(logits).sum(axis=1))
            weights = _row_weights(right) if balance else np.ones(len(tested))
            loss -= float(weights @ scores)
            weight += float(weights.sum())
            correct += int((logits.argmax(axis=1) == right).sum())
            count += len(tested)
        tried[strength] = Validation(strength, loss / weight, correct / count)
        return tried[strength]

    def best() -> Validation:
        return min(tried.values(), key=lambda validation: validation.loss)

    with _threads_for(rows):
        for direction in (STRENGTHS[_START:], STRENGTHS[_START - 1 :: -1]):
            if tried and best().strength != STRENGTHS[_START]:
                break
            for strength in direction:
                # The loss has a single minimum: once it rises, it stays higher.
                if try_strength(strength).loss > best().loss:
                    break
        coarse = best().strength
        for strength in (coarse / _FINER, coarse * _FINER):
            try_strength(strength)
    return best()


def fit_head(
    features: np.ndarray,
    labels: np.ndarray,
    strength: float,
    *,
    num_classes: int,
    balance: bool = False,
    check: Callable[[], None] = lambda: None,
) -> LinearHead:
    """Fit a multinomial logistic head to pooled features ``[N, width]`` and their class numbers ``[N]``.

    Classes without a row get a score of about 0. With ``balance``, all classes weigh the same, whatever their
    number of rows. ``strength`` is the inverse strength of the L2 regularisation, for features with unit
    variance; ``check`` is called often, and may raise to stop.

    Raises:
        DataError: all rows are of one class.
    """
    present = np.unique(labels)
    if len(present) < 2:
        raise DataError("All readable training pictures are of one class: a classifier needs two")
    mean, std = _statistics(features)
    columns = np.searchsorted(present, labels)
    with _threads_for(features):
        if len(features) < features.shape[1]:
            rows, axes = _rotation(_scale(features, mean, std))
            solution = _Problem(rows, columns, len(present), balance, check).solve(strength)
            weight = axes @ solution[:-1]
        else:
            solution = _Problem(features, columns, len(present), balance, check, (mean, std)).solve(strength)
            weight = solution[:-1]
    bias = solution[-1]
    full_weight = np.zeros((features.shape[1], num_classes))
    # Classes without a row: far below all others, but finite.
    full_bias = np.full(num_classes, bias.min() - 50.0)
    full_weight[:, present] = weight / std[:, None]
    full_bias[present] = bias - (mean / std) @ weight
    return LinearHead(full_weight.astype(np.float32), full_bias.astype(np.float32))


class _Problem:
    """Multinomial logistic regression with L2 regularisation of the weights, not of the biases.

    It minimises ``strength · Σ cross entropy + ½ · Σ weight²``, as scikit-learn does.
    """

    def __init__(
        self,
        rows: np.ndarray,
        columns: np.ndarray,
        num_classes: int,
        balance: bool,
        check: Callable[[], None],
        scaling: tuple[np.ndarray, np.ndarray] | None = None,
    ) -> None:
        # Rows are ``[N, width]``; ``scaling`` is the mean and the deviation to remove.
        self._rows, self._columns, self._classes = rows, columns, num_classes
        self._scaling, self._check = scaling, check
        weights = _row_weights(columns) if balance else np.ones(len(rows))
        self._weights = weights * (len(rows) / weights.sum())

    def solve(
        self, strength: float, start: np.ndarray | None = None, *, tolerance: float = 1e-5
    ) -> np.ndarray:
        """Return weights and, in the last row, biases: ``[width + 1, num_classes]``."""
        shape = (self._rows.shape[1] + 1, self._classes)
        # Scaled so that one tolerance of the gradient fits every strength and number of rows.
        scale = 1.0 / (strength * len(self._rows))

        def loss_and_gradient(values: np.ndarray) -> tuple[float, np.ndarray]:
            solution = values.reshape(shape)
            loss, gradient = self._loss_and_gradient(solution)
            loss += 0.5 * scale * float((solution[:-1] ** 2).sum())
            gradient[:-1] += scale * solution[:-1]
            return loss, gradient.ravel()

        first = np.zeros(shape) if start is None else start
        options = {"maxiter": 2000, "gtol": tolerance, "ftol": 64 * np.finfo(float).eps, "maxls": 50}
        result = minimize(loss_and_gradient, first.ravel(), jac=True, method="L-BFGS-B", options=options)
        return np.asarray(result.x).reshape(shape)

    def _loss_and_gradient(self, solution: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = 0.0, np.zeros_like(solution)
        for start in range(0, len(self._rows), _CHUNK_ROWS):
            self._check()
            chunk = slice(start, start + _CHUNK_ROWS)
            rows = self._rows[chunk]
            if self._scaling is not None:
                rows = _scale(rows, *self._scaling)
            weights, columns = self._weights[chunk, None], self._columns[chunk]
            logits = rows @ solution[:-1] + solution[-1]
            logits -= logits.max(axis=1, keepdims=True)
            right = (np.arange(len(columns)), columns)
            scores = np.exp(logits)
            sums = scores.sum(axis=1, keepdims=True)
            loss += float((weights[:, 0] * (np.log(sums[:, 0]) - logits[right])).sum())
            errors = scores / sums
            errors[right] -= 1.0
            errors *= weights
            gradient[:-1] += rows.T @ errors
            gradient[-1] += errors.sum(axis=0)
        return loss / len(self._rows), gradient / len(self._rows)


def _statistics(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature, float64; the deviation of constant features is 1."""
    chunks = [features[start : start + _CHUNK_ROWS] for start in range(0, len(features), _CHUNK_ROWS)]
    total = np.sum([chunk.sum(axis=0, dtype=np.float64) for chunk in chunks], axis=0)
    mean = np.asarray(total / len(features))
    std = np.sqrt(np.sum([((chunk - mean) ** 2).sum(axis=0) for chunk in chunks], axis=0) / len(features))
    # Variation of the size of float32's rounding errors is noise, and must not be scaled up.
    std[std < np.maximum(1e-5 * np.abs(mean), 1e-8 * max(1.0, float(np.abs(mean).max())))] = 1.0
    return mean, std


def _scale(features: np.ndarray, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
    return (features.astype(np.float64) - mean) / std


def _rotation(scaled: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows in an orthonormal basis of their span, and that basis ``[width, rows]``.

    A solution with L2 regularisation lies in the span of the rows. With fewer rows than features, the same
    problem in this basis is much smaller; otherwise the rows are returned as they are.
    """
    if len(scaled) >= scaled.shape[1]:
        return scaled, np.eye(scaled.shape[1])
    # From the Gram matrix, which takes a fifth of the time of a singular value decomposition.
    squares, left = np.linalg.eigh(scaled @ scaled.T)
    positive = squares > 1e-12 * squares[-1]
    sizes = np.sqrt(squares[positive])
    return left[:, positive] * sizes, scaled.T @ (left[:, positive] / sizes)


def _threads_for(rows: np.ndarray) -> "threadpool_limits | nullcontext[None]":
    return threadpool_limits(1) if rows.size < _MIN_THREADED_SIZE else nullcontext()


def _row_weights(labels: np.ndarray) -> np.ndarray:
    """A weight for each row that gives all classes the same total."""
    _, inverse, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return 1.0 / counts[inverse]
