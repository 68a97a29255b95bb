"""Rows of features for ridge regression, and scikit-learn's solution."""

import numpy as np
from sklearn.linear_model import Ridge

from hubtune.inference.feature_table import Table, Targets


def draw_table(count, width, classes=3, noise=1.0, keys=None, weights=None, seed=0):
    random = np.random.default_rng(seed)
    labels = np.minimum(np.arange(count) % classes, np.arange(count) % (classes + 2))  # of different sizes
    centres = np.random.default_rng(1).standard_normal((classes, width))
    rows = (centres[labels] + noise * random.standard_normal((count, width))).astype(np.float32)
    keys = [str(row) for row in range(count)] if keys is None else keys
    return Table(rows, labels, np.ones(count) if weights is None else weights, keys, [width])


def scaled_rows(table, by=None):
    """The rows in the scale of a table, by default their own."""
    by = by or table
    mean = np.average(by.rows, axis=0, weights=by.weights)
    variance = np.average((by.rows - mean) ** 2, axis=0, weights=by.weights)
    return (table.rows - mean) / np.sqrt(variance * table.rows.shape[1])


def fit_reference(rows, labels, strength, weights):
    """Scikit-learn's solution for one-hot targets."""
    return fit_targets(rows, np.eye(labels.max() + 1)[labels], strength, weights)


def draw_label_table(count, width, labels=3, noise=1.0, keys=None, weights=None):
    """Return a multi-label table, and its targets, float64 ``[count, labels]``."""
    random = np.random.default_rng(2)
    members = np.array(
        [[bool(number >> label & 1) for label in range(labels)] for number in range(2**labels)]
    )
    numbers = random.integers(len(members), size=count)
    centres = np.random.default_rng(1).standard_normal((labels, width))
    rows = members[numbers] @ centres + noise * random.standard_normal((count, width))
    keys = [str(row) for row in range(count)] if keys is None else keys
    weights = np.ones(count) if weights is None else weights
    table = Table(rows.astype(np.float32), numbers, weights, keys, [width], Targets(members))
    return table, members[numbers].astype(float)


def fit_targets(rows, targets, strength, weights):
    """Scikit-learn's solution for any targets."""
    return Ridge(alpha=strength).fit(rows, targets, sample_weight=weights)
