"""Strength and temperature are chosen by the scores of rows that are not fitted."""

import numpy as np
import pytest
from support.ridge import draw_label_table, draw_table, fit_reference, fit_targets, scaled_rows

from hubtune.errors import DataError
from hubtune.inference.feature_table import Table, Targets
from hubtune.inference.logistic import binary_cross_entropy, fit_logistic
from hubtune.inference.ridge_choice import TEMPERATURES, cross_entropy
from hubtune.inference.ridge_head import FurtherTable, fit_ridge


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


@pytest.mark.parametrize("keys", [None, [str(row // 3) for row in range(60)]])
def test_labels_are_scored_without_each_group_and_get_a_temperature_each(keys):
    table, truth = draw_label_table(60, 8, keys=keys)
    head = fit_ridge(table, 3)
    scaled = scaled_rows(table)
    scores = np.empty((60, 3))
    for key in set(table.keys):
        out = np.array([one == key for one in table.keys])
        fitted = fit_targets(scaled[~out], truth[~out], head.strength, table.weights[~out])
        scores[out] = fitted.predict(scaled[out])
    slopes, shifts = fit_logistic(scores, truth, table.weights)
    assert head.temperature == pytest.approx(slopes, rel=1e-3)
    losses = binary_cross_entropy(slopes * scores + shifts, truth).mean(axis=1)
    assert head.errors == pytest.approx(losses, rel=1e-3, abs=1e-6)
    assert head.loss == pytest.approx(np.average(losses, weights=table.weights), rel=1e-4)
    expected = slopes * fit_targets(scaled, truth, head.strength, table.weights).predict(scaled) + shifts
    assert table.rows @ head.weight + head.bias == pytest.approx(expected, abs=1e-2)
    assert len(head.thresholds) == 3
    probabilities = 1 / (1 + np.exp(-(slopes * scores + shifts)))
    right = ((probabilities >= head.thresholds) == (truth > 0)).all(axis=1)
    assert head.accuracy == pytest.approx(right.mean())


def test_probabilities_are_those_of_all_rows_where_a_sample_has_more_of_a_rare_label(tmp_path):
    table, truth = draw_label_table(4000, 10, labels=2, noise=3.0)
    rare = np.flatnonzero(truth[:, 0] > 0)
    kept = np.concatenate([np.flatnonzero(truth[:, 0] == 0), rare[: len(rare) // 10]])  # 5 % have the first
    rows = np.concatenate([rare[:100], np.flatnonzero(truth[:, 0] == 0)[:200]])  # a third has it
    rest = np.setdiff1d(kept, rows)
    further = FurtherTable(
        iter([(table.rows[rest].copy(), table.labels[rest], np.ones(len(rest)))]), tmp_path
    )
    head = fit_ridge(table.take(rows), 2, further)
    probabilities = 1 / (1 + np.exp(-(table.rows[kept] @ head.weight + head.bias)))
    assert probabilities[:, 0].mean() == pytest.approx(truth[kept, 0].mean(), rel=0.25)


def test_labels_that_all_or_no_rows_have_are_given_always_and_never():
    rows = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    members = np.array([[True, False, False], [True, False, True]])
    labels = (rows[:, 0] > 0).astype(int)
    table = Table(rows, labels, np.ones(40), [str(n) for n in range(40)], [5], Targets(members))
    head = fit_ridge(table, 3)
    probabilities = 1 / (1 + np.exp(-(rows @ head.weight + head.bias)))
    assert (probabilities[:, 0] > 0.9).all()
    assert (probabilities[:, 1] < 0.1).all()
    assert ((probabilities[:, 2] > 0.5) == (labels == 1)).mean() > 0.9


def test_a_single_group_of_labels_has_a_head_without_figures():
    rows = np.random.default_rng(0).standard_normal((4, 5)).astype(np.float32)
    members = np.array([[True, False], [False, True]])
    table = Table(rows, np.array([0, 1, 0, 1]), np.ones(4), ["a"] * 4, [5], Targets(members))
    head = fit_ridge(table, 2)
    assert np.isfinite(head.weight).all() and np.isfinite(head.bias).all()
    assert head.accuracy is None
    assert head.thresholds.tolist() == [0.5, 0.5]


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
