"""Random changes to training pictures, on 8-bit values before normalisation.

A picture's change is drawn from the generator that the caller gives, and from nothing else; training gives
``generator(run seed, "augment", epoch, index)``, so that it depends on the run, the epoch and the picture
alone.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from hubtune.data.images.decode import decode_reduced
from hubtune.data.images.preprocessing import Preprocessing, each_alone, pixels_of
from hubtune.recipe.augment import AugmentSettings

Colour = tuple[int, ...]

# Of the erased part, as in the paper: share of the area, and aspect.
_ERASED_AREA = (0.02, 0.4)
_ERASED_ASPECT = (0.3, 1 / 0.3)
# Rows: brightness and the two axes of colour of the television standard NTSC (YIQ). A turn around the first
# changes the hue, and leaves grey and brightness as they are.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_RGB = np.linalg.inv(_YIQ)


def read_image(path: str | Path, view: Preprocessing, settings: AugmentSettings) -> Image.Image:
    """Read a picture as :func:`augmented` needs it, the same for every epoch, so that it can be kept.

    Without a random crop it is arranged by the view already. With one it is the whole picture; a JPEG is
    decoded at a half, a quarter or an eighth of its size where even the smallest part stays large enough.

    Args:
        path: the file.
        view: how the network sees pictures.
        settings: what is done to them.

    Returns:
        A picture in the mode that goes with the view's channels.

    Raises:
        PictureError: if it cannot be read.
    """
    if settings.crop is None:
        return view.read(path)
    share = settings.crop[0] * min(settings.aspect[0], 1 / settings.aspect[1])

    def reduction(width: int, height: int) -> int:
        least = min(width, height, int(math.sqrt(share * width * height)))
        return view.reduction(max(1, least), max(1, least))

    [(image, (left, top, right, bottom))] = decode_reduced(
        path, lambda *size: [reduction(*size)], channels=view.channels
    )
    # A reduced picture's edge may lie a part of a pixel outside the picture.
    return image.crop((math.ceil(left), math.ceil(top), math.floor(right), math.floor(bottom)))


def augmented(
    image: Image.Image, view: Preprocessing, settings: AugmentSettings, random: np.random.Generator
) -> np.ndarray:
    """Change a training picture at random.

    In this order, as far as the settings ask for it: a random part is cut out and arranged by the view, then
    flip, brightness with contrast, saturation and hue, rotation, RandAugment, erasing.

    The random part is that of GoogLeNet's training (Szegedy et al., "Going deeper with convolutions", 2015),
    RandAugment that of Cubuk et al. (2020), erasing that of Zhong et al. ("Random Erasing Data Augmentation",
    2017), with noise.

    Args:
        image: the picture as :func:`read_image` returns it; it is not changed.
        view: how the network sees pictures.
        settings: what to do.
        random: the source of all draws.

    Returns:
        What the network sees, before ``view.normalise``: uint8 ``[height, width, channels]``.

    Example:
        >>> image = read_picture("a.jpg", view, settings)
        >>> pixels = augmented(image, view, settings, generator(seed, "augment", epoch, index))
    """
    mean = view.mean_colour
    if settings.crop is not None:
        image = view.arrange(image, _part(*image.size, settings.crop, settings.aspect, random))
    if settings.flip and random.random() < settings.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if settings.brightness or settings.contrast or settings.saturation or settings.hue:
        image = _jittered(image, settings, random)
    if settings.rotate:
        image = _rotated(image, random.uniform(-settings.rotate, settings.rotate), mean)
    for _ in range(settings.randaugment):
        operation = OPERATIONS[int(random.integers(len(OPERATIONS)))]
        image = operation(image, settings.magnitude / 10 * random.choice((-1, 1)), mean)
    if settings.erase and random.random() < settings.erase:
        return _erased(pixels_of(image).copy(), random)
    return pixels_of(image)


def _part(
    width: int, height: int, areas: Sequence[float], aspects: Sequence[float], random: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """Draw a part of a picture.

    Args:
        width: of the picture, pixels.
        height: of the picture, pixels.
        areas: least and largest share of its area.
        aspects: least and largest width divided by height.
        random: the source of the draws.

    Returns:
        Left, top, right and bottom; ``None`` where ten draws gave none that fits into the picture.
    """
    for _ in range(10):
        area = width * height * random.uniform(areas[0], areas[1])
        aspect = math.exp(random.uniform(math.log(aspects[0]), math.log(aspects[1])))
        wide, high = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < high <= height:
            left, top = int(random.integers(width - wide + 1)), int(random.integers(height - high + 1))
            return left, top, left + wide, top + high
    return None


def _rotated(image: Image.Image, degrees: float, fill: Colour) -> Image.Image:
    return each_alone(
        image, lambda part: part.rotate(degrees, Image.Resampling.BILINEAR, fillcolor=_fill_of(part, fill))
    )


def _of_colours(change: Callable[..., Image.Image]) -> Callable[..., Image.Image]:
    """Let a change see the colours of a picture, and leave its opacity as it is."""

    def changed(image: Image.Image, *rest: Any) -> Image.Image:
        if image.mode != "RGBA":
            return change(image, *rest)
        colours = change(image.convert("RGB"), *rest)
        colours.putalpha(image.getchannel("A"))
        return colours

    return changed


@_of_colours
def _jittered(image: Image.Image, settings: AugmentSettings, random: np.random.Generator) -> Image.Image:
    """Change brightness, contrast, saturation and hue: one matrix, and a pass over the picture."""
    if image.mode == "L":
        return _jittered(image.convert("RGB"), settings, random).convert("L")
    matrix, grey = np.eye(3), 0.0
    if settings.brightness:
        matrix *= random.uniform(1 - settings.brightness, 1 + settings.brightness)
    if settings.contrast:
        factor = random.uniform(1 - settings.contrast, 1 + settings.contrast)
        grey = (1 - factor) * matrix[0, 0] * float(np.asarray(image.convert("L")).mean())
        matrix *= factor
    in_yiq = np.eye(3)
    if settings.saturation:
        in_yiq[1:] *= random.uniform(1 - settings.saturation, 1 + settings.saturation)
    if settings.hue:
        angle = 2 * math.pi * random.uniform(-settings.hue, settings.hue)
        sine, cosine = math.sin(angle), math.cos(angle)
        in_yiq[1:] = np.array([[cosine, -sine], [sine, cosine]]) @ in_yiq[1:]
    matrix = _RGB @ in_yiq @ _YIQ @ matrix
    return image.convert("RGB", tuple(float(value) for row in matrix for value in (*row, grey)))


def _erased(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    height, width, channels = pixels.shape
    part = _part(width, height, _ERASED_AREA, _ERASED_ASPECT, random)
    if part is not None:
        left, top, right, bottom = part
        pixels[top:bottom, left:right] = random.integers(
            256, size=(bottom - top, right - left, channels), dtype=np.uint8
        )
    return pixels


def _sheared(image: Image.Image, across: float, down: float, fill: Colour) -> Image.Image:
    """Shear a picture around its centre."""
    width, height = image.size
    inverse = (1.0, across, -across * height / 2, down, 1.0, -down * width / 2)
    return _transformed(image, inverse, fill)


def _moved(image: Image.Image, across: float, down: float, fill: Colour) -> Image.Image:
    """Move a picture by shares of its sides."""
    return _transformed(image, (1.0, 0.0, across * image.width, 0.0, 1.0, down * image.height), fill)


def _transformed(image: Image.Image, inverse: tuple[float, ...], fill: Colour) -> Image.Image:
    method, filter_ = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return each_alone(
        image,
        lambda part: part.transform(part.size, method, inverse, filter_, fillcolor=_fill_of(part, fill)),
    )


def _fill_of(part: Image.Image, fill: Colour) -> Colour | int:
    """The part of a colour that an image has which is all of a picture, its colours or its opacity."""
    return fill[:3] if part.mode == "RGB" else fill[-1]


OPERATIONS: tuple[Callable[[Image.Image, float, Colour], Image.Image], ...] = (
    lambda image, strength, fill: image,
    *map(
        _of_colours,
        (
            lambda image, strength, fill: ImageOps.autocontrast(image),
            lambda image, strength, fill: ImageOps.equalize(image),
            lambda image, strength, fill: ImageOps.solarize(image, round(256 * (1 - abs(strength)))),
            lambda image, strength, fill: ImageOps.posterize(image, 8 - round(4 * abs(strength))),
            lambda image, strength, fill: ImageEnhance.Color(image).enhance(1 + 0.9 * strength),
            lambda image, strength, fill: ImageEnhance.Contrast(image).enhance(1 + 0.9 * strength),
            lambda image, strength, fill: ImageEnhance.Brightness(image).enhance(1 + 0.9 * strength),
            lambda image, strength, fill: ImageEnhance.Sharpness(image).enhance(1 + 0.9 * strength),
        ),
    ),
    lambda image, strength, fill: _rotated(image, 30 * strength, fill),
    lambda image, strength, fill: _sheared(image, 0.3 * strength, 0, fill),
    lambda image, strength, fill: _sheared(image, 0, 0.3 * strength, fill),
    lambda image, strength, fill: _moved(image, 0.45 * strength, 0, fill),
    lambda image, strength, fill: _moved(image, 0, 0.45 * strength, fill),
)
"""RandAugment's 14 operations, with the ranges of AutoAugment (Cubuk et al., 2019): picture, strength from -1
to 1, colour of what comes in from outside → picture."""
