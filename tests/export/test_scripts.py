"""The scripts of an export arrange images as hubtune does, and stay short."""

import json
from pathlib import Path

import numpy as np
import pytest
from support.exports import import_script
from support.paddlehub import draw_odd_images, exportable_model

from hubtune.data.images.decode import ImageError
from hubtune.data.images.preprocessing import Preprocessing, preprocess_views
from hubtune.export.drawn_images import draw_images
from hubtune.export.network import ExportNetwork
from hubtune.export.onnx import _RUNTIME
from hubtune.export.scripts import write_scripts
from hubtune.inference.model import Model

VIEWS = [
    Preprocessing(fit=fit, size=64, resize=72, channels=channels, antialias=antialias)
    for fit in ("crop", "whole", "pad", "stretch", "stretch_crop")
    for channels, antialias in ((3, True), (1, True), (4, True), (3, False))
]
OTHERS = [
    Preprocessing(fit="crop", size=64, resize=64, interpolation="bicubic"),
    Preprocessing(fit="whole", size=64, resize=104, interpolation="lanczos"),
    Preprocessing(fit="stretch", size=50, resize=50, channels=1, bits=12),
]


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    return [*draw_images(folder), *map(Path, draw_odd_images(tmp_path_factory.mktemp("odd")))]


def _write(folder, view):
    """Write the scripts for a view, whatever channels the network of the test takes."""
    model = exportable_model()
    network = ExportNetwork(model)
    network.view = view
    write_scripts(folder, Model(model.classifier, model.card), network, _RUNTIME, "onnx")


def _pixels(path, view):
    try:
        return preprocess_views(path, [view])[0]
    except ImageError:
        return None


def _arranged(arrange, path):
    try:
        return arrange(path)
    except Exception:  # noqa: BLE001  # as Pillow fails in many ways
        return None


@pytest.mark.parametrize(
    "view", [*VIEWS, *OTHERS], ids=lambda view: f"{view.description} {view.interpolation}"
)
def test_images_are_arranged_to_the_last_bit(view, images, tmp_path):
    _write(tmp_path, view)
    arrange = import_script(tmp_path, "arrange")["arrange"]
    for path in images:
        expected, pixels = _pixels(path, view), _arranged(arrange, path)
        assert (pixels is None) == (expected is None), path.name
        if expected is not None:
            assert pixels.dtype == np.uint8
            assert np.array_equal(pixels, expected), path.name


@pytest.mark.parametrize("fit", ["crop", "whole"])
def test_real_and_awkward_files_are_arranged_alike_or_refused(fit, material, tmp_path):
    view = Preprocessing(fit=fit, size=224, resize=256)
    _write(tmp_path, view)
    arrange = import_script(tmp_path, "arrange")["arrange"]
    files = [path for path in sorted((material / "awkward").rglob("*")) if path.suffix not in (".tsv", ".md")]
    files += sorted((material / "trashnet").rglob("*.jpg"))[::20]
    read = 0
    for path in files:
        if not path.is_file() or path.stat().st_size > 10_000_000 or "bomb" in path.name:
            continue
        expected, pixels = _pixels(path, view), _arranged(arrange, path)
        if expected is not None and pixels is not None:
            assert np.array_equal(pixels, expected), path.name
            read += 1
    assert read > 50


def test_the_settings_say_how_long_the_sides_of_a_whole_image_are(tmp_path):
    for view in (Preprocessing(fit="whole", size=64, resize=288), Preprocessing(size=64, resize=72)):
        _write(tmp_path, view)
        settings = json.loads((tmp_path / "preprocessing.json").read_text())
        expected = (8, 72) if view.fit == "whole" else (None, None)
        assert (settings.get("sides_multiple_of"), settings.get("least_side")) == expected


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.description)
def test_the_scripts_are_short(view, tmp_path):
    _write(tmp_path, view)
    predict, arrange = ((tmp_path / name).read_text() for name in ("predict.py", "arrange.py"))
    assert predict.count("\n") <= 60
    assert arrange.count("\n") <= 80
    assert all(len(line) <= 110 for line in (predict + arrange).splitlines())
    assert predict.endswith("\n") and not predict.endswith("\n\n")
