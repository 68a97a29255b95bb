"""Ridge regression in the principal axes of its rows: exact, or in the span of some of them.

In the span, rows are added up as they come, and are not held in memory (Williams and Seeger, "Using the
Nyström Method to Speed Up Kernel Machines", 2000).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from hubtune.errors import DataError
from hubtune.inference.feature_table import ONE_HOT, Rows, Scaling, Table, Targets, column_parts

# Directions with a smaller share of the variance are noise, of the size of rounding errors.
_LEAST_VARIANCE = 1e-10
# Matrices of more rows than this are worth a solver that takes less memory.
_LARGE = 1_500


@dataclass(frozen=True)
class Spectrum:
    """The problem in the principal axes of the weighted rows.

    Attributes:
        rows: of the table, centred, times the root of their weights; ``[N, axes]``.
        root: root of the weights ``[N]``.
        total: weight of all rows that were added.
        values: squared length of all of them along each axis, ``[axes]``.
        projected: products of all of them with the centred targets, ``[axes, classes]``.
        target_mean: mean of their targets, ``[classes]``.
        present: numbers of the classes that have rows, or of all labels of multi-label rows.
        expand: maps coefficients of the axes ``[axes, n]`` to weights of scaled features ``[width, n]``.
        project: maps these to those.
    """

    rows: np.ndarray
    root: np.ndarray
    total: float
    values: np.ndarray
    projected: np.ndarray
    target_mean: np.ndarray
    present: np.ndarray
    expand: Callable[[np.ndarray], np.ndarray]
    project: Callable[[np.ndarray], np.ndarray]

    def solve(self, strength: float) -> np.ndarray:
        """Return the weights of scaled features, ``[width, classes]``."""
        return self.expand(self.projected / (self.values + strength)[:, None])


def exact_spectrum(table: Table, scaling: Scaling, num_classes: int, check: Callable[[], None]) -> Spectrum:
    """Return the spectrum of a table, whose weighted mean the scaling subtracts.

    Arguments and errors are those of :func:`~hubtune.inference.ridge_head.fit_ridge`.
    """
    root, total = np.sqrt(table.weights), float(table.weights.sum())
    present = _present(table.targets, table.labels)
    targets = table.targets.of(table.labels, present)
    target_mean = table.weights @ targets / total
    parts = column_parts(table.rows.shape[1])
    gram = np.zeros((len(root), len(root)))
    for part in parts:
        scaled = scaling.scaled(table.rows, part)
        gram += scaled @ scaled.T
    check()
    gram *= root[:, None] * root
    values, rows = principal_axes(gram)
    del gram
    rows *= np.sqrt(values)
    check()

    def expand(coefficients: np.ndarray) -> np.ndarray:
        factors = root[:, None] * (rows @ (coefficients / values[:, None]))
        return np.concatenate([scaling.scaled(table.rows, part).T @ factors for part in parts])

    def project(weights: np.ndarray) -> np.ndarray:
        scores = sum(scaling.scaled(table.rows, part) @ weights[part] for part in parts)
        return np.asarray(rows.T @ (root[:, None] * scores) / values[:, None])

    projected = rows.T @ (root[:, None] * (targets - target_mean))
    return Spectrum(rows, root, total, values, projected, target_mean, present, expand, project)


def spectrum_in_span(
    first: Rows,
    further: Iterable[Rows],
    num_classes: int,
    check: Callable[[], None],
    targets: Targets = ONE_HOT,
) -> Spectrum:
    """Return the spectrum of all rows, scaled, in the span of the first ones; the table is that of these.

    ``check`` is called between steps, and may raise to stop. Raises DataError if all rows are of one class.
    """
    spanning, first_labels, first_weights = first
    parts = column_parts(spanning.shape[1])
    gram = np.zeros((len(spanning), len(spanning)))
    for part in parts:
        scaled = spanning[:, part].astype(np.float64)
        gram += scaled @ scaled.T
    check()
    lengths, coordinates = principal_axes(gram)
    del gram
    coordinates *= np.sqrt(lengths)
    sums = _Sums(len(lengths), num_classes, targets)
    sums.add(coordinates, first_labels, first_weights)
    for rows, labels, weights in further:
        # In float32, which takes half the time: scores differ by less than 1e-5.
        sums.add((rows @ spanning.T) @ coordinates / lengths, labels, weights)
    mean, target_mean = sums.rows / sums.weight, sums.targets / sums.weight
    present = _present(targets, np.flatnonzero(sums.targets > 0))
    projected = sums.target_products - sums.weight * np.outer(mean, target_mean)
    sums.products -= sums.weight * np.outer(mean, mean)
    values, axes = principal_axes(sums.products)
    root = np.sqrt(first_weights)

    def expand(coefficients: np.ndarray) -> np.ndarray:
        factors = coordinates @ (axes @ coefficients / lengths[:, None])
        return np.concatenate([spanning[:, part].astype(np.float64).T @ factors for part in parts])

    def project(weights: np.ndarray) -> np.ndarray:
        scores = sum(spanning[:, part].astype(np.float64) @ weights[part] for part in parts)
        return np.asarray(axes.T @ (coordinates.T @ scores / lengths[:, None]))

    rows = coordinates @ axes - mean @ axes
    rows *= root[:, None]
    projected, target_mean = axes.T @ projected[:, present], target_mean[present]
    return Spectrum(rows, root, sums.weight, values, projected, target_mean, present, expand, project)


class _Sums:
    """Weighted sums over rows of coordinates, and over their targets."""

    def __init__(self, width: int, num_classes: int, targets: Targets) -> None:
        self.weight, self._members = 0.0, targets.members
        self.rows, self.targets = np.zeros(width), np.zeros(num_classes)
        self.products, self.target_products = np.zeros((width, width)), np.zeros((width, num_classes))

    def add(self, rows: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> None:
        weighted = weights[:, None] * rows
        self.weight += float(weights.sum())
        self.rows += weighted.sum(axis=0)
        self.products += rows.T @ weighted
        if self._members is not None:
            own = self._members[labels].astype(np.float64)
            self.targets += weights @ own
            self.target_products += weighted.T @ own
            return
        for label in np.unique(labels):
            self.targets[label] += weights[labels == label].sum()
            self.target_products[:, label] += weighted[labels == label].sum(axis=0)


def _present(targets: Targets, labels: np.ndarray) -> np.ndarray:
    """Return the outputs to solve; a DataError if all rows are of one class."""
    present = targets.present(labels)
    if targets.members is None and len(present) < 2:
        raise DataError("All readable training pictures are of one class: a classifier needs two")
    return present


def principal_axes(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the eigenvalues and vectors of a symmetric matrix, without those that are noise."""
    if len(matrix) < _LARGE:
        values, vectors = np.linalg.eigh(matrix)
    else:
        from scipy.linalg import eigh  # which takes half the memory, but 0.1 s to import

        with threadpool_limits(1):  # SciPy's library may have been loaded just now
            values, vectors = eigh(matrix, overwrite_a=True, check_finite=False, driver="evr")
    first = int(np.searchsorted(values, _LEAST_VARIANCE * max(float(values[-1]), 1e-300), side="right"))
    return values[first:], vectors[:, first:]
