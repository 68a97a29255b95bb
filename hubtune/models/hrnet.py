"""HRNet: maps of up to four resolutions side by side, which exchange what they have.

Wang et al., "Deep High-Resolution Representation Learning for Visual Recognition"
(https://arxiv.org/abs/1908.07919), with the key names of PaddleClas's ``legendary_models/hrnet.py``. The
networks' names have the channels of the finest maps. Images' sides are multiples of 32, since coarse maps are
enlarged by whole factors.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice, product

import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, PublishedWeights, Stage, Tensors, paddleclas, stages_of
from hubtune.models.layers import OLDER_NAMES, conv_bn, pooled
from hubtune.models.mobilenet_v3 import distilled
from hubtune.models.senet import SqueezeExcitation

_WIDTH = 2048
# Channels of the convolutions behind the last exchange, from fine to coarse.
_LAST_CHANNELS = (32, 64, 128, 256)

Maps = list[paddle.Tensor]
"""Maps ``[N, channels, h, w]`` from fine to coarse, each with half the sides of the one before."""


class ResidualBlock(nn.Layer):
    """Layers ``conv1``, ``conv2``, … whose weighted output is added to a shortcut, followed by a ReLU."""

    def __init__(self, layers: Iterable[nn.Layer], short: nn.Layer | None, gate: nn.Layer | None) -> None:
        super().__init__()
        self._names = []
        for number, layer in enumerate(layers, 1):
            self.add_sublayer(f"conv{number}", layer)
            self._names.append(f"conv{number}")
        self.conv_down, self.se = short, gate

    def forward(self, inputs: paddle.Tensor) -> paddle.Tensor:
        outputs = inputs
        for name in self._names:
            outputs = getattr(self, name)(outputs)
        if self.se is not None:
            outputs = self.se(outputs)
        return F.relu((inputs if self.conv_down is None else self.conv_down(inputs)) + outputs)


def _gate(channels: int, gates: bool) -> nn.Layer | None:
    return SqueezeExcitation(channels, prefix="fc_") if gates else None


def _basic_block(channels: int, gates: bool) -> ResidualBlock:
    layers = [conv_bn(channels, channels, 3), conv_bn(channels, channels, 3, activation=None)]
    return ResidualBlock(layers, None, _gate(channels, gates))


def _bottleneck(inputs: int, width: int, gates: bool, *, projects: bool = True) -> ResidualBlock:
    last = partial(conv_bn, kernel=1, activation=None)
    layers = [conv_bn(inputs, width, 1), conv_bn(width, width, 3), last(width, 4 * width)]
    return ResidualBlock(layers, last(inputs, 4 * width) if projects else None, _gate(4 * width, gates))


class Exchange(nn.Layer):
    """Add to the map of each resolution those of all others, convolved to its channels and resized."""

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.residual_func_list = nn.LayerList()
        for target, outputs in enumerate(channels):
            for source, inputs in enumerate(channels):
                if source > target:
                    self.residual_func_list.append(conv_bn(inputs, outputs, 1, activation=None))
                elif source < target:
                    halvings = [conv_bn(inputs, inputs, 3, 2) for _ in range(target - source - 1)]
                    last = conv_bn(inputs, outputs, 3, 2, activation=None)
                    self.residual_func_list.extend([*halvings, last])

    def forward(self, maps: Maps) -> Maps:
        layers = iter(self.residual_func_list)
        outputs = []
        for target, total in enumerate(maps):
            for source, other in enumerate(maps):
                if source == target:
                    continue
                for _ in range(max(1, target - source)):
                    other = next(layers)(other)
                if source > target:
                    other = F.interpolate(other, scale_factor=2 ** (source - target), mode="nearest")
                total = total + other
            outputs.append(F.relu(total))
        return outputs


class MultiResolutionBlock(nn.Layer):
    """Four residual blocks on the map of each resolution, and an exchange."""

    def __init__(self, channels: Sequence[int], gates: bool) -> None:
        super().__init__()
        self.basic_block_list = nn.LayerList(
            nn.Sequential(*(_basic_block(each, gates) for _ in range(4))) for each in channels
        )
        self.fuse_func = Exchange(channels)

    def forward(self, maps: Maps) -> Maps:
        return self.fuse_func(_each(self.basic_block_list, maps))


def _each(layers: Iterable[nn.Layer], maps: Maps) -> Maps:
    return [layer(each) for layer, each in zip(layers, maps, strict=True)]


def _blocks(count: int, channels: Sequence[int], gates: bool) -> nn.Sequential:
    blocks = nn.Sequential(*(MultiResolutionBlock(channels, gates) for _ in range(count)))
    return nn.Sequential(("stage_func_list", blocks))


def packed(maps: Maps) -> paddle.Tensor:
    """Return all maps as one ``[N, channels, h, w]`` of the coarsest's sides.

    A map with ``step`` times the sides gives ``step²`` parts, its pixels at each place in squares of this
    side.
    """
    return paddle.concat(
        [
            each[:, :, row::step, column::step]
            for each, step in zip(maps, _steps(maps), strict=True)
            for row in range(step)
            for column in range(step)
        ],
        axis=1,
    )


def unpacked(tensor: paddle.Tensor, channels: Sequence[int]) -> Maps:
    """Return the maps that :func:`packed` joined; ``channels`` are theirs."""
    steps = _steps(channels)
    sizes = [each for each, step in zip(channels, steps, strict=True) for _ in range(step**2)]
    parts = iter(paddle.split(tensor, sizes, axis=1))
    maps = []
    for step in steps:
        # OpenVINO knows no `pixel_shuffle`.
        rows = [paddle.stack([*islice(parts, step)], axis=4).flatten(3, 4) for _ in range(step)]
        maps.append(paddle.stack(rows, axis=3).flatten(2, 3))
    return maps


def _steps(maps: Sequence[object]) -> list[int]:
    """Return how many times the coarsest map's sides each map has."""
    return [2**power for power in reversed(range(len(maps)))]


