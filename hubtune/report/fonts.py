"""Fonts that can show a text: matplotlib's own, else the first on the machine with all its characters."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

# Fonts that have every character, and show each as a box or as nothing.
_PLACEHOLDERS = ("lastresort", "adobeblank", "blank")
# Looked at last: a text in them is readable, but not what a caption should look like.
_STYLES = ("bold", "italic", "oblique", "light", "thin", "black", "mono", "serif", "condensed")


def find_font(text: str, size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont | None:
    """Return a font that has every character of a text; ``None`` if no font on this machine has.

    Args:
        text: what is to be shown.
        size: of the font, pixels.
        bold: whether it should be bold, where the text allows it.
    """
    characters = frozenset(character for character in text if not character.isspace())
    own = _own_font(bold)
    file = own if characters <= _characters(own) else _system_font(characters)
    return None if file is None else _load(file, size)


def shorten(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """Cut a text so that it is no wider than ``width`` pixels, with ``...`` for what is cut away."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(f"{text}...") > width:
        text = text[:-1].rstrip()
    return f"{text}..."


def wrap(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Break a text between words into lines no wider than ``width`` pixels; longer words are shortened."""
    lines: list[str] = []
    for word in text.split():
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(shorten(word, font, width))
    return lines


def _own_font(bold: bool) -> Path:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return Path(matplotlib.get_data_path(), "fonts", "ttf", name)


@cache
def _system_font(characters: frozenset[str]) -> Path | None:
    return next((file for file in _system_fonts() if characters <= _characters(file)), None)


@cache
def _system_fonts() -> list[Path]:
    # Here, because matplotlib reads all fonts of the machine when this is imported for the first time.
    from matplotlib.font_manager import findSystemFonts

    return sorted(_usable(map(Path, findSystemFonts())), key=_preference)


def _usable(files: Iterable[Path]) -> list[Path]:
    return [file for file in files if not any(word in _plain_name(file) for word in _PLACEHOLDERS)]


def _preference(file: Path) -> tuple[int, str]:
    return sum(style in _plain_name(file) for style in _STYLES), str(file)


def _plain_name(file: Path) -> str:
    return file.stem.lower().replace(" ", "").replace("-", "")


@cache
def _characters(file: Path) -> frozenset[str]:
    """The characters that a font has; none where it cannot be used for drawing."""
    try:
        font = FT2Font(str(file))
        _load(file, 16)
    except (OSError, RuntimeError):  # damaged, without permission, or made of bitmaps of other sizes
        return frozenset()
    return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()


@cache
def _load(file: Path, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(file, size)
