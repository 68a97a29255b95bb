"""Headers of all listed pictures: checked in order, in portions, and stopped at once."""

from types import SimpleNamespace

import pytest
from PIL import Image

from hubtune.data.lists import Example
from hubtune.errors import DataError
from hubtune.train import skipped
from hubtune.train.skipped import Skipped


class Stopped(Exception):
    pass


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """Eleven training and three validation pictures, checked in rows of two and portions of five."""
    monkeypatch.setattr(skipped, "_IN_A_ROW", 2)
    paths = [tmp_path / f"{number:02}.png" for number in range(14)]
    for path in paths:
        Image.new("RGB", (4, 4)).save(path)
    for bad in (0, 4, 5, 10, 11):
        paths[bad].write_bytes(b"")
    return {
        "train": [Example(path, 0) for path in paths[:11]],
        "validate": [Example(path, 0) for path in paths[11:]],
    }


def start(listed, **config):
    written = []
    run = SimpleNamespace(read_skipped=list, write_skipped=lambda rows: written.extend(rows))
    config = SimpleNamespace(**{"workers": 2, "bad_pictures": "skip", "max_bad": "50%", **config})
    return Skipped(run, listed, config), written


def test_bad_headers_are_noted_with_their_list(listed):
    pictures, written = start(listed)
    pictures.check_headers(lambda: None)
    assert [(name, path[-6:], reason) for name, path, reason in written] == [
        *(("train", f"{number:02}.png", "empty file (0 bytes)") for number in (0, 4, 5, 10)),
        ("validate", "11.png", "empty file (0 bytes)"),
    ]


def test_the_first_bad_header_is_named_where_the_recipe_says_to_stop(listed):
    pictures, _ = start(listed, bad_pictures="stop")
    with pytest.raises(DataError, match=r"^5 of 14 pictures cannot be read, first .*00\.png: empty file"):
        pictures.check_headers(lambda: None)


def test_checking_stops_within_a_few_rows(listed, monkeypatch):
    looked = []
    monkeypatch.setattr(skipped, "check_header", looked.append)
    pictures, _ = start(listed)

    def stop():
        raise Stopped

    with pytest.raises(Stopped):
        pictures.check_headers(stop)
    assert len(looked) <= 6  # of three rows, which are loaded ahead
