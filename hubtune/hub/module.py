"""A hub module: a backbone with its pretrained weights, read and checked."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import paddle

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import UsageError
from hubtune.hub.own_names import own_tensors
from hubtune.hub.registry import adapt_preprocessing, resolve_module
from hubtune.hub.starting_model import TrainedHead, backbone_tensors
from hubtune.hub.weights import load_into, resolve_weights
from hubtune.log import logger
from hubtune.models.backbone import Tensors, features, head_keys
from hubtune.recipe.schema import ImageSettings
from hubtune.rng import seed_for
from hubtune.storage.address import check_path
from hubtune.storage.atomic import sha256_of_tree
from hubtune.storage.safe_load import read_weights

_SIZE_STEP = 16  # between the sizes that are tried for a message, pixels
_CHANNELS = 3


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
        weights_file: the file or folder that the weights were read from; ``None`` for random weights.
        weights_sha256: SHA-256 of that file, or of the folder's files.
        head: of the fine-tuned model that the module is; ``None`` if it is none.
        code: what identifies the code that defines the architecture: its ``module.py``, or the names and
            contents of all files; ``None`` for hubtune's own architectures.
        code_files: name → content of the files of this code.

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
                folder or an archive of one, of a run or a model folder, or of a weights file.
            weights: ``"official"`` (those that come with a folder or file, else in the cache, on mirrors or
                at the official address), a ``.safetensors`` or ``.pdparams`` file, Paddle 1's parameters (a
                folder, or a tar archive of it), or ``None``: random ones, the same each time.
            trust_code: whether the code in a module folder may run.

        Raises:
            ModelError: the name is unknown, the weights are missing, damaged or made for another network, or
                the module has code that may not run.
            MachineError: official weights cannot be downloaded or kept.
            UsageError: the name or the weights are an address.
        """
        self.name = os.fspath(name)
        self.weights = None if weights is None else os.fspath(weights)
        check_path(self.name, "module")
        check_path(self.weights or "", "weights")
        resolved = resolve_module(self.name, trust_code=trust_code)
        self.backbone = resolved.pretrained.backbone
        self.preprocessing = resolved.preprocessing
        self.code = None if resolved.code is None else resolved.code.content
        self.code_files = {} if resolved.code is None else resolved.code.files
        self.labels: tuple[str, ...] = ()
        self.head: TrainedHead | None = None
        self.weights_file: Path | None = None
        self.weights_sha256: str | None = None
        # A download may take minutes, so the network is built after everything that can fail there.
        tensors: Tensors = {}
        if self.weights is not None:
            own = resolved.own_weights() if self.weights == "official" else None
            self.weights_file = own or resolve_weights(self.weights, resolved.pretrained)
            tensors = read_weights(self.weights_file)
            if own is not None and resolved.model is not None:
                self.head = resolved.model.head(tensors)
                tensors = backbone_tensors(tensors)
        paddle.seed(seed_for(0, "init"))
        self.network = self.backbone.build(num_classes=resolved.num_classes)
        self.stages = self.backbone.stages(self.network)
        if self.weights_file is not None:
            tensors = own_tensors(self.backbone, self.network, tensors)
            head = head_keys(self.network, self.stages)
            if load_into(self.network, tensors, head=head, source=str(self.weights_file)):
                self.labels = resolved.labels
            elif self.head is None:
                reason = "its head is missing or has another shape; a new one is used"
                logger.info("%s: %s", self.weights_file.name, reason)
            self.weights_sha256 = sha256_of_tree(self.weights_file)
        self.network.eval()

    def features(self, images: paddle.Tensor) -> paddle.Tensor:
        """Return the pooled features ``[N, width]`` of preprocessed images ``[N, 3, h, w]``.

        Raises:
            UsageError: the images have another shape; the message names the transposition that helps.
        """
        _check_shape(images.shape)
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


def _check_shape(shape: Sequence[int]) -> None:
    """Refuse what is not a batch of images with the channels first."""
    if len(shape) == 4 and shape[1] == _CHANNELS:
        return
    advice = "prepare images by module.preprocessing"
    if len(shape) == 4 and shape[3] == _CHANNELS:
        advice = "the channels are last: give images.transpose([0, 3, 1, 2])"
    elif len(shape) == 3 and shape[0] == _CHANNELS:
        advice = "it is one image: give images.unsqueeze(0)"
    elif len(shape) == 3 and shape[2] == _CHANNELS:
        advice = "it is one image, and its channels are last: give images.transpose([2, 0, 1]).unsqueeze(0)"
    raise UsageError(f"images have the shape {[*shape]}, and a network takes [N, 3, height, width]: {advice}")
