"""The head's weights are those of scikit-learn's ridge; odd rows and any number of threads give a head."""

from dataclasses import replace

import numpy as np
import pytest
from support.ridge import draw_table
from threadpoolctl import threadpool_limits

from hubtune.inference.feature_table import Table
from hubtune.inference.ridge_head import clearly_lower, fit_ridge


def test_a_row_with_a_weight_counts_like_as_many_equal_rows():
    table = draw_table(24, 6)
    copies = np.arange(24) % 4 + 1
    one = fit_ridge(replace(table, weights=copies.astype(float)), 3)
    many = fit_ridge(table.take(np.repeat(np.arange(24), copies)), 3)
    assert (one.strength, one.temperature) == (many.strength, many.temperature)
    assert one.loss == pytest.approx(many.loss, rel=1e-6)
    assert one.weight == pytest.approx(many.weight, abs=1e-4)
    assert one.bias == pytest.approx(many.bias, abs=1e-4)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param(np.ones((8, 5)), id="all equal"),
        pytest.param(np.repeat(np.eye(2, 5), 4, axis=0), id="copies"),
        pytest.param(1e6 + np.random.default_rng(0).standard_normal((8, 5)), id="far from zero"),
        pytest.param(1e-12 * np.random.default_rng(0).standard_normal((8, 5)), id="tiny"),
    ],
)
def test_degenerate_rows_give_finite_heads(rows):
    table = Table(rows.astype(np.float32), np.repeat([0, 1], 4), np.ones(8), [*"aabbccdd"], [3, 2])
    head = fit_ridge(table, 2)
    assert np.isfinite(head.weight).all()
    assert np.isfinite(head.bias).all()
    assert np.isfinite(head.loss)


def test_the_number_of_threads_does_not_change_a_bit():
    table = draw_table(300, 700, classes=4)
    heads = []
    for threads in (1, 4):
        with threadpool_limits(threads):
            heads.append(fit_ridge(table, 4))
    assert heads[0].weight.tobytes() == heads[1].weight.tobytes()


def test_a_mean_is_clearly_lower_only_beyond_its_standard_error():
    random = np.random.default_rng(0)
    others = random.standard_normal(400)
    noise = random.standard_normal(400)
    assert clearly_lower(others - 0.2 + noise, others)
    assert not clearly_lower(others + 0.2 + noise, others)
    assert not clearly_lower(others, others)
    assert not clearly_lower(np.full(400, np.nan), others)
