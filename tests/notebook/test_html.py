"""Outputs are well formed, escape all text, and make no request."""

import base64
import math
from xml.etree import ElementTree

import pytest
from markupsafe import Markup
from support.notebooks import CellHtml
from support.pages import HOSTILE_NAMES, PageElements

from hubtune.notebook import html
from hubtune.notebook.html import (
    SIDE,
    bar,
    data_address,
    document,
    facts,
    framed_page,
    image_tag,
    message,
    more,
    notice,
    score_bars,
    show_safely,
    side_by_side,
    table,
    text,
    word,
)
from hubtune.text import escaped

AWKWARD = [*HOSTILE_NAMES, "\x1b[31m", "broken\udcff", "0\x00"]


@pytest.mark.parametrize("name", AWKWARD)
def test_every_text_is_escaped_wherever_it_stands(name):
    parts = [
        table([name, ""], [[name, text(name)]], total=True),
        facts({name: name}),
        image_tag(None, name),
        image_tag(b"1", name),
        score_bars([(name, 0.5)]),
        notice(message(name), warning=True),
        framed_page(escaped(name), name),
        side_by_side([word(name)]),
    ]
    CellHtml(str(document(*parts)))


def test_control_characters_and_keys_in_addresses_are_not_shown():
    shown = CellHtml(
        str(document(text("a\x1b[31m"), message("b\udcff"), text("s3://me:secret@bucket/x")))
    ).text
    assert "\\x1b" in shown and "\\udcff" in shown and "secret" not in shown


def test_a_table_aligns_its_columns_and_marks_rows():
    shown = CellHtml(str(document(table(["class", "n"], [["a", "1"], ["b", "2"], ["all", "3"]], total=True))))
    assert shown.rows == [["class", "n"], ["a", "1"], ["b", "2"], ["all", "3"]]
    assert shown.strong == ["class", "all"]
    left, right = (cell.get("style") for cell in shown.all("td")[:2])
    assert "text-align:left" in left and "text-align:right" in right
    assert CellHtml(str(table(["", ""], [["a", "1"], ["b", "2"]], strong=[1]))).strong == ["b"]


def test_what_hubtune_says_is_in_the_language_of_the_person_and_names_are_not(monkeypatch):
    monkeypatch.setenv("HUBTUNE_LANG", "zh")
    shown = CellHtml(str(document(table(["class"], [["class"], [word("accuracy")]]))))
    assert shown.root.get("lang") == "zh-Hans"
    assert shown.rows == [["类别"], ["class"], ["准确率"]]


def test_a_picture_is_in_the_output_itself_and_a_missing_one_leaves_a_frame():
    [image] = CellHtml(str(image_tag(b"abc", "a.jpg"))).all("img")
    assert image.get("src") == data_address(b"abc", "webp")
    assert image.get("alt") == image.get("title") == "a.jpg"
    assert CellHtml(str(image_tag(None, "a.jpg"))).text == "no picture"
    assert CellHtml(str(image_tag(None, "a.jpg", side=SIDE // 2))).text == "–"


def test_a_picture_becomes_an_address_that_holds_it():
    address = data_address(b"abc", "webp")
    assert address == f"data:image/webp;base64,{base64.b64encode(b'abc').decode()}"


@pytest.mark.parametrize(("share", "percent"), [(0.5, 50.0), (-1, 0.0), (7, 100.0), (math.nan, 0.0)])
def test_a_bar_stays_within_its_frame(share, percent):
    inner = CellHtml(str(bar(share))).all("div")[1]
    assert f"width:{percent}%" in inner.get("style")


def test_a_page_in_a_frame_is_the_same_page_and_its_links_stay_in_it():
    page = '<!DOCTYPE html><html><head><title>a&amp;b "c"</title></head><body><a href="#x">x</a></body>'
    [frame] = CellHtml(str(framed_page(page, "report", height=300))).all("iframe")
    assert "height:300px" in frame.get("style")
    inner = frame.get("srcdoc")
    assert inner.replace('<base href="about:srcdoc">', "") == page
    assert PageElements(inner).all("base") == [{"href": "about:srcdoc"}]


def test_facts_without_a_value_are_left_out_and_the_rest_is_counted():
    assert CellHtml(str(facts({"run": "a", "step": ""}))).rows == [["run", "a"]]
    assert CellHtml(str(more(1234))).text == "and 1,234 more"


def test_a_mistake_shows_the_text_of_the_object_in_place_of_a_traceback():
    assert show_safely(lambda: Markup(1 / 0)) is None
    assert show_safely(lambda: text("<")) == "&lt;"


def test_styles_fit_light_and_dark_pages():
    shown = [image_tag(None, "a"), bar(0.5), notice(text("a")), table(["a"], [["b"]], total=True)]
    styles = [element.get("style", "") for part in shown for element in ElementTree.fromstring(part).iter()]
    assert "rgba(" in html._GREY and any(html._GREY in style for style in styles)
    assert not [style for style in styles if ";color:" in style or "#" in style]
