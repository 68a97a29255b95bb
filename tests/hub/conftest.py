"""A module folder of one's own."""

import pytest

from hubtune.hub.new_module import write_skeleton


@pytest.fixture
def mine(tmp_path):
    write_skeleton(tmp_path / "mine")
    return tmp_path / "mine"
