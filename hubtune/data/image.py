"""From a picture file to the network's input: one decoder and one preprocessing object for everything.

Training, evaluation, prediction and export all go through :func:`decode` and :class:`Preprocessing`, so that
they cannot see a picture differently.
"""

import stat
import struct
import zlib
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError
from pydantic import BaseModel, ConfigDict, Field, model_validator

from hubtune.errors import DataError

FORMATS = tuple("JPEG PNG WEBP GIF BMP DIB TIFF AVIF ICO JPEG2000 PPM PCX TGA".split())
"""Formats that are opened. Others (EPS, PDF, …) would run interpreters or plug-ins on foreign files."""

PICTURE_SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .webp .gif .bmp .dib .tif .tiff .avif .ico .jp2 .j2k .ppm"
    " .pgm .pbm .pnm .pcx .tga .heic .heif .svg .eps .psd .raw .cr2 .nef .arw .dng".split()
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

# First bytes of what people often have in place of a picture. TGA has no signature, so it is asked last.
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
    with _open(path) as image:
        try:
            image.load()
            orientation = _orientation(image)  # after the pixels: reading PNG metadata swallows their damage
            rgb = _to_rgb(image)
        except _DECODING_ERRORS as error:
            raise PictureError(path, _damage(error)) from error
    return rgb.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else rgb


class Header(NamedTuple):
    """What a picture's header says.

    Attributes:
        format: Pillow's name, such as ``"JPEG"``.
        frames: how many pictures the file holds; only the first is used.
    """

    format: str
    frames: int


def check_header(path: str | Path) -> Header:
    """Look at a picture's header only; the pixels may still be damaged.

    Raises:
        PictureError: as :func:`decode`.
    """
    with _open(path) as image:
        return Header(str(image.format), 1)


def check_pixels(path: str | Path) -> Header:
    """Read a picture to its last byte, as cheaply as that can be done.

    Raises:
        PictureError: as :func:`decode`.
    """
    with _open(path) as image:
        try:
            # A JPEG at an eighth of its size: every byte is still read, most of the arithmetic is saved.
            image.draft("RGB", (1, 1))
            image.load()
            if image.mode.startswith(("I", "F")):
                _deep_to_rgb(image)
            return Header(str(image.format), getattr(image, "n_frames", 1))
        except _DECODING_ERRORS as error:
            raise PictureError(path, _damage(error)) from error


