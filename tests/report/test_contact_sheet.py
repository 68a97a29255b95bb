"""Labelled images and contact sheets, checked by their pixels."""

import numpy as np
import pytest
from PIL import Image
from support.fonts import install_only_font

from hubtune.report import fonts
from hubtune.report.contact_sheet import SheetCell, draw_contact_sheet, join_sheets, label_image


@pytest.fixture(autouse=True)
def _font(monkeypatch, tmp_path):
    install_only_font(monkeypatch, tmp_path / "NotoSansTest-Regular.ttf", "虞书")
    yield
    fonts._system_font.cache_clear()
    fonts._system_fonts.cache_clear()


def ink(image):
    """The part of an image that is not white: left, top, right, bottom."""
    rows, columns = np.nonzero(np.asarray(image.convert("L")) < 250)
    return columns.min(), rows.min(), columns.max(), rows.max()


def grey(width, height):
    return Image.new("RGB", (width, height), (120, 120, 120))


def test_a_labelled_image_has_a_useful_size_and_a_long_caption_stays_inside():
    sizes = {(2000, 1000): (640, 320), (20, 10): (160, 80), (300, 200): (300, 200), (10, 5000): (1, 640)}
    for size, (width, height) in sizes.items():
        drawing = label_image(grey(*size), "cat")
        assert drawing.complete
        assert drawing.image.size == (max(240, width), height + 32)
    image = label_image(grey(200, 100), "a very long name of a class, longer than any image is wide").image
    left, top, right, bottom = ink(image.crop((0, 100, *image.size)))
    assert left > 0 and top > 0 and right < image.width - 1 and bottom < image.height - 101


@pytest.mark.parametrize(
    ("caption", "fallback", "same_as", "complete"),
    [
        ("a\nb", "?", "a b", True),
        ("虞书欣", "class 2", "class 2", False),
        ("虞书", "class 2", "虞书", True),
        ("caf\udce9.jpg", "caf\udce9.jpg", "caf?.jpg", False),
    ],
)
def test_captions_that_cannot_be_drawn_are_replaced(caption, fallback, same_as, complete):
    drawing = label_image(grey(200, 100), caption, fallback)
    assert drawing.complete == complete
    assert drawing.image == label_image(grey(200, 100), same_as).image


def test_a_sheet_distinguishes_right_from_wrong_by_colour_and_by_shape():
    sheets = [
        draw_contact_sheet([SheetCell(grey(50, 50), "cat", right)]).image for right in (True, False, None)
    ]
    assert [sheet.getpixel((12, 12)) for sheet in sheets] == [(0, 121, 90), (200, 74, 0), (255, 255, 255)]
    shapes = [np.asarray(sheet.convert("L").crop((0, 162, *sheet.size))) < 200 for sheet in sheets]
    assert (shapes[0] != shapes[1]).any()
    sheet = draw_contact_sheet([SheetCell(None, "damaged picture (the file ends too early)")]).image
    assert np.asarray(sheet.convert("L"))[14, 14] == 232
    assert ink(sheet) == (14, 14, 157, 157)  # the reason stays inside the cell


def test_a_sheet_has_at_most_a_hundred_cells_and_joined_sheets_keep_their_sizes():
    few, many = (
        draw_contact_sheet([SheetCell(grey(9, 9), "x")] * count, columns=10).image for count in (100, 1234)
    )
    assert many.width == few.width
    assert 0 < many.height - few.height < 60  # a line says how many more
    assert many.crop((0, 0, *few.size)) == few
    joined = join_sheets([grey(100, 80), grey(60, 120)], title="Two", note="and a note")
    assert joined.width == 100 + 28 + 60 and joined.height > 120 + 40
