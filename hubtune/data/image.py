"""From a picture file to the network's input: one decoder and one preprocessing object for everything.

Training, evaluation, prediction and export all go through :func:`decode` and :class:`Preprocessing`, so that
they cannot see a picture differently.
"""

import math
import stat
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hubtune.errors import DataError

FORMATS = tuple("JPEG PNG WEBP GIF BMP DIB TIFF AVIF ICO JPEG2000 PPM PCX TGA".split())
"""Formats that are opened. Others (EPS, PDF, …) would run interpreters or plug-ins on foreign files."""

PICTURE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .gif .bmp .dib .tif .tiff .avif .ico .jp2 .j2k .jpf .jpx"
    " .ppm .pgm .pbm .pnm .pcx .tga .heic .heif .hif .jxl .svg .eps .psd .raw .cr2 .cr3 .nef .arw .dng .raf"
    " .orf .rw2".split()
)
"""Names that promise a picture, readable here or not."""

MAX_PIXELS = 89_478_485
"""Pillow's own limit for a decompression bomb: 256 MiB of RGB."""

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

# EXIF orientation → what brings the picture upright (EXIF 2.32, tag 0x0112).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

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
# Fifth to twelfth byte of ISO media files (ISO/IEC 14496-12) that are pictures.
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))


class PictureError(DataError):
    """A picture that cannot be read.

    Attributes:
        path: the file.
        reason: what is wrong with it, in a few words.
    """

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = str(path)
        self.reason = reason


def decode(path: str | Path) -> Image.Image:
    """Read a picture as 8-bit RGB, upright.

    EXIF orientation is applied, 16-bit and float values are scaled, transparency is laid on white, and the
    first frame of an animation is taken.

    Returns:
        A picture in mode ``RGB``, without metadata.

    Raises:
        PictureError: if the file is missing, damaged, too large, or no picture; the reason says which.
    """
    with _opened(path) as image:
        image.load()
        orientation = _orientation(image)  # after the pixels: reading PNG metadata swallows their damage
        rgb = _to_rgb(image)
    return rgb.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else rgb


class Header(NamedTuple):
    """What a picture's file says of itself.

    Attributes:
        format: Pillow's name, such as ``"JPEG"``.
        frames: how many pictures the file holds; only the first is used.
    """

    format: str
    frames: int


def check_header(path: str | Path) -> None:
    """Look at a picture's header only; the pixels may still be damaged.

    Raises:
        PictureError: as :func:`decode`.
    """
    with _opened(path):
        pass


