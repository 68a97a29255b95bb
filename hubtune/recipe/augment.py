"""Training augmentation as data: the settings, and the presets as settings."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field, field_validator

from hubtune.errors import suggest
from hubtune.recipe.base import Settings
from hubtune.recipe.choices import AUGMENT_PRESETS

_Share = Annotated[float, Field(gt=0, le=1)]


class AugmentSettings(Settings):
    """Random changes to training pictures, applied in the order of these keys; the default is none."""

    crop: Annotated[list[_Share], Field(min_length=2, max_length=2)] | None = None
    """Smallest and largest share of the picture's area that a random crop has, such as `[0.35, 1]`; `null`:
    no random crop, the picture enters as in evaluation."""
    aspect: list[Annotated[float, Field(ge=0.1, le=10)]] = Field([3 / 4, 4 / 3], min_length=2, max_length=2)
    """Of `crop`: smallest and largest ratio of width to height."""
    flip: float = Field(0.0, ge=0, le=1)
    """Probability of mirroring left to right."""
    brightness: float = Field(0.0, ge=0, le=1)
    """Largest change of brightness: 0.2 means a factor from 0.8 to 1.2."""
    contrast: float = Field(0.0, ge=0, le=1)
    """Largest change of contrast, in the same form."""
    saturation: float = Field(0.0, ge=0, le=1)
    """Largest change of saturation, in the same form."""
    hue: float = Field(0.0, ge=0, le=0.5)
    """Largest change of hue, turns of the colour circle."""
    rotate: float = Field(0.0, ge=0, le=180)
    """Largest rotation in either direction, degrees; the corners get the mean colour."""
    randaugment: int = Field(0, ge=0, le=10)
    """Number of RandAugment's operations (Cubuk et al., 2020)."""
    magnitude: float = Field(5.0, ge=0, le=10)
    """Of `randaugment`: strength of the operations."""
    erase: float = Field(0.0, ge=0, le=1)
    """Probability that a random rectangle is filled with noise (Zhong et al., 2017)."""
    mixup: float = Field(0.0, ge=0, le=10)
    """Parameter α of mixup, which blends the pictures of a batch and their labels (Zhang et al., 2018); 0:
    off."""
    cutmix: float = Field(0.0, ge=0, le=10)
    """Parameter α of CutMix, which pastes a part of one picture into another (Yun et al., 2019); 0: off.
    Together with `mixup`, each batch gets one of the two."""

    @field_validator("crop", "aspect")
    @classmethod
    def _check_order(cls, value: list[float] | None) -> list[float] | None:
        if value is not None and value[0] > value[1]:
            raise ValueError("must be the least first, then the largest")
        return value

    @property
    def mixes(self) -> bool:
        """Whether pictures of a batch are mixed with one another."""
        return self.mixup > 0 or self.cutmix > 0


def expand_preset(value: Any) -> Any:
    """Turn a preset's name into the mapping that it is short for; return anything else unchanged.

    Raises:
        ValueError: there is no such preset.

    Example:
        >>> expand_preset("flip")
        {'flip': 0.5}
    """
    if not isinstance(value, str):
        return value
    if value not in AUGMENT_PRESETS:
        near = suggest(value, AUGMENT_PRESETS).strip().replace("Did", "did")
        raise ValueError(
            f"must be {', '.join(AUGMENT_PRESETS)}, or keys under it{f' ({near})' if near else ''}"
        )
    return AUGMENT_PRESETS[value]


Augment = Annotated[AugmentSettings, BeforeValidator(expand_preset)]
"""A preset's name or a mapping; validation always turns it into settings."""
