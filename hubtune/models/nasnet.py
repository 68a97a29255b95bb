"""NASNet and PNASNet: networks of two kinds of cells, whose inner connections were found by search.

Zoph et al., "Learning Transferable Architectures for Scalable Image Recognition"
(https://arxiv.org/abs/1707.07012); Liu et al., "Progressive Neural Architecture Search"
(https://arxiv.org/abs/1712.00559). PaddleHub 1's files of these networks exist only inside its modules: the
weights here are Google's in the form of timm, and layers have timm's names. Padding is TensorFlow's.

Each cell takes the outputs of the last two. Stages end where both have one size: their maps pass joined.
"""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F

from hubtune.models.backbone import Backbone, PublishedWeights, Stage, Tensors, stages_of
from hubtune.models.initial_values import kaiming_convolutions
from hubtune.models.layers import pooled

_STEM = 96
_EPSILON = 1e-3
# PyTorch's names of BatchNorm's statistics.
_STATISTICS = {"running_mean": "_mean", "running_var": "_variance"}


def _norm(channels: int) -> nn.BatchNorm2D:
    return nn.BatchNorm2D(channels, epsilon=_EPSILON)


def _conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2D:
    return nn.Conv2D(inputs, outputs, kernel, stride, "SAME", groups=groups, bias_attr=False)


def _act_conv_norm(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        ("act", nn.ReLU()), ("conv", _conv(inputs, outputs, 1, stride)), ("bn", _norm(outputs))
    )


