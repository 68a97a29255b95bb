"""Data of searches, and training that is scripted."""

import pytest
from support.searches import draw_search_data, script_training


@pytest.fixture
def data(tmp_path):
    return draw_search_data(tmp_path / "data")


@pytest.fixture
def scripted(monkeypatch):
    return script_training(monkeypatch)
