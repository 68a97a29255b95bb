"""Strength and temperature are chosen by the scores of rows that are not fitted."""

import numpy as np
import pytest
from support.ridge import draw_table, fit_reference, scaled_rows

from hubtune.errors import DataError
from hubtune.inference.feature_table import Table
from hubtune.inference.ridge_choice import TEMPERATURES, cross_entropy
from hubtune.inference.ridge_head import fit_ridge


@pytest.mark.parametrize("weights", [None, np.array([1.0, 2.0, 0.5] * 10)])
@pytest.mark.parametrize("keys", [None, [str(row // 3) for row in range(30)]])
def test_scores_without_each_group_are_those_of_fits_without_it(keys, weights):
    table = draw_table(30, 8, keys=keys, weights=weights)
    head = fit_ridge(table, 3)
    scaled = scaled_rows(table)
    weights = table.weights
    scores = np.empty((30, 3))
    for key in set(table.keys):
        out = np.array([one == key for one in table.keys])
        fitted = fit_reference(scaled[~out], table.labels[~out], head.strength, weights[~out])
        scores[out] = fitted.predict(scaled[out])
    errors = cross_entropy(head.temperature * scores, table.labels)
    assert head.errors == pytest.approx(errors, rel=1e-4)
    assert head.loss == pytest.approx(np.average(errors, weights=weights), rel=1e-5)
    assert head.accuracy == (scores.argmax(axis=1) == table.labels).mean()
    losses = [weights @ cross_entropy(each * scores, table.labels) for each in TEMPERATURES]
    assert head.temperature == TEMPERATURES[int(np.argmin(losses))]
    expected = fit_reference(scaled, table.labels, head.strength, weights).predict(scaled)
    assert (table.rows @ head.weight + head.bias) / head.temperature == pytest.approx(expected, abs=1e-4)


def test_one_row_a_class_works_and_classes_without_rows_are_never_chosen():
    rows = np.random.default_rng(0).standard_normal((3, 20)).astype(np.float32)
    head = fit_ridge(Table(rows, np.arange(3), np.ones(3), ["a", "b", "c"], [20]), 5)
    logits = rows @ head.weight + head.bias
    assert logits.argmax(axis=1).tolist() == [0, 1, 2]
    assert (logits[:, 3:] < logits[:, :3].min() - 20).all()
    assert head.accuracy is None
    assert np.isnan(head.errors).all()
    with pytest.raises(DataError, match="of one class"):
        fit_ridge(Table(rows, np.zeros(3, int), np.ones(3), ["a", "b", "c"], [20]), 5)
