"""Images as Python programs have them: paths, bytes of files, Pillow images and arrays."""

import io
import os
from collections.abc import Iterable
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image

from hubtune.data.images.decode import MAX_BYTES, Content
from hubtune.errors import UsageError
from hubtune.storage.address import is_address
from hubtune.text import escaped, without_keys

ImageInput = str | os.PathLike[str] | bytes | Image.Image | np.ndarray | BinaryIO

# Type and channels of arrays; grey ones may have no axis of channels.
_CHANNELS = {"uint8": (0, 1, 3, 4), "uint16": (0, 1)}
_TAKEN = (
    "give paths, bytes of image files, files opened with 'rb', Pillow images, or arrays: uint8 "
    "[height, width, 3] in the order R, G, B, [height, width, 4] with opacity or [height, width], or uint16 "
    "[height, width]"
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
    is_image = isinstance(images, bytes | Image.Image) or callable(getattr(images, "read", None))
    if is_image or (isinstance(images, np.ndarray) and images.ndim != 4):
        raise UsageError("Give a list of pictures, even for one: [image]")
    return [_name(image, f"images[{number}]") for number, image in enumerate(images)]


def _name(image: ImageInput, name: str) -> NamedInput:
    if not isinstance(image, str | os.PathLike):
        return NamedInput(name, _content(image, name))
    path = str(image)
    if is_address(path) and not os.path.lexists(path):
        raise UsageError(
            f"{name} is an address, {escaped(without_keys(path))}: fetch it, and give its bytes; the command "
            "hubtune predict fetches addresses itself"
        )
    return NamedInput(path, None)


def _content(image: ImageInput, name: str) -> Content:
    if isinstance(image, bytes | Image.Image):
        return image
    if callable(getattr(image, "read", None)):
        return _read_file(image, name)
    if not isinstance(image, np.ndarray):
        raise UsageError(f"{name} is a {type(image).__name__}: {_TAKEN}")
    channels = None
    if image.ndim in (2, 3) and image.size:
        channels = image.shape[2] if image.ndim == 3 else 0
    if channels not in _CHANNELS.get(image.dtype.name, ()):
        raise UsageError(f"{name} is an array of {image.dtype} and shape {[*image.shape]}: {_advice(image)}")
    return Image.fromarray(image[..., 0] if channels == 1 else image)


def _read_file(file: Any, name: str) -> bytes:
    """Return the rest of an open file."""
    if getattr(file, "closed", False):
        raise UsageError(f"{name} is a file that is closed: read it before, or open it again")
    # A file that was opened as text fails to decode an image.
    content = None if isinstance(file, io.TextIOBase) else file.read(MAX_BYTES + 1)
    if not isinstance(content, bytes | bytearray | memoryview):
        raise UsageError(f"{name} is a file of text: open it with 'rb'")
    return bytes(content)


def _advice(array: np.ndarray) -> str:
    """Return what to do with an array that is not an image."""
    if array.ndim == 4 and array.shape[0] == 1:
        return "give array[0]"
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[-1] not in (1, 3, 4):
        return "its channels are first: give array.transpose(1, 2, 0)"
    if array.dtype.kind in "fi" and array.size and array.ndim in (2, 3):
        values = "(255 * array)" if array.dtype.kind == "f" and np.nanmax(array) <= 1 else "array"
        return f"give {values}.round().astype('uint8'), of values from 0 to 255"
    return _TAKEN
