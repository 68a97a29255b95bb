"""Draw images with captions: one labelled image, or a contact sheet of many."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from hubtune.report.fonts import find_font, shorten, wrap

MAX_CELLS = 100
"""Most images on a sheet."""

_MAX_SIDE, _MIN_SIDE = 640, 160  # longest side of a labelled image, pixels
_MIN_WIDTH = 240  # of a labelled image with its caption, pixels
_TEXT, _TITLE, _SMALL = 16, 20, 14  # font sizes, pixels
_STRIP = 24  # height of a cell's caption
_GAP = 14

_INK, _FAINT, _PAPER, _EMPTY = "#1f2328", "#59636e", "#ffffff", "#e6e8eb"
# Distinguishable with colour blindness (Okabe and Ito, 2008); a tick or a cross says the same.
_RIGHT, _WRONG = "#00795a", "#c84a00"


class Drawing(NamedTuple):
    """A drawn image, and whether all captions are drawn as passed.

    If not, no font on this machine has all their characters, and the fallbacks are drawn.
    """

    image: Image.Image
    complete: bool


@dataclass(frozen=True)
class SheetCell:
    """An image of a contact sheet."""

    image: Image.Image | None  # upright and RGB; None if it cannot be read
    caption: str  # the text below it, or why it cannot be read
    right: bool | None = None  # whether the model is right, if that is known
    fallback: str = "?"  # for a caption that no font on this machine can draw


def label_image(image: Image.Image, caption: str, fallback: str = "?") -> Drawing:
    """Draw an upright RGB image, reduced if it is large and enlarged if it is tiny, with a caption below it.

    A caption that is too long is shortened; ``fallback`` is for one that no font on this machine can draw.
    """
    image = _scale(image, min(_MAX_SIDE, max(_MIN_SIDE, *image.size)))
    width, strip = max(_MIN_WIDTH, image.width), 2 * _TEXT
    sheet = Image.new("RGB", (width, image.height + strip), _PAPER)
    sheet.paste(image, ((width - image.width) // 2, 0))
    text, font, complete = _choose_text(caption, fallback, _TEXT)
    middle = (width / 2, image.height + strip / 2)
    ImageDraw.Draw(sheet).text(middle, shorten(text, font, width - _GAP), _INK, font, anchor="mm")
    return Drawing(sheet, complete)


def draw_contact_sheet(
    cells: Sequence[SheetCell], *, columns: int = 6, side: int = 144, title: str = ""
) -> Drawing:
    """Draw many images on one sheet, row by row, each with its caption.

    Predictions that are known to be right or wrong have a frame and a mark. After :data:`MAX_CELLS` images, a
    line says how many more there are. ``cells`` has at least one; ``side`` is that of the square for each
    image, in pixels.
    """
    shown = cells[:MAX_CELLS]
    columns = min(columns, len(shown))
    rows = -(-len(shown) // columns)
    step_x, step_y = side + _GAP, side + _STRIP + _GAP
    body = Image.new("RGB", (_GAP + columns * step_x, _GAP + rows * step_y), _PAPER)
    complete = True
    for number, cell in enumerate(shown):
        row, column = divmod(number, columns)
        complete &= _draw_cell(body, (_GAP + column * step_x, _GAP + row * step_y), side, cell)
    more = len(cells) - len(shown)
    return Drawing(_add_title(body, title, f"... and {more:,} more" if more else ""), complete)


def join_sheets(sheets: Sequence[Image.Image], *, title: str = "", note: str = "") -> Image.Image:
    """Join sheets from left to right, with a line above them and a small one below."""
    width = sum(sheet.width for sheet in sheets) + 2 * _GAP * (len(sheets) - 1)
    body = Image.new("RGB", (width, max(sheet.height for sheet in sheets)), _PAPER)
    left = 0
    for sheet in sheets:
        body.paste(sheet, (left, 0))
        left += sheet.width + 2 * _GAP
    return _add_title(body, title, note)


def _draw_cell(sheet: Image.Image, corner: tuple[int, int], side: int, cell: SheetCell) -> bool:
    """Draw a cell at its upper left corner; returns whether its caption is drawn as passed."""
    left, top = corner
    draw = ImageDraw.Draw(sheet)
    text, font, complete = _choose_text(cell.caption, cell.fallback, _SMALL)
    draw.rectangle((left, top, left + side - 1, top + side - 1), _EMPTY)
    if cell.image is None:
        lines = wrap(text, font, side - _GAP)[: side // (_SMALL + 4) - 1]
        centre = (left + side / 2, top + side / 2)
        draw.multiline_text(centre, "\n".join(lines), _FAINT, font, anchor="mm", align="center")
        return complete
    image = _scale(cell.image, side)
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
    """Draw a tick or a cross; the font of a caption may have neither."""
    x, y = place
    strokes = [[(0, 0), (4, 4), (10, -5)]] if right else [[(1, -4), (9, 4)], [(1, 4), (9, -4)]]
    for stroke in strokes:
        draw.line([(x + dx, y + dy) for dx, dy in stroke], colour, 3, joint="curve")


def _add_title(body: Image.Image, title: str, note: str) -> Image.Image:
    """Add a line of text above an image and a small one below, unless they are empty."""
    above, below = (2 * _TITLE if title else 0), (2 * _SMALL + _GAP if note else 0)
    sheet = Image.new("RGB", (body.width, above + body.height + below), _PAPER)
    sheet.paste(body, (0, above))
    draw = ImageDraw.Draw(sheet)
    lines = (
        (title, _TITLE, _INK, above / 2 + _GAP / 2),
        (note, _SMALL, _FAINT, sheet.height - below / 2 - _GAP / 2),
    )
    for text, size, colour, middle in lines:
        text, font, _ = _choose_text(text, "?", size, bold=size == _TITLE)
        draw.text((body.width / 2, middle), shorten(text, font, body.width - 2 * _GAP), colour, font, "mm")
    return sheet


def _choose_text(
    text: str, fallback: str, size: int, *, bold: bool = False
) -> tuple[str, ImageFont.FreeTypeFont, bool]:
    """A text that can be drawn, a font for it, and whether it is the text and not the fallback."""
    text = " ".join(text.split())
    font = find_font(text, size, bold=bold)
    if font is not None:
        return text, font, True
    plain = fallback.encode("ascii", "replace").decode()
    font = find_font(plain, size, bold=bold)
    assert font is not None  # matplotlib's fonts have all of ASCII
    return plain, font, False


def _scale(image: Image.Image, side: int) -> Image.Image:
    """Scale an image to this longer side."""
    factor = side / max(image.size)
    width, height = (max(1, round(length * factor)) for length in image.size)
    return image.resize((width, height), Image.Resampling.LANCZOS if factor < 1 else Image.Resampling.BICUBIC)
