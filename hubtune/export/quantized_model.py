"""A model whose backbone computes in int8, and whose head, softmax and similarities compute in float32."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import paddle

from hubtune.data.images.decode import Content
from hubtune.export.int8_accuracy import Int8Accuracy
from hubtune.export.network_parts import NetworkParts
from hubtune.hub.model_card import ModelCard
from hubtune.inference.engine_interface import Engine
from hubtune.inference.model import Model
from hubtune.inference.openvino_program import PendingRows
from hubtune.inference.predict import ImageScores, scores_of_outputs
from hubtune.inference.quantized_backbone import QuantizedBackbone
from hubtune.inference.quantizer import QuantizedFiles
from hubtune.inference.reference import Reference
from hubtune.models.classifier import Classifier


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
        return scores_of_outputs(answered, self.answers)

    def write_network(self, file: Path) -> None:
        """Write the whole network, from pixels to answers, as a file of the format."""
        quantizer, parts = self.files.quantizer, NetworkParts(self)
        views, answers = (
            self.files.backbone.with_name(f"{name}{quantizer.suffix}") for name in ("views", "answers")
        )
        quantizer.write(parts.views, views)
        quantizer.write(parts.answers_of(self), answers)
        quantizer.join([views, self.files.backbone, answers], file)


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
