"""A model whose backbone computes in int8, and whose head, softmax and similarities compute in float32."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import paddle

from hubtune.data.images.decode import Content
from hubtune.export.int8_accuracy import Int8Accuracy
from hubtune.export.network_parts import NetworkParts
from hubtune.export.quantizer import Quantizer
from hubtune.inference.engine_interface import Engine
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.frozen_backbone import FrozenBackbone
from hubtune.inference.model import Model
from hubtune.inference.model_card import ModelCard
from hubtune.inference.openvino_program import PendingRows
from hubtune.inference.predict import ImageScores, scores_of_outputs
from hubtune.inference.program import Subnetwork
from hubtune.inference.reference import Reference
from hubtune.models.classifier import Classifier


@dataclass(frozen=True)
class QuantizedFiles:
    """The files of a quantised network, in a temporary folder.

    Attributes:
        quantizer: that wrote them.
        views: from pixels to normalised images of all views.
        backbone: from these to maps, in int8.
        features: from pixels of one view to the head's input.
    """

    quantizer: Quantizer
    views: Path
    backbone: Path
    features: Path


class QuantizedBackbone(FrozenBackbone):
    """The head's input in int8, with the cache of its values."""

    def __init__(self, files: QuantizedFiles, classifier: Classifier, card: ModelCard) -> None:
        """Start the engine of the files; the classifier is the same network in float32."""
        super().__init__(
            Subnetwork(classifier, classifier.features, card.preprocessing),
            classifier.state_before_head(),
            module=card.module,
            layer="features",
            wanted=files.quantizer.name,
            cache=FeatureCache(),
            # The quantised values depend on the images that chose their steps, too.
            code=files.quantizer.content(files.features),
        )
        self._program = files.quantizer.start(files.features)

    def _start(self, sample: Sequence[np.ndarray]) -> None:
        self._started, self.engine = self._program, self._program.name


class QuantizedModel(Model):
    """A model with a quantised backbone.

    Attributes:
        files: of the quantised network.
        backbone: computes the features of images.
        accuracy: compared with that in float32; ``None`` before it was measured.
    """

    accuracy: Int8Accuracy | None = None

    def __init__(
        self,
        classifier: Classifier,
        card: ModelCard,
        reference: Reference | None,
        files: QuantizedFiles,
        backbone: QuantizedBackbone,
    ) -> None:
        """Join the head of a classifier, and a reference, to a quantised backbone."""
        super().__init__(classifier, card)
        self.reference, self.files, self.backbone = reference, files, backbone
        self._engine: Engine = _HeadedEngine(backbone, classifier)

    def score(
        self,
        paths: Sequence[Path],
        *,
        batch_size: int = 32,
        workers: int = 2,
        contents: Sequence[Content | None] = (),
    ) -> Iterator[ImageScores]:
        """Yield the scores of each image, in order; from cached features without ``contents``."""
        if contents:
            return super().score(paths, batch_size=batch_size, workers=workers, contents=contents)
        outputs = self.backbone.extract(self.card.views, paths, batch_size=batch_size, workers=workers)
        answered = (
            output if output.rows is None else replace(output, rows=_answer(self.classifier, output.rows))
            for output in outputs
        )
        return scores_of_outputs(answered, len(self.labels))

    def write_network(self, file: Path) -> None:
        """Write the whole network, from pixels to answers, as a file of the format."""
        quantizer = self.files.quantizer
        answers = self.files.backbone.with_name(f"answers{quantizer.suffix}")
        quantizer.write(NetworkParts(self).answers_of(self), answers)
        quantizer.join([self.files.views, self.files.backbone, answers], file)


class _HeadedEngine:
    """Computes logits and unit features from a backbone's features, by the classifier's own head."""

    def __init__(self, backbone: QuantizedBackbone, classifier: Classifier) -> None:
        self._backbone, self._classifier = backbone, classifier

    @property
    def name(self) -> str:
        return self._backbone.name

    def begin(self, arrays: Sequence[np.ndarray]) -> PendingRows:
        pending = self._backbone.begin(arrays)
        return lambda: _answer(self._classifier, pending())


def _answer(classifier: Classifier, rows: Sequence[np.ndarray]) -> list[np.ndarray]:
    if not rows:
        return []
    classifier.eval()
    with paddle.no_grad():
        return [*classifier.with_unit_features(paddle.to_tensor(np.stack(rows))).numpy()]
