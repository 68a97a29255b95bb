"""A frozen backbone in int8."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.inference.engine_interface import Engine
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.frozen_backbone import FrozenBackbone
from hubtune.inference.openvino_program import PendingRows
from hubtune.inference.program import Subnetwork
from hubtune.models.classifier import Classifier


class QuantizedFeatures(Protocol):
    """A quantised network from pixels to the head's input."""

    @property
    def name(self) -> str:
        """Name of its engine."""
        ...

    @property
    def content(self) -> bytes:
        """The bytes that features depend on."""
        ...

    def start(self) -> Engine:
        """Return the engine."""
        ...


class QuantizedBackbone(FrozenBackbone):
    """The head's input in int8, with the cache of its values."""

    def __init__(
        self,
        program: QuantizedFeatures,
        classifier: Classifier,
        view: Preprocessing,
        *,
        module: str,
        cache: FeatureCache,
    ) -> None:
        """Take a program, and the same network in float32; the program starts with the first images.

        A program may compute more than the head takes: rows have the widths of the classifier's blocks.
        """
        self._program, self._width = program, sum(classifier.blocks)
        super().__init__(
            Subnetwork(classifier, classifier.features, view),
            classifier.state_before_head(),
            module=module,
            layer=f"{self._width:,} features",
            wanted=program.name,
            cache=cache,
            # The quantised values depend on the images that chose their steps, too.
            code=program.content,
        )
        self.engine = program.name

    def _start(self, sample: Sequence[np.ndarray]) -> None:
        self._started = self._program.start()

    def begin(self, arrays: Sequence[np.ndarray]) -> PendingRows:
        """Begin to compute: :meth:`hubtune.inference.engine_interface.Engine.begin`."""
        pending = super().begin(arrays)
        return lambda: [row[: self._width] for row in pending()]
