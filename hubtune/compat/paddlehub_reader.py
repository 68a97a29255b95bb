"""What PaddleHub 1.x gives to a task: a module with its variables, and a reader of images.

These are the names that :mod:`hubtune.paddlehub` has for users.
"""

import copy
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

# Through the package, which sets MKL's path before it imports Paddle.
import hubtune
from hubtune import BaseCVDataset, Preprocessing, UsageError
from hubtune.hub.registry import takes_size

IMAGE = "image"
FEATURE_MAP = "feature_map"

# Field of Preprocessing → argument of the reader, and its allowed values.
_READER_ARGUMENTS = {
    "size": ("image_width", "a whole number of pixels from 1 to 4096"),
    "mean": ("images_mean", "three numbers, of values 0–1"),
    "std": ("images_std", "three numbers above 0, of values 0–1"),
}


@dataclass(frozen=True)
class Variable:
    """An input or output of a module's network."""

    name: str  # image, feature_map or classification
    module: hubtune.Module
    trainable: bool  # whether the network before it is trained


class Module:
    """A pretrained network and the properties of its input.

    Attributes:
        module: hubtune's module.
    """

    def __init__(
        self,
        name: str | os.PathLike[str],
        *,
        weights: str | os.PathLike[str] | None = "official",
        trust_code: bool = False,
    ) -> None:
        """Build the network and load its weights, as :class:`hubtune.Module`."""
        self.module = hubtune.Module(name, weights, trust_code=trust_code)

    def get_expected_image_width(self) -> int:
        """Return the width of the network's input, pixels."""
        return self.module.preprocessing.size

    def get_expected_image_height(self) -> int:
        """Return the height of the network's input, pixels."""
        return self.module.preprocessing.size

    def get_pretrained_images_mean(self) -> list[float]:
        """Return the mean of each channel, R G B, values 0–1."""
        return list(self.module.preprocessing.mean)

    def get_pretrained_images_std(self) -> list[float]:
        """Return the standard deviation of each channel, R G B, values 0–1."""
        return list(self.module.preprocessing.std)

    def context(self, trainable: bool = True) -> tuple[dict[str, Variable], dict[str, Variable], None]:
        """Return inputs (``image``), outputs (``feature_map``, ``classification``) and ``None``.

        Args:
            trainable: whether the network is trained; otherwise only a task's new head is.
        """
        image, *outputs = (
            Variable(name, self.module, trainable) for name in (IMAGE, FEATURE_MAP, "classification")
        )
        return {IMAGE: image}, {variable.name: variable for variable in outputs}, None


class ImageClassificationReader:
    """Preprocessing: images are stretched to a square by Lanczos resampling, then normalised.

    Its attribute ``preprocessing`` has the differences from the module's own; the others are the arguments.
    """

    def __init__(
        self,
        image_width: int,
        image_height: int,
        dataset: BaseCVDataset,
        channel_order: str = "RGB",
        images_mean: Any = None,
        images_std: Any = None,
        data_augmentation: bool = False,
        random_seed: int | None = None,
    ) -> None:
        """Check the settings; nothing is read yet.

        Args:
            image_width: of the network's input, pixels; ``image_height`` is the same number.
            dataset: the images.
            channel_order: ``RGB``, the order that hubtune's weights were trained with.
            images_mean, images_std: three numbers each, R G B, values 0–1, in any sequence or array; default:
                the module's.
            data_augmentation: whether training images are augmented as by ``augment: standard``. PaddleHub
                also changed those of evaluation and prediction.
            random_seed: the run's seed; default: the configuration's.

        Raises:
            UsageError: if images cannot be preprocessed in this way.
        """
        if image_width != image_height:
            raise UsageError(
                f"image_width {image_width!r} and image_height {image_height!r} differ, and hubtune's "
                "networks take square images: give both the same number"
            )
        if channel_order != "RGB":
            raise UsageError(
                f"channel_order is {channel_order!r}, and hubtune's weights were trained with RGB: remove it"
            )
        arguments = {"size": image_width, "mean": images_mean, "std": images_std}
        self.dataset, self.data_augmentation, self.random_seed = dataset, data_augmentation, random_seed
        self.preprocessing = {
            **{name: _as_python(value) for name, value in arguments.items() if value is not None},
            "fit": "stretch",
            "interpolation": "lanczos",
            "antialias": True,
        }
        try:
            Preprocessing.model_validate(self.preprocessing)
        except ValidationError as error:
            key = str(error.errors()[0]["loc"][0])
            name, allowed = _READER_ARGUMENTS[key]
            raise UsageError(f"{name} must be {allowed}, not {arguments[key]!r}") from error


def with_preprocessing(module: hubtune.Module, reader: ImageClassificationReader) -> hubtune.Module:
    own, backbone = module.preprocessing, module.backbone
    size, multiple = reader.preprocessing.get("size", own.size), backbone.size_multiple
    if size != own.size and not takes_size(backbone, size):
        others = "no other" if multiple is None else f"other multiples of {multiple}"
        raise UsageError(
            f"image_width is {size}, and {module.name} takes {backbone.input_size} and {others}: give "
            "image_width=module.get_expected_image_width()"
        )
    changed = copy.copy(module)
    changed.preprocessing = Preprocessing.model_validate({**own.model_dump(), **reader.preprocessing})
    return changed


def _as_python(value: Any) -> Any:
    """Return an array or sequence as a tuple of Python's numbers; anything else unchanged."""
    return tuple(np.ravel(value).tolist()) if np.ndim(value) else value
