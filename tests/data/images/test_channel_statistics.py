"""Mean and standard deviation: those of all pixels, whatever the order of the images and the threads."""

import numpy as np
import pytest
from PIL import Image
from support.images import draw_tree

from hubtune.data.images import channel_statistics
from hubtune.data.images.channel_statistics import images_to_measure, measure_channels
from hubtune.data.images.preprocessing import Preprocessing

VIEW = Preprocessing(size=32, resize=32)


def measure(paths, view=VIEW, workers=2):
    return measure_channels(paths, view, workers=workers, advance=lambda: None)


@pytest.fixture
def paths(tmp_path):
    return sorted(draw_tree(tmp_path / "pics", {"a": 40, "b": 60}).rglob("*.png"))


def test_the_figures_are_those_of_all_pixels_of_the_network_s_input(paths):
    pixels = np.concatenate([VIEW.fit_image(Image.open(path)) for path in paths]).reshape(-1, 3) / 255
    found = measure(paths)
    assert found.images == 100
    assert found.mean == pytest.approx(pixels.mean(0), abs=1e-6)
    assert found.std == pytest.approx(pixels.std(0), abs=1e-6)
    normalised = found.of(VIEW)(Image.open(paths[0]))
    assert abs(normalised.mean()) < 1 and found.of(VIEW).size == 32


def test_order_threads_and_unreadable_files_change_nothing(paths, tmp_path):
    expected = measure(paths)
    (tmp_path / "bad.png").write_bytes(b"nothing")
    assert measure([*reversed(paths), tmp_path / "bad.png"], workers=5) == expected
    assert measure([tmp_path / "bad.png"]) is None


def test_grey_has_three_equal_channels_and_opacity_does_not_count(paths, tmp_path):
    grey = measure(paths, VIEW.model_copy(update={"channels": 1}))
    assert len({*grey.mean}) == len({*grey.std}) == 1
    for path in paths[:5]:
        image = Image.open(path)
        image.putalpha(9)
        image.save(path)
    opaque = VIEW.model_copy(update={"channels": 4})
    assert measure(paths[5:], opaque) == measure(paths[5:])
    assert len(measure(paths, opaque).mean) == 3


def test_of_a_long_list_every_nth_picture_is_measured(monkeypatch):
    monkeypatch.setattr(channel_statistics, "MOST_IMAGES", 10)
    assert images_to_measure(range(10)) == range(10)
    assert list(images_to_measure(range(25))) == [0, 3, 6, 9, 12, 15, 18, 21, 24]
