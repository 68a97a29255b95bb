"""Pictures with what a model says of them: one labelled picture, or a sheet of many."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from hubtune.report.fonts import find_font, shorten, wrap

MOST_CELLS = 100
"""A sheet shows no more pictures than these."""

_LONGEST, _SHORTEST = 640, 160  # longest side of a labelled picture, pixels
_NARROWEST = 240  # it and its caption, pixels
_TEXT, _TITLE, _SMALL = 16, 20, 14  # font sizes, pixels
_STRIP = 24  # height of a cell's caption
_GAP = 14

_INK, _FAINT, _PAPER, _EMPTY = "#1f2328", "#59636e", "#ffffff", "#e6e8eb"
# Colours that colour-blind eyes tell apart (Okabe and Ito, 2008); the mark says the same without them.
_RIGHT, _WRONG = "#00795a", "#c84a00"


class Drawn(NamedTuple):
    """A picture that was drawn.

    Attributes:
        image: the picture.
        complete: whether every caption is in it as given; if not, no font on this machine has all its
            characters, and the fallback stands there.
    """

    image: Image.Image
    complete: bool


@dataclass(frozen=True)
class Cell:
    """One picture of a contact sheet.

    Attributes:
        image: an upright RGB picture; ``None`` for one that cannot be read.
        caption: the text below it; of an unreadable picture, the reason it cannot.
        right: whether the model is right, where that is known.
        fallback: what stands in place of a caption that no font on this machine can show.
    """

    image: Image.Image | None
    caption: str
    right: bool | None = None
    fallback: str = "?"


def label_image(image: Image.Image, caption: str, fallback: str = "?") -> Drawn:
    """Put a caption below a picture.

    Args:
        image: an upright RGB picture; large ones are made smaller, tiny ones larger.
        caption: the text; shortened where it is too long.
        fallback: what stands there if no font on this machine has the caption's characters.

    Example:
        >>> drawn = label_picture(decode("a.jpg"), "虞书欣 91.8 %", fallback="class 2: 91.8 %")
        >>> drawn.image.save("labelled.png")
    """
    shown = _scaled(image, min(_LONGEST, max(_SHORTEST, *image.size)))
    width, strip = max(_NARROWEST, shown.width), 2 * _TEXT
    sheet = Image.new("RGB", (width, shown.height + strip), _PAPER)
    sheet.paste(shown, ((width - shown.width) // 2, 0))
    text, font, complete = _lettering(caption, fallback, _TEXT)
    place = (width / 2, shown.height + strip / 2)
    ImageDraw.Draw(sheet).text(place, shorten(text, font, width - _GAP), _INK, font, anchor="mm")
    return Drawn(sheet, complete)


def contact_sheet(cells: Sequence[Cell], *, columns: int = 6, side: int = 144, title: str = "") -> Drawn:
    """Put many pictures on one sheet, each with its caption, row by row.

    A picture that the model got right or wrong has a frame and a mark that say so. After 100 pictures, a line
    says how many more there are.

    Args:
        cells: the pictures; at least one.
        columns: pictures in a row.
        side: of the square that each is fitted into, pixels.
        title: a line above them.
    """
    shown = cells[:MOST_CELLS]
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    step_x, step_y = side + _GAP, side + _STRIP + _GAP
    body = Image.new("RGB", (_GAP + columns * step_x, _GAP + rows * step_y), _PAPER)
    complete = True
    for number, cell in enumerate(shown):
        row, column = divmod(number, columns)
        complete &= _draw_cell(body, (_GAP + column * step_x, _GAP + row * step_y), side, cell)
    more = len(cells) - len(shown)
    return Drawn(_framed(body, title, f"... and {more:,} more" if more else ""), complete)


def side_by_side(sheets: Sequence[Image.Image], *, title: str = "", note: str = "") -> Image.Image:
    """Join sheets from left to right, with a line above them and a small one below."""
    width = sum(sheet.width for sheet in sheets) + 2 * _GAP * (len(sheets) - 1)
    body = Image.new("RGB", (width, max(sheet.height for sheet in sheets)), _PAPER)
    left = 0
    for sheet in sheets:
        body.paste(sheet, (left, 0))
        left += sheet.width + 2 * _GAP
    return _framed(body, title, note)


def _draw_cell(sheet: Image.Image, place: tuple[int, int], side: int, cell: Cell) -> bool:
    """Draw a cell with its upper left corner at a place; returns whether its caption is as given."""
    left, top = place
    draw = ImageDraw.Draw(sheet)
    text, font, complete = _lettering(cell.caption, cell.fallback, _SMALL)
    draw.rectangle((left, top, left + side - 1, top + side - 1), _EMPTY)
    if cell.image is None:
        lines = wrap(text, font, side - _GAP)[: side // (_SMALL + 4) - 1]
        centre = (left + side / 2, top + side / 2)
        draw.multiline_text(centre, "\n".join(lines), _FAINT, font, anchor="mm", align="center")
        return complete
    image = _scaled(cell.image, side)
    sheet.paste(image, (left + (side - image.width) // 2, top + (side - image.height) // 2))
    colour, mark = _INK, 0
    if cell.right is not None:
        colour, mark = (_RIGHT if cell.right else _WRONG), _TEXT
        draw.rectangle((left - 3, top - 3, left + side + 2, top + side + 2), outline=colour, width=3)
    text = shorten(text, font, side - mark)
    start, middle = left + (side - mark - font.getlength(text)) / 2, top + side + 3 + _STRIP / 2
    if cell.right is not None:
        _draw_mark(draw, (start, middle), colour, right=cell.right)
    draw.text((start + mark, middle), text, colour, font, anchor="lm")
    return complete


def _draw_mark(draw: ImageDraw.ImageDraw, place: tuple[float, float], colour: str, *, right: bool) -> None:
    """A tick or a cross; drawn, because the font of a caption may have none."""
    x, y = place
    strokes = [[(0, 0), (4, 4), (10, -5)]] if right else [[(1, -4), (9, 4)], [(1, 4), (9, -4)]]
    for stroke in strokes:
        draw.line([(x + dx, y + dy) for dx, dy in stroke], colour, 3, joint="curve")


def _framed(body: Image.Image, title: str, note: str) -> Image.Image:
    """A picture with a line of text above it and a small one below, where there is any."""
    above, below = (2 * _TITLE if title else 0), (2 * _SMALL + _GAP if note else 0)
    sheet = Image.new("RGB", (body.width, above + body.height + below), _PAPER)
    sheet.paste(body, (0, above))
    draw = ImageDraw.Draw(sheet)
    lines = (
        (title, _TITLE, _INK, above / 2 + _GAP / 2),
        (note, _SMALL, _FAINT, sheet.height - below / 2 - _GAP / 2),
    )
    for text, size, colour, middle in lines:
        text, font, _ = _lettering(text, "?", size, bold=size == _TITLE)
        draw.text((body.width / 2, middle), shorten(text, font, body.width - 2 * _GAP), colour, font, "mm")
    return sheet


def _lettering(
    text: str, fallback: str, size: int, *, bold: bool = False
) -> tuple[str, ImageFont.FreeTypeFont, bool]:
    """The text that is drawn, the font it is drawn in, and whether it is the one that was asked for."""
    text = " ".join(text.split())
    font = find_font(text, size, bold=bold)
    if font is not None:
        return text, font, True
    plain = fallback.encode("ascii", "replace").decode()
    font = find_font(plain, size, bold=bold)
    assert font is not None  # every font of ours has ASCII
    return plain, font, False


def _scaled(image: Image.Image, longest: int) -> Image.Image:
    """The picture with its longer side as given, its aspect kept."""
    factor = longest / max(image.size)
    width, height = (max(1, round(side * factor)) for side in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BICUBIC)
