"""Blocks of features have equal shares, whatever their scale, and later ones less with few rows."""

import numpy as np
import pytest
from support.ridge import draw_table

from hubtune.inference.feature_table import Scaling, Table, column_parts
from hubtune.inference.ridge_head import fit_ridge


def test_the_scale_of_a_block_changes_nothing():
    table = draw_table(200, 6)
    noise = np.random.default_rng(5).standard_normal((200, 4)).astype(np.float32)
    heads = [
        fit_ridge(
            Table(np.hstack([table.rows, scale * noise]), table.labels, table.weights, table.keys, [6, 4]), 3
        )
        for scale in (1.0, 1000.0)
    ]
    assert heads[0].weight[6:] == pytest.approx(1000 * heads[1].weight[6:], rel=1e-3, abs=1e-6)
    assert heads[0].loss == pytest.approx(heads[1].loss, rel=1e-6)


@pytest.mark.parametrize(("count", "share"), [(200, 0.5), (60, 0.2)])
def test_each_block_has_its_share_of_the_mean_squared_length(count, share):
    table = draw_table(count, 6, weights=np.arange(1.0, count + 1))
    rows = np.hstack([table.rows, 50 + 7 * np.random.default_rng(5).standard_normal((count, 4))])
    table = Table(rows.astype(np.float32), table.labels, table.weights, table.keys, [6, 4])
    scaled = Scaling(table).scaled_rows(table.rows)
    shares = np.average(scaled**2, axis=0, weights=table.weights)
    assert np.average(scaled, axis=0, weights=table.weights) == pytest.approx(0.0, abs=1e-5)
    assert shares.sum() == pytest.approx(1.0, rel=1e-5)
    assert shares[6:].sum() == pytest.approx(share, rel=1e-5)
    assert shares[:6] == pytest.approx((1 - share) / 6, rel=1e-5)  # value by value
    first = table.first_block()
    assert first.rows.shape == (count, 6)
    assert first.take(np.array([3, 5])).keys == [table.keys[3], table.keys[5]]


def test_columns_are_divided_without_gaps():
    for start, end in ((0, 1), (0, 5000), (1280, 5936)):
        parts = column_parts(end, start)
        assert [column for part in parts for column in range(part.start, part.stop)] == [*range(start, end)]
