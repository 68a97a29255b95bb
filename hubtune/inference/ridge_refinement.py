"""Ridge regression on all rows, from its solution in the span of some of them.

Conjugate gradients, preconditioned by the spectrum in the span (Rudi, Carratino and Rosasco, "FALKON: An
Optimal Large Scale Kernel Method", 2017). The rows are read from a temporary file in each iteration.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from hubtune.errors import MachineError
from hubtune.inference.feature_table import ONE_HOT, Rows, Targets
from hubtune.inference.ridge_spectrum import Spectrum
from hubtune.log import logger

# Rows that are in memory at once.
_CHUNK = 512
# Relative size of the residual at which the solution is good enough: scores differ by less than 1e-3.
_TOLERANCE = 1e-4
_MOST_ITERATIONS = 1_000


class StoredRows:
    """Scaled rows in a temporary file, in half precision, after rows in memory.

    It is a context manager; its end removes the file.
    """

    def __init__(self, folder: Path, first: Rows, targets: Targets = ONE_HOT) -> None:
        """Take the rows in memory, the targets of classes, and the folder of the file.

        Raises:
            MachineError: the file cannot be written.
        """
        self._first, self._width, self._folder = first, first[0].shape[1], folder
        self.targets = targets
        with self._writing():
            self._file = TemporaryFile(dir=folder)  # noqa: SIM115  # closed by __exit__
        self._labels: list[np.ndarray] = []
        self._weights: list[np.ndarray] = []

    def __enter__(self) -> "StoredRows":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def storing(self, further: Iterable[Rows]) -> Iterator[Rows]:
        """Pass rows on, and store them; raises MachineError if the file cannot be written."""
        for rows, labels, weights in further:
            with self._writing():
                self._file.write(rows.astype(np.float16).data)
            self._labels.append(labels)
            self._weights.append(weights)
            yield rows, labels, weights

    @contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise MachineError(
                f"Features cannot be written to {self._folder} ({error.strerror}): free some space, or use "
                "-o strategy.head=logistic"
            ) from error

    def __iter__(self) -> Iterator[Rows]:
        """Yield all rows, some at a time."""
        rows, labels, weights = self._first
        for start in range(0, len(rows), _CHUNK):
            part = slice(start, start + _CHUNK)
            yield rows[part], labels[part], weights[part]
        self._file.seek(0)
        for labels, weights in zip(self._labels, self._weights, strict=True):
            content = self._file.read(2 * self._width * len(labels))
            rows = np.frombuffer(content, np.float16).reshape(len(labels), self._width)
            yield rows.astype(np.float32), labels, weights


def refine(
    stored: StoredRows, spectrum: Spectrum, strength: float, check: Callable[[], None]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the weights of scaled features ``[width, classes]``, and the scores of the rows' mean.

    The spectrum is that in the span of the first rows.
    """
    products, mean, trace = _sums(stored, spectrum)
    # The mean squared length along the axes that are not in the span.
    axes = len(spectrum.values)
    outside = max(trace - float(spectrum.values.sum()), 0.0) / max(len(mean) - axes, 1)

    def precondition(residuals: np.ndarray) -> np.ndarray:
        inside = spectrum.project(residuals)
        scaled = inside * (1 / (spectrum.values + strength) - 1 / (outside + strength))[:, None]
        return np.asarray(residuals / (outside + strength) + spectrum.expand(scaled))

    def multiply(weights: np.ndarray) -> np.ndarray:
        result = strength * weights
        narrow, offset = weights.astype(np.float32), mean @ weights
        for rows, _, row_weights in stored:
            scores = rows @ narrow - offset
            result += rows.T @ (row_weights[:, None] * scores).astype(np.float32)
            check()
        return result

    weights = spectrum.solve(strength)
    residuals = products - multiply(weights)
    directions = preconditioned = precondition(residuals)
    products_of = (residuals * preconditioned).sum(axis=0)
    enough = _TOLERANCE * np.linalg.norm(products, axis=0)
    for _ in range(_MOST_ITERATIONS):
        if (np.linalg.norm(residuals, axis=0) <= enough).all():
            return weights, mean @ weights
        curved = multiply(directions)
        # A column that is solved has no direction left.
        steps = products_of / np.maximum((directions * curved).sum(axis=0), 1e-300)
        weights += steps * directions
        residuals -= steps * curved
        preconditioned = precondition(residuals)
        following = (residuals * preconditioned).sum(axis=0)
        directions = preconditioned + following / np.maximum(products_of, 1e-300) * directions
        products_of = following
    logger.warning("the head is not solved exactly after %d iterations", _MOST_ITERATIONS)
    return weights, mean @ weights


def _sums(stored: StoredRows, spectrum: Spectrum) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the products of rows and targets, both centred, the mean row, and the rows' squared length."""
    products: np.ndarray | float = 0.0
    total: np.ndarray | float = 0.0
    trace = 0.0
    for rows, labels, weights in stored:
        targets = stored.targets.of(labels, spectrum.present) - spectrum.target_mean
        products = products + rows.T.astype(np.float64) @ (weights[:, None] * targets)
        total = total + weights @ rows
        trace += float(weights @ np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    mean = np.asarray(total) / spectrum.total
    return np.asarray(products), mean, trace - spectrum.total * float(mean @ mean)
