"""Decode an image file into 8-bit pixels: one decoder for training, evaluation, prediction and export."""

import io
import stat
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from operator import itemgetter
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from PIL import Image, UnidentifiedImageError, features

from hubtune.data.images.bit_depth import FULL_BITS, is_deep, scale_to_8_bits
from hubtune.data.images.formats import AVIF, HEIC, RAW, START_BYTES, identify_format
from hubtune.errors import DataError, MachineError
from hubtune.hardware.memory import free_memory
from hubtune.text import format_bytes

# A Pillow image reads its file when it is first used, and may be given several times.
_loading = Lock()

FORMATS = tuple("JPEG PNG WEBP GIF BMP DIB TIFF AVIF ICO JPEG2000 PPM PCX TGA".split())
"""Formats that are opened. Others (EPS, PDF, …) would run interpreters or plug-ins on untrusted files."""

_HEIF = "HEIF"  # read where pillow-heif is installed
_IMAGE_STARTS = (b"\xff\xd8", b"\x89PNG", b"GIF8")

MAX_PIXELS = 89_478_485
"""Largest image in pixels: Pillow's own limit for a decompression bomb, 256 MiB of RGB."""

MAX_BYTES = 2**30
"""Largest file in bytes. No image of :data:`MAX_PIXELS` needs more; a larger file is a film or an archive."""

_LITTLE_MEMORY = 2**27
"""Free bytes below which memory has run out, whatever an image claims to need."""

_SHARD_SUFFIX = ".tar"  # of a file in whose path an image of a shard is

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Number of channels → Pillow mode of decoded images."""

Content = bytes | Image.Image
"""An image in memory: the bytes of a file, or a Pillow image, which is read and not changed."""

Box = tuple[float, float, float, float]
"""Part of an image in pixels: left, top, right, bottom."""

# Pillow's plug-ins raise almost any exception on damaged or hostile bytes; none of these is a caller's bug.
_DECODING_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, LookupError, TypeError, AttributeError),
    *(ArithmeticError, RuntimeError, MemoryError, struct.error, zlib.error, Image.DecompressionBombError),
    Warning,  # for programs that turn warnings into errors
)

# EXIF orientation (EXIF 2.32, tag 0x0112) → the transposition that makes the image upright, and which stored
# edges (0 left, 1 top, 2 right, 3 bottom) become its left, top, right and bottom.
_UPRIGHT = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, (2, 1, 0, 3)),
    3: (Image.Transpose.ROTATE_180, (2, 3, 0, 1)),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, (0, 3, 2, 1)),
    5: (Image.Transpose.TRANSPOSE, (1, 0, 3, 2)),
    6: (Image.Transpose.ROTATE_270, (3, 0, 1, 2)),
    7: (Image.Transpose.TRANSVERSE, (3, 2, 1, 0)),
    8: (Image.Transpose.ROTATE_90, (1, 2, 3, 0)),
}

# TIFF 6.0 tags that Pillow does not interpret for us.
_NEW_SUBFILE_TYPE, _SAMPLES_PER_PIXEL = 254, 277


class ImageError(DataError):
    """An image that cannot be read; ``reason`` is a short phrase."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


class ImageTooLargeError(ImageError):
    """An image with more pixels than :data:`MAX_PIXELS`, refused from its header."""


class DecodedImage(NamedTuple):
    """A decoded image, and the box of its pixels that shows it: sides of a reduced JPEG are rounded up."""

    image: Image.Image
    box: Box


def decode(
    path: str | Path, content: Content | None = None, *, channels: int = 3, bits: int = FULL_BITS
) -> Image.Image:
    """Decode an image at its full size, upright, with 8 bits per channel.

    EXIF orientation is applied, 16-bit and float values are scaled, and an animation gives its first frame.
    Files of 16 bits are scaled from ``bits``, see :func:`~hubtune.data.images.bit_depth.scale_to_8_bits`.
    With ``content``, ``path`` only names the image in errors. The result has the mode that :data:`MODES`
    lists for ``channels``, see :func:`with_channels`, and no metadata.

    Raises:
        ImageError: if the file is missing, damaged, too large or not an image; the reason says which.
    """
    with open_image(path, content) as image:
        # Copied, because conversion to the same mode returns Pillow's file object with all its metadata.
        return load_upright(image, channels=channels, bits=bits).image.copy()