def _branch(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Return two separable convolutions: ``[N, inputs, h, w]`` → ``[N, outputs, h / stride, w / stride]``."""
    layers: list[tuple[str, nn.Layer]] = []
    for number, (channels, step) in enumerate(((inputs, stride), (outputs, 1)), 1):
        depthwise = ("depthwise_conv2d", _conv(channels, channels, kernel, step, channels))
        separable = nn.Sequential(depthwise, ("pointwise_conv2d", _conv(channels, outputs)))
        layers += [(f"act_{number}", nn.ReLU()), (f"separable_{number}", separable)]
        layers.append((f"bn_sep_{number}", _norm(outputs)))
    return nn.Sequential(*layers)


def _mean(inputs: paddle.Tensor) -> paddle.Tensor:
    return F.avg_pool2d(inputs, 3, 1, 1)


def _strided_mean(inputs: paddle.Tensor) -> paddle.Tensor:
    """Average 3×3 places with a stride of 2; as timm has it, zeros beyond the edge count."""
    # Paddle's own pooling leaves out those that it pads at one end only.
    channels = inputs.shape[1]
    kernel = paddle.full([channels, 1, 3, 3], 1 / 9, inputs.dtype)
    return F.conv2d(inputs, kernel, stride=2, padding="SAME", groups=channels)


def _maximum(inputs: paddle.Tensor, stride: int) -> paddle.Tensor:
    return F.max_pool2d(inputs, 3, stride, "SAME")


def _halving(inputs: int, outputs: int) -> nn.Sequential:
    """Return the layers of :func:`halved`: two 1×1 convolutions and a normalisation."""
    return nn.Sequential(
        ("path_1", nn.Sequential(("conv", _conv(inputs, outputs // 2)))),
        ("path_2", nn.Sequential(("conv", _conv(inputs, outputs // 2)))),
        ("final_path_bn", _norm(outputs)),
    )


def halved(layers: nn.Layer, inputs: paddle.Tensor) -> paddle.Tensor:
    """Map ``[N, inputs, h, w]`` to ``[N, outputs, h / 2, w / 2]``, both rounded up.

    One convolution takes every second place, the other the places after them.
    """
    inputs = F.relu(inputs)
    shifted = F.pad(inputs[:, :, 1:, 1:], [0, 1, 0, 1])
    parts = [layers.path_1(inputs[:, :, ::2, ::2]), layers.path_2(shifted[:, :, ::2, ::2])]
    return layers.final_path_bn(paddle.concat(parts, axis=1))


class NASNetCell(nn.Layer):
    """A cell of NASNet: ``filters`` channels in each branch.

    It takes the outputs of the last cell and of the one before, with ``current`` and ``previous`` channels.
    If it is a ``stem``, the second is the images' own map; with ``halve``, it is twice as large as the first.
    """

    def __init__(
        self,
        current: int,
        previous: int,
        filters: int,
        *,
        reduction: bool = False,
        halve: bool = False,
        stem: bool = False,
    ) -> None:
        super().__init__()
        self._reduction, self._halve, self._stem = reduction, halve, stem
        if halve:
            for name, layer in _halving(previous, filters).named_children():
                self.add_sublayer(name, layer)
        elif not stem:
            self.conv_prev_1x1 = _act_conv_norm(previous, filters)
        self.conv_1x1 = _act_conv_norm(current, filters)
        width = previous if stem else filters
        if reduction:
            self.comb_iter_0_left = _branch(filters, filters, 5, 2)
            self.comb_iter_0_right = _branch(width, filters, 7, 2)
            self.comb_iter_1_right = _branch(width, filters, 7, 2)
            self.comb_iter_2_right = _branch(width, filters, 5, 2)
        else:
            self.comb_iter_0_left = _branch(filters, filters, 5)
            self.comb_iter_0_right = _branch(filters, filters, 3)
            self.comb_iter_1_left = _branch(filters, filters, 5)
            self.comb_iter_1_right = _branch(filters, filters, 3)
        self.comb_iter_4_left = _branch(filters, filters, 3)

    def forward(self, current: paddle.Tensor, previous: paddle.Tensor) -> paddle.Tensor:
        """Return 6 · ``filters`` channels, or 4 · ``filters`` of half the height and width."""
        if not self._stem:
            previous = halved(self, previous) if self._halve else self.conv_prev_1x1(previous)
        current = self.conv_1x1(current)
        first = self.comb_iter_0_left(current) + self.comb_iter_0_right(previous)
        if self._reduction:
            second = _maximum(current, 2) + self.comb_iter_1_right(previous)
            third = _strided_mean(current) + self.comb_iter_2_right(previous)
            last = self.comb_iter_4_left(first) + _maximum(current, 2)
            return paddle.concat([second, third, _mean(first) + second, last], axis=1)
        second = self.comb_iter_1_left(previous) + self.comb_iter_1_right(previous)
        third = _mean(current) + previous
        last = self.comb_iter_4_left(current) + current
        return paddle.concat([previous, first, second, third, 2 * _mean(previous), last], axis=1)


class PNASNetCell(nn.Layer):
    """A cell of PNASNet; the arguments are those of :class:`NASNetCell`."""

    def __init__(
        self,
        current: int,
        previous: int,
        filters: int,
        *,
        reduction: bool = False,
        halve: bool = False,
        stem: bool = False,
    ) -> None:
        super().__init__()
        self._stride = stride = 2 if reduction else 1
        self._halve, self._stem = halve, stem
        width = previous if stem else filters
        if not stem:
            self.conv_prev_1x1 = (_halving if halve else _act_conv_norm)(previous, filters)
        self.conv_1x1 = _act_conv_norm(current, filters)
        self.comb_iter_0_left = _branch(width, filters, 5, stride)
        if stem:
            self.comb_iter_0_right = nn.Sequential(("conv", _conv(width, filters)), ("bn", _norm(filters)))
        self.comb_iter_1_left = _branch(filters, filters, 7, stride)
        self.comb_iter_2_left = _branch(filters, filters, 5, stride)
        self.comb_iter_2_right = _branch(filters, filters, 3, stride)
        self.comb_iter_3_left = _branch(filters, filters, 3)
        self.comb_iter_4_left = _branch(width, filters, 3, stride)
        self.comb_iter_4_right = _act_conv_norm(filters, filters, stride) if reduction else None

    def forward(self, current: paddle.Tensor, previous: paddle.Tensor) -> paddle.Tensor:
        """Return 5 · ``filters`` channels, of half the height and width if it is a reduction."""
        if self._halve:
            previous = halved(self.conv_prev_1x1, previous)
        elif not self._stem:
            previous = self.conv_prev_1x1(previous)
        current = self.conv_1x1(current)
        largest = _maximum(previous, self._stride)
        if self._stem:
            largest = self.comb_iter_0_right(largest)
        first = self.comb_iter_0_left(previous) + largest
        second = self.comb_iter_1_left(current) + _maximum(current, self._stride)
        third = self.comb_iter_2_left(current) + self.comb_iter_2_right(current)
        fourth = self.comb_iter_3_left(third) + _maximum(current, self._stride)
        direct = current if self.comb_iter_4_right is None else self.comb_iter_4_right(current)
        return paddle.concat([first, second, third, fourth, self.comb_iter_4_left(previous) + direct], axis=1)


class CellNetwork(nn.Layer):
    """A convolution called ``stem``, three groups of cells, and a linear head on the pooled features.

    Each group but the first begins with a reduction. With ``skips``, the cell after it takes the map before
    the reduction's input, otherwise that input.
    """

    def __init__(
        self, stem: str, groups: Sequence[dict[str, nn.Layer]], width: int, skips: bool, num_classes: int
    ) -> None:
        super().__init__()
        conv = nn.Conv2D(3, _STEM, 3, 2, bias_attr=False)
        self.add_sublayer(stem, nn.Sequential(("conv", conv), ("bn", _norm(_STEM))))
        for group in groups:
            for name, cell in group.items():
                self.add_sublayer(name, cell)
        self.stem = stem
        self.groups = [tuple(group) for group in groups]
        self.skips = skips
        self.last_linear = nn.Linear(width, num_classes)
        kaiming_convolutions(self)

    def forward(self, images: paddle.Tensor) -> paddle.Tensor:
        for stage in cell_stages(self):
            images = stage.forward(images)
        return images


def cell_stages(network: CellNetwork) -> list[Stage]:
    """Split a :class:`CellNetwork` where the last two maps have one size: they pass joined."""
    convolution = getattr(network, network.stem)
    first, *middle, last = ([getattr(network, name) for name in group] for group in network.groups)

    def from_stem(inputs: paddle.Tensor) -> paddle.Tensor:
        return paddle.concat(_in_turn(first, inputs, inputs), axis=1)

    def later(cells: Sequence[nn.Layer], joined: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        current, previous = paddle.split(joined, 2, axis=1)
        reduction, *others = cells
        reduced = reduction(current, previous)
        return _in_turn(others, reduced, previous if network.skips else current)

    def joined(cells: Sequence[nn.Layer], inputs: paddle.Tensor) -> paddle.Tensor:
        return paddle.concat(later(cells, inputs), axis=1)

    def ending(inputs: paddle.Tensor) -> paddle.Tensor:
        return F.relu(later(last, inputs)[0])

    return [
        Stage("stem", (convolution,), convolution),
        Stage("stage1", tuple(first), from_stem),
        *(
            Stage(f"stage{number}", tuple(cells), partial(joined, cells))
            for number, cells in enumerate(middle, 2)
        ),
        Stage(f"stage{len(network.groups)}", tuple(last), ending, steps=(ending,)),
        *stages_of([], head=[pooled, network.last_linear])[1:],
    ]


def _in_turn(
    cells: Sequence[nn.Layer], current: paddle.Tensor, previous: paddle.Tensor
) -> tuple[paddle.Tensor, paddle.Tensor]:
    """Run cells that take the last two outputs each, and return the last two."""
    for cell in cells:
        current, previous = cell(current, previous), current
    return current, previous


def nasnet(num_classes: int = 1000) -> CellNetwork:
    """Return the large NASNet-A: images ``[N, 3, h, w]`` → class scores ``[N, num_classes]``."""
    filters = 168
    stems = {
        "cell_stem_0": NASNetCell(_STEM, _STEM, filters // 4, reduction=True, stem=True),
        "cell_stem_1": NASNetCell(filters, _STEM, filters // 2, reduction=True, halve=True),
    }
    groups, before, last = [stems], filters, 2 * filters  # channels before the last cell, and behind it
    for stage in range(3):
        width = 2**stage * filters
        group = groups[0]
        if stage:
            group = {f"reduction_cell_{stage - 1}": NASNetCell(last, before, width, reduction=True)}
            groups.append(group)
            last = 4 * width
        for number in range(6):
            group[f"cell_{6 * stage + number}"] = NASNetCell(last, before, width, halve=not number)
            before, last = last, 6 * width
        before = last
    return CellNetwork("conv0", groups, last, True, num_classes)


def pnasnet(num_classes: int = 1000) -> CellNetwork:
    """Return the large PNASNet-5: images ``[N, 3, h, w]`` → class scores ``[N, num_classes]``."""
    filters = 216
    group: dict[str, nn.Layer] = {
        "cell_stem_0": PNASNetCell(_STEM, _STEM, filters // 4, reduction=True, stem=True),
        "cell_stem_1": PNASNetCell(5 * filters // 4, _STEM, filters // 2, reduction=True, halve=True),
    }
    groups, before, last, halve = [group], 5 * filters // 4, 5 * filters // 2, True
    for number in range(12):
        width = 2 ** (number // 4) * filters
        reduction = number in (4, 8)
        if reduction:
            group = {}
            groups.append(group)
        group[f"cell_{number}"] = PNASNetCell(last, before, width, reduction=reduction, halve=halve)
        before, last, halve = last, 5 * width, reduction
    return CellNetwork("conv_0", groups, last, False, num_classes)


def from_timm(tensors: Tensors) -> Tensors:
    """Give timm's tensors Paddle's names and layouts; others stay as they are.

    PyTorch's linear layer is turned round: it is ``[out, in]``, Paddle's ``[in, out]``. Its counts of batches
    are left out.
    """
    if not any(key.endswith(".running_mean") for key in tensors):
        return tensors
    named = {}
    for key, value in tensors.items():
        layer, _, last = key.rpartition(".")
        if last != "num_batches_tracked":
            named[f"{layer}.{_STATISTICS.get(last, last)}"] = (
                np.ascontiguousarray(value.T) if key == "last_linear.weight" else value
            )
    return named


def _backbone(
    name: str, build: Callable[..., CellNetwork], timm: str, width: int, parameters: int
) -> Backbone:
    return Backbone(
        name=f"{name}_imagenet",
        build=build,
        stages=cell_stages,
        taps=("stage2", "stage3.0"),
        width=width,
        parameters=parameters,
        input_size=331,
        resize=363,
        weights=PublishedWeights(
            f"https://huggingface.co/timm/{timm}.tf_in1k/resolve/main/model.safetensors"
        ),
        aliases=(f"timm/{timm}.tf_in1k",),
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        translate=from_timm,
    )


BACKBONES = (
    _backbone("nasnet", nasnet, "nasnetalarge", 4032, 88_753_150),
    _backbone("pnasnet", pnasnet, "pnasnet5large", 4320, 86_057_668),
)
