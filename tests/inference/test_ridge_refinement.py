"""Heads of more rows than are held in memory are those of all rows at once, within a tolerance."""

import numpy as np
import pytest
from support.ridge import draw_label_table, draw_table, fit_reference, fit_targets, scaled_rows

from hubtune.inference.ridge_choice import cross_entropy
from hubtune.inference.ridge_head import FurtherTable, fit_ridge
from hubtune.inference.ridge_refinement import StoredRows


def _further(table, folder, start, step):
    count = len(table.labels)
    rest = [table.take(np.arange(i, min(i + step, count))) for i in range(start, count, step)]
    return FurtherTable(((part.rows, part.labels, part.weights) for part in rest), folder)


@pytest.mark.parametrize(("width", "first"), [(8, 30), (400, 60)], ids=["span of all", "span of some"])
def test_the_solution_is_that_of_all_rows_at_once(tmp_path, width, first):
    table = draw_table(300, width, noise=6.0, weights=np.arange(300) % 4 + 1.0)
    few = table.take(np.arange(first))
    scaled = scaled_rows(table, by=few)
    head = fit_ridge(few, 3, _further(table, tmp_path, first, 70))
    expected = fit_reference(scaled, table.labels, head.strength, table.weights).predict(scaled)
    scores = (table.rows @ head.weight.astype(np.float64) + head.bias) / head.temperature
    assert scores == pytest.approx(expected, abs=2e-3)
    assert not list(tmp_path.iterdir())
    if width > first:
        return
    for row in range(0, first, 7):  # as if the row had been left out of all
        others = np.arange(300) != row
        fitted = fit_reference(scaled[others], table.labels[others], head.strength, table.weights[others])
        logits = head.temperature * fitted.predict(scaled[row : row + 1])
        error = cross_entropy(logits, table.labels[row : row + 1])[0]
        assert head.errors[row] == pytest.approx(error, rel=1e-3)


@pytest.mark.parametrize(("width", "first"), [(8, 60), (400, 60)], ids=["span of all", "span of some"])
def test_the_solution_of_labels_is_that_of_all_rows_at_once(tmp_path, width, first):
    table, truth = draw_label_table(300, width, noise=2.0, weights=np.arange(300) % 4 + 1.0)
    few = table.take(np.arange(first))
    scaled = scaled_rows(table, by=few)
    head = fit_ridge(few, 3, _further(table, tmp_path, first, 70))
    expected = fit_targets(scaled, truth, head.strength, table.weights).predict(scaled)
    logits = table.rows @ head.weight.astype(np.float64) + head.bias
    shifts = (logits - head.temperature * expected).mean(axis=0)
    assert (logits - shifts) / head.temperature == pytest.approx(expected, abs=4e-3)
    assert not list(tmp_path.iterdir())


def test_stored_rows_are_read_in_order_as_often_as_wanted_and_leave_nothing(tmp_path):
    random = np.random.default_rng(0)
    rows = [random.standard_normal((n, 5)).astype(np.float32) for n in (600, 7, 3)]
    parts = [(part, np.arange(len(part)), np.ones(len(part))) for part in rows]
    with StoredRows(tmp_path, parts[0]) as stored:
        assert [len(part) for part, _, _ in stored.storing(parts[1:])] == [7, 3]
        for _ in range(2):
            read = [*stored]
            assert np.vstack([part for part, _, _ in read]) == pytest.approx(np.vstack(rows), abs=2e-3)
            labels = np.concatenate([labels for _, labels, _ in read])
            assert labels.tolist() == [*range(600), *range(7), *range(3)]
    assert not list(tmp_path.iterdir())


def test_a_class_that_is_only_in_further_rows_is_learned(tmp_path):
    table = draw_table(60, 10, noise=0.3)
    order = np.argsort(table.labels == 2, kind="stable")  # class 2 last
    table = table.take(order)
    first = int((table.labels != 2).sum())
    head = fit_ridge(table.take(np.arange(first)), 3, _further(table, tmp_path, first, 10))
    logits = table.rows @ head.weight + head.bias
    assert (logits.argmax(axis=1) == table.labels).mean() > 0.9
