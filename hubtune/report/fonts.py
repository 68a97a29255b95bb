"""Fonts for a text: matplotlib's own, or else the first on the machine that has all its characters."""

from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

# Fonts that claim every character, and draw a box or nothing.
_PLACEHOLDERS = ("lastresort", "adobeblank", "blank")
# Tried last: readable, but unusual for a caption.
_STYLES = ("bold", "italic", "oblique", "light", "thin", "black", "mono", "serif", "condensed")


def find_font(text: str, size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont | None:
    """Return a font with every character of a text; ``None`` if no font on this machine has them all.

    ``size`` is in pixels; ``bold`` is a preference.
    """
    characters = frozenset(character for character in text if not character.isspace())
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    own = Path(matplotlib.get_data_path(), "fonts", "ttf", name)
    file = own if characters <= _characters(own) else _system_font(characters)
    return None if file is None else _load(file, size)


def shorten(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Truncate a text to ``width`` pixels, with ``...`` for what is cut off."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1].rstrip()
    return f"{text}..."


def wrap(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Break a text between words into lines of at most ``width`` pixels; longer words are shortened."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(shorten(word, font, width))
    return lines


@cache
def _system_font(characters: frozenset[str]) -> Path | None:
    return next((file for file in _system_fonts() if characters <= _characters(file)), None)


@cache
def _system_fonts() -> list[Path]:
    # Imported here, because the first import makes matplotlib read all fonts of the machine.
    from matplotlib.font_manager import findSystemFonts

    files = [Path(file) for file in findSystemFonts()]
    usable = [file for file in files if not any(word in _plain_name(file) for word in _PLACEHOLDERS)]
    return sorted(usable, key=lambda file: (sum(style in _plain_name(file) for style in _STYLES), str(file)))


def _plain_name(file: Path) -> str:
    return file.stem.lower().replace(" ", "").replace("-", "")


@cache
def _characters(file: Path) -> frozenset[str]:
    """The characters of a font; none if it cannot be used for drawing."""
    try:
        font = FT2Font(str(file))
        _load(file, 16)
    except (OSError, RuntimeError):  # damaged, no permission, or bitmaps of other sizes
        return frozenset()
    return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()


@cache
def _load(file: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)
