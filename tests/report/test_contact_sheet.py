"""Labelled pictures and contact sheets, looked at by their pixels."""

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image

from hubtune.report import fonts
from hubtune.report.contact_sheet import Cell, contact_sheet, label_image, side_by_side


@pytest.fixture(autouse=True)
def _no_font_remembered():
    fonts._system_font.cache_clear()
    fonts._system_fonts.cache_clear()


@pytest.fixture
def only_font(monkeypatch, tmp_path):
    """Lets the machine have a single font, with these characters; each looks like a black square."""

    def install(characters, name="NotoSansTest-Regular.ttf"):
        glyphs = [".notdef", *(f"g{number}" for number in range(len(characters)))]
        pen = TTGlyphPen(None)
        for corner, move in (
            ((0, 0), pen.moveTo),
            *((c, pen.lineTo) for c in ((0, 800), (800, 800), (800, 0))),
        ):
            move(corner)
        pen.closePath()
        builder = FontBuilder(1000, isTTF=True)
        builder.setupGlyphOrder(glyphs)
        builder.setupCharacterMap(dict(zip(map(ord, characters), glyphs[1:], strict=True)))
        builder.setupGlyf(dict.fromkeys(glyphs, pen.glyph()))
        builder.setupHorizontalMetrics(dict.fromkeys(glyphs, (1000, 0)))
        builder.setupHorizontalHeader(ascent=900, descent=-100)
        builder.setupOS2()
        builder.setupPost()
        builder.setupNameTable({"familyName": "Test", "styleName": "Regular"})
        builder.save(tmp_path / name)
        monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: [str(tmp_path / name)])

    return install


def _ink(image):
    """Where a picture is not white: left, top, right, bottom."""
    rows, columns = np.nonzero(np.asarray(image.convert("L")) < 250)
    return columns.min(), rows.min(), columns.max(), rows.max()


def _grey(width, height):
    return Image.new("RGB", (width, height), (120, 120, 120))


@pytest.mark.parametrize(
    ("size", "shown"),
    [((2000, 1000), (640, 320)), ((20, 10), (160, 80)), ((300, 200), (300, 200)), ((10, 5000), (1, 640))],
)
def test_a_labelled_picture_is_of_a_useful_size(size, shown):
    drawn = label_image(_grey(*size), "cat")
    assert drawn.complete
    assert drawn.image.size == (max(240, shown[0]), shown[1] + 32)


def test_a_caption_stays_inside_however_long():
    image = label_image(_grey(200, 100), "a very long name of a class, longer than any picture is wide").image
    strip = image.crop((0, 100, *image.size))
    left, top, right, bottom = _ink(strip)
    assert left > 0 and top > 0 and right < strip.width - 1 and bottom < strip.height - 1


def test_line_breaks_in_a_caption_become_spaces():
    assert label_image(_grey(200, 99), "a\nb").image == label_image(_grey(200, 99), "a b").image


def test_a_system_font_is_used_where_our_own_lacks_a_character(only_font):
    only_font("虞书欣")
    drawn = label_image(_grey(200, 100), "虞书欣", fallback="class 2")
    assert drawn.complete
    assert drawn.image != label_image(_grey(200, 100), "class 2").image


def test_the_fallback_stands_in_where_no_font_has_the_characters(only_font):
    only_font("虞书")
    drawn = label_image(_grey(200, 100), "虞书欣", fallback="class 2")
    assert not drawn.complete
    assert drawn.image == label_image(_grey(200, 100), "class 2").image


def test_fonts_that_show_every_character_as_a_box_are_not_used(only_font):
    only_font("虞书欣", name="Last Resort.ttf")
    assert not label_image(_grey(200, 100), "虞书欣").complete


def test_a_damaged_font_is_passed_over(monkeypatch, tmp_path):
    (tmp_path / "broken.ttf").write_bytes(b"not a font")
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: [str(tmp_path / "broken.ttf")])
    assert not label_image(_grey(200, 100), "虞书欣").complete


def test_broken_file_names_do_not_break_a_caption():
    drawn = label_image(_grey(200, 100), "caf\udce9.jpg", fallback="caf\udce9.jpg")
    assert not drawn.complete


def test_a_sheet_tells_right_from_wrong_by_colour_and_by_shape():
    sheets = [contact_sheet([Cell(_grey(50, 50), "cat", right)]).image for right in (True, False, None)]
    corners = [sheet.getpixel((12, 12)) for sheet in sheets]
    assert corners[0] == (0, 121, 90) and corners[1] == (200, 74, 0) and corners[2] == (255, 255, 255)
    shapes = [np.asarray(sheet.convert("L").crop((0, 162, *sheet.size))) < 200 for sheet in sheets]
    assert (shapes[0] != shapes[1]).any()


def test_an_unreadable_picture_is_a_grey_cell_with_the_reason():
    drawn = contact_sheet([Cell(None, "damaged picture (the file ends too early)")])
    cell = np.asarray(drawn.image.convert("L"))[14:158, 14:158]
    assert cell[0, 0] == 232
    left, top, right, bottom = _ink(drawn.image)
    assert (left, top, right, bottom) == (14, 14, 157, 157)  # the reason stays inside the cell
    assert (cell < 150).any()


def test_a_sheet_has_at_most_a_hundred_cells_and_says_how_many_more():
    few = contact_sheet([Cell(_grey(9, 9), "x")] * 100, columns=10)
    many = contact_sheet([Cell(_grey(9, 9), "x")] * 1234, columns=10)
    assert many.image.width == few.image.width
    assert 0 < many.image.height - few.image.height < 60
    assert many.image.crop((0, 0, *few.image.size)) == few.image


def test_a_sheet_reports_a_caption_that_it_could_not_show(only_font):
    only_font("虞")
    assert contact_sheet([Cell(_grey(9, 9), "虞")]).complete
    assert not contact_sheet([Cell(_grey(9, 9), "虞"), Cell(_grey(9, 9), "书", fallback="class 1")]).complete


def test_sheets_side_by_side_keep_their_pictures():
    one, other = _grey(100, 80), _grey(60, 120)
    joined = side_by_side([one, other], title="Two", note="and a note")
    assert joined.width == 100 + 28 + 60
    assert joined.height > 120 + 40
