"""Check image files without keeping their pixels: by name, by first and last bytes, or by reading it all."""

import io
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from hubtune.data.images.bit_depth import FULL_BITS, common_bits, is_deep, used_bits
from hubtune.data.images.decode import ImageError, exif_orientation, is_jpeg, load_upright, open_image
from hubtune.data.images.jpeg_header import is_plain_jpeg

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .gif .bmp .dib .tif .tiff .avif .ico .jp2 .j2k .jpf .jpx"
    " .ppm .pgm .pbm .pnm .pcx .tga .heic .heif .hif .jxl .svg .eps .psd .raw .cr2 .cr3 .nef .arw .dng .raf"
    " .orf .rw2 .dcm".split()
)
"""File name suffixes of images, whether or not hubtune can read the format."""

# Last bytes of complete files, by format.
_TRAILERS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";"}


class CheckedImage(NamedTuple):
    """An image that was read to its last byte; see :class:`~hubtune.data.scan.inspect.ImageInfo`.

    ``small`` is the decoded image; a JPEG at the smallest fraction with a long side of the requested length,
    a 16-bit image scaled from its own ``bits``.
    """

    format: str
    mode: str
    width: int
    height: int
    orientation: int
    frames: int
    bits: int
    small: Image.Image


def is_image(path: str | Path) -> bool:
    """Whether a file looks like an image, readable or not: by its suffix, or else by its first bytes.

    Only files without an image suffix are opened. A file that cannot be opened counts as an image.
    """
    if Path(path).suffix.lower() in IMAGE_SUFFIXES:
        return True
    return not refusal_of(path).startswith(("not a picture", "not a regular file", "empty file"))


def image_names(folder: Path) -> set[str]:
    """Return the visible names with suffixes of images in a folder; none if it cannot be read."""
    with suppress(OSError), os.scandir(folder) as entries:
        names = [entry.name for entry in entries if not entry.name.startswith(".")]
        # Not Path(name).suffix, which takes ten times as long: a folder may have a million.
        return {name for name in names if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES}  # noqa: PTH122
    return set()


def images_beside(files: Iterable[Path]) -> dict[Path, set[str]]:
    """Return the folders of files, each with the :func:`image_names` in it that are not among the files."""
    listed: dict[str, set[str]] = {}
    for file in files:
        folder, name = os.path.split(file)  # a Path computes and hashes its parts each time
        listed.setdefault(folder, set()).add(name)
    return {Path(folder): image_names(Path(folder)) - names for folder, names in listed.items()}


def refusal_of(path: str | Path) -> str:
    """Return why a file cannot be opened as an image; empty if it can."""
    try:
        with open_image(path):
            return ""
    except ImageError as error:
        return error.reason


def check_ends(path: str | Path) -> int:
    """Check the beginning and the end of an image file; pixels in between may still be damaged.

    A file without its format's last bytes is read completely, because some cameras append data to an image;
    so is a deeper one than 8 bits. Errors are those of :func:`~hubtune.data.images.decode.decode`.

    Returns:
        The bits that a 16-bit image uses: see :func:`~hubtune.data.images.bit_depth.used_bits`.
    """
    if is_plain_jpeg(path):
        return 0
    with open_image(path) as image:
        trailer, file = _TRAILERS.get(str(image.format)), getattr(image, "fp", None)
        if not is_deep(image):
            if file is None or trailer is None:
                return 0
            file.seek(-len(trailer), io.SEEK_END)
            if file.read() == trailer:
                return 0
    return check_pixels(path).bits


def find_bits(paths: Iterable[Path]) -> int:
    """Return the bits of all 16-bit images among files; unreadable files do not count."""
    depths = []
    for path in paths:
        with suppress(ImageError):
            depths.append(check_ends(path))
    return common_bits(depths)


def check_pixels(path: str | Path, content: bytes | None = None, *, side: int = 1) -> CheckedImage:
    """Read an image, or its ``content``, to its last byte with as little decoding as possible.

    ``side`` is the least length of the long side of :attr:`CheckedImage.small`, in pixels. Errors are those
    of :func:`~hubtune.data.images.decode.decode`.
    """
    with open_image(path, content) as image:
        mode, (width, height) = image.mode, image.size
        # At an eighth of its size, a JPEG's bytes are all read, but most of the arithmetic is saved.
        reduction = next((factor for factor in (8, 4, 2) if max(width, height) >= factor * side), 1)
        bits = used_bits(image)
        small = load_upright(image, reduction if is_jpeg(image) else 1, bits=bits or FULL_BITS).image.copy()
        orientation = exif_orientation(image)
        if orientation in (5, 6, 7, 8):  # these exchange width and height
            width, height = height, width
        frames = getattr(image, "n_frames", 1)
        return CheckedImage(str(image.format), mode, width, height, orientation, frames, bits, small)
