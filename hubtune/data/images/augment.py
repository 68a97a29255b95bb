"""Random changes to training images, on 8-bit values before normalisation.

A change depends only on the generator that the caller passes. Training passes ``rng_for(seed, "augment",
epoch, index)``, so that it is the same in a resumed run, and for any number of threads.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from hubtune.data.images.decode import decode_reduced
from hubtune.data.images.preprocessing import Preprocessing, apply_separately, image_to_array
from hubtune.recipe.augment import AugmentSettings

Colour = tuple[int, ...]
Pair = tuple[float, float]

# Random erasing as in the paper: share of the area, and aspect ratio.
_ERASE_AREA = (0.02, 0.4)
_ERASE_ASPECT = (0.3, 1 / 0.3)
# Rows: luma and the two chrominance axes of the NTSC television standard (YIQ). A rotation around the first
# axis changes the hue, and keeps grey and luma as they are.
_RGB_TO_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)


def read_image(path: str | Path, view: Preprocessing, settings: AugmentSettings) -> Image.Image:
    """Read an image for :func:`augment_image`; the result is the same in every epoch and may be cached.

    Without a random crop, the image is resized by the view. With one, it is the whole image; a JPEG is
    reduced to a half, a quarter or an eighth while decoding if even the smallest crop then stays large
    enough. An unreadable file raises an ImageError.
    """
    if settings.crop is None:
        return view.read(path)
    share = settings.crop[0] * min(settings.aspect[0], 1 / settings.aspect[1])

    def reductions(width: int, height: int) -> list[int]:
        side = max(1, min(width, height, int(math.sqrt(share * width * height))))
        return [view.reduction(side, side)]

    [(image, (left, top, right, bottom))] = decode_reduced(
        path, reductions, channels=view.channels, bits=view.bits
    )
    # Edge pixels of a reduced image may lie partly outside it.
    return image.crop((math.ceil(left), math.ceil(top), math.floor(right), math.floor(bottom)))


def augment_image(
    image: Image.Image, view: Preprocessing, settings: AugmentSettings, random: np.random.Generator
) -> np.ndarray:
    """Change a training image from :func:`read_image` at random; the image itself stays as it is.

    In this order, each step if the settings ask for it: random crop, resized by the view; flip; brightness,
    contrast, saturation and hue; rotation; RandAugment; erasing.

    The crop is that of GoogLeNet's training (Szegedy et al., "Going deeper with convolutions", 2015),
    RandAugment that of Cubuk et al. (2020), and erasing that of Zhong et al. ("Random Erasing Data
    Augmentation", 2017) with noise.

    Returns:
        The network's input before ``view.normalise``: uint8 ``[height, width, channels]``.
    """
    fill = view.mean_colour
    if settings.crop is not None:
        image = view.fit_image(image, _draw_box(*image.size, settings.crop, settings.aspect, random))
    if settings.flip and random.random() < settings.flip:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if settings.brightness or settings.contrast or settings.saturation or settings.hue:
        image = _jitter_colours(image, settings, random)
    if settings.rotate:
        image = _rotate(image, random.uniform(-settings.rotate, settings.rotate), fill)
    for _ in range(settings.randaugment):
        operation = OPERATIONS[int(random.integers(len(OPERATIONS)))]
        image = operation(image, settings.magnitude / 10 * random.choice((-1, 1)), fill)
    if settings.erase and random.random() < settings.erase:
        return _erase(image_to_array(image).copy(), random)
    return image_to_array(image)


def _draw_box(
    width: int, height: int, areas: Sequence[float], aspects: Sequence[float], random: np.random.Generator
) -> tuple[int, int, int, int] | None:
    """Draw a box by its share of the area and its width / height; ``None`` if none of ten fits the image."""
    for _ in range(10):
        area = width * height * random.uniform(areas[0], areas[1])
        aspect = math.exp(random.uniform(math.log(aspects[0]), math.log(aspects[1])))
        wide, high = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < wide <= width and 0 < high <= height:
            left, top = int(random.integers(width - wide + 1)), int(random.integers(height - high + 1))
            return left, top, left + wide, top + high
    return None


def _keep_alpha(change: Callable[..., Image.Image]) -> Callable[..., Image.Image]:
    def change_colours(image: Image.Image, *rest: Any) -> Image.Image:
        if image.mode != "RGBA":
            return change(image, *rest)
        colours = change(image.convert("RGB"), *rest)
        colours.putalpha(image.getchannel("A"))
        return colours

    return change_colours


@_keep_alpha
def _jitter_colours(
    image: Image.Image, settings: AugmentSettings, random: np.random.Generator
) -> Image.Image:
    """Change brightness, contrast, saturation and hue by one matrix, in one pass over the image."""
    if image.mode == "L":
        return _jitter_colours(image.convert("RGB"), settings, random).convert("L")
    matrix, grey = np.eye(3), 0.0
    if settings.brightness:
        matrix *= random.uniform(1 - settings.brightness, 1 + settings.brightness)
    if settings.contrast:
        factor = random.uniform(1 - settings.contrast, 1 + settings.contrast)
        grey = (1 - factor) * matrix[0, 0] * float(np.asarray(image.convert("L")).mean())
        matrix *= factor
    yiq = np.eye(3)
    if settings.saturation:
        yiq[1:] *= random.uniform(1 - settings.saturation, 1 + settings.saturation)
    if settings.hue:
        angle = 2 * math.pi * random.uniform(-settings.hue, settings.hue)
        sine, cosine = math.sin(angle), math.cos(angle)
        yiq[1:] = np.array([[cosine, -sine], [sine, cosine]]) @ yiq[1:]
    matrix = _YIQ_TO_RGB @ yiq @ _RGB_TO_YIQ @ matrix
    return image.convert("RGB", tuple(float(value) for row in matrix for value in (*row, grey)))


def _erase(pixels: np.ndarray, random: np.random.Generator) -> np.ndarray:
    height, width, _ = pixels.shape
    if box := _draw_box(width, height, _ERASE_AREA, _ERASE_ASPECT, random):
        left, top, right, bottom = box
        erased = pixels[top:bottom, left:right]
        erased[:] = random.integers(256, size=erased.shape, dtype=np.uint8)
    return pixels


def _rotate(image: Image.Image, degrees: float, fill: Colour) -> Image.Image:
    bilinear = Image.Resampling.BILINEAR
    return apply_separately(image, lambda part: part.rotate(degrees, bilinear, fillcolor=_fill(part, fill)))


def _transform(
    image: Image.Image, fill: Colour, *, shear: Pair = (0.0, 0.0), shift: Pair = (0.0, 0.0)
) -> Image.Image:
    """Shear an image around its centre, or move it by shares of its sides; each across and down."""
    (width, height), (across, down) = image.size, shear
    right, below = shift[0] * width - across * height / 2, shift[1] * height - down * width / 2
    inverse = (1.0, across, right, down, 1.0, below)
    affine, bilinear = Image.Transform.AFFINE, Image.Resampling.BILINEAR
    return apply_separately(
        image, lambda part: part.transform(part.size, affine, inverse, bilinear, fillcolor=_fill(part, fill))
    )


def _fill(part: Image.Image, fill: Colour) -> Colour | int:
    return fill[:3] if part.mode == "RGB" else fill[-1]


OPERATIONS: tuple[Callable[[Image.Image, float, Colour], Image.Image], ...] = (
    lambda image, strength, fill: image,
    *map(
        _keep_alpha,
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
    lambda image, strength, fill: _rotate(image, 30 * strength, fill),
    lambda image, strength, fill: _transform(image, fill, shear=(0.3 * strength, 0.0)),
    lambda image, strength, fill: _transform(image, fill, shear=(0.0, 0.3 * strength)),
    lambda image, strength, fill: _transform(image, fill, shift=(0.45 * strength, 0.0)),
    lambda image, strength, fill: _transform(image, fill, shift=(0.0, 0.45 * strength)),
)
"""RandAugment's 14 operations with the ranges of AutoAugment (Cubuk et al., 2019). Each is a function of an
image, a strength from -1 to 1, and the colour of pixels that come from outside."""
