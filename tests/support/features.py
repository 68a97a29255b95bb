"""Features that are stored under numbers, and what a new run finds of them."""

import hashlib
import sqlite3

import numpy as np

from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.feature_rows import FILE_NAME

FACTS = {"module": "resnet50_imagenet", "view": "crop 224"}
GIGABYTE = 10**9


def key(number):
    return hashlib.sha256(str(number).encode()).digest()


def values(number, length=256):
    return np.random.default_rng(number).standard_normal(length).astype(np.float32)


def fill(folder, numbers, facts=FACTS, limit=GIGABYTE, length=256):
    with FeatureCache(folder, limit).space(facts) as space:
        for number in numbers:
            space.put(key(number), values(number, length))


def stored(folder, numbers, facts=FACTS):
    return intact(FeatureCache(folder, GIGABYTE).space(facts), numbers)


def intact(space, numbers):
    """Return which numbers a space finds; all values that it finds must be right."""
    rows = {number: row for number in numbers if (row := space.get(key(number))) is not None}
    for number, row in rows.items():
        np.testing.assert_array_equal(row, values(number, len(row)))
    return set(rows)


def change_rows(folder, statement, *values):
    with sqlite3.connect(folder / FILE_NAME) as database:
        database.execute(statement, values)
    database.close()
