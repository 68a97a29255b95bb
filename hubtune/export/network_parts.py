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
        shapes = _map_shapes(classifier, channels, side)
        self._maps = [
            paddle.static.InputSpec(shape, "float32", name=f"map{number}")
            for number, shape in enumerate(shapes)
        ]
        names = [spec.name for spec in self._maps]
        self.views = NetworkPart(_Part(network, network.views), [pixels], [VIEWS])
        self.single_view = NetworkPart(_Part(network, network.normalised), [pixels], [VIEWS])
        self.backbone = NetworkPart(
            _Part(classifier, lambda values: tuple(classifier.feature_maps(values))), [images], names
        )

    def features_of(self, classifier: Classifier) -> NetworkPart:
        """Return the last part, from maps to the head's input alone, for the backbone of a classifier."""
        layer = _Part(classifier, lambda *maps: classifier.features_of_maps(maps))
        return NetworkPart(layer, self._maps, [FEATURES])

    def answers_of(self, model: Model) -> NetworkPart:
        """Return the last part, with head and reference of a model that has the same backbone."""
        network, classifier = ExportNetwork(model), model.classifier

        def answer(*maps: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
            return network.answers(classifier.with_unit_features(classifier.features_of_maps(maps)))

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


def _map_shapes(classifier: Classifier, channels: int, side: int | None) -> list[list[int | None]]:
    """Return the shapes of the maps; sides that depend on the image's are ``None``."""
    classifier.eval()
    size = [1, channels, side or _SIDE, side or _SIDE]
    with paddle.no_grad():
        maps = classifier.feature_maps(paddle.to_tensor(np.zeros(size, np.float32)))
    shapes = []
    for values in maps:
        shape: list[int | None] = [None, *values.shape[1:]]
        if side is None and values.ndim == 4:
            shape[2:] = [None, None]
        shapes.append(shape)
    return shapes
