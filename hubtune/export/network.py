"""A fine-tuned model as one network, from arranged pixels to scores: what every format's file contains."""

from typing import Any

import numpy as np
import paddle
from paddle import nn

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError
from hubtune.inference.model import Model
from hubtune.models.classifier import Classifier

INPUT = "images"
SCORES, SIMILARITY, NEAREST = "scores", "similarity", "nearest"


class ExportNetwork(nn.Layer):
    """Maps images to the scores that hubtune's prediction gives them.

    The images are arranged by :attr:`view`: uint8 ``[N, height, width, channels]``, or, if they are
    ``normalised``, float32 ``[N, channels, height, width]``. The mirrored view, its mean with the other one,
    second-order features and similarities are part of the network.

    Attributes:
        view: how an image is arranged.
        outputs: names of the outputs: ``scores`` float32 ``[N, classes]``; and for a model with features of
            training images ``similarity`` float32 ``[N]``, the largest cosine to one of them, and
            ``nearest`` int64 ``[N]``, its class.
    """

    def __init__(self, model: Model, *, normalised: bool = False) -> None:
        """Take a model.

        Raises:
            ModelError: it was not fine-tuned, or looks at each image in views that are not arranged alike.
        """
        super().__init__()
        network, views = model.classifier, model.card.views
        if not isinstance(network, Classifier):
            raise ModelError(f"{model.card.module} was not fine-tuned: export a model that was")
        arrangements = list(dict.fromkeys(view.model_copy(update={"mirror": False}) for view in views))
        if len(arrangements) > 1:
            described = ", ".join(view.description for view in views)
            raise ModelError(
                f"The model looks at each picture in several ways ({described}), and an export can only "
                "mirror it: fine-tune it again, or use --format paddlehub"
            )
        self.view: Preprocessing = arrangements[0]
        self._mirrors = [view.mirror for view in views]
        self._normalised = normalised
        self._network, self._classes = network, len(model.labels)
        self._multi_label = model.card.multi_label
        for name, values in zip(("scale", "shift"), self.view.scale_and_shift, strict=True):
            self.register_buffer(name, paddle.to_tensor(values.reshape([-1, 1, 1])))
        self.outputs = [SCORES]
        if model.reference is not None:
            self.register_buffer("reference", paddle.to_tensor(model.reference.features))
            self.register_buffer(
                "reference_labels", paddle.to_tensor(model.reference.labels.astype(np.int64))
            )
            self.outputs += [SIMILARITY, NEAREST]

    @property
    def input_spec(self) -> paddle.static.InputSpec:
        """Shape and type of the input; of any height and width if the view keeps the aspect ratio."""
        side = None if self.view.fit == "whole" else self.view.size
        if self._normalised:
            return paddle.static.InputSpec([None, self.view.channels, side, side], "float32", name=INPUT)
        return paddle.static.InputSpec([None, side, side, self.view.channels], "uint8", name=INPUT)

    @property
    def description(self) -> dict[str, Any]:
        """The input for people and other programs: name, type, shape and order of the channels."""
        spec, view = self.input_spec, self.view
        layout = (
            ["N", view.channels, "height", "width"]
            if self._normalised
            else ["N", "height", "width", view.channels]
        )
        shape = [name if side in (None, -1) else side for name, side in zip(layout, spec.shape, strict=True)]
        order = {1: "grey", 3: "RGB", 4: "RGBA"}[view.channels]
        values = "normalised by mean and std" if self._normalised else "0-255"
        kind = "float32" if self._normalised else "uint8"
        return {"name": INPUT, "type": kind, "shape": shape, "channels": order, "values": values}

    # Traced as it stands: see hubtune.inference.program.Subnetwork.
    @paddle.jit.not_to_static
    def forward(self, images: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        """Return the outputs, in the order of their names."""
        return self.answers(self._network.logits_and_features(self.views(images)))

    def views(self, images: paddle.Tensor) -> paddle.Tensor:
        """Return images normalised, ``[views * N, channels, height, width]``, one view after the other."""
        images = self.normalised(images)
        if len(self._mirrors) > 1 or self._mirrors[0]:
            seen = [paddle.flip(images, axis=[3]) if mirror else images for mirror in self._mirrors]
            images = paddle.concat(seen, axis=0)
        return images

    def normalised(self, images: paddle.Tensor) -> paddle.Tensor:
        """Return images normalised, ``[N, channels, height, width]``."""
        if self._normalised:
            return images
        return images.transpose([0, 3, 1, 2]).astype("float32") * self.scale - self.shift

    def answers(self, rows: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        """Return the outputs from the logits and unit features of all views, ``[views * N, …]``."""
        width = self._classes + self._network.width
        mean = paddle.reshape(rows, [len(self._mirrors), -1, width]).mean(axis=0)
        logits = mean[:, : self._classes]
        scores = nn.functional.sigmoid(logits) if self._multi_label else nn.functional.softmax(logits, axis=1)
        if SIMILARITY not in self.outputs:
            return (scores,)
        # Those of one view are of unit length, their mean is not.
        features = mean[:, self._classes :]
        square = (features * features).mean(axis=1, keepdim=True) * self._network.width
        unit = features / paddle.sqrt(square + 1e-24)
        cosines = paddle.matmul(unit, self.reference.astype("float32"), transpose_y=True)
        similarity = paddle.clip(paddle.max(cosines, axis=1), max=1.0)
        return scores, similarity, paddle.gather(self.reference_labels, paddle.argmax(cosines, axis=1))
