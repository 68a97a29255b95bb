"""A text is recognised as a message with fields, and a message is written with their content."""

import pytest

from hubtune.messages.template import Template

NOUNS = {"n_files": "file"}


@pytest.mark.parametrize(
    ("message", "text", "expected"),
    [
        ("{rows} written to {file}", "3 rows written to a b.csv", {"rows": "3 rows", "file": "a b.csv"}),
        ("{n} of {n2} right", "1,200 of 5,000 right", {"n": "1,200", "n2": "5,000"}),
        ("{n} of {n2} right", "the first of many right", None),
        ("accuracy {percent}", "accuracy 84.2 %", {"percent": "84.2 %"}),
        ("accuracy {percent}", "accuracy high", None),
        ("{n_files} left", "2 files left", {"n_files": "2 files"}),
        ("{n_files} left", "1 file left", {"n_files": "1 file"}),
        ("{n_files} left", "nothing left", None),
        (
            "There is no {name}.{near} Name one.",
            "There is no a.txt. Name one.",
            {"name": "a.txt", "near": ""},
        ),
        ("write {{match: '*'}}", "write {match: '*'}", {}),
        ("{what}{why} is wrong", "the list of a is wrong", {"what": "the list of a", "why": ""}),
        ("one line {text}", "one line and\nanother", None),
        ("two\nlines {text}", "two\nlines and\nmore", {"text": "and\nmore"}),
    ],
)
def test_a_text_is_recognised_by_the_words_around_its_fields(message, text, expected):
    assert Template.parse(message, NOUNS).match(text) == expected


def test_a_message_is_written_with_its_fields_in_its_own_order():
    translation = Template.parse("{file} 中有 {rows}，{{}}")
    assert translation.format({"rows": "3 行", "file": "a.csv"}) == "a.csv 中有 3 行，{}"
    assert translation.format({}) == " 中有 ，{}"
    assert Template.parse("  • {n} left").stripped().texts == ("", " left")
    with pytest.raises(ValueError, match="expected"):
        Template.parse("{open")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("{n} files", True),
        ("{files} could not be read", True),
        ("{a} as {b}", False),  # which any sentence may be
        ("{a} of {b}", False),
        ("no {a}", False),
        ("one of {a}", True),
    ],
)
def test_only_what_has_words_enough_is_looked_for_inside_other_texts(message, expected):
    assert Template.parse(message).is_telling is expected
