"""Convolution, pooling, normalisation, padding and interpolation give Paddle's values in ONNX."""

import numpy as np
import paddle
import pytest
from paddle import nn
from paddle.nn import functional as F
from support.onnx_models import check_computation

from hubtune.errors import ModelError
from hubtune.export.onnx_graph import Graph, Operation, Tensor, TensorType
from hubtune.export.onnx_layers import LAYERS

NETWORKS = [
    nn.Conv2D(3, 4, 3, 2, 1),
    nn.Conv2D(3, 6, (3, 1), padding=[1, 2, 0, 1], groups=3, dilation=2),
    nn.Conv2D(3, 3, 3, groups=3, padding="SAME", stride=2),
    nn.Conv2D(3, 4, 2, padding="VALID", bias_attr=False),
    nn.Conv2DTranspose(3, 4, 3, 2, 1, output_padding=1),
    nn.BatchNorm2D(3),
    nn.BatchNorm2D(3, weight_attr=False, bias_attr=False),
    nn.BatchNorm2D(3, use_global_stats=True),
    nn.GroupNorm(1, 3),
    nn.InstanceNorm2D(3),
    nn.MaxPool2D(3, 2, 1),
    nn.MaxPool2D(2, 2, ceil_mode=True),
    nn.MaxPool2D(3, 2, ceil_mode=True),
    nn.AvgPool2D(3, 2, 1),
    nn.AvgPool2D(3, 2, 1, exclusive=False),
    nn.AvgPool2D(2, 2, ceil_mode=True),
    nn.AvgPool2D(2, 2, padding="SAME"),
    nn.AdaptiveAvgPool2D(1),
    nn.AdaptiveMaxPool2D(1),
    nn.Dropout(0.3),
    nn.Dropout(0.3, mode="downscale_in_infer"),
    nn.Pad2D([1, 2, 3, 0], value=0.5),
    nn.Pad2D([1, 2, 2, 1], mode="reflect"),
    nn.Pad2D([1, 2, 2, 1], mode="replicate"),
    nn.Upsample(scale_factor=2, mode="bilinear"),
    nn.Upsample(size=[7, 9], mode="nearest"),
    nn.Upsample(size=[9, 13], mode="bicubic"),
    nn.Upsample(size=[9, 13], mode="bilinear", align_corners=True),
    nn.Upsample(size=[9, 13], mode="bilinear", align_mode=1),
]


def _varied(layer):
    for tensor in layer.state_dict().values():
        values = np.random.default_rng(tensor.size).uniform(0.5, 1.5, tensor.shape)
        tensor.set_value(values.astype(np.float32))
    return layer


@pytest.mark.parametrize("layer", NETWORKS, ids=str)
@pytest.mark.parametrize("sides", [(6, 8), (7, 11)])
def test_values_are_those_of_paddle(layer, sides):
    check_computation(
        lambda network, images: network.layers[0](images), [_varied(layer)], shape=(2, 3, *sides)
    )


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2D(3, 4, 3, 2, 1, data_format="NHWC"),
        nn.AvgPool2D(2, data_format="NHWC"),
        nn.BatchNorm2D(3, data_format="NHWC"),
        nn.Pad2D([1, 2, 3, 0], data_format="NHWC"),
        nn.LayerNorm(3),
        nn.LayerNorm([8, 3]),
        nn.LayerNorm(3, weight_attr=False, bias_attr=False),
    ],
    ids=str,
)
def test_channels_may_be_the_last_axis(layer):
    check_computation(
        lambda network, images: network.layers[0](images.transpose([0, 2, 3, 1])),
        [_varied(layer)],
        varying=False,
    )


@pytest.mark.parametrize("pool", [F.adaptive_avg_pool2d, F.adaptive_max_pool2d])
@pytest.mark.parametrize("sides", [(3, 4), (6, 8), (1, 2)])
def test_maps_are_pooled_to_parts_of_the_same_size(pool, sides):
    check_computation(lambda network, images: pool(images, sides), varying=False)


def test_maps_are_averaged_in_parts_of_different_sizes():
    check_computation(lambda network, images: F.adaptive_avg_pool2d(images, (4, 5)), varying=False)


@pytest.mark.parametrize(
    ("compute", "part", "varying"),
    [
        (lambda x: F.adaptive_avg_pool2d(x, 2), "a pooling to 2 × 2 of maps of any size", True),
        (lambda x: F.adaptive_max_pool2d(x, 5), "a maximum pooling of 6 × 8 to 5 × 5", False),
        (lambda x: F.pad(x, [1, 1, 1, 1], mode="circular"), "a padding of mode 'circular'", True),
        (lambda x: F.layer_norm(x, x.shape[2:]), "a layer normalisation over sides that vary", True),
        (
            lambda x: F.conv2d_transpose(x, paddle.ones([3, 3, 3, 3]), padding="SAME"),
            "a transposed convolution with padding 'SAME'",
            True,
        ),
        (
            lambda x: F.interpolate(x, paddle.shape(x)[2:] * 2),
            "an interpolation to a size that depends on the image",
            True,
        ),
    ],
)
def test_what_onnx_cannot_say_is_refused(compute, part, varying):
    with pytest.raises(ModelError) as refusal:
        check_computation(lambda network, images: compute(images), varying=varying)
    assert f"as it has {part}: use another format, openvino or paddlehub" in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("dropout", "a dropout in training mode"),
        ("batch_norm_", "a batch normalisation by the batch's own statistics"),
    ],
)
def test_a_program_for_training_is_refused(name, part):
    graph = Graph()
    attributes = [{"N": key, "AT": {"#": "0.a_bool", "D": False}} for key in ("is_test", "use_global_stats")]
    images = Tensor(graph, TensorType("float32", (1, 3, 4, 4)), "images")
    operation = Operation(graph, {"#": f"1.{name}", "A": attributes, "O": []}, [images])
    with pytest.raises(ModelError, match=part):
        LAYERS[name](operation)
