"""An ONNX model resizes images of any shape as the preprocessing does."""

import numpy as np
import onnx
import paddle
import pytest
from onnx import helper
from paddle.static import InputSpec
from PIL import Image
from support.onnx_models import run_model

from hubtune.data.images.preprocessing import Preprocessing, array_to_image, image_to_array
from hubtune.errors import UsageError
from hubtune.export.onnx_program import onnx_program
from hubtune.export.onnx_resize import with_resize
from hubtune.inference.program import Subnetwork
from hubtune.models.catalog import BACKBONES

# Height and width: photos, small images and long ones.
SHAPES = [
    *((320, 320), (240, 320), (320, 240), (333, 500), (500, 333), (600, 800), (100, 400), (400, 100)),
    *((224, 224), (256, 300), (64, 48), (5, 7), (1, 1), (2, 130), (100, 1500), (1500, 90)),
]
FITS = ["crop", "whole", "pad", "stretch", "stretch_crop"]


def _draw(height, width, channels=3):
    """Waves with noise, and a bright square with sharp edges."""
    random = np.random.default_rng(height + width)
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(columns / (7 + 3 * k) + k) * np.cos(rows / (5 + 2 * k)) for k in range(channels)]
    pixels = 127 + 90 * np.stack(waves, -1) + random.normal(0, 25, (height, width, channels))
    pixels[height // 4 : height // 2, width // 4 : width // 2] = 250
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _unchanged(channels=3, name="images"):
    """A model whose output is its input."""
    sides = ["N", "height", "width", channels]
    infos = [helper.make_tensor_value_info(each, onnx.TensorProto.UINT8, sides) for each in (name, "output")]
    graph = helper.make_graph(
        [helper.make_node("Identity", [name], ["output"])], "graph", infos[:1], infos[1:]
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def _differences(view, shapes):
    model = with_resize(_unchanged(view.channels), view, "images")
    for shape in shapes:
        pixels = _draw(*shape, view.channels)
        expected = image_to_array(view.fit_image(array_to_image(pixels)))
        [given] = run_model(model, {"pixels": pixels[None]})
        assert given.shape == (1, *expected.shape), shape
        yield shape, np.abs(given[0].astype(int) - expected)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("fit", FITS)
def test_few_pixels_differ_by_a_level_or_two(fit, interpolation):
    view = Preprocessing(fit=fit, interpolation=interpolation, resize=288 if fit == "whole" else 256)
    for shape, difference in _differences(view, SHAPES):
        assert difference.max() <= 2, shape
        assert (difference > 0).mean() <= 0.08, shape
        assert (difference > 1).mean() <= 0.001, shape


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("fit", FITS)
def test_images_have_one_channel_or_opacity_and_may_be_mirrored(fit, channels):
    view = Preprocessing(fit=fit, channels=channels, mirror=True, size=64, resize=80)
    for shape, difference in _differences(view, [(100, 150), (130, 90), (5, 7)]):
        assert difference.max() <= 2, shape
        assert (difference > 0).mean() <= 0.08, shape


def test_sides_are_rounded_as_in_python():
    # 2.5 and 3.5 are rounded to even numbers; 0.4 becomes 1.
    view = Preprocessing(fit="pad", size=10)
    assert [view.target_sides(width, 40) for width in (10, 14, 1)] == [(2, 10), (4, 10), (1, 10)]
    for shape, difference in _differences(view, [(40, 10), (40, 14), (40, 1), (10, 40)]):
        assert difference.max() <= 2, shape


def test_a_crop_of_a_very_long_image_needs_little_memory_and_is_nearly_in_place():
    view = Preprocessing()
    # Whole, the first two would have 3.9 and 1.3 GB after resizing.
    for shape, difference in _differences(view, [(1, 20_000), (20_000, 3), (37, 3000), (3000, 40)]):
        assert difference.max() <= 6, shape
        assert difference.mean() <= 0.8, shape


@paddle.no_grad()
@pytest.mark.parametrize("fit", ["crop", "whole", "pad"])
def test_logits_are_nearly_those_of_images_that_were_resized_before(fit):
    paddle.seed(0)
    record = BACKBONES["mobilenet_v2_x0_25_imagenet"]
    view = Preprocessing(fit=fit, size=96, resize=112)
    network = record.build(num_classes=10)
    part = Subnetwork(network, network, view)
    sides = (None, None) if fit == "whole" else (96, 96)
    model = onnx_program(part, [InputSpec([None, *sides, 3], "uint8", "images")], ["logits"])
    resizing = with_resize(model, view, "images")
    assert [each.name for each in model.graph.input] == ["images"]
    assert [each.name for each in resizing.graph.input] == ["pixels"]
    for shape in [(300, 400), (400, 300), (200, 200)]:
        pixels = _draw(*shape)
        arranged = image_to_array(view.fit_image(Image.fromarray(pixels)))
        expected = part(paddle.to_tensor(arranged[None])).numpy()
        [given] = run_model(resizing, {"pixels": pixels[None]})
        assert np.abs(given - expected).max() <= 0.02 * np.abs(expected).max()


def test_the_input_of_the_model_may_have_the_name_of_the_new_one():
    model = with_resize(_unchanged(name="pixels"), Preprocessing(fit="stretch", size=8), "pixels")
    [given] = run_model(model, {"pixels": _draw(8, 8)[None]})
    assert np.array_equal(given[0], _draw(8, 8))


@pytest.mark.parametrize(
    ("settings", "part"),
    [({"interpolation": "lanczos"}, "lanczos"), ({"antialias": False}, "antialias: false")],
)
def test_filters_that_onnx_lacks_are_refused(settings, part):
    with pytest.raises(UsageError) as refusal:
        with_resize(_unchanged(), Preprocessing(**settings), "images")
    assert str(refusal.value) == (
        f"ONNX cannot resize images as this model does ({part}): "
        "export it without resizing, and resize the images before the model"
    )


def test_the_number_of_sizes_is_known_without_inference():
    # onnxruntime 1.17 infers less than its successors, and refuses a Resize to an unknown number of sizes.
    for fit in FITS:
        graph = with_resize(_unchanged(), Preprocessing(fit=fit), "images").graph
        constants = {each.name: onnx.numpy_helper.to_array(each).tolist() for each in graph.initializer}
        nodes = {each.output[0]: each for each in graph.node}
        sources = [nodes[each.input[3]] for each in graph.node if each.op_type == "Resize"]
        assert [(each.op_type, constants[each.input[1]]) for each in sources] == [("Reshape", [4])] * 2


def test_an_input_that_the_model_lacks_is_an_error():
    with pytest.raises(ValueError, match="the model has no input other"):
        with_resize(_unchanged(), Preprocessing(), "other")