def decode_reduced(
    path: str | Path,
    reductions: Callable[[int, int], Sequence[int]],
    content: Content | None = None,
    *,
    channels: int = 3,
    bits: int = FULL_BITS,
) -> list[DecodedImage]:
    """Decode an image as :func:`decode` does, but a JPEG at fractions of its size.

    ``reductions`` returns for a width and height in pixels by which factor, 1, 2, 4 or 8, the image may be
    reduced for each result. Equal factors are decoded once.
    """
    content = packed_content(path) if content is None else content
    with open_image(path, content) as image:
        factors = [factor if is_jpeg(image) else 1 for factor in reductions(*image.size)]
        decoded = {factors[0]: load_upright(image, factors[0], channels, bits)}
    # `draft` works once per opened file, so each further size opens it again.
    for factor in set(factors) - set(decoded):
        with open_image(path, content) as image:
            decoded[factor] = load_upright(image, factor, channels, bits)
    return [decoded[factor] for factor in factors]


def read_content(path: str | Path) -> bytes:
    """Read the bytes of an image file; an ImageError if it cannot be read, or exceeds :data:`MAX_BYTES`."""
    if (content := packed_content(path)) is not None:
        return content
    path = Path(path)
    try:
        if _file_size(path) > MAX_BYTES:
            raise ImageError(path, f"too large (over {MAX_BYTES >> 20:,} MiB)")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(path, _reason(path, None, error)) from error


def packed_content(path: str | Path) -> bytes | None:
    """Return the bytes of an image in a shard, ``None`` for a file; an ImageError if it cannot be read."""
    if _SHARD_SUFFIX not in str(path):
        return None
    try:
        from hubtune.data.shards.members import DamagedMemberError, read_member
    except ImportError:  # this file is copied into exported models, which read files only
        return None
    try:
        return read_member(path)
    except DamagedMemberError as error:
        raise ImageError(path, str(error)) from error
    except OSError as error:
        raise ImageError(path, _reason(Path(path), None, error)) from error


@contextmanager
def open_image(path: str | Path, content: Content | None = None) -> Iterator[Image.Image]:
    """Open an image file, or its content, and check its limits; pixels of a file are not decoded yet.

    Whatever goes wrong with the image, here or inside the ``with`` block, raises :class:`ImageError`; memory
    that has run out for images of any size, a ``MachineError``.
    """
    path, width, height = Path(path), 0, 0
    content = packed_content(path) if content is None else content
    try:
        with _opened(path, content) as image:
            width, height = image.size
            # Pillow only warns below twice this limit: a PNG of 20 KiB took 1.8 GB of memory that way.
            if width * height > MAX_PIXELS:
                raise ImageTooLargeError(
                    path, f"too large ({width:,} × {height:,} pixels; at most {MAX_PIXELS:,} are read)"
                )
            # NewSubfileType 1 marks a smaller version of another image. A raw file's thumbnail would silently
            # stand for the photo.
            if getattr(image, "tag_v2", {}).get(_NEW_SUBFILE_TYPE) == 1:
                raise ImageError(path, RAW.reason)
            yield image
    except _DECODING_ERRORS as error:
        free = free_memory(swap=True) if isinstance(error, MemoryError) else None
        if free is not None and free < _LITTLE_MEMORY:
            raise MachineError(
                f"Memory has run out at {path} ({width:,} × {height:,} pixels need "
                f"{format_bytes(3 * width * height)} or more; {format_bytes(free)} are free): close other "
                "programs, or take smaller pictures"
            ) from error
        is_bomb = isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning)
        kind = ImageTooLargeError if is_bomb else ImageError
        raise kind(path, _reason(path, content, error)) from error


@contextmanager
def _opened(path: Path, content: Content | None) -> Iterator[Image.Image]:
    if isinstance(content, Image.Image):
        with _loading:
            content.load()
        yield content
        return
    if (_file_size(path) if content is None else len(content)) == 0:
        raise ImageError(path, "empty file (0 bytes)")
    # Opened here and not by Pillow, which leaves files open that it refuses.
    opened = path.open("rb") if content is None else io.BytesIO(content)
    with opened as file, Image.open(file, formats=readable_formats()) as image:
        yield image


@cache
def readable_formats() -> tuple[str, ...]:
    """Return those of :data:`FORMATS` that this Pillow knows, and HEIF where ``pillow-heif`` is installed."""
    Image.init()  # loads all plug-ins; by itself Pillow loads the five most common
    with suppress(ImportError):  # not installed
        from pillow_heif import register_heif_opener

        register_heif_opener()
    return tuple(name for name in (*FORMATS, _HEIF) if name in Image.OPEN)


def is_jpeg(image: Image.Image) -> bool:
    """Whether an opened file can be decoded at a fraction of its size. MPO is a JPEG with a preview."""
    return image.format in ("JPEG", "MPO")


