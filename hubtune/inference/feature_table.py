"""Rows of features that a linear head is fitted to, and their scaling."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

# With fewer rows, blocks beside the first weigh less.
_FEW_ROWS, _FEW_WEIGHT = 100, 0.25
# Columns that are in memory as float64 at once.
_COLUMNS = 1024


@dataclass(frozen=True)
class Targets:
    """What a linear head is to answer for rows of each class.

    Attributes:
        members: bool ``[classes, outputs]``: the outputs that are one for each class, which stands for a set
            of labels; ``None`` if each class has an output of its own.
    """

    members: np.ndarray | None = None

    def present(self, labels: np.ndarray) -> np.ndarray:
        """Return the numbers of the outputs to solve, given the class numbers of all rows."""
        return np.unique(labels) if self.members is None else np.arange(self.members.shape[1])

    def of(self, labels: np.ndarray, present: np.ndarray) -> np.ndarray:
        """Return the targets of rows for some outputs, float64 ``[N, outputs]``."""
        if self.members is None:
            return (labels[:, None] == present).astype(np.float64)
        return self.members[labels][:, present].astype(np.float64)


ONE_HOT = Targets()


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
        targets: what a head is to answer for each class.
    """

    rows: np.ndarray
    labels: np.ndarray
    weights: np.ndarray
    keys: Sequence[str]
    blocks: Sequence[int]
    targets: Targets = ONE_HOT

    def first_block(self) -> "Table":
        """Return the table of the first block alone."""
        width = self.blocks[0]
        return replace(self, rows=self.rows[:, :width], blocks=[width])

    def take(self, indices: np.ndarray) -> "Table":
        """Return some rows."""
        keys = [self.keys[index] for index in indices]
        weights = self.weights[indices]
        return Table(self.rows[indices], self.labels[indices], weights, keys, self.blocks, self.targets)


def block_shares(rows: int, blocks: int) -> list[float]:
    """Return the share of each block in the mean squared length of this number of rows."""
    weights = [1.0] + [_FEW_WEIGHT if rows < _FEW_ROWS else 1.0] * (blocks - 1)
    return [weight / sum(weights) for weight in weights]


Rows = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Rows ``[n, width]``, their class numbers ``[n]`` and their weights ``[n]``."""


class Scaling:
    """Shifts and scales features so that each block has its share of a mean squared length of 1."""

    def __init__(self, table: Table) -> None:
        rows, weights = table.rows, table.weights / table.weights.sum()
        self.shift = np.zeros(rows.shape[1])
        self.scale = np.ones(rows.shape[1])
        shares = block_shares(len(rows), len(table.blocks))
        start = 0
        for width, share in zip(table.blocks, shares, strict=True):
            block = slice(start, start + width)
            parts = column_parts(start + width, start)
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
            self.scale[block] *= np.sqrt(share / max(float(variances.sum()), 1e-12))
            start += width

    def shifted(self, rows: np.ndarray, columns: slice) -> np.ndarray:
        return rows[:, columns] - self.shift[columns]

    def scaled(self, rows: np.ndarray, columns: slice) -> np.ndarray:
        return self.shifted(rows, columns) * self.scale[columns]

    def scaled_rows(self, rows: np.ndarray) -> np.ndarray:
        """Return the scaled rows, in float32."""
        return self.scale_in_place(rows.copy())

    def scale_in_place(self, rows: np.ndarray) -> np.ndarray:
        for columns in column_parts(rows.shape[1]):
            rows[:, columns] = self.scaled(rows, columns)
        return rows


def column_parts(end: int, start: int = 0) -> list[slice]:
    """Divide columns into parts that are in memory as float64 one after the other."""
    return [slice(first, min(first + _COLUMNS, end)) for first in range(start, end, _COLUMNS)]
