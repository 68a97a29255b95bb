"""A hub module: a backbone with its pretrained weights, read and checked."""

import os
from pathlib import Path

import paddle

from hubtune.hub.registry import resolve_module
from hubtune.hub.weights import load_into
from hubtune.hub.weights import resolve_weights as resolve_weights
from hubtune.log import logger
from hubtune.models.backbone import Tensors, features, head_keys
from hubtune.storage.atomic import sha256_of
from hubtune.storage.safe_load import read_weights


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
        labels: class names of the pretraining head; empty where it has none, or they are unknown.
        weights_file: the file that its weights were read from; ``None`` for random weights.
        weights_sha256: of that file.
        code: the ``module.py`` that the architecture was made by; ``None`` for hubtune's own.

    Example:
        >>> module = Module(name="paddle.vision:mobilenet_v2", weights="mobilenetv2.safetensors")
        >>> module.features(paddle.zeros([2, 3, 224, 224])).shape
        [2, 1280]
    """

    def __init__(
        self,
        name: str | os.PathLike[str],
        weights: str | os.PathLike[str] | None = "official",
        *,
        trust_code: bool = False,
    ) -> None:
        """Build the network and load its weights.

        Args:
            name: a hub name (``xception71_imagenet``), ``paddle.vision:<name>``, or the path of a module
                folder or of a weights file.
            weights: ``"official"`` (the weights that a folder or file brings along; else the cache, mirrors
                and the official address), the path of a ``.safetensors`` or ``.pdparams`` file, or ``None``
                for random values without any file.
            trust_code: whether the code in a module folder may run.

        Raises:
            ModelError: if the name is unknown, the weights are missing, damaged or for another network, or
                the module has code that may not run.
            MachineError: if official weights cannot be downloaded or kept.
        """
        self.name = os.fspath(name)
        self.weights = None if weights is None else os.fspath(weights)
        found = resolve_module(self.name, trust_code=trust_code)
        self.backbone = found.pretrained.backbone
        self.preprocessing = found.preprocessing
        self.code = found.code
        self.labels: tuple[str, ...] = ()
        self.weights_file: Path | None = None
        self.weights_sha256: str | None = None
        if self.weights == "official":
            self.weights_file = found.own_weights() or resolve_weights("official", found.pretrained)
        elif self.weights is not None:
            self.weights_file = resolve_weights(self.weights, found.pretrained)
        # A download may take minutes; building the network comes after whatever can go wrong there.
        tensors: Tensors | None = None if self.weights_file is None else read_weights(self.weights_file)
        self.network = self.backbone.build(num_classes=found.num_classes)
        self.stages = self.backbone.stages(self.network)
        if self.weights_file is not None and tensors is not None:
            if self.backbone.translate is not None:
                tensors = self.backbone.translate(tensors)
            head = head_keys(self.network, self.stages)
            if load_into(self.network, tensors, head=head, source=str(self.weights_file)):
                self.labels = found.labels
            else:
                logger.info("%s: its head is missing or has another shape; made anew", self.weights_file.name)
            self.weights_sha256 = sha256_of(self.weights_file)
        self.network.eval()

    def features(self, images: paddle.Tensor) -> paddle.Tensor:
        """Pooled features ``[N, width]`` of preprocessed pictures ``[N, 3, h, w]``."""
        return features(self.stages, images)
