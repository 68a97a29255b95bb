"""Formats of files that cannot be read, by their first bytes, and what to do with such files."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

START_BYTES = 4096
"""Number of first bytes from which a format is recognised."""


class FileFormat(NamedTuple):
    """A format: what one file of it is, what several are, and what to do; ``{}`` is "it" or "them".

    Files of an image format are images, although they cannot be read.
    """

    one: str
    many: str
    advice: str = ""
    is_image: bool = False

    @property
    def reason(self) -> str:
        """Why a file cannot be used."""
        return f"{self.what}: {self.advice_for('it')}" if self.advice else self.what

    @property
    def what(self) -> str:
        """The reason without the advice, which depends on the machine."""
        return self.one if self.is_image else f"not a picture, but {self.one}"

    def advice_for(self, pronoun: str) -> str:
        return self.advice.replace("{}", pronoun)


_HTML = FileFormat("an HTML page", "HTML pages")
_XML = FileFormat("an XML file", "XML files")
_ZIP = FileFormat("a zip archive", "zip archives")
_LFS = FileFormat(
    "a Git LFS pointer, not the file itself",
    "Git LFS pointers, not the files themselves",
    "run `git lfs pull`",
)
_FILM = FileFormat(
    "a film", "films", "save single frames of {}, for instance with `ffmpeg -i FILM -vf fps=1 %05d.png`"
)
_PDF = FileFormat("a PDF file", "PDF files", "save the pages of {} as PNG, for instance with `pdftoppm -png`")
_POSTSCRIPT = FileFormat(
    "a PostScript file", "PostScript files", "convert {} to PNG, for instance with ImageMagick"
)
_PHOTOSHOP = FileFormat("a Photoshop file", "Photoshop files", "export {} as PNG, for instance with GIMP")
_SVG = FileFormat("an SVG drawing", "SVG drawings", "convert {} to PNG, for instance with Inkscape")
_DICOM = FileFormat(
    "a DICOM file", "DICOM files", "convert {} to PNG, for instance with `dcm2img` of DCMTK", is_image=True
)
_JPEG_XL = FileFormat("a JPEG XL picture", "JPEG XL pictures", "convert {} to JPEG or PNG", is_image=True)
RAW = FileFormat(
    "a camera's raw file",
    "raw files of cameras",
    "convert {} to JPEG, for instance with darktable",
    is_image=True,
)
AVIF = FileFormat(
    "an AVIF picture",
    "AVIF pictures",
    "run `pip install --upgrade pillow` to read {}, or convert {} to JPEG",
    is_image=True,
)
HEIC = FileFormat(
    "a HEIC picture",
    "HEIC pictures",
    "run `pip install pillow-heif` to read {}, or convert {} to JPEG",
    is_image=True,
)

# First characters in lower case, after white space.
_TEXTS = (
    (b"<!doctype html", _HTML),
    (b"<html", _HTML),
    (b"<svg", _SVG),
    (b"%!ps", _POSTSCRIPT),
    (b"version https://git-lfs", _LFS),
)
# Place, and the bytes there.
_SIGNATURES: tuple[tuple[int, bytes, FileFormat], ...] = (
    (128, b"DICM", _DICOM),
    (0, b"%PDF", _PDF),
    (0, b"\xc5\xd0\xd3\xc6", _POSTSCRIPT),
    (0, b"8BPS", _PHOTOSHOP),
    (0, b"PK\x03\x04", _ZIP),
    (0, b"\xff\x0a", _JPEG_XL),
    (0, b"\0\0\0\x0cJXL ", _JPEG_XL),
    (6, b"HEAPCCDR", RAW),
    *((0, start, RAW) for start in (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb")),
    *((0, start, RAW) for start in (b"\0MRM", b"II*\0\x10\0\0\0CR")),
    (8, b"AVI ", _FILM),
    *((4, box, _FILM) for box in (b"moov", b"mdat")),
    *((0, start, _FILM) for start in (b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", b"FLV\x01")),
    *((0, start, _FILM) for start in (b"\0\0\x01\xba", b"\0\0\x01\xb3")),
)
# Bytes 9 to 12 of ISO media files (ISO/IEC 14496-12) that do not hold a film.
_BRANDS = {
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"), HEIC),
    **dict.fromkeys((b"avif", b"avis"), AVIF),
    b"crx ": RAW,
}
_CONVERTIBLE = {
    row.what: row
    for row in (*(row for _, row in _TEXTS), *(row for _, _, row in _SIGNATURES), *_BRANDS.values())
    if row.advice
}


def identify_format(start: bytes) -> FileFormat | None:
    """Return the format of a file by its :data:`START_BYTES` first bytes; ``None`` if it is another one."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    for characters, row in _TEXTS:
        if text.startswith(characters):
            return row
    if text.startswith(b"<?xml"):
        return _SVG if b"<svg" in text else _XML
    if start[4:8] == b"ftyp":
        return _BRANDS.get(start[8:12], _FILM)
    if len(start) > 376 and start[0] == start[188] == start[376] == 0x47:  # MPEG-2 transport stream
        return _FILM
    return next((row for place, code, row in _SIGNATURES if start.startswith(code, place)), None)


def is_convertible(reason: str) -> bool:
    """Whether a reason is that of a format whose files can be made into images that are read."""
    return _convertible(reason) is not None


def _convertible(reason: str) -> FileFormat | None:
    # Of a reason in the cache, the advice may be that of another installation.
    return _CONVERTIBLE.get(reason.partition(": ")[0])


def count_formats(reasons: Iterable[str]) -> list[str]:
    """Describe the files of convertible formats among reasons: ``8 DICOM files: convert them to PNG, …``."""
    counts = Counter(row for row in map(_convertible, reasons) if row is not None)
    described = []
    for row, count in counts.items():
        one = count == 1
        what = row.one if one else f"{count:,} {row.many}"
        described.append(f"{what}: {row.advice_for('it' if one else 'them')}")
    return described
