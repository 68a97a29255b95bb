"""Training augmentation as data: what may be done to a training picture, and presets of it."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from hubtune.errors import suggest
from hubtune.recipe.base import Settings

PRESETS: dict[str, dict[str, Any]] = {
    "none": {},
    "flip": {"flip": 0.5},
    "crop": {"crop": [0.08, 1.0], "flip": 0.5},
    "standard": {
        "crop": [0.35, 1.0],
        "flip": 0.5,
        "brightness": 0.2,
        "contrast": 0.2,
        "saturation": 0.2,
    },
    "strong": {
        "crop": [0.25, 1.0],
        "flip": 0.5,
        "randaugment": 2,
        "magnitude": 5.0,
        "erase": 0.25,
        "mixup": 0.2,
    },
}
"""Each name, and the mapping that it is short for."""


class AugmentSettings(Settings):
    """What is done at random to training pictures, in the order of these keys; by default nothing."""

    crop: Annotated[list[Annotated[float, Field(gt=0, le=1)]], Field(min_length=2, max_length=2)] | None = (
        None
    )
    """Least and largest share of the picture's area that a random part has, such as `[0.35, 1]`; `null`: no
    random part is cut out, and the picture is seen as in evaluation."""
    aspect: list[Annotated[float, Field(ge=0.1, le=10)]] = Field([3 / 4, 4 / 3], min_length=2, max_length=2)
    """Of `crop`: least and largest width of the part, divided by its height."""
    flip: float = Field(0.0, ge=0, le=1)
    """Probability of mirroring, left to right."""
    brightness: float = Field(0.0, ge=0, le=1)
    """Largest change of brightness: with 0.2, a factor from 0.8 to 1.2."""
    contrast: float = Field(0.0, ge=0, le=1)
    """Largest change of contrast, likewise."""
    saturation: float = Field(0.0, ge=0, le=1)
    """Largest change of saturation, likewise."""
    hue: float = Field(0.0, ge=0, le=0.5)
    """Largest change of hue, turns of the colour circle."""
    rotate: float = Field(0.0, ge=0, le=180)
    """Largest rotation, degrees, either way; corners get the mean colour."""
    randaugment: int = Field(0, ge=0, le=10)
    """Number of RandAugment's operations (Cubuk et al., 2020)."""
    magnitude: float = Field(5.0, ge=0, le=10)
    """Of `randaugment`: how strong they are."""
    erase: float = Field(0.0, ge=0, le=1)
    """Probability that a random rectangle is filled with noise (Zhong et al., 2017)."""
    mixup: float = Field(0.0, ge=0, le=10)
    """Parameter α of mixup, which blends pictures of a batch, and their labels (Zhang et al., 2018); 0:
    off."""
    cutmix: float = Field(0.0, ge=0, le=10)
    """Parameter α of CutMix, which puts a part of one picture into another (Yun et al., 2019); 0: off. With
    `mixup`, too, each batch has one of the two."""

    @field_validator("crop", "aspect")
    @classmethod
    def _rises(cls, value: list[float] | None) -> list[float] | None:
        if value is not None and value[0] > value[1]:
            raise ValueError("must be the least first, then the largest")
        return value

    @property
    def mixes(self) -> bool:
        """Whether pictures of a batch are mixed with one another."""
        return self.mixup > 0 or self.cutmix > 0


def long_augment(value: Any) -> Any:
    """Turn a preset's name into the mapping that it is short for; anything else stays as it is.

    Raises:
        ValueError: if there is no such preset.

    Example:
        >>> long_augment("flip")
        {'flip': 0.5}
    """
    if not isinstance(value, str):
        return value
    if value not in PRESETS:
        near = suggest(value, PRESETS).strip().replace("Did", "did")
        raise ValueError(f"must be {', '.join(PRESETS)}, or keys under it{f' ({near})' if near else ''}")
    return PRESETS[value]


Augment = Annotated[AugmentSettings, BeforeValidator(long_augment)]
"""A preset's name, or a mapping; always settings once it has been read."""
