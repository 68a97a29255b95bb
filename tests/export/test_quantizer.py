"""Images that choose the steps of int8, and the quantiser of each format that has one."""

import numpy as np
import pytest

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.export.formats import FORMATS
from hubtune.export.quantizer import CalibrationImages, quantizer_for


def test_images_are_normalised_each_time_they_are_iterated():
    view = Preprocessing(size=8, resize=8)
    pixels = [np.full((8, 8, 3), value, np.uint8) for value in (0, 255)]
    images = CalibrationImages(pixels, view)
    assert len(images) == 2
    for _ in range(2):
        arrays = [*images]
        assert [array.shape for array in arrays] == [(1, 3, 8, 8)] * 2
        np.testing.assert_array_equal(arrays[1][0], view.normalise(pixels[1]))


@pytest.mark.parametrize("form", [name for name, row in FORMATS.items() if row.int8_packages])
def test_a_format_with_int8_has_a_quantiser(form):
    quantizer = quantizer_for(form)
    assert quantizer.name.endswith("-int8")
    assert any(name.endswith(quantizer.suffix) for name in FORMATS[form].network_files)
