"""Images as Python programs have them: paths, bytes of files, Pillow images and arrays."""

import os
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from PIL import Image

from hubtune.data.images.decode import Content
from hubtune.errors import UsageError

ImageInput = str | os.PathLike[str] | bytes | Image.Image | np.ndarray

# Type and channels of arrays; grey ones may have no axis of channels.
_CHANNELS = {"uint8": (0, 1, 3, 4), "uint16": (0, 1)}
_TAKEN = (
    "give paths, bytes of image files, Pillow images, or arrays: uint8 [height, width, 3] in the order R, G, "
    "B, [height, width, 4] with opacity or [height, width], or uint16 [height, width]"
)


class NamedInput(NamedTuple):
    """A path as it was given; or the place of an image in memory, such as ``images[0]``, and its content."""

    name: str
    content: Content | None


def read_inputs(images: Iterable[ImageInput]) -> list[NamedInput]:
    """Name images, and turn arrays into Pillow images.

    An array gives exactly what a lossless file of its pixels gives, and a Pillow image what its file gives,
    except that a large JPEG file is decoded at a reduced size.

    Raises:
        UsageError: there is a single image in place of a list, or something else than an image in it.
    """
    if isinstance(images, str | os.PathLike):
        raise UsageError(f"Give a list of pictures, even for one: [{os.fspath(images)!r}]")
    if isinstance(images, bytes | Image.Image) or (isinstance(images, np.ndarray) and images.ndim != 4):
        raise UsageError("Give a list of pictures, even for one: [image]")
    return [
        NamedInput(str(image), None)
        if isinstance(image, str | os.PathLike)
        else NamedInput(f"images[{number}]", _content(image, f"images[{number}]"))
        for number, image in enumerate(images)
    ]


def _content(image: bytes | Image.Image | np.ndarray, name: str) -> Content:
    if isinstance(image, bytes | Image.Image):
        return image
    if not isinstance(image, np.ndarray):
        raise UsageError(f"{name} is a {type(image).__name__}: {_TAKEN}")
    channels = {2: 0, 3: image.shape[-1]}.get(image.ndim) if image.size else None
    if channels not in _CHANNELS.get(image.dtype.name, ()):
        raise UsageError(f"{name} is an array of {image.dtype} and shape {[*image.shape]}: {_TAKEN}")
    return Image.fromarray(image[..., 0] if channels == 1 else image)
