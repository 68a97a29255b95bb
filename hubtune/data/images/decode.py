"""From a file to a picture: the one decoder, for training, evaluation, prediction and export."""

import io
import stat
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from hubtune.errors import DataError

FORMATS = tuple("JPEG PNG WEBP GIF BMP DIB TIFF AVIF ICO JPEG2000 PPM PCX TGA".split())
"""Formats that are opened. Others (EPS, PDF, …) would run interpreters or plug-ins on foreign files."""

IMAGE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .gif .bmp .dib .tif .tiff .avif .ico .jp2 .j2k .jpf .jpx"
    " .ppm .pgm .pbm .pnm .pcx .tga .heic .heif .hif .jxl .svg .eps .psd .raw .cr2 .cr3 .nef .arw .dng .raf"
    " .orf .rw2".split()
)
"""Names that promise a picture, readable here or not."""

MAX_PIXELS = 89_478_485
"""Pillow's own limit for a decompression bomb: 256 MiB of RGB."""

MAX_BYTES = 2**30
"""No picture of so few pixels needs a file as large as this: a film, or an archive."""

# Pillow's plug-ins answer hostile bytes with almost any exception; none of them is a bug of the caller.
_DECODING_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Warning,  # where warnings are errors
)

# EXIF orientation → what brings the picture upright (EXIF 2.32, tag 0x0112), and which of the stored edges
# (0 left, 1 top, 2 right, 3 bottom) are its left, top, right and bottom then.
_UPRIGHT = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT, (2, 1, 0, 3)),
    3: (Image.Transpose.ROTATE_180, (2, 3, 0, 1)),
    4: (Image.Transpose.FLIP_TOP_BOTTOM, (0, 3, 2, 1)),
    5: (Image.Transpose.TRANSPOSE, (1, 0, 3, 2)),
    6: (Image.Transpose.ROTATE_270, (3, 0, 1, 2)),
    7: (Image.Transpose.TRANSVERSE, (3, 2, 1, 0)),
    8: (Image.Transpose.ROTATE_90, (1, 2, 3, 0)),
}
_TURNED = (5, 6, 7, 8)  # those that exchange width and height

# First bytes, in lower case, of what people often have in place of a picture.
_SIGNATURES = (
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"<svg", "an SVG drawing"),
    (b"<?xml", "an XML or SVG file"),
    (b"%pdf", "a PDF file"),
    (b"%!ps", "a PostScript file"),
    (b"\xc5\xd0\xd3\xc6", "a PostScript file"),
    (b"8bps", "a Photoshop file"),
    (b"pk\x03\x04", "a zip archive"),
    (b"version https://git-lfs", "a Git LFS pointer, not the file itself: run `git lfs pull`"),
)
_FIRST = 64  # bytes that are enough to tell
# What the files of a format end with.
_ENDS = {"JPEG": b"\xff\xd9", "MPO": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82", "GIF": b";"}
# Fifth to twelfth byte of ISO media files (ISO/IEC 14496-12) that are pictures.
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))


class ImageError(DataError):
    """A picture that cannot be read.

    Attributes:
        path: the file.
        reason: what is wrong with it, in a few words.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


Box = tuple[float, float, float, float]
"""A part of a picture: left, top, right, bottom; pixels."""


MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Number of channels → Pillow's mode of pictures that have so many here."""


def decode(path: str | Path, content: bytes | None = None, *, channels: int = 3) -> Image.Image:
    """Read a picture with 8 bits a channel, upright, at its full size.

    EXIF orientation is applied, 16-bit and float values are scaled, and the first frame of an animation is
    taken.

    Args:
        path: the file.
        content: its bytes, where they have been read already; ``path`` is only named in errors then.
        channels: how many the picture is to have, see :func:`with_channels`.

    Returns:
        A picture in mode ``RGB``, or as :data:`MODES` says, without metadata.

    Raises:
        PictureError: if the file is missing, damaged, too large, or no picture; the reason says which.
    """
    with _opened(path, content) as image:
        # A copy, so that nothing of the file is kept.
        return _upright(image, channels=channels).image.copy()


def read_content(path: str | Path) -> bytes:
    """Read a picture file as it is, for :func:`hubtune.data.images.preprocessing.preprocess_views` and for
    its sum.

    Raises:
        PictureError: if it cannot be read, or is too large to be a picture.
    """
    path = Path(path)
    try:
        if _file_size(path) > MAX_BYTES:
            raise ImageError(path, f"too large (over {MAX_BYTES >> 20:,} MiB)")
        return path.read_bytes()
    except OSError as error:
        raise ImageError(path, _reason(path, None, error)) from error


class Decoded(NamedTuple):
    """A picture, and the part of its pixels that it fills.

    A JPEG's reduced size is rounded up; its last column and row then lie partly outside the picture.
    """

    image: Image.Image
    part: Box


