"""The classifiers of ``paddle.vision.models``, with Paddle's own layers, key names and weights files.

Everything here only says where each network is to be cut; the papers are named in Paddle's documentation.
LeNet is left out: it takes grey pictures and has no weights file.
"""

from collections.abc import Callable
from importlib import import_module

from paddle import nn
from paddle.nn import functional as F
from paddle.vision import models

from hubtune.models.backbone import Backbone, PublishedWeights, Stage, Step, from_stride_to_stride, stages_of
from hubtune.models.layers import pooled


def _resnet_stages(network: models.ResNet) -> list[Stage]:
    stem = [network.conv1, network.bn1, network.relu, network.maxpool]
    layers = (network.layer1, network.layer2, network.layer3, network.layer4)
    return stages_of(stem, *layers, head=[pooled, network.fc])


def _vgg_stages(network: models.VGG) -> list[Stage]:
    convolutions: list[list[Step]] = [[]]
    for layer in network.features:
        convolutions[-1].append(layer)
        if isinstance(layer, nn.MaxPool2D):
            convolutions.append([])
    stem, *blocks = convolutions[:-1]
    *hidden, drop, out = network.classifier
    return stages_of(stem, *blocks, [network.avgpool, nn.Flatten(), *hidden], head=[drop, out])


def _mobilenet_v1_stages(network: models.MobileNetV1) -> list[Stage]:
    blocks = network.dwsl
    return stages_of(
        [network.conv1], blocks[:2], blocks[2:4], blocks[4:6], blocks[6:], head=[pooled, network.fc]
    )


def _mobilenet_v2_stages(network: models.MobileNetV2) -> list[Stage]:
    stem, *blocks, last = network.features
    *earlier, latest = from_stride_to_stride(blocks, [block.stride for block in blocks])
    return stages_of([stem], *earlier, [*latest, last], head=[pooled, *network.classifier])


def _mobilenet_v3_stages(network: models.MobileNetV3Small | models.MobileNetV3Large) -> list[Stage]:
    blocks = from_stride_to_stride(network.blocks, [block.stride for block in network.config])
    *hidden, drop, out = network.classifier
    return stages_of([network.conv], *blocks, [network.lastconv, pooled, *hidden], head=[drop, out])


def _inception_v3_stages(network: models.InceptionV3) -> list[Stage]:
    blocks = [*network.inception_block_list]
    head = [pooled, network.dropout, network.fc]
    return stages_of([network.inception_stem], blocks[:3], blocks[3:8], blocks[8:], head=head)


def _squeezenet_stages(network: models.SqueezeNet) -> list[Stage]:
    pool = network._pool.forward  # used three times, so that no stage can own the layer
    fires = [getattr(network, f"_conv{number}") for number in range(1, 9)]
    first, second = (3, 7) if network.version == "1.0" else (2, 4)
    return stages_of(
        [network._conv, F.relu, pool],
        [*fires[:first], pool],
        [*fires[first:second], pool],
        fires[second:],
        head=[network._drop, network._conv9, F.relu, pooled],
    )


def _shufflenet_stages(network: models.ShuffleNetV2) -> list[Stage]:
    blocks = network._block_list
    stem, last = [network._conv1, network._max_pool], [*blocks[12:], network._last_conv]
    return stages_of(stem, blocks[:4], blocks[4:12], last, head=[pooled, network._fc])


_TAPS: dict[Callable[..., list[Stage]], tuple[str, ...]] = {
    _resnet_stages: ("stage3", "stage4.-1"),
    _vgg_stages: ("stage4",),
    _mobilenet_v1_stages: ("stage4.4", "stage4.-1"),
    _mobilenet_v2_stages: ("stage4", "stage5.2"),
    _inception_v3_stages: ("stage2", "stage3.-1"),
    _squeezenet_stages: ("stage2", "stage3.-1"),
    _shufflenet_stages: ("stage2", "stage3.-2"),
}