class HRNet(nn.Layer):
    """Images ``[N, 3, h, w]`` → class scores ``[N, num_classes]``.

    ``width`` is the number of channels of the finest maps; each coarser one has twice as many. With
    ``gates``, residual blocks weigh their channels.
    """

    def __init__(self, width: int, gates: bool = False, num_classes: int = 1000) -> None:
        super().__init__()
        self._channels = channels = [width * 2**power for power in range(4)]
        self.conv_layer1_1 = conv_bn(3, 64, 3, 2)
        self.conv_layer1_2 = conv_bn(64, 64, 3, 2)
        more = (_bottleneck(256, 64, gates, projects=False) for _ in range(3))
        self.layer1 = nn.Sequential(_bottleneck(64, 64, gates), *more)
        self.conv_tr1_1 = conv_bn(256, channels[0], 3)
        self.conv_tr1_2 = conv_bn(256, channels[1], 3, 2)
        self.st2 = _blocks(1, channels[:2], gates)
        self.conv_tr2 = conv_bn(channels[1], channels[2], 3, 2)
        self.st3 = _blocks(4, channels[:3], gates)
        self.conv_tr3 = conv_bn(channels[2], channels[3], 3, 2)
        self.st4 = _blocks(3, channels, gates)
        last = zip(channels, _LAST_CHANNELS, strict=True)
        self.last_cls = nn.Sequential(
            ("func_list", nn.LayerList(_bottleneck(inputs, outputs, gates) for inputs, outputs in last))
        )
        self.cls_head_conv_list = nn.LayerList(
            conv_bn(4 * each, 8 * each, 3, 2) for each in _LAST_CHANNELS[:-1]
        )
        self.conv_last = conv_bn(4 * _LAST_CHANNELS[-1], _WIDTH, 1)
        self.fc = nn.Linear(_WIDTH, num_classes)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        for stage in hrnet_stages(self):
            images = stage.forward(images)
        return images

    def two_resolutions(self, features: paddle.Tensor) -> paddle.Tensor:
        """Map ``[N, 256, h, w]`` to packed maps of two resolutions."""
        return packed(self.st2([self.conv_tr1_1(features), self.conv_tr1_2(features)]))

    def three_resolutions(self, tensor: paddle.Tensor) -> paddle.Tensor:
        """Map packed maps of two resolutions to those of three."""
        maps = unpacked(tensor, self._channels[:2])
        return packed(self.st3([*maps, self.conv_tr2(maps[-1])]))

    def joined_resolutions(self, tensor: paddle.Tensor) -> paddle.Tensor:
        """Map packed maps of three resolutions, by way of four, to one map ``[N, 1024, h, w]``."""
        maps = unpacked(tensor, self._channels[:3])
        maps = self.st4([*maps, self.conv_tr3(maps[-1])])
        total, *coarser = _each(self.last_cls.func_list, maps)
        for layer, each in zip(self.cls_head_conv_list, coarser, strict=True):
            total = each + layer(total)
        return total


def hrnet_stages(network: HRNet) -> list[Stage]:
    stem, first, second, third, fourth, head = stages_of(
        [network.conv_layer1_1, network.conv_layer1_2],
        [network.layer1],
        [network.two_resolutions],
        [network.three_resolutions],
        [network.joined_resolutions, network.conv_last],
        head=[pooled, network.fc],
    )
    joining = (network.conv_tr3, network.st4, network.last_cls, network.cls_head_conv_list)
    return [
        stem,
        first,
        replace(second, layers=(network.conv_tr1_1, network.conv_tr1_2, network.st2)),
        replace(third, layers=(network.conv_tr2, network.st3)),
        replace(fourth, layers=(*joining, *fourth.layers)),
        head,
    ]


