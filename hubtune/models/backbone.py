"""The record of a backbone: how to build it, its parts from stem to head, its input and its weights.

A family of architectures is one file in this package that ends in a table of these records; one line in
:mod:`hubtune.models.catalog` registers the table.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import paddle
from paddle import nn

from hubtune.models.layers import pooled
from hubtune.models.static_names import StaticNames

IMAGENET_CLASSES = 1000
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Stage:
    """A consecutive part of a network.

    Running all stages in turn gives the network's own output, so the part before a stage and the part after
    it can run separately.

    Attributes:
        name: its name, unique in the network; the last stage is always ``"head"``.
        layers: the sublayers that it owns; no sublayer belongs to two stages.
        forward: maps the output of the previous stage (images for the first) to its own output.
        own: parameters that it owns and that the network holds outside any sublayer.
        steps: functions that ``forward`` runs in turn; empty if it is not made of steps.
    """

    name: str
    layers: tuple[nn.Layer, ...]
    forward: Callable[[paddle.Tensor], paddle.Tensor]
    own: tuple[paddle.Tensor, ...] = ()
    steps: "tuple[Step, ...]" = ()

    def parameters(self) -> Iterator[paddle.Tensor]:
        yield from self.own
        for layer in self.layers:
            yield from layer.parameters()

    def run(self, inputs: paddle.Tensor) -> list[paddle.Tensor]:
        """Return the output of each step; the last one is the stage's own."""
        outputs: list[paddle.Tensor] = []
        for step in self.steps or (self.forward,):
            inputs = step(inputs)
            outputs.append(inputs)
        return outputs


@dataclass(frozen=True)
class AuxiliaryOutput:
    """A branch that is classified, too, in training only.

    Attributes:
        stage: the stage that it leaves, not the last one before the head.
        step: number of the stage's step whose output it takes.
        forward: maps this output to features ``[N, width]``.
    """

    stage: str
    step: int
    width: int
    forward: Callable[[paddle.Tensor], paddle.Tensor]


Tensors = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class PublishedWeights:
    """The official weights file of a backbone.

    Attributes:
        url: the official address.
        names: if a backbone has several files, the hub name of this one, such as
            ``resnet50_vd_imagenet_ssld``, followed by aliases.
        sha256: checksum of the file; ``None`` if none is published.
        md5: checksum of the file, published by ``paddle.vision`` only.
        licence: SPDX identifier.
        top1: ImageNet top-1 accuracy as published, in percent; ``None`` if not published.
        top5: the same for top-5.
    """

    url: str
    names: tuple[str, ...] = ()
    sha256: str | None = None
    md5: str | None = None
    licence: str = "Apache-2.0"
    top1: float | None = None
    top5: float | None = None


@dataclass(frozen=True)
class Backbone:
    """Everything that hubtune needs to know about an architecture.

    Attributes:
        name: the hub name, for example ``resnet50_imagenet``.
        build: builds the network with random weights; called with ``num_classes=``. The network's
            ``state_dict()`` has the keys and shapes of the official file. May be called any number of times.
        stages: splits a network made by ``build`` into stages, stem to head. The output of the stage before
            the head is a feature map ``[N, width, h, w]`` or pooled features ``[N, width]``.
        width: number of pooled features.
        parameters: number of trainable parameters with 1000 classes.
        input_size: side of the square input image, pixels.
        resize: short side to which an image is scaled before the centre crop, pixels.
        weights: the official file; ``None`` if there is none.
        variants: other official files for the same network, each with its own ``names``.
        aliases: other names, such as the PaddleClas class name.
        interpolation: ``bilinear``, ``bicubic`` or ``lanczos``.
        mean: mean per channel (RGB), of values scaled to 0–1.
        std: standard deviation per channel (RGB).
        size_multiple: other input sides than ``input_size`` work if they are multiples of this; ``None``: no
            other side works.
        translate: renames and transposes the tensors of a file by another publisher of the same weights to
            the network's own names and layouts; unknown tensors stay unchanged. ``None`` if not needed.
        static_names: the names of its variables in Paddle 1's programs; ``None`` if it had none there.
        taps: where :mod:`~hubtune.models.second_order` takes its features: the name of the stage before the
            last one, such as ``stage3``, and of steps of the last one, such as ``stage4.2``. Outputs are maps
            ``[N, channels, h, w]`` or tokens ``[N, tokens, channels]``. Empty for no such features.
        auxiliary: returns the branches of a network made by ``build`` that have a loss of their own; ``None``
            if it has none. They take images of ``input_size`` only.
    """

    name: str
    build: Callable[..., nn.Layer]
    stages: Callable[[nn.Layer], list[Stage]]
    width: int
    parameters: int
    input_size: int = 224
    resize: int = 256
    weights: PublishedWeights | None = None
    variants: tuple[PublishedWeights, ...] = ()
    aliases: tuple[str, ...] = ()
    interpolation: str = "bilinear"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    size_multiple: int | None = 1
    translate: Callable[[Tensors], Tensors] | None = None
    static_names: StaticNames | None = None
    taps: tuple[str, ...] = ()
    auxiliary: Callable[[nn.Layer], list[AuxiliaryOutput]] | None = None