def _open(path: str | Path) -> Image.Image:
    """Open a picture file and hold it against the limits, without decoding it."""
    try:
        status = Path(path).stat()
        # Opening a named pipe would wait for ever.
        if not stat.S_ISREG(status.st_mode):
            raise PictureError(path, "is a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
        if status.st_size == 0:
            raise PictureError(path, "empty file (0 bytes)")
        Image.init()  # all plug-ins; Pillow loads only the commonest by itself
        image = Image.open(path, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise PictureError(path, _what_it_is(Path(path))) from error
    except FileNotFoundError as error:
        reason = "link to a file that is not there" if Path(path).is_symlink() else "no such file"
        raise PictureError(path, reason) from error
    except PermissionError as error:
        raise PictureError(path, "no permission to read it") from error
    except Image.DecompressionBombError as error:
        raise PictureError(path, f"too large (over {MAX_PIXELS:,} pixels)") from error
    except _DECODING_ERRORS as error:
        raise PictureError(path, _damage(error)) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        image.close()
        raise PictureError(
            path, f"too large ({width:,} × {height:,} pixels; at most {MAX_PIXELS:,} are read)"
        )
    return image


def _what_it_is(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        return _damage(error)
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for signature, name in _SIGNATURES:
        if text.startswith(signature):
            return f"not a picture, but {name}"
    if start[4:8] == b"ftyp":
        return "a HEIC picture or a film, which cannot be read here: convert it to JPEG"
    if start.startswith((b"\xff\xd8", b"\x89PNG", b"GIF8", b"BM", b"RIFF")):
        return "damaged picture (its header cannot be read)"
    return "not a picture that can be read here"


def _damage(error: BaseException) -> str:
    if isinstance(error, Image.DecompressionBombError):
        return f"too large (over {MAX_PIXELS:,} pixels)"
    if isinstance(error, MemoryError):
        return "too large for this machine's memory"
    said = " ".join(str(error).split())[:120]
    if "truncated" in said.lower():
        return "damaged picture (the file ends too early)"
    return f"damaged picture ({said or type(error).__name__})"


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(0x0112, 1))
    except _DECODING_ERRORS:
        return 1  # damaged metadata says nothing about the pixels


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _deep_to_rgb(image)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, (255, 255, 255, 255))
        return Image.alpha_composite(white, rgba).convert("RGB")
    # A copy even of RGB, so that nothing keeps the file open.
    return image.convert("RGB") if image.mode != "RGB" else image.copy()


def _deep_to_rgb(image: Image.Image) -> Image.Image:
    """Scale more than 8 bits a value to 8 bits; Pillow itself would clip them to white."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("values that are not finite")
    if image.mode == "F":
        # Float pictures carry no range; these are the three in use.
        top = next((top for top in (1.0, 255.0, 65535.0) if values.max(initial=0) <= top), None)
        if top is None or values.min(initial=0) < 0:
            raise ValueError("float values outside 0–1, 0–255 and 0–65535")
    else:
        bits = getattr(image, "tag_v2", {}).get(258, (16,))[0]
        top = float(2 ** min(bits, 16) - 1)
    grey = np.clip(np.rint(values * (255.0 / top)), 0, 255).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey, mode="L").convert("RGB")


Fit = Literal["crop", "whole", "pad", "stretch"]
Positive = Annotated[float, Field(gt=0)]

_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# `whole` rounds sides to this, so that a folder of pictures has a few dozen input shapes and not thousands;
# the aspect changes by less than 2 % at 256 pixels.
_WHOLE_STEP = 8
_WHOLE_LEAST = 32


class Preprocessing(BaseModel):
    """How a decoded picture becomes a network's input; stored in every model.

    Attributes:
        size: side of the square input, pixels (unused by ``whole``).
        resize: short side before the centre crop; with ``whole`` the long side. Pixels.
        fit: ``crop`` scales the short side to ``resize`` and cuts the centre; ``whole`` keeps the aspect and
            cuts nothing, so that inputs differ in shape (a picture longer than 8:1 is squeezed to that);
            ``pad`` keeps the aspect and fills up to a square with the mean colour; ``stretch`` ignores the
            aspect.
        interpolation: resampling filter.
        mean: of each channel, R G B, values 0–1.
        std: of each channel, R G B, values 0–1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(224, ge=1, le=4096)
    resize: int = Field(256, ge=1, le=8192)
    fit: Fit = "crop"
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[Positive, Positive, Positive] = (0.229, 0.224, 0.225)

    @model_validator(mode="after")
    def _crop_fits(self) -> "Preprocessing":
        if self.fit == "crop" and self.resize < self.size:
            raise ValueError(f"resize {self.resize} is smaller than the crop of {self.size}")
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
        method = _RESAMPLING[self.interpolation]
        if self.fit == "crop":
            # Only the part that stays is computed: the same values as resizing first and cropping then, and
            # a picture of 1 × 20,000 pixels does not swell to gigabytes.
            wide, high = self._scaled(width, height, self.resize / min(width, height))
            left, top = (wide - self.size) // 2, (high - self.size) // 2
            x, y = width / wide, height / high
            box = (left * x, top * y, (left + self.size) * x, (top + self.size) * y)
            return image.resize((self.size, self.size), method, box=box)
        if self.fit == "stretch":
            return image.resize((self.size, self.size), method)
        if self.fit == "pad":
            colour = tuple(round(255 * value) for value in self.mean)
            scaled = image.resize(self._scaled(width, height, self.size / max(width, height)), method)
            return ImageOps.pad(scaled, (self.size, self.size), method, color=colour)
        sides = self._scaled(width, height, self.resize / max(width, height))
        wide, high = (max(_WHOLE_LEAST, round(side / _WHOLE_STEP) * _WHOLE_STEP) for side in sides)
        return image.resize((wide, high), method)

    @staticmethod
    def _scaled(width: int, height: int, factor: float) -> tuple[int, int]:
        return max(1, round(width * factor)), max(1, round(height * factor))
