"""A network with a linear head in parts, of which the one in the middle is quantised.

The first part normalises pixels. The middle one is the backbone, from images to the maps that features are
computed from. The last one computes the features: second-order features lose too much in int8, and take
little time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import paddle
from paddle import nn

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.program import Subnetwork
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


class PartLayer(nn.Layer):
    """A function of a network as a layer, which has the network's weights."""

    def __init__(self, network: nn.Layer, forward: Callable[..., Any]) -> None:
        super().__init__()
        self.network, self._forward = network, forward

    # Traced as it stands: see hubtune.inference.program.Subnetwork. Paddle traces no function of *values.
    @paddle.jit.not_to_static
    def forward(self, one: paddle.Tensor, two: Any = None, three: Any = None, four: Any = None) -> Any:
        return self._forward(*(values for values in (one, two, three, four) if values is not None))


class BackboneParts:
    """The parts of a network from pixels to features. The output of one is the input of the next.

    Attributes:
        pixels: the input, uint8 ``[N, height, width, channels]``; of any height and width if the view keeps
            the aspect ratio.
        single_view: pixels → normalised images.
        backbone: normalised images → maps.
    """

    def __init__(self, classifier: Classifier, view: Preprocessing) -> None:
        """Take the network, and the view that arranges its images."""
        side = None if view.fit == "whole" else view.size
        self.pixels = paddle.static.InputSpec([None, side, side, view.channels], "uint8", name="images")
        images = paddle.static.InputSpec([None, view.channels, side, side], "float32", name=VIEWS)
        # A tap may be the last map itself, and a program has an output once.
        self._places, distinct, shapes = _find_maps(classifier, view.channels, side)
        self._maps = [
            paddle.static.InputSpec(shape, "float32", name=f"map{number}")
            for number, shape in enumerate(shapes)
        ]

        def run_backbone(values: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
            maps = classifier.feature_maps(values)
            return tuple(maps[place] for place in distinct)

        normalised = Subnetwork(classifier, lambda values: values, view)
        self.single_view = NetworkPart(normalised, [self.pixels], [VIEWS])
        names = [spec.name for spec in self._maps]
        self.backbone = NetworkPart(PartLayer(classifier, run_backbone), [images], names)

    def features_of(self, classifier: Classifier) -> NetworkPart:
        """Return the last part, from maps to the head's input alone, for the backbone of a classifier."""
        return self.from_maps(classifier, classifier.features_of_maps, [FEATURES])

    def from_maps(
        self, network: nn.Layer, compute: Callable[[Sequence[paddle.Tensor]], Any], outputs: list[str]
    ) -> NetworkPart:
        """Return a last part, which computes these outputs of a network from all maps."""

        def forward(*maps: paddle.Tensor) -> Any:
            return compute([maps[place] for place in self._places])

        return NetworkPart(PartLayer(network, forward), self._maps, outputs)


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
