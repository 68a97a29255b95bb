"""Quantised networks for tests: small, and of images that are drawn."""

import numpy as np

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.export.network import ExportNetwork
from hubtune.export.network_parts import NetworkParts
from hubtune.inference.quantizer import CalibrationImages


def drawn_pixels(view: Preprocessing, count=8):
    """Return arranged images, uint8 ``[height, width, channels]`` each, from dark to bright."""
    random, shape = np.random.default_rng(0), (view.size, view.size, view.channels)
    ends = np.linspace(30, 255, count)
    return [random.integers(0, int(end) + 1, shape, np.uint8) for end in ends]


def write_parts(model, quantizer, folder):
    """Write the parts of a model, quantise the backbone, and return files by name, and the images."""
    parts, view = NetworkParts(model), ExportNetwork(model).view
    images = CalibrationImages(drawn_pixels(view), view)
    files = {
        name: folder / f"{name}{quantizer.suffix}"
        for name in ("views", "float32", "int8", "answers", "features", "single_view")
    }
    quantizer.write(parts.views, files["views"])
    quantizer.write(parts.single_view, files["single_view"])
    quantizer.write(parts.backbone, files["float32"])
    quantizer.write(parts.answers_of(model), files["answers"])
    quantizer.write(parts.features_of(model.classifier), files["features"])
    quantizer.quantize(files["float32"], files["int8"], images)
    return files, images
