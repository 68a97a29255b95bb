"""Text for people: escapes, values, sizes, durations and numbers of things."""

import pytest

from hubtune.text import (
    describe_value,
    escaped,
    first_few,
    format_bytes,
    format_duration,
    parse_bytes,
    plural,
    shortened,
)


def test_what_a_terminal_would_obey_is_escaped():
    assert escaped("é\x1b[2J\n\u202e\udcff") == "é\\x1b[2J\\n\\u202e\\udcff"
    assert shortened("x" * 61) == "x" * 60 + "…"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null (nothing)"), (True, "true"), (3, "the number 3"), ("a\n", "the text 'a\\n'"),
        ([], "an empty list"), ((1,), "a list"), ({}, "a section of keys"),
        (2**200, "a number of very many digits"), (object(), "an object of the type object"),
    ],
)  # fmt: skip
def test_values_are_described(value, text):
    assert describe_value(value) == text


def test_amounts_have_units():
    assert [format_bytes(count) for count in (999, 1500, 2 * 10**6)] == ["999 bytes", "1.5 kB", "2 MB"]
    assert [format_duration(seconds) for seconds in (0.2, 7.4, 190, 7000)] == [
        *("1 second", "7 seconds", "3 minutes", "1.9 hours")
    ]
    assert [plural(1, "file"), plural(1200, "file")] == ["1 file", "1,200 files"]
    assert first_few(list("abcde")) == "a, b, c and 2 more"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10GB", 10**10), ("500 MB", 5 * 10**8), ("1.5 GiB", 3 * 2**29), ("2g", 2 * 10**9), ("7 kb", 7000),
        ("1234", 1234), ("12 B", 12), (" 1TiB ", 2**40), ("0", 0),
    ],
)  # fmt: skip
def test_sizes_are_parsed(text, expected):
    assert parse_bytes(text) == expected


@pytest.mark.parametrize("text", ["", "ten", "-1", "1 XB", "1e9", "nan", "10 iB", "1,5GB", "٣GB", "9" * 400])
def test_texts_that_are_not_sizes_are_refused(text):
    with pytest.raises(ValueError, match=r"is not a size: write 10GB, 500MB or 1\.5GiB"):
        parse_bytes(text)
