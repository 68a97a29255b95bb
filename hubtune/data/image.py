"""From a picture file to the network's input: one decoder and one preprocessing object for everything.

Training, evaluation, prediction and export all go through :func:`look` and :class:`Preprocessing`, so that
they cannot see a picture differently.
"""

import io
import math
import stat
import struct
import zlib
from collections.abc import Iterator, Sequence
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


Box = tuple[float, float, float, float]
"""A part of a picture: left, top, right, bottom; pixels."""


def decode(path: str | Path, content: bytes | None = None) -> Image.Image:
    """Read a picture as 8-bit RGB, upright, at its full size.

    EXIF orientation is applied, 16-bit and float values are scaled, transparency is laid on white, and the
    first frame of an animation is taken.

    Args:
        path: the file.
        content: its bytes, where they have been read already; ``path`` is only named in errors then.

    Returns:
        A picture in mode ``RGB``, without metadata.

    Raises:
        PictureError: if the file is missing, damaged, too large, or no picture; the reason says which.
    """
    with _opened(path, content) as image:
        return _upright(image).image


def read_content(path: str | Path) -> bytes:
    """Read a picture file as it is, for :func:`look` and for its sum.

    Raises:
        PictureError: if it cannot be read, or is too large to be a picture.
    """
    path = Path(path)
    try:
        if _file_size(path) > MAX_BYTES:
            raise PictureError(path, f"too large (over {MAX_BYTES >> 20:,} MiB)")
        return path.read_bytes()
    except OSError as error:
        raise PictureError(path, _reason(path, None, error)) from error


def look(
    picture: str | Path | Image.Image, views: Sequence["Preprocessing"], content: bytes | None = None
) -> list[np.ndarray]:
    """Make the network's inputs of several views of one picture.

    A JPEG file is decoded at a half, a quarter or an eighth of its size where a view shrinks it further
    still. What a view sees does not depend on which others are asked for.

    Args:
        picture: a file, or a picture in mode ``RGB`` as :func:`decode` returns it.
        views: how to see it; at least one.
        content: the file's bytes, where they have been read already.

    Returns:
        One float32 array ``[3, height, width]`` a view, in order.

    Raises:
        PictureError: as :func:`decode`.
    """
    if isinstance(picture, Image.Image):
        seen = [_Decoded(picture, (0, 0, *picture.size))] * len(views)
    else:
        seen = _decode_for(picture, views, content)
    plain: dict[Preprocessing, np.ndarray] = {}
    inputs = []
    for view, (image, part) in zip(views, seen, strict=True):
        unmirrored = view.model_copy(update={"mirror": False})
        if unmirrored not in plain:
            plain[unmirrored] = unmirrored.normalise(unmirrored.arrange(image, part))
        array = plain[unmirrored]
        inputs.append(np.ascontiguousarray(array[:, :, ::-1]) if view.mirror else array)
    return inputs


class _Decoded(NamedTuple):
    """A picture, and the part of its pixels that it fills.

    A JPEG's reduced size is rounded up; its last column and row then lie partly outside the picture.
    """

    image: Image.Image
    part: Box


