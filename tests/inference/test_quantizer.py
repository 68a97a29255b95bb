"""Images that choose the steps of int8, and networks that cannot be quantised."""

import numpy as np
import pytest

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError
from hubtune.inference.openvino_quantizer import OpenVINOQuantizer
from hubtune.inference.quantizer import CalibrationImages, quantize_network
from hubtune.models.catalog import find
from hubtune.models.classifier import Classifier


def test_images_are_normalised_each_time_they_are_iterated():
    view = Preprocessing(size=8, resize=8)
    pixels = [np.full((8, 8, 3), value, np.uint8) for value in (0, 255)]
    images = CalibrationImages(pixels, view)
    assert len(images) == 2
    for _ in range(2):
        arrays = [*images]
        assert [array.shape for array in arrays] == [(1, 3, 8, 8)] * 2
        np.testing.assert_array_equal(arrays[1][0], view.normalise(pixels[1]))


def test_iteration_ends_where_a_stop_was_requested():
    class Stopped(BaseException):
        pass

    def check():
        raise Stopped

    view = Preprocessing(size=8, resize=8)
    with pytest.raises(Stopped):
        next(iter(CalibrationImages([np.zeros((8, 8, 3), np.uint8)], view, check)))


def test_a_network_that_cannot_be_quantised_is_named_with_what_to_do(tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("no such operator")

    quantizer, view = OpenVINOQuantizer(), Preprocessing(size=32, resize=32)
    monkeypatch.setattr(OpenVINOQuantizer, "quantize", fail)
    images = CalibrationImages([np.zeros((32, 32, 3), np.uint8)], view)
    classifier = Classifier(find("smallnet").backbone, 2)
    message = r"The network smallnet cannot be quantised \(RuntimeError: no such operator\): do without"
    with pytest.raises(ModelError, match=message):
        quantize_network(classifier, images, quantizer, tmp_path, name="smallnet", otherwise="do without")
