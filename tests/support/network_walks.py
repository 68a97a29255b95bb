"""Which networks the tests that walk all of them take: a few of each family, or all on request.

Ten thousand million parameters take hours on two cores; networks of a family are built by the same code.
"""

import os

import pytest

from hubtune.models import catalog

ALL = "HUBTUNE_TEST_ALL_NETWORKS"
_OF_EACH_FAMILY = 2  # the smallest ones
_SMALL = 6e6  # parameters of those that are always walked

_CHOSEN = {
    record.name
    for family in catalog._FAMILIES
    for record in [
        *sorted(family, key=lambda record: record.parameters)[:_OF_EACH_FAMILY],
        *(record for record in family if record.parameters <= _SMALL),
    ]
}


def marks_of(name, quick):
    """Return the marks of a test of a network; ``quick`` ones belong to the default tests."""
    if quick:
        return []
    if name in _CHOSEN or os.environ.get(ALL):
        return [pytest.mark.slow]
    return [pytest.mark.slow, pytest.mark.skip(reason=f"{ALL} is not set: a few networks of each family do")]


def walk(names, quick=()):
    """Return names of networks as parameters of a test."""
    return [pytest.param(name, id=name, marks=marks_of(name, name in quick)) for name in names]
