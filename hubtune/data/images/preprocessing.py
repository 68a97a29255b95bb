"""From an image to the network's input.

Training, evaluation, prediction and export share :func:`preprocess_views` and :class:`Preprocessing`, so that
none of them can prepare an image differently.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)

from hubtune.data.images.bit_depth import FULL_BITS, MIN_BITS
from hubtune.data.images.decode import MODES, Box, Content, DecodedImage, decode_reduced
from hubtune.errors import UsageError

Fit = Literal["crop", "whole", "pad", "stretch", "stretch_crop"]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

WHOLE_STEP = 8
"""Sides of ``whole`` are multiples of this, in pixels: a folder of photos then has a few dozen input shapes
instead of thousands, and the aspect ratio changes by less than 2 % at 256 pixels."""
_WHOLE_MIN_SIDE = 32
# A JPEG is decoded at no less than this multiple of the size to which it is resized, as in Pillow's
# `thumbnail`. Closer to that size, the difference from resizing the full image would be visible.
_REDUCING_GAP = 2
# Weights of a fourth channel start at zero, and learning rates suit pretrained weights: with a standard
# deviation like that of the colours, the channel would have no effect within a few hundred steps.
_ALPHA_STD_SHARE = 0.1
# OpenCV's fixed-point interpolation of 8-bit images: the two weights of neighbours add up to this.
_FIXED_POINT = 2048


class Preprocessing(BaseModel):
    """How a decoded image becomes a network's input; stored with every model.

    Attributes:
        size: side of the square input in pixels; ``whole`` ignores it.
        resize: in pixels, the short side before the centre crop; with ``whole`` the long side; with
            ``stretch_crop`` both sides.
        fit: ``crop`` scales the short side to ``resize`` and crops the centre; ``whole`` keeps the aspect
            ratio and crops nothing, so that inputs differ in shape (an image longer than 4:1 is squeezed to
            that); ``pad`` keeps the aspect ratio and pads to a square with the mean colour; ``stretch``
            ignores the aspect ratio; ``stretch_crop`` does so, too, and crops the centre, as PaddleHub 2.x
            does.
        interpolation: resampling filter.
        antialias: whether a pixel of a reduced image averages all pixels that it covers, as in Pillow, or
            only the four around its centre, exactly as with OpenCV's ``INTER_LINEAR`` (``bilinear`` only).
        mirror: whether the image is mirrored left to right.
        channels: 3 for colours, 1 for grey, 4 for colours and opacity, see
            :func:`hubtune.data.images.decode.with_channels`.
        bits: that files of 16 bits use: microscopes write 10, 12 or 14 of them.
        mean: mean of R, G and B, on a scale of 0–1. Grey uses the average of the three. In a fourth channel,
            full opacity becomes zero, so that opaque images look as they do to a network of three channels.
        std: standard deviation of R, G and B. Grey uses their average, a fourth channel a tenth of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(224, ge=1, le=4096)
    resize: int = Field(256, ge=1, le=8192)
    fit: Fit = "crop"
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"
    antialias: bool = True
    mirror: bool = False
    channels: Literal[1, 3, 4] = 3
    bits: int = Field(FULL_BITS, ge=MIN_BITS, le=FULL_BITS)
    mean: tuple[Number, Number, Number] = (0.485, 0.456, 0.406)
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)

    @model_validator(mode="after")
    def _check_combinations(self) -> "Preprocessing":
        if self.fit in ("crop", "stretch_crop") and self.resize < self.size:
            raise ValueError(f"resize {self.resize} is smaller than the crop of {self.size}")
        if not self.antialias and self.interpolation != "bilinear":
            raise ValueError(f"antialias: false goes with bilinear only, not with {self.interpolation}")
        return self

    @model_serializer(mode="wrap")
    def _omit_full_bits(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Models and cached features of other images stay those of versions that know no other range.
        fields: dict[str, Any] = serialize(self)
        if self.bits == FULL_BITS:
            fields.pop("bits", None)
        return fields

    def override(
        self,
        module: str,
        *,
        fit: Fit | None = None,
        size: int | None = None,
        channels: int = 3,
        bits: int = FULL_BITS,
    ) -> "Preprocessing":
        """Return a copy with another fit, size, number of channels, or bits of 16-bit files.

        With ``size``, the side of the input in pixels, ``resize`` changes in proportion. ``module`` is named
        in the UsageError for settings that do not go with the others.
        """
        settings = {name: value for name, value in (("fit", fit), ("size", size)) if value is not None}
        resize = {} if size is None else {"resize": round(self.resize * size / self.size)}
        try:
            return Preprocessing.model_validate(
                {**self.model_dump(), **settings, **resize, "channels": channels, "bits": bits}
            )
        except ValidationError as error:
            text = ", ".join(f"{name}: {value}" for name, value in settings.items())
            raise UsageError(f"{text} does not go with {module}: {error.errors()[0]['msg']}") from error

    @property
    def description(self) -> str:
        """Short form for people, such as ``whole 288 mirrored``; sides in pixels."""
        side = self.resize if self.fit == "whole" else self.size
        channels = {1: " grey", 3: "", 4: " with opacity"}[self.channels]
        bits = "" if self.bits == FULL_BITS else f" {self.bits} bits"
        return f"{self.fit} {side}{channels}{bits}{' mirrored' if self.mirror else ''}"

    @property
    def mean_colour(self) -> tuple[int, ...]:
        """The value of each channel, 0–255, that normalisation turns into zero."""
        return tuple(round(255 * value) for value in self._statistics[0])

    @property
    def grey_in_colours(self) -> tuple[np.ndarray, np.ndarray]:
        """Factors and terms that turn normalised grey into normalised R, G and B, float64 ``[3]`` each."""
        mean, std = np.array(self.mean), np.array(self.std)
        return std.mean() / std, (mean.mean() - mean) / std

    def __call__(self, image: Image.Image) -> np.ndarray:
        """Turn a decoded image, in the mode of ``channels``, into float32 ``[channels, height, width]``."""
        return self.normalise(self.fit_image(image))

    def read(self, path: str | Path, content: Content | None = None) -> Image.Image:
        """Decode an image and resize it, as :func:`preprocess_views` does."""
        [(image, box)] = _decode_for([self], path, content)
        return self.fit_image(image, box)

    def reduction(self, width: int, height: int) -> int:
        """The factor, 1, 2, 4 or 8, by which a JPEG of these sides in pixels may be reduced while decoding.

        Always 1 without ``antialias``, which promises the values of OpenCV to the last bit.
        """
        if not self.antialias:
            return 1
        target_width, target_height = self.target_sides(width, height)
        spare = min(width // (_REDUCING_GAP * target_width), height // (_REDUCING_GAP * target_height))
        return next(factor for factor in (8, 4, 2, 1) if factor <= max(1, spare))

    def fit_image(self, image: Image.Image, box: Box | None = None) -> Image.Image:
        """Resize, crop or pad an image, or a box of its pixels: the network's input before normalisation."""
        left, top, right, bottom = box or (0, 0, *image.size)
        width, height = right - left, bottom - top
        wide, high = self.target_sides(width, height)
        if self.fit in ("crop", "stretch_crop"):
            # Only the part inside the crop is computed, so that an image of 1 × 20,000 pixels does not grow
            # to gigabytes. Resizing first and cropping then gives 4–19 % of the values another level, by one.
            x, y = width / wide, height / high
            column, row = (wide - self.size) // 2, (high - self.size) // 2
            # The sums may exceed the border by a rounding error, which Pillow would refuse.
            right = min(right, left + (column + self.size) * x)
            bottom = min(bottom, top + (row + self.size) * y)
            left, top = left + column * x, top + row * y
            wide, high = self.size, self.size
        resized = self._resize(image, (wide, high), (left, top, right, bottom))
        if self.fit == "pad":
            square = Image.new(MODES[self.channels], (self.size, self.size), self.mean_colour)
            square.paste(resized, ((self.size - wide) // 2, (self.size - high) // 2))
            resized = square
        return resized.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.mirror else resized

    def normalise(self, pixels: Image.Image | np.ndarray) -> np.ndarray:
        """Normalise a fitted image, uint8 ``[height, width, channels]``; returns float32, channels first."""
        pixels = image_to_array(pixels) if isinstance(pixels, Image.Image) else pixels
        scale, shift = self.scale_and_shift
        # Channels first and in place from there on: twice as fast as the formula in one line.
        array = pixels.transpose(2, 0, 1).astype(np.float32, order="C")
        array *= scale[:, None, None]
        array -= shift[:, None, None]
        return array

    @property
    def scale_and_shift(self) -> tuple[np.ndarray, np.ndarray]:
        """Factor for values 0–255, and what is subtracted then, float32 ``[channels]`` each."""
        mean, std = (np.array(values, np.float32) for values in self._statistics)
        return np.float32(1.0 / 255.0) / std, mean / std

    @property
    def _statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation of each channel."""
        mean, std = sum(self.mean) / 3, sum(self.std) / 3
        if self.channels == 1:
            return (mean,), (std,)
        if self.channels == 4:
            return (*self.mean, 1.0), (*self.std, _ALPHA_STD_SHARE * std)
        return self.mean, self.std

    def target_sides(self, width: float, height: float) -> tuple[int, int]:
        """Width and height to which the whole image is resized, before cropping or padding."""
        if self.fit == "stretch":
            return self.size, self.size
        if self.fit == "stretch_crop":
            return self.resize, self.resize
        if self.fit == "crop":
            return _scale_sides(width, height, self.resize / min(width, height))
        if self.fit == "pad":
            return _scale_sides(width, height, self.size / max(width, height))
        sides = _scale_sides(width, height, self.resize / max(width, height))
        wide, high = (max(self.least_side, round(side / WHOLE_STEP) * WHOLE_STEP) for side in sides)
        return wide, high

    @property
    def least_side(self) -> int:
        """The least side of an image that ``whole`` fits, in pixels."""
        # Strides of deep networks would leave nothing of an image a few pixels across.
        return max(_WHOLE_MIN_SIDE, self.resize // 4 // WHOLE_STEP * WHOLE_STEP)

    def _resize(self, image: Image.Image, sides: tuple[int, int], box: Box) -> Image.Image:
        """Resize the part of an image in ``box`` to ``sides``, width and height."""
        if self.antialias:
            method = Image.Resampling[self.interpolation.upper()]
            return apply_separately(image, lambda part: _resize_in_two_passes(part, sides, box, method))
        left, top, right, bottom = box
        column, next_column, across = _neighbours(left, right, sides[0], image.width)
        row, next_row, down = _neighbours(top, bottom, sides[1], image.height)
        # OpenCV gives the outermost columns all the weight beyond their centres, but interpolates rows there.
        across[next_column == column] = 0
        across, down = across[:, None], down[:, None, None]
        pixels = image_to_array(image)

        def resize_rows(rows: np.ndarray) -> np.ndarray:
            lines = pixels[rows].astype(np.int32)
            return (lines[:, column] * (_FIXED_POINT - across) + lines[:, next_column] * across) >> 4

        # The shifts truncate as OpenCV does (VResizeLinear in its resize.cpp), to the last bit.
        above, below = resize_rows(row) * (_FIXED_POINT - down) >> 16, resize_rows(next_row) * down >> 16
        return array_to_image(((above + below + 2) >> 2).astype(np.uint8))


def preprocess_views(
    source: str | Path | Image.Image, views: Sequence[Preprocessing], content: Content | None = None
) -> list[np.ndarray]:
    """Prepare one image, a file or its ``content``, in several views, up to normalisation.

    A JPEG file is decoded at a half, a quarter or an eighth of its size where a view reduces it further. The
    result of a view does not depend on the others, which have the same number of channels and bits.

    Returns:
        One uint8 array ``[height, width, channels]`` per view, in order.

    Raises:
        ImageError: as :func:`~hubtune.data.images.decode.decode`.
    """
    path, content = ("image", source) if isinstance(source, Image.Image) else (source, content)
    decoded = _decode_for(views, path, content)
    # A view and its mirror image, the usual pair, share the resizing.
    plain: dict[Preprocessing, np.ndarray] = {}
    arrays = []
    for view, (image, box) in zip(views, decoded, strict=True):
        unmirrored = view.model_copy(update={"mirror": False})
        if unmirrored not in plain:
            plain[unmirrored] = image_to_array(unmirrored.fit_image(image, box))
        array = plain[unmirrored]
        arrays.append(np.ascontiguousarray(array[:, ::-1]) if view.mirror else array)
    return arrays


def image_to_array(image: Image.Image) -> np.ndarray:
    """Pixels of an image, uint8 ``[height, width, channels]``."""
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def array_to_image(pixels: np.ndarray) -> Image.Image:
    """Image of pixels, the inverse of :func:`image_to_array`."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def apply_separately(image: Image.Image, change: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Apply a function to the colours and the opacity of an image separately."""
    # Where Pillow computes a pixel from several others, it weights colours by opacity; colours under full
    # transparency would become black.
    if image.mode != "RGBA":
        return change(image)
    changed = change(image.convert("RGB"))
    changed.putalpha(change(image.getchannel("A")))
    return changed


def _decode_for(
    views: Sequence[Preprocessing], path: str | Path, content: Content | None
) -> list[DecodedImage]:
    return decode_reduced(
        path,
        lambda *size: [view.reduction(*size) for view in views],
        content,
        channels=views[0].channels,
        bits=views[0].bits,
    )


def _scale_sides(width: float, height: float, factor: float) -> tuple[int, int]:
    return max(1, round(width * factor)), max(1, round(height * factor))


def _neighbours(
    start: float, end: float, count: int, limit: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two nearest of ``limit`` pixels for each of ``count`` new ones, and the weight of the second."""
    centres = (start + (np.arange(count) + 0.5) * ((end - start) / count) - 0.5).astype(np.float32)
    first = np.floor(centres).astype(np.int32)
    share = np.rint((centres - first) * _FIXED_POINT).astype(np.int32)
    # Beyond the centres of the outermost pixels, both neighbours are the same pixel.
    return np.clip(first, 0, limit - 1), np.clip(first + 1, 0, limit - 1), share


def _resize_in_two_passes(
    image: Image.Image, sides: tuple[int, int], box: Box, method: Image.Resampling
) -> Image.Image:
    """Resize the part of an image in ``box``, one axis after the other."""
    # Each pass rounds to whole values; which axis Pillow resizes first differs between versions 12 and 13.
    wide, high = sides
    left, top, right, bottom = box
    first_column, last_column = _filter_support(left, right, wide, image.width)
    first_row, last_row = _filter_support(top, bottom, high, image.height)
    image = image.crop((first_column, first_row, last_column, last_row))
    columns, rows = (left - first_column, right - first_column), (top - first_row, bottom - first_row)
    if wide * image.height <= high * image.width:  # the order with the smaller intermediate image
        image = image.resize((wide, image.height), method, box=(columns[0], 0, columns[1], image.height))
        return image.resize(sides, method, box=(0, rows[0], wide, rows[1]))
    image = image.resize((image.width, high), method, box=(0, rows[0], image.width, rows[1]))
    return image.resize(sides, method, box=(columns[0], 0, columns[1], high))


def _filter_support(start: float, end: float, count: int, limit: int) -> tuple[int, int]:
    """The range of old pixels that ``count`` new ones between two places depend on, for the widest filter."""
    support = 3 * max(1.0, (end - start) / count) + 1  # Lanczos has three lobes on each side
    return max(0, math.floor(start - support)), min(limit, math.ceil(end + support))