def _decode_for(path: str | Path, views: Sequence["Preprocessing"], content: bytes | None) -> list[_Decoded]:
    """Decode a file for each view, but only once for those that want the same size."""
    with _opened(path, content) as image:
        is_jpeg = image.format in ("JPEG", "MPO")
        reductions = [view.reduction(*image.size) if is_jpeg else 1 for view in views]
        decoded = {reductions[0]: _upright(image, reductions[0])}
    for reduction in set(reductions) - set(decoded):
        with _opened(path, content) as image:
            decoded[reduction] = _upright(image, reduction)
    return [decoded[reduction] for reduction in reductions]


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
def _opened(path: str | Path, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open a picture file, or its bytes, not yet decoded, and hold it against the limits.

    What goes wrong with the picture, here or inside the block, becomes a :class:`PictureError`.
    """
    path = Path(path)
    try:
        if (_file_size(path) if content is None else len(content)) == 0:
            raise PictureError(path, "empty file (0 bytes)")
        Image.init()  # all plug-ins; Pillow loads only the commonest by itself
        # The file is opened here, as Pillow leaves files open that it refuses.
        opened = path.open("rb") if content is None else io.BytesIO(content)
        with opened as file, Image.open(file, formats=FORMATS) as image:
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
        raise PictureError(path, _reason(path, content, error)) from error


def _file_size(path: Path) -> int:
    status = path.stat()
    # Opening a named pipe would wait for ever.
    if not stat.S_ISREG(status.st_mode):
        raise PictureError(path, "is a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
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


def _upright(image: Image.Image, reduction: int = 1) -> _Decoded:
    """Decode an opened picture; a JPEG at a fraction of its size if asked."""
    width, height = image.size
    drafted = image.draft(None, (width // reduction, height // reduction)) if reduction > 1 else None
    image.load()
    _, _, right, bottom = drafted[1] if drafted else (0, 0, *image.size)
    orientation = _orientation(image)  # after the pixels: reading PNG metadata swallows their damage
    rgb = _to_rgb(image)
    margins: Box = (0, 0, rgb.width - right, rgb.height - bottom)
    if orientation in _UPRIGHT:
        turn, edges = _UPRIGHT[orientation]
        rgb = rgb.transpose(turn)
        margins = (margins[edges[0]], margins[edges[1]], margins[edges[2]], margins[edges[3]])
    left, top, right, bottom = margins
    return _Decoded(rgb, (left, top, rgb.width - right, rgb.height - bottom))


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
# A picture is decoded at no less than this many times the size to which it is resized, as in Pillow's
# `thumbnail`: nearer to that size, the difference to resizing the full picture would show.
_GAP = 2
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
        mean: of each channel, R G B, values 0–1.
        std: of each channel, R G B, values 0–1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(224, ge=1, le=4096)
    resize: int = Field(256, ge=1, le=8192)
    fit: Fit = "crop"
    interpolation: Literal["bilinear", "bicubic", "lanczos"] = "bilinear"
    antialias: bool = True
    mirror: bool = False
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

    @property
    def in_words(self) -> str:
        """What a picture is seen as, such as ``whole 288 mirrored``; sides in pixels."""
        side = self.resize if self.fit == "whole" else self.size
        return f"{self.fit} {side}{' mirrored' if self.mirror else ''}"

    def __call__(self, image: Image.Image) -> np.ndarray:
        """Make the network's input of a decoded picture.

        Args:
            image: a picture in mode ``RGB``.

        Returns:
            float32 array ``[3, height, width]``.
        """
        return self.normalise(self.arrange(image))

    def read(self, path: str | Path, content: bytes | None = None) -> Image.Image:
        """Read a picture and arrange it: what :func:`look` makes the network's input of.

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
            image: a picture in mode ``RGB``.
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
            red, green, blue = (round(255 * value) for value in self.mean)
            square = Image.new("RGB", (self.size, self.size), (red, green, blue))
            square.paste(arranged, ((self.size - wide) // 2, (self.size - high) // 2))
            arranged = square
        return arranged.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if self.mirror else arranged

    def normalise(self, arranged: Image.Image) -> np.ndarray:
        """Make the network's input of an arranged picture: float32 ``[3, height, width]``."""
        std = np.array(self.std, dtype=np.float32)[:, None, None]
        mean = np.array(self.mean, dtype=np.float32)[:, None, None]
        # Channels first and in place from there on: twice as fast as the formula in one line.
        array = np.asarray(arranged).transpose(2, 0, 1).astype(np.float32, order="C")
        array *= np.float32(1.0 / 255.0) / std
        array -= mean / std
        return array

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
            return _in_two_passes(image, sides, box, _RESAMPLING[self.interpolation])
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