def check_pixels(path: str | Path) -> Header:
    """Read a picture to its last byte, as cheaply as that can be done.

    Raises:
        PictureError: as :func:`decode`.
    """
    with _opened(path) as image:
        # A JPEG at an eighth of its size: every byte is still read, most of the arithmetic is saved.
        image.draft("RGB", (1, 1))
        image.load()
        if image.mode.startswith(("I", "F")):
            _deep_to_rgb(image)
        return Header(str(image.format), getattr(image, "n_frames", 1))


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """Open a picture file, not yet decoded, and hold it against the limits.

    What goes wrong with the picture, here or inside the block, becomes a :class:`PictureError`.
    """
    path = Path(path)
    try:
        status = path.stat()
        # Opening a named pipe would wait for ever.
        if not stat.S_ISREG(status.st_mode):
            raise PictureError(path, "is a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
        if status.st_size == 0:
            raise PictureError(path, "empty file (0 bytes)")
        Image.init()  # all plug-ins; Pillow loads only the commonest by itself
        # The file is opened here, as Pillow leaves files open that it refuses.
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise PictureError(
                    path, f"too large ({width:,} × {height:,} pixels; at most {MAX_PIXELS:,} are read)"
                )
            # NewSubfileType (TIFF 6.0, tag 254): 1 is a smaller version of another picture in the file.
            if getattr(image, "tag_v2", {}).get(254) == 1:
                raise PictureError(
                    path, "a camera's raw file, of which only a preview can be read: convert it to JPEG"
                )
            yield image
    except _DECODING_ERRORS as error:
        raise PictureError(path, _reason(path, error)) from error


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return _what_it_is(path)
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
    return f"damaged picture ({said or type(error).__name__})"


def _what_it_is(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(64)
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


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except _DECODING_ERRORS:
        return 1  # damaged metadata says nothing about the pixels


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _deep_to_rgb(image)
    if image.has_transparency_data:
        rgba = image if image.mode == "RGBA" else image.convert("RGBA")
        white = Image.new("RGB", rgba.size, "white")
        white.paste(rgba, mask=rgba)
        return white
    # A copy even of RGB, so that nothing keeps the file open.
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def _deep_to_rgb(image: Image.Image) -> Image.Image:
    """Scale more than 8 bits a value to 8 bits; Pillow itself would clip them to white."""
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
    if hidden is not None:
        grey[hidden] = 255
    return Image.fromarray(grey, mode="L").convert("RGB")


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
# OpenCV's fixed-point arithmetic for 8-bit pictures: the weights of neighbours add up to this.
_UNIT = 2048


class Preprocessing(BaseModel):
    """How a decoded picture becomes a network's input; stored in every model.

    Attributes:
        size: side of the square input, pixels (unused by ``whole``).
        resize: short side before the centre crop; with ``whole`` the long side; with ``stretch_crop`` both
            sides. Pixels.
        fit: ``crop`` scales the short side to ``resize`` and cuts the centre; ``whole`` keeps the aspect and
            cuts nothing, so that inputs differ in shape (a picture longer than 8:1 is squeezed to that);
            ``pad`` keeps the aspect and fills up to a square with the mean colour; ``stretch`` ignores the
            aspect; ``stretch_crop`` ignores it, too, and cuts the centre, as PaddleHub 2.x does.
        interpolation: resampling filter.
        antialias: whether a pixel of a shrunk picture averages over all pixels that it covers, as Pillow
            does; without, over the four around its centre only, exactly as OpenCV's ``INTER_LINEAR``
            does (``bilinear`` only).
        mean: of each channel, R G B, values 0–1.
        std: of each channel, R G B, values 0–1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(224, ge=1, le=4096)
    resize: int = Field(256, ge=1, le=8192)
    fit: Fit = "crop"
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"
    antialias: bool = True
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

    def __call__(self, image: Image.Image) -> np.ndarray:
        """Make the network's input.

        Args:
            image: a picture in mode ``RGB``.

        Returns:
            float32 array ``[3, height, width]``.
        """
        pixels = np.asarray(self.arrange(image), dtype=np.float32)
        std = np.array(self.std, dtype=np.float32)
        scale = np.float32(1.0 / 255.0) / std
        shift = np.array(self.mean, dtype=np.float32) / std
        return np.ascontiguousarray((pixels * scale - shift).transpose(2, 0, 1))

    def arrange(self, image: Image.Image) -> Image.Image:
        """Resize, crop or pad a picture as ``fit`` says; what the network sees, before normalisation."""
        width, height = image.size
        if self.fit in ("crop", "stretch_crop"):
            # Only the part that stays is computed: the same values as resizing first and cropping then, and
            # a picture of 1 × 20,000 pixels does not swell to gigabytes.
            wide, high = self.resize, self.resize
            if self.fit == "crop":
                wide, high = self._scaled(width, height, self.resize / min(width, height))
            left, top = (wide - self.size) // 2, (high - self.size) // 2
            x, y = width / wide, height / high
            # The products may pass the border by a rounding error, which Pillow would refuse.
            right, bottom = min(width, (left + self.size) * x), min(height, (top + self.size) * y)
            return self._resized(image, (self.size, self.size), (left * x, top * y, right, bottom))
        if self.fit == "stretch":
            return self._resized(image, (self.size, self.size))
        if self.fit == "pad":
            red, green, blue = (round(255 * value) for value in self.mean)
            square = Image.new("RGB", (self.size, self.size), (red, green, blue))
            wide, high = self._scaled(width, height, self.size / max(width, height))
            square.paste(
                self._resized(image, (wide, high)), ((self.size - wide) // 2, (self.size - high) // 2)
            )
            return square
        sides = self._scaled(width, height, self.resize / max(width, height))
        wide, high = (max(_WHOLE_LEAST, round(side / WHOLE_STEP) * WHOLE_STEP) for side in sides)
        return self._resized(image, (wide, high))

    def _resized(
        self,
        image: Image.Image,
        sides: tuple[int, int],
        box: tuple[float, float, float, float] | None = None,
    ) -> Image.Image:
        """Resize a picture, or the part of it in ``box`` (left, top, right, bottom)."""
        left, top, right, bottom = box or (0, 0, *image.size)
        if self.antialias:
            return _in_two_passes(image, sides, (left, top, right, bottom), _RESAMPLING[self.interpolation])
        column, next_column, across = _between(left, right, sides[0], image.width)
        row, next_row, down = _between(top, bottom, sides[1], image.height)
        # Beyond the outermost columns' centres, OpenCV gives them all the weight, and not so for rows.
        across[next_column == column] = 0
        across, down = across[:, None], down[:, None, None]
        pixels = np.asarray(image)

        def narrowed(rows: np.ndarray) -> np.ndarray:
            lines = pixels[rows].astype(np.int32)
            return (lines[:, column] * (_UNIT - across) + lines[:, next_column] * across) >> 4

        # What is cut off here is what OpenCV cuts off (VResizeLinear in its resize.cpp), to the last bit.
        above, below = narrowed(row) * (_UNIT - down) >> 16, narrowed(next_row) * down >> 16
        return Image.fromarray(((above + below + 2) >> 2).astype(np.uint8))

    @staticmethod
    def _scaled(width: int, height: int, factor: float) -> tuple[int, int]:
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
    box: tuple[float, float, float, float],
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
