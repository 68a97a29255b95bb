"""What the tests of scans share."""

import pytest


@pytest.fixture
def pics(tmp_path, draw_photos):
    """A folder with three small images of cats and two of dogs."""
    return draw_photos(tmp_path / "pics", {"cat": 3, "dog": 2}, size=8)
