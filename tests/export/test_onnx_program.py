"""Every network becomes an ONNX model that gives the same answers, whatever its inputs and outputs."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F
from paddle.static import InputSpec
from support.backbones import HEAVY, with_small_residuals
from support.network_walks import walk
from support.onnx_models import Computation, check_computation, largest_difference, run_model

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError
from hubtune.export.onnx_program import onnx_program
from hubtune.hub.module_code import load_backbone
from hubtune.inference.program import Subnetwork
from hubtune.models.catalog import BACKBONES
from hubtune.models.classifier import Classifier

# Relative to the largest logit.
TOLERANCE = 1e-5
# Second-order features are normalised twice, which makes rounding errors larger.
SECOND_ORDER_TOLERANCE = 3e-5
QUICK = ("mobilenet_v2_x0_25_imagenet", "resnet_cifar10_20", "shufflenet_v2_x0_25_imagenet", "smallnet")
# The smallest networks that have all the operators and forms of their families.
FAMILIES = [
    *("alexnet_imagenet", "googlenet_imagenet", "inceptionv4_imagenet", "xception41_imagenet"),
    *("resnet18_vd_imagenet", "resnet50_vc_imagenet", "se_resnet18_vd_imagenet", "resnext50_32x4d_imagenet"),
    *("mobilenet_v1_x0_25_imagenet", "shufflenet_v2_swish_imagenet", "mobilenet_v3_small_x0_35_imagenet"),
    *("mobilenet_v3_large_x0_35_imagenet", "pplcnet_x0_25_imagenet", "pphgnetv2_b0_imagenet"),
    *("pphgnetv2_b4_imagenet", "convnext_tiny_imagenet", "swin_tiny_patch4_window7_224_imagenet"),
    *("darknet53_imagenet", "densenet121_imagenet", "dpn68_imagenet", "efficientnetb1_imagenet"),
    *("esnet_x0_25_imagenet", "ghostnet_x0_5_imagenet", "hrnet18_imagenet", "res2net50_vd_26w_4s_imagenet"),
    *("efficientnetv2_s_imagenet", "levit_128s_imagenet", "pphgnet_tiny_imagenet", "repvgg_a0_imagenet"),
    *("resnext101_32x8d_wsl", "rexnet_1_0_imagenet", "vit_small_patch16_224_imagenet", "dinov2_vits14"),
    *("dinov2_vits14_reg", "nasnet_imagenet", "pnasnet_imagenet", "vgg_bn_drop", "vgg11_imagenet"),
    *("paddle.vision:resnet18", "paddle.vision:mobilenet_v1", "paddle.vision:mobilenet_v2"),
    *("paddle.vision:mobilenet_v3_small", "paddle.vision:inception_v3"),
    *("paddle.vision:squeezenet1_0", "paddle.vision:shufflenet_v2_x0_25"),
]


def _marked(names):
    return [pytest.param(each, marks=[] if each in QUICK else [pytest.mark.slow]) for each in names]


def _images(count, height, width):
    return np.random.default_rng(0).standard_normal((count, 3, height, width)).astype(np.float32)


def _convert(network, height, width):
    part = Subnetwork(network, network)
    return part, onnx_program(part, [InputSpec([None, 3, height, width], "float32", "images")], ["logits"])


# With those of FAMILIES, which the next test converts, these are all that an ONNX file can hold.
@pytest.mark.parametrize("name", walk(name for name in BACKBONES if name not in {*QUICK, *FAMILIES, *HEAVY}))
def test_every_other_backbone_answers_as_in_paddle(name):
    record = BACKBONES[name]
    size = record.input_size
    part, model = _convert(with_small_residuals(record.build(num_classes=10), name), size, size)
    assert largest_difference(part, model, _images(1, size, size)) <= TOLERANCE


@pytest.mark.parametrize("name", _marked([*QUICK, *FAMILIES]))
def test_a_family_takes_any_number_of_images_and_of_any_size_where_paddle_does(name):
    record = BACKBONES[name]
    size = record.input_size
    # Paddle traces paddle.vision's ShuffleNet and Swin's windows for a known size only.
    varying = record.size_multiple == 1 and not name.startswith(("swin", "paddle.vision:shufflenet"))
    network = with_small_residuals(record.build(num_classes=10), name)
    part, model = _convert(network, *([None, None] if varying else [size, size]))
    shapes = [(1, size, size + 24), (2, size - 7, size)] if varying else [(2, size, size)]
    for images in (_images(*shape) for shape in shapes):
        assert largest_difference(part, model, images) <= TOLERANCE


@pytest.mark.parametrize("name", _marked(name for name in [*QUICK, *FAMILIES] if BACKBONES[name].taps))
def test_second_order_features_answer_as_in_paddle(name):
    record = BACKBONES[name]
    size = record.input_size
    network = with_small_residuals(Classifier(record, 7), name)
    network.take_second_order(network.find_taps(record.taps, size))
    part, model = _convert(network, size, size)
    assert largest_difference(part, model, _images(2, size, size)) <= SECOND_ORDER_TOLERANCE


class _Export(nn.Layer):
    """Two views and a reference in one network: several inputs and outputs of several kinds."""

    def __init__(self, backbone, reference):
        super().__init__()
        self.backbone = backbone
        self.register_buffer("reference", paddle.to_tensor(reference), persistable=False)

    @paddle.jit.not_to_static
    def forward(self, images, mean):
        values = images.transpose([0, 3, 1, 2]).astype("float32") * (1 / 255) - mean.reshape([1, 3, 1, 1])
        views = paddle.concat([values, values.flip([3])])
        logits = self.backbone(views).reshape([2, -1, 7]).mean(0)
        similarities = paddle.matmul(F.normalize(logits), self.reference, transpose_y=True)
        nearest = similarities.argmax(axis=1)
        return F.softmax(logits), similarities.max(axis=1), nearest, paddle.gather(self.reference, nearest)


@paddle.no_grad()
def test_a_network_has_several_inputs_and_outputs_of_several_kinds():
    paddle.seed(0)
    random = np.random.default_rng(0)
    record = BACKBONES["smallnet"]
    network = _Export(record.build(num_classes=7), random.standard_normal((5, 7)).astype(np.float32))
    specs = [InputSpec([None, None, None, 3], "uint8", "pixels"), InputSpec([3], "float32", "mean")]
    names = ["probabilities", "similarity", "nearest", "row"]
    model = onnx_program(network, specs, names)
    assert [each.name for each in model.graph.input] == ["pixels", "mean"]
    assert [each.name for each in model.graph.output] == names
    assert [side.dim_param or side.dim_value for side in model.graph.input[0].type.tensor_type.shape.dim] == [
        *("pixels_0", "pixels_1", "pixels_2"),
        3,
    ]
    for shape in ((1, 32, 32, 3), (3, 40, 36, 3)):
        pixels, mean = random.integers(0, 256, shape, np.uint8), np.array([0.4, 0.5, 0.6], np.float32)
        expected = network(paddle.to_tensor(pixels), paddle.to_tensor(mean))
        for given, answer in zip(run_model(model, {"pixels": pixels, "mean": mean}), expected, strict=True):
            assert given.dtype == answer.numpy().dtype
            np.testing.assert_allclose(given, answer.numpy(), rtol=1e-5, atol=1e-6)


def test_pixels_are_normalised_in_the_model_as_in_the_network():
    view = Preprocessing(mean=(0.1, 0.45, 0.4), std=(0.3, 0.224, 2.5))
    part = Subnetwork(nn.Identity(), lambda images: images, view)
    model = onnx_program(part, [InputSpec([None, None, None, 3], "uint8", "images")], ["values"])
    images = np.random.default_rng(0).integers(0, 256, (2, 40, 30, 3), np.uint8)
    assert largest_difference(part, model, images) == 0


def _bytes(seed):
    paddle.seed(seed)
    network = BACKBONES["smallnet"].build(num_classes=3)
    for tensor in network.state_dict().values():
        tensor.set_value(np.random.default_rng(seed).standard_normal(tensor.shape).astype(np.float32))
    return _convert(network, None, None)[1].SerializeToString()


def test_the_bytes_depend_only_on_the_network_and_the_file_is_one_that_older_programs_read():
    assert _bytes(1) == _bytes(1) != _bytes(2)
    model = onnx.load_from_string(_bytes(1))
    assert (model.ir_version, [entry.version for entry in model.opset_import]) == (8, [18])
    assert model.producer_name == "hubtune"


def test_a_weight_is_written_once_under_its_own_name_and_unused_ones_are_not():
    layer, unused = nn.Linear(8, 8), nn.Linear(8, 8)
    model = check_computation(lambda network, images: layer(layer(images)), [layer, unused])
    matrices = [each for each in model.graph.initializer if list(each.dims) == [8, 8]]
    assert [each.name for each in matrices] == ["layers.0.weight"]


def test_an_output_may_be_a_weight_or_a_constant_but_not_an_input():
    check_computation(lambda network, images: (images * 2, paddle.ones([2]), network.table), table=[1.0])
    with pytest.raises(ModelError, match="as it has an input among its outputs"):
        check_computation(lambda network, images: (images * 2, images))


def test_a_module_of_a_user_becomes_a_model():
    folder = files("hubtune.hub") / "modules" / "mynet"
    record, *_ = load_backbone(Path(str(folder)), trust_code=True)
    part, model = _convert(record.build(num_classes=10), None, None)
    assert largest_difference(part, model, _images(2, 64, 72)) <= TOLERANCE


def test_an_unknown_operator_is_refused_with_its_name_and_another_format():
    with pytest.raises(ModelError) as refusal:
        check_computation(lambda network, images: paddle.cumsum(images, 1))
    assert str(refusal.value) == (
        "This network cannot be exported to ONNX, as it has an operator 'cumsum': "
        "use another format, openvino or paddlehub"
    )


def test_the_number_of_names_is_that_of_the_outputs():
    with pytest.raises(ValueError, match="the network has 1 outputs, not 2"):
        onnx_program(
            Computation(lambda network, images: images * 2), [InputSpec([2], "float32", "images")], ["a", "b"]
        )