def load_upright(
    image: Image.Image, reduction: int = 1, channels: int = 3, bits: int = FULL_BITS
) -> DecodedImage:
    """Decode an image from :func:`open_image` upright; a JPEG reduced by a factor of 1, 2, 4 or 8."""
    width, height = image.size
    reduced = max(1, width // reduction), max(1, height // reduction)
    # libjpeg then skips most of the inverse transform: 25 ms instead of 100 ms for 12 megapixels at a quarter
    # (docs/speed.md). Every byte is still read, so that damage is noticed.
    draft = image.draft(None, reduced) if reduction > 1 else None
    samples = getattr(image, "tag_v2", {}).get(_SAMPLES_PER_PIXEL)
    if channels == 4 and image.mode == "RGB" and samples == 4 and getattr(image, "tile", None):
        # Pillow drops a fourth channel whose meaning the TIFF file does not state; without tiles, it has.
        image._mode = "RGBX"
    image.load()
    _, _, right, bottom = draft[1] if draft else (0, 0, *image.size)
    orientation = exif_orientation(image)  # after load(): reading PNG metadata first hides damaged pixels
    upright = with_channels(image, channels, bits)
    margins: Box = (0, 0, upright.width - right, upright.height - bottom)
    if orientation in _UPRIGHT:
        transposition, edges = _UPRIGHT[orientation]
        upright = upright.transpose(transposition)
        margins = itemgetter(*edges)(margins)
    left, top, right, bottom = margins
    return DecodedImage(upright, (left, top, upright.width - right, upright.height - bottom))


def exif_orientation(image: Image.Image) -> int:
    """EXIF orientation of an opened image, usually 1 to 8; 1 if its metadata are damaged or absent."""
    try:
        return int(image.getexif().get(0x0112, 1))
    except _DECODING_ERRORS:
        return 1  # damaged metadata do not affect the pixels


def with_channels(image: Image.Image, channels: int, bits: int = FULL_BITS) -> Image.Image:
    """Convert an image of any mode to one, three or four channels of 8 bits.

    Three are colours, with transparency laid on white; one is their luma by ITU-R BT.601; four are the stored
    colours, also under transparency, and opacity, which is 255 in images without transparency. A TIFF file
    with four channels, the fourth unexplained, gives all four as stored.

    Raises:
        ValueError: if values of more than 8 bits are outside all known ranges.
    """
    if is_deep(image):
        image = scale_to_8_bits(image, bits)
    if channels == 4:
        if image.mode == "RGBX":  # convert() would set the fourth channel to 255
            return Image.merge("RGBA", image.split())
        return image if image.mode == "RGBA" else image.convert("RGBA")
    if image.has_transparency_data:
        # On white, as browsers show it; convert("RGB") would reveal the colours of hidden pixels.
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        image = Image.new("RGB", rgba.size, "white")
        image.paste(rgba, mask=rgba)
    rgb = image if image.mode == "RGB" else image.convert("RGB")
    return rgb if channels == 3 else rgb.convert("L")


def _file_size(path: Path) -> int:
    status = path.stat()
    # Checked before opening: a named pipe would block for ever.
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(path, "is a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
    return status.st_size


def _reason(path: Path, content: Content | None, error: Exception) -> str:
    """Why an image cannot be read. The scan cache keeps these phrases: a change needs a new VERSION there."""
    if isinstance(error, UnidentifiedImageError) and not isinstance(content, Image.Image):
        if content is None:
            with path.open("rb") as file:
                content = file.read(START_BYTES)
        return _describe_start(content[:START_BYTES])
    if isinstance(error, FileNotFoundError):
        return "link to a file that is not there" if path.is_symlink() else "no such file"
    if isinstance(error, PermissionError):
        return "no permission to read it"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"too large (over {MAX_PIXELS:,} pixels)"
    if isinstance(error, MemoryError):
        return "too large for this machine's memory"
    # Pillow raises one kind of error for many causes; only its messages tell them apart.
    message = " ".join(str(error).split())[:120]
    if "truncated" in message.lower():
        return "damaged picture (the file ends too early)"
    if "decoder object" in message or "unrecognized data stream" in message:
        return "damaged picture (its data cannot be decoded)"
    if "MAX_TEXT" in message:  # PngImagePlugin's limits for compressed text and profiles: 1 and 64 MiB
        return "damaged picture (its metadata are too large)"
    return f"damaged picture ({message or type(error).__name__})"


def _describe_start(start: bytes) -> str:
    row = identify_format(start)
    is_supported = (row is HEIC and _HEIF in readable_formats()) or (row is AVIF and features.check("avif"))
    if is_supported or start.startswith(_IMAGE_STARTS) or start[:4] + start[8:12] == b"RIFFWEBP":
        return "damaged picture (its header cannot be read)"
    return "not a picture that can be read here" if row is None else row.reason
