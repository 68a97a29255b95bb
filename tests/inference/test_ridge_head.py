"""Ridge in closed form: equal to fits without each group, and to scikit-learn's; few and odd rows work."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from hubtune.errors import DataError
from hubtune.inference.ridge_head import TEMPERATURES, Table, clearly_lower, cross_entropy, fit_ridge


def _table(count, width, classes=3, noise=1.0, keys=None, weights=None, seed=0):
    random = np.random.default_rng(seed)
    labels = np.minimum(np.arange(count) % classes, np.arange(count) % (classes + 2))  # of different sizes
    centres = np.random.default_rng(1).standard_normal((classes, width))
    rows = (centres[labels] + noise * random.standard_normal((count, width))).astype(np.float32)
    keys = [str(row) for row in range(count)] if keys is None else keys
    return Table(rows, labels, np.ones(count) if weights is None else weights, keys, [width])


def _scaled(table, by=None):
    """The rows in the scale of a table, by default their own."""
    by = by or table
    mean = np.average(by.rows, axis=0, weights=by.weights)
    variance = np.average((by.rows - mean) ** 2, axis=0, weights=by.weights)
    return (table.rows - mean) / np.sqrt(variance * table.rows.shape[1])


def _fit(rows, labels, strength, weights):
    """Scikit-learn's solution for one-hot targets."""
    return Ridge(alpha=strength).fit(rows, np.eye(labels.max() + 1)[labels], sample_weight=weights)


@pytest.mark.parametrize("weights", [None, np.array([1.0, 2.0, 0.5] * 10)])
@pytest.mark.parametrize("keys", [None, [str(row // 3) for row in range(30)]])
def test_scores_without_each_group_are_those_of_fits_without_it(keys, weights):
    table = _table(30, 8, keys=keys, weights=weights)
    head = fit_ridge(table, 3)
    scaled = _scaled(table)
    weights = table.weights
    scores = np.empty((30, 3))
    for key in set(table.keys):
        out = np.array([one == key for one in table.keys])
        fitted = _fit(scaled[~out], table.labels[~out], head.strength, weights[~out])
        scores[out] = fitted.predict(scaled[out])
    errors = cross_entropy(head.temperature * scores, table.labels)
    assert head.errors == pytest.approx(errors, rel=1e-4)
    assert head.loss == pytest.approx(np.average(errors, weights=weights), rel=1e-5)
    assert head.accuracy == (scores.argmax(axis=1) == table.labels).mean()
    losses = [weights @ cross_entropy(each * scores, table.labels) for each in TEMPERATURES]
    assert head.temperature == TEMPERATURES[int(np.argmin(losses))]
    expected = _fit(scaled, table.labels, head.strength, weights).predict(scaled)
    assert (table.rows @ head.weight + head.bias) / head.temperature == pytest.approx(expected, abs=1e-4)


def test_a_row_with_a_weight_counts_like_as_many_equal_rows():
    table = _table(24, 6)
    copies = np.arange(24) % 4 + 1
    one = fit_ridge(replace(table, weights=copies.astype(float)), 3)
    many = fit_ridge(table.take(np.repeat(np.arange(24), copies)), 3)
    assert (one.strength, one.temperature) == (many.strength, many.temperature)
    assert one.loss == pytest.approx(many.loss, rel=1e-6)
    assert one.weight == pytest.approx(many.weight, abs=1e-4)
    assert one.bias == pytest.approx(many.bias, abs=1e-4)


def test_further_rows_in_the_span_of_the_first_give_the_exact_solution():
    table = _table(90, 8, noise=2.0, weights=np.arange(1.0, 91.0))
    few, rest = table.take(np.arange(30)), table.take(np.arange(30, 90))
    chunks = [(rest.rows[i : i + 20], rest.labels[i : i + 20], rest.weights[i : i + 20]) for i in (0, 20, 40)]
    scaled, weights = _scaled(table, by=few), table.weights
    head = fit_ridge(few, 3, chunks)  # 30 rows span all 8 dimensions
    expected = _fit(scaled, table.labels, head.strength, weights).predict(scaled)
    assert (table.rows @ head.weight + head.bias) / head.temperature == pytest.approx(expected, abs=1e-4)
    for row in range(0, 30, 7):  # as if the row had been left out of all 90
        others = np.arange(90) != row
        fitted = _fit(scaled[others], table.labels[others], head.strength, weights[others])
        logits = head.temperature * fitted.predict(scaled[row : row + 1])
        assert head.errors[row] == pytest.approx(
            cross_entropy(logits, table.labels[row : row + 1])[0], rel=1e-4
        )


def test_blocks_have_equal_shares_whatever_their_scale_and_less_with_few_rows():
    table = _table(200, 6)
    noise = np.random.default_rng(5).standard_normal((200, 4)).astype(np.float32)
    heads = [
        fit_ridge(
            Table(np.hstack([table.rows, scale * noise]), table.labels, table.weights, table.keys, [6, 4]), 3
        )
        for scale in (1.0, 1000.0)
    ]
    assert heads[0].weight[6:] == pytest.approx(1000 * heads[1].weight[6:], rel=1e-3, abs=1e-6)
    assert heads[0].loss == pytest.approx(heads[1].loss, rel=1e-6)


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
    from threadpoolctl import threadpool_limits

    table = _table(300, 700, classes=4)
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
