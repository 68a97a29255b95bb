"""A fine-tuned model in three parts, of which the one in the middle is quantised.

The first part also makes the views, and the last one computes the answers: head, softmax and similarities
stay in float32. See :mod:`hubtune.inference.network_parts`.
"""

from collections.abc import Sequence
from typing import Any

import paddle

from hubtune.export.network import ExportNetwork
from hubtune.inference.model import Model
from hubtune.inference.network_parts import VIEWS, BackboneParts, NetworkPart, PartLayer


class NetworkParts(BackboneParts):
    """The parts of a model. The output of one is the input of the next.

    Attributes:
        views: pixels, uint8 ``[N, height, width, channels]`` → normalised images of all views.
    """

    def __init__(self, model: Model) -> None:
        """Take a model; errors are those of :class:`~hubtune.export.network.ExportNetwork`."""
        network = ExportNetwork(model)
        super().__init__(model.classifier, network.view)
        self.views = NetworkPart(PartLayer(network, network.views), [self.pixels], [VIEWS])

    def answers_of(self, model: Model) -> NetworkPart:
        """Return the last part, with head and reference of a model that has the same backbone."""
        network, classifier = ExportNetwork(model), model.classifier

        def answer(maps: Sequence[paddle.Tensor]) -> Any:
            return network.answers(classifier.with_unit_features(classifier.features_of_maps(maps)))

        return self.from_maps(network, answer, network.outputs)
