"""A hub module: a backbone with its pretrained weights, read and checked."""

import os
from pathlib import Path
from typing import Any

import paddle

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import UsageError
from hubtune.hub.registry import adapt_preprocessing, resolve_module
from hubtune.hub.weights import load_into, resolve_weights
from hubtune.log import logger
from hubtune.models.backbone import Tensors, features, head_keys
from hubtune.recipe.schema import ImageSettings
from hubtune.rng import seed_for
from hubtune.storage.atomic import sha256_of
from hubtune.storage.safe_load import read_weights

_SIZE_STEP = 16  # between the sizes that are tried for a message, pixels


class Module:
    """A pretrained network, ready to be fine-tuned.

    Attributes:
        name, weights: as requested.
        backbone: the architecture's record.
        network: a ``paddle.nn.Layer`` that returns the pretraining logits; its ``state_dict()`` has the keys
            and shapes of the official file.
        stages: the network in parts, stem to head; each has ``name``, ``parameters()`` and ``forward``.
        preprocessing: how an image becomes the network's input.
        labels: class names of the pretraining head; empty if it has none, or they are unknown.
        weights_file: the file that the weights were read from; ``None`` for random weights.
        weights_sha256: SHA-256 of that file.
        code: the ``module.py`` that defines the architecture; ``None`` for hubtune's own architectures.

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
                folder or weights file.
            weights: ``"official"`` (those that come with a folder or file, else in the cache, on mirrors or
                at the official address), a ``.safetensors`` or ``.pdparams`` file, or ``None``: random ones,
                the same each time.
            trust_code: whether the code in a module folder may run.

        Raises:
            ModelError: the name is unknown, the weights are missing, damaged or made for another network, or
                the module has code that may not run.
            MachineError: official weights cannot be downloaded or kept.
        """
        self.name = os.fspath(name)
        self.weights = None if weights is None else os.fspath(weights)
        resolved = resolve_module(self.name, trust_code=trust_code)
        self.backbone = resolved.pretrained.backbone
        self.preprocessing = resolved.preprocessing
        self.code = resolved.code
        self.labels: tuple[str, ...] = ()
        self.weights_file: Path | None = None
        self.weights_sha256: str | None = None
        # A download may take minutes, so the network is built after everything that can fail there.
        tensors: Tensors = {}
        if self.weights is not None:
            own = resolved.own_weights() if self.weights == "official" else None
            self.weights_file = own or resolve_weights(self.weights, resolved.pretrained)
            tensors = read_weights(self.weights_file)
        paddle.seed(seed_for(0, "init"))
        self.network = self.backbone.build(num_classes=resolved.num_classes)
        self.stages = self.backbone.stages(self.network)
        if self.weights_file is not None:
            if self.backbone.translate is not None:
                tensors = self.backbone.translate(tensors)
            head = head_keys(self.network, self.stages)
            if load_into(self.network, tensors, head=head, source=str(self.weights_file)):
                self.labels = resolved.labels
            else:
                reason = "its head is missing or has another shape; a new one is used"
                logger.info("%s: %s", self.weights_file.name, reason)
            self.weights_sha256 = sha256_of(self.weights_file)
        self.network.eval()

    def features(self, images: paddle.Tensor) -> paddle.Tensor:
        """Return the pooled features ``[N, width]`` of preprocessed images ``[N, 3, h, w]``."""
        return features(self.stages, images)

    def preprocessing_for(self, settings: ImageSettings) -> Preprocessing:
        """Return the module's preprocessing with a recipe's ``fit``, ``size`` and ``channels``.

        Raises:
            UsageError: the network cannot take such images.
        """
        return adapt_preprocessing(self.name, self.preprocessing, self.backbone, settings)

    def check_size(self, size: int) -> None:
        """Refuse images of a side (pixels) that is too small for the network, by running it on a blank one.

        Raises:
            UsageError: nothing is left of the images before the network's end; the message names a size that
                works.
        """
        if size >= self.backbone.input_size or self._runs(size):
            return
        step = max(_SIZE_STEP, self.backbone.size_multiple or 1)
        larger = range((size // step + 1) * step, self.backbone.input_size, step)
        least = next((side for side in larger if self._runs(side)), self.backbone.input_size)
        raise UsageError(f"size: {size} is too small for {self.name}: take {least} or more")

    def _runs(self, side: int) -> bool:
        def check(_: Any, __: Any, output: Any) -> None:
            # Paddle continues with empty tensors, and may pad them to something again.
            if isinstance(output, paddle.Tensor) and not output.size:
                raise ValueError("nothing is left")

        hooks = [layer.register_forward_post_hook(check) for layer in self.network.sublayers()]
        try:
            with paddle.no_grad():
                pooled = self.features(paddle.zeros([1, 3, side, side]))
        except Exception:  # noqa: BLE001  # Paddle and foreign networks refuse small inputs in many ways
            return False
        finally:
            for hook in hooks:
                hook.remove()
        return bool(paddle.isfinite(pooled).all())
