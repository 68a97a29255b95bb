"""A hub module: a backbone with its pretrained weights, read and checked."""

import os
from pathlib import Path

import paddle

from hubtune.files import sha256_of
from hubtune.hub.registry import resolve
from hubtune.hub.safe_load import read_weights
from hubtune.hub.weights import load_into
from hubtune.hub.weights import resolve as resolve_weights
from hubtune.log import logger
from hubtune.models.backbone import features, head_keys


class Module:
    """A pretrained network, ready to be fine-tuned.

    Attributes:
        name: the name it was asked for by.
        weights: the weights it was asked for with.
        backbone: the architecture's record.
        network: a ``paddle.nn.Layer`` giving the pretraining logits; its ``state_dict()`` has the keys and
            shapes of the official file.
        stages: the network in parts, stem to head; each has ``name``, ``parameters()`` and ``forward``.
        preprocessing: how a picture becomes its input.
        weights_sha256: of the weights file; ``None`` for random weights.

    Example:
        >>> module = Module(name="paddle.vision:mobilenet_v2", weights="mobilenetv2.safetensors")
        >>> module.features(paddle.zeros([2, 3, 224, 224])).shape
        [2, 1280]
    """

    def __init__(
        self, name: str | os.PathLike[str], weights: str | os.PathLike[str] | None = "official"
    ) -> None:
        """Build the network and load its weights.

        Args:
            name: a hub name (``xception71_imagenet``), ``paddle.vision:<name>``, or the path of a module
                folder.
            weights: ``"official"`` (a module folder's own file; else the cache, mirrors and the official
                address), the path of a ``.safetensors`` or ``.pdparams`` file, or ``None`` for random
                values without any file.

        Raises:
            ModelError: if the name is unknown, or the weights are missing, damaged or for another network.
            MachineError: if official weights cannot be downloaded or kept.
        """
        self.name = os.fspath(name)
        self.weights = None if weights is None else os.fspath(weights)
        found = resolve(self.name)
        self.backbone = found.backbone
        self.preprocessing = found.preprocessing
        self.weights_sha256: str | None = None
        file: Path | None = None
        if self.weights == "official" and found.weights_file is not None:
            file = found.weights_file
        elif self.weights is not None:
            file = resolve_weights(self.weights, found.published, self.name)
        # A download may take minutes; building the network comes after whatever can go wrong there.
        state = None if file is None else read_weights(file)
        self.network = self.backbone.build(num_classes=found.num_classes)
        self.stages = self.backbone.stages(self.network)
        if file is not None and state is not None:
            head = head_keys(self.network, self.stages)
            if not load_into(self.network, state, head=head, source=str(file)):
                logger.info("%s: the head in the file has another shape; it is made anew", file.name)
            self.weights_sha256 = sha256_of(file)
        self.network.eval()

    def features(self, images: paddle.Tensor) -> paddle.Tensor:
        """Pooled features ``[N, width]`` of preprocessed pictures ``[N, 3, h, w]``."""
        return features(self.stages, images)