def _backbone(
    function: Callable[..., nn.Layer],
    stages: Callable[..., list[Stage]],
    width: int,
    parameters: int,
    *,
    published: str | None = None,
    input_size: int = 224,
    resize: int = 256,
    taps: tuple[str, ...] = (),
) -> Backbone:
    """Return the record of a function of ``paddle.vision.models``.

    ``published`` is its name in Paddle's table of weights files where it is not the function's own.
    """
    files = import_module(function.__module__).model_urls
    url, md5 = files.get(published or function.__name__, (None, None))
    return Backbone(
        name=f"paddle.vision:{function.__name__}",
        build=function,
        stages=stages,
        taps=taps or _TAPS[stages],
        width=width,
        parameters=parameters,
        input_size=input_size,
        resize=resize,
        weights=PublishedWeights(url, md5=md5) if url else None,
    )


BACKBONES = (
    _backbone(models.resnet18, _resnet_stages, 512, 11_689_512),
    _backbone(models.resnet34, _resnet_stages, 512, 21_797_672),
    _backbone(models.resnet50, _resnet_stages, 2048, 25_557_032),
    _backbone(models.resnet101, _resnet_stages, 2048, 44_549_160),
    _backbone(models.resnet152, _resnet_stages, 2048, 60_192_808),
    _backbone(models.resnext50_32x4d, _resnet_stages, 2048, 25_028_904),
    _backbone(models.resnext50_64x4d, _resnet_stages, 2048, 45_192_488),
    _backbone(models.resnext101_32x4d, _resnet_stages, 2048, 44_177_704),
    _backbone(models.resnext101_64x4d, _resnet_stages, 2048, 83_455_272),
    _backbone(models.resnext152_32x4d, _resnet_stages, 2048, 59_951_400),
    _backbone(models.resnext152_64x4d, _resnet_stages, 2048, 114_971_944),
    _backbone(models.wide_resnet50_2, _resnet_stages, 2048, 68_883_240),
    _backbone(models.wide_resnet101_2, _resnet_stages, 2048, 126_886_696),
    _backbone(models.vgg11, _vgg_stages, 4096, 132_863_336),
    _backbone(models.vgg13, _vgg_stages, 4096, 133_047_848),
    _backbone(models.vgg16, _vgg_stages, 4096, 138_357_544),
    _backbone(models.vgg19, _vgg_stages, 4096, 143_667_240),
    _backbone(models.mobilenet_v1, _mobilenet_v1_stages, 1024, 4_231_976, published="mobilenetv1_1.0"),
    _backbone(models.mobilenet_v2, _mobilenet_v2_stages, 1280, 3_504_872, published="mobilenetv2_1.0"),
    _backbone(
        models.mobilenet_v3_small,
        _mobilenet_v3_stages,
        1024,
        2_542_856,
        published="mobilenet_v3_small_x1.0",
        taps=("stage4", "stage5.0"),
    ),
    _backbone(
        models.mobilenet_v3_large,
        _mobilenet_v3_stages,
        1280,
        5_483_032,
        published="mobilenet_v3_large_x1.0",
        taps=("stage5", "stage6.0"),
    ),
    _backbone(models.inception_v3, _inception_v3_stages, 2048, 23_834_568, input_size=299, resize=320),
    _backbone(models.squeezenet1_0, _squeezenet_stages, 512, 1_248_424),
    _backbone(models.squeezenet1_1, _squeezenet_stages, 512, 1_235_496),
    _backbone(models.shufflenet_v2_x0_25, _shufflenet_stages, 512, 603_688),
    _backbone(models.shufflenet_v2_x0_33, _shufflenet_stages, 512, 647_272),
    _backbone(models.shufflenet_v2_x0_5, _shufflenet_stages, 1024, 1_366_792),
    _backbone(models.shufflenet_v2_x1_0, _shufflenet_stages, 1024, 2_278_604),
    _backbone(models.shufflenet_v2_x1_5, _shufflenet_stages, 1024, 3_503_624),
    _backbone(models.shufflenet_v2_x2_0, _shufflenet_stages, 2048, 7_366_536),
    _backbone(models.shufflenet_v2_swish, _shufflenet_stages, 1024, 2_278_604),
)
