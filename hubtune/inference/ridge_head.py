"""The linear head of the `frozen` strategy: ridge regression on blocks of features, in closed form.

The targets are one for a row's class and zero for the others. Strength and temperature are chosen by leaving
groups of rows out: the residuals of rows that are not fitted follow from those of all rows (Golub, Heath and
Wahba, "Generalized Cross-Validation", 1979; for groups, An, Liu and Venkatesh, "Fast cross-validation
algorithms for least squares support vector machine and kernel ridge regression", 2007). The softmax of the
scores times the temperature gives the probabilities.

Further rows can be added without holding them in memory. The solution is then sought in the span of the first
ones (Williams and Seeger, "Using the Nyström Method to Speed Up Kernel Machines", 2000).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from threadpoolctl import threadpool_limits

from hubtune.errors import DataError

STRENGTHS = tuple(float(value) for value in 10 ** np.arange(-4.0, 1.01, 0.25))
"""Strengths to try, for rows whose mean squared length is 1."""

TEMPERATURES = (1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0, 48.0, 64.0)
"""Factors to try, by which scores are multiplied before the softmax."""

# Taken where no class has two groups, so that none of its rows can be predicted from others.
_USUAL_STRENGTH, _USUAL_TEMPERATURE = 0.1, 4.0
# With fewer rows, blocks beside the first weigh less.
_FEW_ROWS, _FEW_WEIGHT = 100, 0.25
# Columns that are in memory as float64 at once.
_CHUNK = 1024
# Matrices of more rows than this are worth a solver that takes less memory.
_LARGE = 1_500
# Directions with a smaller share of the variance are noise, of the size of rounding errors.
_LEAST_VARIANCE = 1e-10


@dataclass(frozen=True)
class Table:
    """Rows of features to fit a head to.

    Attributes:
        rows: float32 ``[N, width]``.
        labels: class numbers ``[N]``.
        weights: number of images that a row stands for, times the weight of its class; ``[N]``.
        keys: rows of one key are left out together.
        blocks: widths of the blocks of features. The first is standardised value by value, the others are
            centred; then all have the same mean squared length.
    """

    rows: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    keys: Sequence[str]
    blocks: Sequence[int]

    def first_block(self) -> "Table":
        """Return the table of the first block alone."""
        width = self.blocks[0]
        return replace(self, rows=self.rows[:, :width], blocks=[width])

    def take(self, indices: np.ndarray) -> "Table":
        """Return some rows."""
        keys = [self.keys[index] for index in indices]
        return Table(self.rows[indices], self.labels[indices], self.weights[indices], keys, self.blocks)


@dataclass(frozen=True)
class RidgeHead:
    """A linear head.

    Attributes:
        weight: float32 ``[width, num_classes]``, with scaling and temperature folded in.
        bias: float32 ``[num_classes]``.
        strength: of the regularisation; of :data:`STRENGTHS`.
        temperature: of :data:`TEMPERATURES`.
        loss: mean cross entropy of rows that are scored without their groups; NaN if there are none.
        accuracy: share of them that are right; ``None`` if there are none.
        errors: the cross entropy of each row of the table, float64 ``[N]``; NaN for the others.
    """

    weight: np.ndarray
    bias: np.ndarray
    strength: float
    temperature: float
    loss: float
    accuracy: float | None
    errors: np.ndarray


FurtherRows = Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]
"""More rows ``[n, width]``, their class numbers ``[n]`` and their weights ``[n]``, some at a time."""


def fit_ridge(
    table: Table,
    num_classes: int,
    further: FurtherRows | None = None,
    check: Callable[[], None] = lambda: None,
) -> RidgeHead:
    """Fit a head to a table and, within the span of its rows, to further rows.

    Args:
        table: its rows also choose strength and temperature, each scored without its group.
        num_classes: number of classes; those without a row score far below all others.
        further: rows of other keys than the table's; with them, the table's rows are overwritten.
        check: called between steps; may raise to stop.

    Raises:
        DataError: if all rows are of one class.
    """
    # One thread: the last digits of sums by several threads depend on their number.
    with threadpool_limits(1):
        scaling = _Scaling(table)
        if further is None:
            spectrum = _exact_spectrum(table, scaling, num_classes, check)
        else:
            spectrum = _spectrum_in_span(table, scaling, num_classes, further, check)
        choice = _choose(table, spectrum, check)
        coefficients = spectrum.projected / (spectrum.values + choice.strength)[:, None]
        weight, offset = spectrum.solution(coefficients)
    full_weight, full_bias = np.zeros((len(weight), num_classes)), np.zeros(num_classes)
    full_weight[:, spectrum.present] = choice.temperature * weight * scaling.scale[:, None]
    full_bias[spectrum.present] = choice.temperature * (spectrum.target_mean - offset)
    full_bias -= scaling.shift @ full_weight
    absent = np.setdiff1d(np.arange(num_classes), spectrum.present)
    full_bias[absent] = full_bias[spectrum.present].min() - 50.0
    return RidgeHead(
        full_weight.astype(np.float32),
        full_bias.astype(np.float32),
        choice.strength,
        choice.temperature,
        choice.loss,
        choice.accuracy,
        choice.errors,
    )


def clearly_lower(errors: np.ndarray, others: np.ndarray) -> bool:
    """Whether the mean is lower by more than the difference's standard error; rows with NaN do not count.

    Breiman et al., "Classification and Regression Trees" (1984), call this the one-standard-error rule.
    """
    gains = others - errors
    gains = gains[np.isfinite(gains)]
    return len(gains) > 1 and float(gains.mean()) > float(gains.std(ddof=1)) / len(gains) ** 0.5


class _Scaling:
    """Shifts and scales features so that each block has its share of a mean squared length of 1."""

    def __init__(self, table: Table) -> None:
        rows, weights = table.rows, table.weights / table.weights.sum()
        self.shift = np.zeros(rows.shape[1])
        self.scale = np.ones(rows.shape[1])
        shares = [1.0] + [_FEW_WEIGHT if len(rows) < _FEW_ROWS else 1.0] * (len(table.blocks) - 1)
        start = 0
        for width, share in zip(table.blocks, shares, strict=True):
            block = slice(start, start + width)
            parts = _parts(start, start + width)
            for part in parts:
                self.shift[part] = weights @ rows[:, part].astype(np.float64)
            variances = np.concatenate([weights @ self.shifted(rows, part) ** 2 for part in parts])
            shift = self.shift[block]
            if start == 0:
                deviations = np.sqrt(variances)
                # Variation of the size of float32's rounding errors is noise, and must not be scaled up.
                noise = np.maximum(1e-5 * np.abs(shift), 1e-8 * max(1.0, float(np.abs(shift).max())))
                deviations[deviations < noise] = 1.0
                self.scale[block] /= deviations
                variances = variances / deviations**2
            self.scale[block] *= np.sqrt(share / sum(shares) / max(float(variances.sum()), 1e-12))
            start += width

    def shifted(self, rows: np.ndarray, columns: slice) -> np.ndarray:
        return rows[:, columns] - self.shift[columns]

    def scaled(self, rows: np.ndarray, columns: slice) -> np.ndarray:
        return self.shifted(rows, columns) * self.scale[columns]

    def gram(self, rows: np.ndarray) -> np.ndarray:
        """Return the products ``[N, N]`` of the scaled rows."""
        result = np.zeros((len(rows), len(rows)))
        for columns in _parts(0, rows.shape[1]):
            scaled = self.scaled(rows, columns)
            result += scaled @ scaled.T
        return result

    def scale_in_place(self, rows: np.ndarray) -> np.ndarray:
        for columns in _parts(0, rows.shape[1]):
            rows[:, columns] = self.scaled(rows, columns)
        return rows


def _parts(start: int, end: int) -> list[slice]:
    return [slice(first, min(first + _CHUNK, end)) for first in range(start, end, _CHUNK)]


@dataclass(frozen=True)
class _Spectrum:
    """The problem in the principal axes of the weighted rows.

    Attributes:
        rows: of the table, centred, times the root of their weights; ``[N, axes]``.
        root: root of the weights ``[N]``.
        total: weight of all rows that were added.
        values: squared length of all of them along each axis, ``[axes]``.
        projected: products of all of them with the centred targets, ``[axes, classes]``.
        target_mean: mean of their targets, ``[classes]``.
        present: numbers of the classes that have rows.
        solution: maps coefficients ``[axes, classes]`` to weights of scaled features ``[width, classes]`` and
            the scores of the rows' mean ``[classes]``.
    """

    rows: np.ndarray
    root: np.ndarray
    total: float
    values: np.ndarray
    projected: np.ndarray
    target_mean: np.ndarray
    present: np.ndarray
    solution: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def _exact_spectrum(
    table: Table, scaling: _Scaling, num_classes: int, check: Callable[[], None]
) -> _Spectrum:
    root, total = np.sqrt(table.weights), float(table.weights.sum())
    shares = table.weights / total
    present, targets = _targets(table.labels, num_classes)
    target_mean = shares @ targets
    gram = scaling.gram(table.rows)
    check()
    mean_products = gram @ shares
    gram -= mean_products[:, None] + mean_products - shares @ mean_products
    gram *= root[:, None] * root
    values, rows = _principal_axes(gram)
    del gram
    rows *= np.sqrt(values)
    check()

    def solution(coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        factors = root[:, None] * (rows @ (coefficients / values[:, None]))
        factors -= shares[:, None] * factors.sum(axis=0)
        parts = _parts(0, table.rows.shape[1])
        weight = np.concatenate([scaling.scaled(table.rows, part).T @ factors for part in parts])
        return weight, mean_products @ factors

    projected = rows.T @ (root[:, None] * (targets - target_mean))
    return _Spectrum(rows, root, total, values, projected, target_mean, present, solution)


def _spectrum_in_span(
    table: Table,
    scaling: _Scaling,
    num_classes: int,
    further: FurtherRows,
    check: Callable[[], None],
) -> _Spectrum:
    lengths, coordinates = _principal_axes(scaling.gram(table.rows))
    check()
    coordinates *= np.sqrt(lengths)
    # In float32, which takes half the time: scores differ by less than 1e-5.
    spanning = scaling.scale_in_place(table.rows)
    sums = _Sums(len(lengths), num_classes)
    sums.add(coordinates, table.labels, table.weights)
    everything = slice(None)
    for rows, labels, weights in further:
        products = scaling.scaled(rows, everything).astype(np.float32) @ spanning.T
        sums.add(products @ coordinates / lengths, labels, weights)
        check()
    mean, target_mean = sums.rows / sums.weight, sums.targets / sums.weight
    present = _check_classes(np.flatnonzero(sums.targets > 0))
    projected = sums.target_products - sums.weight * np.outer(mean, target_mean)
    sums.products -= sums.weight * np.outer(mean, mean)
    values, axes = _principal_axes(sums.products)
    root = np.sqrt(table.weights)

    def solution(coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        inside = axes @ coefficients
        factors = coordinates @ (inside / lengths[:, None])
        parts = _parts(0, spanning.shape[1])
        weight = np.concatenate([spanning[:, part].astype(np.float64).T @ factors for part in parts])
        return weight, mean @ inside

    rows = coordinates @ axes - mean @ axes
    rows *= root[:, None]
    return _Spectrum(
        rows,
        root,
        sums.weight,
        values,
        axes.T @ projected[:, present],
        target_mean[present],
        present,
        solution,
    )


class _Sums:
    """Weighted sums over rows of coordinates, and over their targets."""

    def __init__(self, width: int, num_classes: int) -> None:
        self.weight = 0.0
        self.rows, self.targets = np.zeros(width), np.zeros(num_classes)
        self.products, self.target_products = np.zeros((width, width)), np.zeros((width, num_classes))

    def add(self, rows: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        weighted = weights[:, None] * rows
        self.weight += float(weights.sum())
        self.rows += weighted.sum(axis=0)
        self.products += rows.T @ weighted
        for label in np.unique(labels):
            self.targets[label] += weights[labels == label].sum()
            self.target_products[:, label] += weighted[labels == label].sum(axis=0)


@dataclass(frozen=True)
class _Choice:
    strength: float
    temperature: float
    loss: float
    accuracy: float | None
    errors: np.ndarray


def _choose(table: Table, spectrum: _Spectrum, check: Callable[[], None]) -> _Choice:
    """Choose strength and temperature by the table's rows, each scored without its group."""
    groups, alone = _groups(table.keys, table.labels)
    columns = np.searchsorted(spectrum.present, table.labels)
    targets = np.eye(len(spectrum.present))[columns]
    root = spectrum.root[:, None]
    centred = root * (targets - spectrum.target_mean)
    judged = spectrum.root**2 * ~alone
    if not judged.any():
        errors = np.full(len(columns), np.nan)
        return _Choice(_USUAL_STRENGTH, _USUAL_TEMPERATURE, np.nan, None, errors)
    best: _Choice | None = None
    number = 0
    for strength in STRENGTHS:
        inverse = 1 / (spectrum.values + strength)
        residuals = centred - spectrum.rows @ (inverse[:, None] * spectrum.projected)
        scores = targets - _without_groups(residuals, spectrum, inverse, groups) / root
        number, errors, loss = _best_temperature(scores, columns, judged, number)
        if best is None or loss < best.loss:
            accuracy = float((scores.argmax(axis=1) == columns)[~alone].mean())
            errors = np.where(alone, np.nan, errors)
            best = _Choice(strength, TEMPERATURES[number], loss, accuracy, errors)
        check()
    assert best is not None
    return best


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
    residuals: np.ndarray, spectrum: _Spectrum, inverse: np.ndarray, groups: Sequence[np.ndarray]
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


def _targets(labels: np.ndarray, num_classes: int) -> tuple[np.ndarray, np.ndarray]:
    present = _check_classes(np.unique(labels))
    return present, np.eye(len(present))[np.searchsorted(present, labels)]


def _check_classes(present: np.ndarray) -> np.ndarray:
    if len(present) < 2:
        raise DataError("All readable training pictures are of one class: a classifier needs two")
    return present


def _principal_axes(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues and vectors of a symmetric matrix, without those that are noise."""
    if len(matrix) < _LARGE:
        values, vectors = np.linalg.eigh(matrix)
    else:
        from scipy.linalg import eigh  # which takes half the memory, but 0.1 s to import

        values, vectors = eigh(matrix, overwrite_a=True, check_finite=False, driver="evr")
    first = int(np.searchsorted(values, _LEAST_VARIANCE * max(float(values[-1]), 1e-300), side="right"))
    return values[first:], vectors[:, first:]


def cross_entropy(logits: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the cross entropy ``[N]`` of logits ``[N, classes]`` whose true columns are ``[N]``."""
    logits = logits - logits.max(axis=1, keepdims=True)
    return np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(columns)), columns]