def decode_reduced(
    path: str | Path,
    reductions: Callable[[int, int], Sequence[int]],
    content: bytes | None = None,
    *,
    channels: int = 3,
) -> list[Decoded]:
    """Read a picture as :func:`decode` does; a JPEG file at fractions of its size.

    Args:
        path: the file.
        reductions: width and height of the picture, pixels → how many times smaller it may be decoded, 1, 2,
            4 or 8, for each of those who want it. It is decoded once for those who want the same.
        content: its bytes, where they have been read already.
        channels: as for :func:`decode`.

    Returns:
        What each of them gets, in order.

    Raises:
        PictureError: as :func:`decode`.
    """
    with _opened(path, content) as image:
        is_jpeg = image.format in ("JPEG", "MPO")
        wanted = [reduction if is_jpeg else 1 for reduction in reductions(*image.size)]
        decoded = {wanted[0]: _upright(image, wanted[0], channels)}
    for reduction in set(wanted) - set(decoded):
        with _opened(path, content) as image:
            decoded[reduction] = _upright(image, reduction, channels)
    return [decoded[reduction] for reduction in wanted]


def check_ends(path: str | Path) -> None:
    """Look at the beginning and at the end of a picture's file; the pixels between may still be damaged.

    A file that does not end as its format does is read whole: some cameras write more behind a picture.

    Raises:
        PictureError: as :func:`decode`.
    """
    with _opened(path) as image:
        end, file = _ENDS.get(str(image.format), b""), getattr(image, "fp", None)
        if file is None or not end:
            return
        file.seek(-len(end), io.SEEK_END)
        if file.read() == end:
            return
    check_pixels(path)


def is_image(path: str | Path) -> bool:
    """Whether a file promises to be a picture, readable here or not: by its name, or by its first bytes.

    It is opened only where the name promises nothing. What cannot be opened may be one, and counts as one.
    """
    if Path(path).suffix.lower() in IMAGE_SUFFIXES:
        return True
    try:
        with _opened(path):
            return True
    except ImageError as error:
        return not error.reason.startswith(("not a picture", "not a regular file", "empty file"))


class CheckedImage(NamedTuple):
    """A picture that was read to its last byte.

    Attributes:
        format: of the file, by Pillow's name, such as ``"JPEG"``.
        mode: as it is stored, by Pillow's name.
        width: pixels, upright.
        height: likewise.
        orientation: EXIF orientation, 1–8 (EXIF 2.32, tag 0x0112).
        frames: how many pictures the file holds; only the first is used.
        small: the picture as :func:`decode` gives it; of a JPEG the smallest fraction whose long side is not
            below what was asked for.
    """

    format: str
    mode: str
    width: int
    height: int
    orientation: int
    frames: int
    small: Image.Image


def check_pixels(path: str | Path, content: bytes | None = None, *, side: int = 1) -> CheckedImage:
    """Read a picture to its last byte, as cheaply as that can be done.

    Args:
        path: the file.
        content: its bytes, where they have been read already.
        side: what the long side of the picture that is returned may be reduced to, pixels.

    Raises:
        PictureError: as :func:`decode`.
    """
    with _opened(path, content) as image:
        mode, (width, height) = image.mode, image.size
        # A JPEG at an eighth of its size: every byte is still read, most of the arithmetic is saved.
        reduction = next((scale for scale in (8, 4, 2) if max(width, height) >= scale * side), 1)
        small = _upright(image, reduction if image.format in ("JPEG", "MPO") else 1).image.copy()
        orientation = _orientation(image)
        if orientation in _TURNED:
            width, height = height, width
        frames = getattr(image, "n_frames", 1)
        return CheckedImage(str(image.format), mode, width, height, orientation, frames, small)