def paddleclas(
    name: str, top1: float | None, top5: float | None, *, names: tuple[str, ...] = (), legendary: bool = False
) -> PublishedWeights:
    """Return the official PaddleClas weights of an architecture.

    ``name`` is the file's without ``_pretrained.pdparams``; the accuracies are percent, as published. With
    ``legendary``, the file is in PaddleClas's folder ``legendary_models``.
    """
    folder = "https://paddle-imagenet-models-name.bj.bcebos.com/dygraph/"
    folder += "legendary_models/" if legendary else ""
    return PublishedWeights(f"{folder}{name}_pretrained.pdparams", names, top1=top1, top5=top5)


Step = Callable[[paddle.Tensor], paddle.Tensor]


def stages_of(stem: Iterable[Step], *blocks: Iterable[Step], head: Iterable[Step]) -> list[Stage]:
    """Return the stages ``stem``, ``stage1``, ``stage2``, …, ``head`` from the steps that each runs in turn.

    A stage owns those of its steps that are layers; other functions may be in several stages.
    """
    named = [
        ("stem", stem),
        *((f"stage{number}", steps) for number, steps in enumerate(blocks, 1)),
        ("head", head),
    ]
    return [_in_turn(name, tuple(steps)) for name, steps in named]


def _in_turn(name: str, steps: tuple[Step, ...]) -> Stage:
    def forward(inputs: paddle.Tensor) -> paddle.Tensor:
        for step in steps:
            inputs = step(inputs)
        return inputs

    return Stage(name, tuple(step for step in steps if isinstance(step, nn.Layer)), forward, steps=steps)


def from_stride_to_stride(layers: Iterable[nn.Layer], strides: Iterable[int]) -> list[list[nn.Layer]]:
    """Group consecutive layers, a new group beginning at each stride of 2."""
    groups: list[list[nn.Layer]] = []
    for layer, stride in zip(layers, strides, strict=True):
        if stride == 2 or not groups:
            groups.append([])
        groups[-1].append(layer)
    return groups


def stage_keys(network: nn.Layer, stage: Stage) -> frozenset[str]:
    """Return the keys that the stage's parameters and buffers have in the network's state dict."""
    prefixes = {id(layer): name for name, layer in network.named_sublayers()}
    owned = {id(tensor): name for name, tensor in network.named_parameters(include_sublayers=False)}
    keys = {f"{prefixes[id(layer)]}.{key}" for layer in stage.layers for key in layer.state_dict()}
    return frozenset(keys | {owned[id(tensor)] for tensor in stage.own})


def head_keys(network: nn.Layer, stages: list[Stage]) -> frozenset[str]:
    """Return the state-dict keys of the head: the tensors whose shape depends on the number of classes."""
    return stage_keys(network, stages[-1])


def features(stages: list[Stage], images: paddle.Tensor) -> paddle.Tensor:
    """Run all stages but the head: images ``[N, 3, h, w]`` → pooled features ``[N, width]``."""
    for stage in stages[:-1]:
        images = stage.forward(images)
    return pooled(images)
