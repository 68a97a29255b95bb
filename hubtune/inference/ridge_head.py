"""The linear head of the `frozen` strategy: ridge regression on blocks of features, in closed form.

The targets are one for a row's class and zero for the others. The softmax of the scores times the temperature
gives the probabilities; of multi-label rows, the logistic function of each score times its temperature, plus
a shift.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

from hubtune.inference.feature_table import Rows, Scaling, Table
from hubtune.inference.ridge_choice import choose
from hubtune.inference.ridge_refinement import StoredRows, refine
from hubtune.inference.ridge_spectrum import exact_spectrum, spectrum_in_span


@dataclass(frozen=True)
class RidgeHead:
    """A linear head.

    Attributes:
        weight: float32 ``[width, num_classes]``, with scaling and temperature folded in.
        bias: float32 ``[num_classes]``.
        strength: of the regularisation; of :data:`~hubtune.inference.ridge_choice.STRENGTHS`.
        temperature: of :data:`~hubtune.inference.ridge_choice.TEMPERATURES`; of multi-label rows, one for
            each label, ``[num_classes]``.
        loss: mean cross entropy of rows that are scored without their groups; NaN if there are none.
        accuracy: share of them that are right; ``None`` if there are none.
        errors: the cross entropy of each row of the table, float64 ``[N]``; NaN for the others.
        thresholds: of multi-label rows, the probability from which a picture has each label.
    """

    weight: np.ndarray
    bias: np.ndarray
    strength: float
    temperature: float | np.ndarray
    loss: float
    accuracy: float | None
    errors: np.ndarray
    thresholds: np.ndarray | None = None


@dataclass(frozen=True)
class FurtherTable:
    """Rows beside a table that are not held in memory.

    Attributes:
        rows: of other keys than the table's; read once.
        folder: for a temporary file with two bytes for each value.
    """

    rows: Iterable[Rows]
    folder: Path


def fit_ridge(
    table: Table,
    num_classes: int,
    further: FurtherTable | None = None,
    check: Callable[[], None] = lambda: None,
) -> RidgeHead:
    """Fit a head to a table, and to further rows.

    Args:
        table: its rows also choose strength and temperature, each scored without its group.
        num_classes: number of outputs: of the classes, of which those without a row score far below all
            others, or of the labels of multi-label rows.
        further: more rows; with them, the table's rows are overwritten.
        check: called between steps; may raise to stop.

    Raises:
        DataError: if all rows are of one class.
        MachineError: if the temporary file cannot be written.
    """
    # One thread: the last digits of sums by several threads depend on their number.
    with threadpool_limits(1):
        scaling = Scaling(table)
        if further is None:
            spectrum = exact_spectrum(table, scaling, num_classes, check)
            choice = choose(table, spectrum, check)
            weight, offset = spectrum.solve(choice.strength), np.zeros(len(spectrum.present))
        else:
            first = (scaling.scale_in_place(table.rows), table.labels, table.weights)
            scaled = ((scaling.scaled_rows(rows), one, other) for rows, one, other in further.rows)
            with StoredRows(further.folder, first, table.targets) as stored:
                spectrum = spectrum_in_span(
                    *(first, stored.storing(scaled), num_classes, check, table.targets)
                )
                choice = choose(table, spectrum, check)
                weight, offset = refine(stored, spectrum, choice.strength, check)
    full_weight, full_bias = np.zeros((len(weight), num_classes)), np.zeros(num_classes)
    full_weight[:, spectrum.present] = choice.temperature * weight * scaling.scale[:, None]
    full_bias[spectrum.present] = choice.temperature * (spectrum.target_mean - offset) + choice.shift
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
        choice.thresholds,
    )


def clearly_lower(errors: np.ndarray, others: np.ndarray) -> bool:
    """Whether the mean is lower by more than the difference's standard error; rows with NaN do not count.

    Breiman et al., "Classification and Regression Trees" (1984), call this the one-standard-error rule.
    """
    gains = others - errors
    gains = gains[np.isfinite(gains)]
    return len(gains) > 1 and float(gains.mean()) > float(gains.std(ddof=1)) / len(gains) ** 0.5