@contextmanager
def _opened(path: str | Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open a picture file, or its bytes, not yet decoded, and hold it against the limits.

    What goes wrong with the picture, here or inside the block, becomes a :class:`ImageError`.
    """
    path = Path(path)
    try:
        if (_file_size(path) if content is None else len(content)) == 0:
            raise ImageError(path, "empty file (0 bytes)")
        Image.init()  # all plug-ins; Pillow loads only the commonest by itself
        # The file is opened here, as Pillow leaves files open that it refuses.
        opened = path.open("rb") if content is None else io.BytesIO(content)
        with opened as file, Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise ImageError(
                    path, f"too large ({width:,} × {height:,} pixels; at most {MAX_PIXELS:,} are read)"
                )
            # NewSubfileType (TIFF 6.0, tag 254): 1 is a smaller version of another picture in the file.
            if getattr(image, "tag_v2", {}).get(254) == 1:
                raise ImageError(
                    path, "a camera's raw file, of which only a preview can be read: convert it to JPEG"
                )
            yield image
    except _DECODING_ERRORS as error:
        raise ImageError(path, _reason(path, content, error)) from error


def _file_size(path: Path) -> int:
    status = path.stat()
    # Opening a named pipe would wait for ever.
    if not stat.S_ISREG(status.st_mode):
        raise ImageError(path, "is a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
    return status.st_size


def _reason(path: Path, content: bytes | None, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return _what_it_is(_first_bytes(path) if content is None else content[:_FIRST])
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
    said = " ".join(str(error).split())[:120]
    if "truncated" in said.lower():
        return "damaged picture (the file ends too early)"
    if "decoder object" in said or "unrecognized data stream" in said:  # Pillow's words for it
        return "damaged picture (its data cannot be decoded)"
    if "MAX_TEXT" in said:  # what compressed texts and profiles of a PNG may come to
        return "damaged picture (its metadata are too large)"
    return f"damaged picture ({said or type(error).__name__})"


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_FIRST)


def _what_it_is(start: bytes) -> str:
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for signature, name in _SIGNATURES:
        if text.startswith(signature):
            return f"not a picture, but {name}"
    if start[4:8] == b"ftyp":
        if start[8:12] in _HEIC_BRANDS:
            return "a HEIC picture, which cannot be read here: convert it to JPEG"
        return "not a picture, but a film"
    if start.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "a JPEG XL picture, which cannot be read here: convert it to JPEG or PNG"
    if start.startswith((b"\xff\xd8", b"\x89PNG", b"GIF8")) or start[:4] + start[8:12] == b"RIFFWEBP":
        return "damaged picture (its header cannot be read)"
    return "not a picture that can be read here"


def _upright(image: Image.Image, reduction: int = 1, channels: int = 3) -> Decoded:
    """Decode an opened picture; a JPEG at a fraction of its size if asked."""
    width, height = image.size
    reduced = max(1, width // reduction), max(1, height // reduction)
    drafted = image.draft(None, reduced) if reduction > 1 else None
    if channels == 4 and image.mode == "RGB" and getattr(image, "tag_v2", {}).get(277) == 4:
        # Samples per pixel (TIFF 6.0, tag 277). Pillow leaves out a fourth that the file does not explain.
        image._mode = "RGBX"
    image.load()
    _, _, right, bottom = drafted[1] if drafted else (0, 0, *image.size)
    orientation = _orientation(image)  # after the pixels: reading PNG metadata swallows their damage
    picture = with_channels(image, channels)
    margins: Box = (0, 0, picture.width - right, picture.height - bottom)
    if orientation in _UPRIGHT:
        turn, edges = _UPRIGHT[orientation]
        picture = picture.transpose(turn)
        margins = (margins[edges[0]], margins[edges[1]], margins[edges[2]], margins[edges[3]])
    left, top, right, bottom = margins
    return Decoded(picture, (left, top, picture.width - right, picture.height - bottom))


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except _DECODING_ERRORS:
        return 1  # damaged metadata says nothing about the pixels


def with_channels(image: Image.Image, channels: int) -> Image.Image:
    """Give a picture one, three or four channels of 8 bits.

    Args:
        image: a picture in any mode.
        channels: 3: colours, with transparency laid on white. 1: the brightness of these, by ITU-R BT.601.
            4: the colours as they are stored, also under transparency, and the opacity, which is 255 in
            pictures without transparency; of a TIFF file with four channels, of which it does not say what
            the fourth is, all four as they are.

    Raises:
        ValueError: its values have more than 8 bits, and are outside of all known ranges.
    """
    if channels == 4:
        return _to_rgba(image)
    rgb = _to_rgb(image)
    return rgb if channels == 3 else rgb.convert("L")


def _to_rgba(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        grey, hidden = _deep_to_grey(image)
        rgba = grey.convert("RGBA")
        if hidden is not None:
            rgba.putalpha(Image.fromarray(np.where(hidden, 0, 255).astype(np.uint8)))
        return rgba
    if image.mode == "RGBX":
        return Image.merge("RGBA", image.split())
    return image if image.mode == "RGBA" else image.convert("RGBA")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        grey, hidden = _deep_to_grey(image)
        if hidden is not None:
            grey.paste(255, mask=Image.fromarray(hidden))
        return grey.convert("RGB")
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=rgba)
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _deep_to_grey(image: Image.Image) -> tuple[Image.Image, np.ndarray | None]:
    """Scale more than 8 bits a value to 8 bits; Pillow itself would clip them to white.

    Returns:
        The picture in mode ``L``, and which of its pixels are transparent; ``None`` for none.
    """
    values = np.asarray(image, dtype=np.float32)
    transparent = image.info.get("transparency")
    hidden = values == transparent if isinstance(transparent, int) else None
    tags = getattr(image, "tag_v2", {})
    bits = tags.get(258, (16,))[0]
    if image.mode != "F" and bits <= 16:
        top: float | None = 2**bits - 1
    else:
        # Float and 32-bit pictures carry no range; these are the three in use.
        top = next((top for top in (1, 255, 65535) if values.max(initial=0) <= top), None)
    # Written so that NaN fails, too.
    if top is None or not (values.min(initial=0) >= 0 and values.max(initial=0) <= top):
        raise ValueError("its values are outside 0–1, 0–255 and 0–65535")
    values = values * np.float32(255 / top)
    if tags.get(262) == 0:  # photometric interpretation "white is zero", which Pillow heeds up to 8 bits
        values = 255 - values
    grey = np.rint(values, out=values).astype(np.uint8)
    return Image.fromarray(grey), hidden
