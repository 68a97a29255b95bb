"""Folders of empty files: no source opens an image of a usual name."""

import pytest


def _touch(root, names):
    """Make empty files below a folder."""
    for name in names.split():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


@pytest.fixture
def touch():
    return _touch


@pytest.fixture
def pics(tmp_path):
    return _touch(tmp_path / "pics", "cat/1.jpg cat/2.jpg dog/sub/1.jpg")


@pytest.fixture
def divided(tmp_path):
    return _touch(tmp_path / "parts", "train/cat/1.jpg train/dog/1.jpg val/cat/2.jpg test/dog/3.jpg")
