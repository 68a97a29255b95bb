"""Rows of features for ridge regression, and scikit-learn's solution."""

import numpy as np
from sklearn.linear_model import Ridge

from hubtune.inference.feature_table import Table


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
    return Ridge(alpha=strength).fit(rows, np.eye(labels.max() + 1)[labels], sample_weight=weights)
