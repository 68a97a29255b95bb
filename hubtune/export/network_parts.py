"""A fine-tuned model in three parts, of which the one in the middle is quantised.

The first part normalises pixels and makes the views. The middle one is the backbone, from images to the maps
that features are computed from. The last one computes the features and the answers: second-order features,
head, softmax and similarities lose too much in int8, and take little time.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import nn

from hubtune.export.network import ExportNetwork
from hubtune.inference.model import Model
from hubtune.models.classifier import Classifier

VIEWS, FEATURES = "views", "features"
# Side of the image by which the shapes of the maps are found where a view has no fixed side.
_SIDE = 224


@dataclass(frozen=True)
class NetworkPart:
    """A part of a network, which can be written as a program of its own.

    Attributes:
        layer: the part; switched to evaluation mode.
        inputs: names, shapes and types of its inputs.
        outputs: names of its outputs.
    """

    layer: nn.Layer
    inputs: list[paddle.static.InputSpec]
    outputs: list[str]


class NetworkParts:
    """The parts of a model. The output of one is the input of the next.

    Attributes:
        views: pixels, uint8 ``[N, height, width, channels]`` → normalised images of all views.
        single_view: the same without mirror images.
        backbone: normalised images → maps.
    """

    def __init__(self, model: Model) -> None:
        """Take a model; errors are those of :class:`~hubtune.export.network.ExportNetwork`."""
        network = ExportNetwork(model)
        classifier: Classifier = model.classifier
        pixels, channels = network.input_spec, network.view.channels
        side = None if network.view.fit == "whole" else network.view.size
        images = paddle.static.InputSpec([None, channels, side, side], "float32", name=VIEWS)
        # A tap may be the last map itself, and a program has an output once.
        self._places, distinct, shapes = _find_maps(classifier, channels, side)
        self._maps = [
            paddle.static.InputSpec(shape, "float32", name=f"map{number}")
            for number, shape in enumerate(shapes)
        ]

        def run_backbone(values: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
            maps = classifier.feature_maps(values)
            return tuple(maps[place] for place in distinct)

        names = [spec.name for spec in self._maps]
        self.views = NetworkPart(_Part(network, network.views), [pixels], [VIEWS])
        self.single_view = NetworkPart(_Part(network, network.normalised), [pixels], [VIEWS])
        self.backbone = NetworkPart(_Part(classifier, run_backbone), [images], names)

    def features_of(self, classifier: Classifier) -> NetworkPart:
        """Return the last part, from maps to the head's input alone, for the backbone of a classifier."""

        def compute(*maps: paddle.Tensor) -> paddle.Tensor:
            return classifier.features_of_maps([maps[place] for place in self._places])

        return NetworkPart(_Part(classifier, compute), self._maps, [FEATURES])

    def answers_of(self, model: Model) -> NetworkPart:
        """Return the last part, with head and reference of a model that has the same backbone."""
        network, classifier = ExportNetwork(model), model.classifier

        def answer(*maps: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
            features = classifier.features_of_maps([maps[place] for place in self._places])
            return network.answers(classifier.with_unit_features(features))

        return NetworkPart(_Part(network, answer), self._maps, network.outputs)


class _Part(nn.Layer):
    """A function of a network as a layer, which has the network's weights."""

    def __init__(self, network: nn.Layer, forward: Callable[..., Any]) -> None:
        super().__init__()
        self.network, self._forward = network, forward

    # Traced as it stands: see hubtune.inference.program.Subnetwork. Paddle traces no function of *values.
    @paddle.jit.not_to_static
    def forward(self, one: paddle.Tensor, two: Any = None, three: Any = None, four: Any = None) -> Any:
        return self._forward(*(values for values in (one, two, three, four) if values is not None))


def _find_maps(
    classifier: Classifier, channels: int, side: int | None
) -> tuple[list[int], list[int], list[list[int | None]]]:
    """Find the maps that are different.

    Returns:
        The number of each map among them, their places among all maps, and their shapes; sides that depend
        on the image's are ``None``.
    """
    classifier.eval()
    size = [1, channels, side or _SIDE, side or _SIDE]
    with paddle.no_grad():
        maps = classifier.feature_maps(paddle.to_tensor(np.zeros(size, np.float32)))
    distinct: list[int] = []
    places = []
    for number, values in enumerate(maps):
        same = [place for place, other in enumerate(distinct) if maps[other] is values]
        places.append(same[0] if same else len(distinct))
        distinct += [] if same else [number]
    shapes: list[list[int | None]] = []
    for number in distinct:
        sides = [None, None] if side is None and maps[number].ndim == 4 else maps[number].shape[2:]
        shapes.append([None, maps[number].shape[1], *sides])
    return places, distinct, shapes
