"""What the tests of the server share: a small model, and a server with it."""

import pytest
from support.serving import serving, small_run  # noqa: F401  # a fixture


@pytest.fixture(scope="module")
def served(small_run):  # noqa: F811
    """A running server without a token; its model has the name ``abc``."""
    with serving({"abc": small_run}) as server:
        yield server
