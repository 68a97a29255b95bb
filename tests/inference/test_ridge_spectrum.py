"""The spectrum of rows is that of their covariance, at once or added up in the span of the first."""

import numpy as np
import pytest
from support.ridge import draw_table, scaled_rows

from hubtune.errors import DataError
from hubtune.inference.feature_table import Scaling
from hubtune.inference.ridge_spectrum import exact_spectrum, spectrum_in_span


def _check(spectrum, scaled, table):
    """Compare with the principal axes of the weighted, centred rows."""
    weights = table.weights
    centred = scaled - np.average(scaled, axis=0, weights=weights)
    values = np.linalg.eigvalsh(centred.T @ (weights[:, None] * centred))
    assert spectrum.values[::-1] == pytest.approx(values[::-1][: len(spectrum.values)], rel=1e-3, abs=1e-6)
    random = np.random.default_rng(0).standard_normal((len(spectrum.values), 2))
    assert spectrum.project(spectrum.expand(random)) == pytest.approx(random, abs=1e-3)
    axes = spectrum.expand(np.eye(len(spectrum.values)))
    assert axes.T @ axes == pytest.approx(np.eye(len(spectrum.values)), abs=1e-3)
    targets = np.eye(3)[table.labels]
    mean = np.average(targets, axis=0, weights=weights)
    assert spectrum.target_mean == pytest.approx(mean, rel=1e-9)
    products = axes.T @ (centred.T @ (weights[:, None] * (targets - mean)))
    assert spectrum.projected == pytest.approx(products, abs=1e-3)


@pytest.mark.parametrize("count", [6, 40])
def test_at_once(count):
    table = draw_table(count, 12, weights=np.arange(1.0, count + 1))
    spectrum = exact_spectrum(table, Scaling(table), 3, lambda: None)
    assert len(spectrum.values) == min(count - 1, 12)
    _check(spectrum, scaled_rows(table), table)


def test_added_up_in_the_span_of_the_first_rows():
    table = draw_table(90, 8, weights=np.arange(1.0, 91.0))
    scaled = scaled_rows(table).astype(np.float32)
    parts = [(scaled[i : i + 30], table.labels[i : i + 30], table.weights[i : i + 30]) for i in (0, 30, 60)]
    spectrum = spectrum_in_span(parts[0], parts[1:], 3, lambda: None)  # 30 rows span all 8 dimensions
    assert spectrum.total == table.weights.sum()
    assert len(spectrum.rows) == 30
    _check(spectrum, scaled.astype(np.float64), table)
    labels = np.zeros(30, int)
    with pytest.raises(DataError, match="of one class"):
        spectrum_in_span((parts[0][0], labels, parts[0][2]), [], 3, lambda: None)