def _older_layers() -> dict[str, str]:
    """Return the names of layers in older files → the network's."""
    unchanged = ("conv_layer1_1", "conv_layer1_2", "conv_last")
    layers = {"out": "fc", **dict(zip(unchanged, unchanged, strict=True))}
    layers |= {f"tr1.transition_tr1_layer_{number}": f"conv_tr1_{number}" for number in (1, 2)}
    layers |= {
        f"tr{number}.transition_tr{number}_layer_{number + 1}": f"conv_tr{number}" for number in (2, 3)
    }
    layers |= {f"la1.bb_layer2_{number + 1}": f"layer1.{number}" for number in range(4)}
    layers |= {
        f"last_cls.conv_cls_head_conv_{number + 1}": f"last_cls.func_list.{number}" for number in range(4)
    }
    layers |= {f"cls_head_add{number + 1}": f"cls_head_conv_list.{number}" for number in range(3)}
    for resolutions, count in ((2, 1), (3, 4), (4, 3)):
        for number in range(count):
            name = f"st{resolutions}_{number + 1}"
            older, own = f"st{resolutions}.stage_{name}", f"st{resolutions}.stage_func_list.{number}"
            for branch, block in product(range(resolutions), range(4)):
                layer = f"{older}.branches_func.bb_{name}_branch_layer_{branch + 1}_{block + 1}"
                layers[layer] = f"{own}.basic_block_list.{branch}.{block}"
            for index, path in enumerate(_older_paths(resolutions)):
                layer = f"{older}.fuse_func.residual_{name}_layer_{path}"
                layers[layer] = f"{own}.fuse_func.residual_func_list.{index}"
    return layers


def _older_paths(resolutions: int) -> list[str]:
    """Return the ends of the names of an exchange's layers, in order: target, source, number of the step."""
    numbers = range(1, resolutions + 1)
    return [
        f"{target}_{source}" if source > target else f"{target}_{source}_{step}"
        for target, source in product(numbers, numbers)
        for step in range(1, max(target - source, int(source > target)) + 1)
    ]


def from_older_names(tensors: Tensors) -> Tensors:
    """Give the tensors of a file of PaddleHub 2 the names of :class:`HRNet`; others stay as they are."""
    layers = _older_layers()
    parts = {**OLDER_NAMES, "squeeze": "fc_squeeze", "excitation": "fc_excitation"}
    names = {}
    for key in tensors:
        components = key.split(".")
        for count in range(1, len(components)):
            layer = layers.get(".".join(components[:count]))
            if layer is not None:
                names[key] = ".".join([layer, *(parts.get(part, part) for part in components[count:])])
    return {names.get(key, key): tensor for key, tensor in tensors.items()}


def _backbone(
    name: str,
    width: int,
    parameters: int,
    weights: PublishedWeights,
    *,
    gates: bool = False,
    variants: tuple[PublishedWeights, ...] = (),
    aliases: tuple[str, ...],
) -> Backbone:
    return Backbone(
        name=name,
        build=partial(HRNet, width, gates),
        stages=hrnet_stages,
        taps=("stage3", "stage4.0"),
        width=_WIDTH,
        parameters=parameters,
        size_multiple=32,
        weights=weights,
        variants=variants,
        aliases=aliases,
        translate=from_older_names,
    )


def _plain(
    width: int, parameters: int, top1: float, top5: float, ssld: tuple[float, float] | None = None
) -> Backbone:
    name, class_name = f"hrnet{width}_imagenet", f"HRNet_W{width}_C"
    weights = paddleclas(class_name, top1, top5, legendary=True)
    variants = distilled(name, class_name, ssld)
    return _backbone(name, width, parameters, weights, variants=variants, aliases=(class_name,))


BACKBONES = (
    _plain(18, 21_295_164, 76.92, 93.39, ssld=(81.16, 95.80)),
    _plain(30, 37_708_380, 78.04, 94.02),
    _plain(32, 41_228_840, 78.28, 94.24),
    _plain(40, 57_553_320, 78.77, 94.47),
    _plain(44, 67_061_144, 79.00, 94.51),
    _plain(48, 77_466_024, 78.95, 94.42, ssld=(83.63, 96.82)),
    _plain(64, 128_056_104, 79.30, 94.61),
    # Its distilled weights are the only published ones.
    _backbone(
        "se_hrnet64_imagenet_ssld",
        64,
        128_991_264,
        paddleclas("SE_HRNet_W64_C_ssld", 84.75, 97.26, legendary=True),
        gates=True,
        aliases=("SE_HRNet_W64_C_ssld", "SE_HRNet_W64_C"),
    ),
)
