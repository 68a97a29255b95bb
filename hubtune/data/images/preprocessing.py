"""From a picture to the network's input: one preprocessing object for everything.

Training, evaluation, prediction and export all go through :func:`preprocess_views` and
:class:`Preprocessing`, so that they cannot see a picture differently.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hubtune.data.images.decode import MODES, Box, Decoded, decode_reduced, with_channels
from hubtune.errors import UsageError

Fit = Literal["crop", "whole", "pad", "stretch", "stretch_crop"]
Number = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]

_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# `whole` rounds sides to this, so that a folder of pictures has a few dozen input shapes and not thousands;
# the aspect changes by less than 2 % at 256 pixels.
WHOLE_STEP = 8
_WHOLE_LEAST = 32
# A picture is decoded at no less than this many times the size to which it is resized, as in Pillow's
# `thumbnail`: nearer to that size, the difference to resizing the full picture would show.
_GAP = 2
# The weights of a fourth channel start at zero, and an optimiser's steps are as small as suits pretrained
# weights: with values like those of the colours, they would mean nothing within a few hundred steps.
_FOURTH = 0.1
# OpenCV's fixed-point arithmetic for 8-bit pictures: the weights of neighbours add up to this.
_UNIT = 2048


class Preprocessing(BaseModel):
    """How a decoded picture becomes a network's input; stored in every model.

    Attributes:
        size: side of the square input, pixels (unused by ``whole``).
        resize: short side before the centre crop; with ``whole`` the long side; with ``stretch_crop`` both
            sides. Pixels.
        fit: ``crop`` scales the short side to ``resize`` and cuts the centre; ``whole`` keeps the aspect and
            cuts nothing, so that inputs differ in shape (a picture longer than 4:1 is squeezed to that);
            ``pad`` keeps the aspect and fills up to a square with the mean colour; ``stretch`` ignores the
            aspect; ``stretch_crop`` ignores it, too, and cuts the centre, as PaddleHub 2.x does.
        interpolation: resampling filter.
        antialias: whether a pixel of a shrunk picture averages over all pixels that it covers, as Pillow
            does; without, over the four around its centre only, exactly as OpenCV's ``INTER_LINEAR``
            does (``bilinear`` only).
        mirror: whether the picture is seen mirrored, left to right.
        channels: 3 for colours, 1 for grey, 4 for colours and opacity; what exactly, says
            :func:`hubtune.data.images.decode.with_channels`.
        mean: of each channel, R G B, values 0–1; grey has the mean of these three. Of a fourth channel, the
            largest value becomes zero: what is opaque is seen as by a network for three channels.
        std: of each channel, R G B; grey has the mean of these three, and a fourth channel a tenth of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(224, ge=1, le=4096)
    resize: int = Field(256, ge=1, le=8192)
    fit: Fit = "crop"
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"
    antialias: bool = True
    mirror: bool = False
    channels: Literal[1, 3, 4] = 3
    mean: tuple[Number, Number, Number] = (0.485, 0.456, 0.406)
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)

    @model_validator(mode="after")
    def _crop_fits(self) -> "Preprocessing":
        if self.fit in ("crop", "stretch_crop") and self.resize < self.size:
            raise ValueError(f"resize {self.resize} is smaller than the crop of {self.size}")
        return self

    @model_validator(mode="after")
    def _sampling_is_bilinear(self) -> "Preprocessing":
        if not self.antialias and self.interpolation != "bilinear":
            raise ValueError(f"antialias: false goes with bilinear only, not with {self.interpolation}")
        return self

    def fitted(
        self, module: str, *, fit: Fit | None = None, size: int | None = None, channels: int = 3
    ) -> "Preprocessing":
        """This one with another fit, size or number of channels.

        Args:
            module: the module's name, for the message.
            fit: what a recipe asks for; ``None``: as it is.
            size: side of the input, pixels; ``resize`` stays as many times larger as it is.
            channels: of the input.

        Raises:
            UsageError: if they do not go with the other settings.
        """
        changed: dict[str, Any] = {"channels": channels}
        if fit is not None:
            changed["fit"] = fit
        if size is not None:
            changed |= {"size": size, "resize": round(self.resize * size / self.size)}
        try:
            return Preprocessing.model_validate({**self.model_dump(), **changed})
        except ValidationError as error:
            asked = {"fit": fit, "size": size}
            told = ", ".join(f"{name}: {value}" for name, value in asked.items() if value is not None)
            raise UsageError(f"{told} does not go with {module}: {error.errors()[0]['msg']}") from error

    @property
    def description(self) -> str:
        """What a picture is seen as, such as ``whole 288 mirrored``; sides in pixels."""
        side = self.resize if self.fit == "whole" else self.size
        channels = {1: " grey", 3: "", 4: " with opacity"}[self.channels]
        return f"{self.fit} {side}{channels}{' mirrored' if self.mirror else ''}"

    @property
    def mean_colour(self) -> tuple[int, ...]:
        """What becomes zero, in each channel, 0–255."""
        return tuple(round(255 * value) for value in self._statistics[0])

    @property
    def grey_in_colours(self) -> tuple[np.ndarray, np.ndarray]:
        """What a normalised grey value is multiplied by, and what is added then, to have it in R, G and B.

        Returns:
            Float64 ``[3]`` each.
        """
        mean, std = np.array(self.mean), np.array(self.std)
        return std.mean() / std, (mean.mean() - mean) / std

    def __call__(self, image: Image.Image) -> np.ndarray:
        """Make the network's input of a decoded picture.

        Args:
            image: a picture in the mode that :data:`hubtune.data.images.decode.MODES` has for ``channels``.

        Returns:
            float32 array ``[channels, height, width]``.
        """
        return self.normalise(self.arrange(image))

    def read(self, path: str | Path, content: bytes | None = None) -> Image.Image:
        """Read a picture and arrange it: what :func:`preprocess_views` makes the network's input of.

        Raises:
            PictureError: as :func:`decode`.
        """
        [(image, part)] = _decode_for(path, [self], content)
        return self.arrange(image, part)

    def reduction(self, width: int, height: int) -> int:
        """How many times smaller than its full size a JPEG may be decoded: 1, 2, 4 or 8.

        Always 1 without ``antialias``, which promises the values of OpenCV to the last bit.
        """
        if not self.antialias:
            return 1
        wide, high = self._sides(width, height)
        spare = min(width // (_GAP * wide), height // (_GAP * high))
        return next(reduction for reduction in (8, 4, 2, 1) if reduction <= max(1, spare))

    def arrange(self, image: Image.Image, part: Box | None = None) -> Image.Image:
        """Resize, crop or pad a picture as ``fit`` says; what the network sees, before normalisation.

        Args:
            image: a picture in the mode that goes with ``channels``.
            part: what of it is the picture; ``None`` for all.
        """
        left, top, right, bottom = part or (0, 0, *image.size)
        width, height = right - left, bottom - top
        wide, high = self._sides(width, height)
        if self.fit in ("crop", "stretch_crop"):
            # Only the part that stays is computed: the same values as resizing first and cropping then, and
            # a picture of 1 × 20,000 pixels does not swell to gigabytes.
            x, y = width / wide, height / high
            column, row = (wide - self.size) // 2, (high - self.size) // 2
            # The sums may pass the border by a rounding error, which Pillow would refuse.
            right, bottom = (
                min(right, left + (column + self.size) * x),
                min(bottom, top + (row + self.size) * y),
            )
            left, top = left + column * x, top + row * y
            wide, high = self.size, self.size
        arranged = self._resized(image, (wide, high), (left, top, right, bottom))
        if self.fit == "pad":
            square = Image.new(MODES[self.channels], (self.size, self.size), self.mean_colour)
            square.paste(arranged, ((self.size - wide) // 2, (self.size - high) // 2))
            arranged = square
        return arranged.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.mirror else arranged

    def normalise(self, arranged: Image.Image | np.ndarray) -> np.ndarray:
        """Make the network's input of an arranged picture, uint8 ``[height, width, channels]``.

        Returns:
            float32 array ``[channels, height, width]``.
        """
        arranged = pixels_of(arranged) if isinstance(arranged, Image.Image) else arranged
        scale, shift = self.scale_and_shift
        # Channels first and in place from there on: twice as fast as the formula in one line.
        array = arranged.transpose(2, 0, 1).astype(np.float32, order="C")
        array *= scale[:, None, None]
        array -= shift[:, None, None]
        return array

    @property
    def scale_and_shift(self) -> tuple[np.ndarray, np.ndarray]:
        """What each channel's values 0–255 are multiplied by, and what is taken off then; float32."""
        mean, std = (np.array(values, np.float32) for values in self._statistics)
        return np.float32(1.0 / 255.0) / std, mean / std

    @property
    def _statistics(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation that each channel is normalised by."""
        mean, std = sum(self.mean) / 3, sum(self.std) / 3
        if self.channels == 1:
            return (mean,), (std,)
        if self.channels == 4:
            return (*self.mean, 1.0), (*self.std, _FOURTH * std)
        return self.mean, self.std

    def _sides(self, width: float, height: float) -> tuple[int, int]:
        """Width and height to which the whole of a picture is resized, before anything is cut or padded."""
        if self.fit == "stretch":
            return self.size, self.size
        if self.fit == "stretch_crop":
            return self.resize, self.resize
        if self.fit == "crop":
            return _scaled(width, height, self.resize / min(width, height))
        if self.fit == "pad":
            return _scaled(width, height, self.size / max(width, height))
        sides = _scaled(width, height, self.resize / max(width, height))
        # Deep networks have no values for a picture of a few pixels across.
        least = max(_WHOLE_LEAST, self.resize // 4 // WHOLE_STEP * WHOLE_STEP)
        wide, high = (max(least, round(side / WHOLE_STEP) * WHOLE_STEP) for side in sides)
        return wide, high

    def _resized(
        self,
        image: Image.Image,
        sides: tuple[int, int],
        box: Box,
    ) -> Image.Image:
        """Resize the part of a picture in ``box``."""
        left, top, right, bottom = box
        if self.antialias:
            method = _RESAMPLING[self.interpolation]
            return each_alone(image, lambda part: _in_two_passes(part, sides, box, method))
        column, next_column, across = _between(left, right, sides[0], image.width)
        row, next_row, down = _between(top, bottom, sides[1], image.height)
        # Beyond the outermost columns' centres, OpenCV gives them all the weight, and not so for rows.
        across[next_column == column] = 0
        across, down = across[:, None], down[:, None, None]
        pixels = pixels_of(image)

        def narrowed(rows: np.ndarray) -> np.ndarray:
            lines = pixels[rows].astype(np.int32)
            return (lines[:, column] * (_UNIT - across) + lines[:, next_column] * across) >> 4

        # What is cut off here is what OpenCV cuts off (VResizeLinear in its resize.cpp), to the last bit.
        above, below = narrowed(row) * (_UNIT - down) >> 16, narrowed(next_row) * down >> 16
        return image_of(((above + below + 2) >> 2).astype(np.uint8))


def preprocess_views(
    picture: str | Path | Image.Image, views: Sequence[Preprocessing], content: bytes | None = None
) -> list[np.ndarray]:
    """See one picture in several views, as the network gets them before normalisation.

    A JPEG file is decoded at a half, a quarter or an eighth of its size where a view shrinks it further
    still. What a view sees does not depend on which others are asked for.

    Args:
        picture: a file, or a picture in any mode.
        views: how to see it; at least one, all with the same channels.
        content: the file's bytes, where they have been read already.

    Returns:
        One uint8 array ``[height, width, channels]`` a view, in order.

    Raises:
        PictureError: as :func:`decode`.
    """
    if isinstance(picture, Image.Image):
        picture = with_channels(picture, views[0].channels)
        seen = [Decoded(picture, (0, 0, *picture.size))] * len(views)
    else:
        seen = _decode_for(picture, views, content)
    plain: dict[Preprocessing, np.ndarray] = {}
    pixels = []
    for view, (image, part) in zip(views, seen, strict=True):
        unmirrored = view.model_copy(update={"mirror": False})
        if unmirrored not in plain:
            plain[unmirrored] = pixels_of(unmirrored.arrange(image, part))
        array = plain[unmirrored]
        pixels.append(np.ascontiguousarray(array[:, ::-1]) if view.mirror else array)
    return pixels


def pixels_of(image: Image.Image) -> np.ndarray:
    """The values of a picture, uint8 ``[height, width, channels]``."""
    pixels = np.asarray(image)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def image_of(pixels: np.ndarray) -> Image.Image:
    """The picture of what :func:`pixels_of` gives."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def each_alone(image: Image.Image, change: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """Change a picture without one channel seeing another.

    Pillow weighs colours by opacity where it computes pixels from several others: colours under full
    transparency would become black.
    """
    if image.mode != "RGBA":
        return change(image)
    changed = change(image.convert("RGB"))
    changed.putalpha(change(image.getchannel("A")))
    return changed


def _decode_for(path: str | Path, views: Sequence[Preprocessing], content: bytes | None) -> list[Decoded]:
    return decode_reduced(
        path,
        lambda *size: [view.reduction(*size) for view in views],
        content,
        channels=views[0].channels,
    )


def _scaled(width: float, height: float, factor: float) -> tuple[int, int]:
    return max(1, round(width * factor)), max(1, round(height * factor))


def _between(start: float, end: float, count: int, limit: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Divide a side into ``count`` new pixels: each one's two nearest old pixels, and the second's share.

    The share is in parts of ``_UNIT``.
    """
    centres = (start + (np.arange(count) + 0.5) * ((end - start) / count) - 0.5).astype(np.float32)
    first = np.floor(centres).astype(np.int32)
    share = np.rint((centres - first) * _UNIT).astype(np.int32)
    # Beyond the centres of the outermost pixels, these are both neighbours.
    return np.clip(first, 0, limit - 1), np.clip(first + 1, 0, limit - 1), share


def _in_two_passes(
    image: Image.Image,
    sides: tuple[int, int],
    box: Box,
    method: Image.Resampling,
) -> Image.Image:
    """Resize the part of a picture in ``box``, one axis after the other.

    Each pass rounds to whole values, and which of them Pillow takes first differs between its versions.
    """
    wide, high = sides
    left, top, right, bottom = box
    first_column, last_column = _reach(left, right, wide, image.width)
    first_row, last_row = _reach(top, bottom, high, image.height)
    image = image.crop((first_column, first_row, last_column, last_row))
    columns, rows = (left - first_column, right - first_column), (top - first_row, bottom - first_row)
    if wide * image.height <= high * image.width:  # the smaller picture in between
        image = image.resize((wide, image.height), method, box=(columns[0], 0, columns[1], image.height))
        return image.resize(sides, method, box=(0, rows[0], wide, rows[1]))
    image = image.resize((image.width, high), method, box=(0, rows[0], image.width, rows[1]))
    return image.resize(sides, method, box=(columns[0], 0, columns[1], high))


def _reach(start: float, end: float, count: int, limit: int) -> tuple[int, int]:
    """The old pixels that ``count`` new ones between two places depend on, by the widest filter."""
    reach = 3 * max(1.0, (end - start) / count) + 1  # Lanczos: three lobes to each side
    return max(0, math.floor(start - reach)), min(limit, math.ceil(end + reach))
