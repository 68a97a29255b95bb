"""Names of classes are read as their files have them, and written so that the same are read again."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubtune.data.label_names import distinct_names, labels_text, numbered_with_gaps, parse_label_names
from hubtune.errors import DataError

FILE = Path("label_list.txt")


@pytest.mark.parametrize(
    ("text", "names", "numbers"),
    [
        ("0 a|1 b", "a|b", [0, 1]),
        ("b 1|a 0", "a|b", [0, 1]),
        ("1:b|0:[default]", "[default]|b", [0, 1]),
        ("1,rose|2,red fox", "rose|red fox", [1, 2]),
        ("0\ta|1\tb", "a|b", [0, 1]),
        ("134 crane|135 crane", "134 crane|135 crane", None),
        ("0 crane|1 crane", "crane|crane", [0, 1]),
        ("type 1|type 2", "type 1|type 2", None),
        ("a|b 1", "a|b 1", None),
        ("1. b|0. a", "a|b", [0, 1]),
        ("1) b|0) a", "a|b", [0, 1]),
        ("1：b|0：a", "a|b", [0, 1]),
        ("0 -> a|1 -> b", "a|b", [0, 1]),
        ('"1": "b",|"0": "a"', "a|b", [0, 1]),
        ("1: 'b'|2: 'c'", "b|c", [1, 2]),
        ("1.5|2.5", "1.5|2.5", None),
        ("1_a|10_b|2_c", "1_a|10_b|2_c", None),
        ("0-a|1-b", "0-a|1-b", None),
        ("a|class 0|b 1", "a|class 0|b 1", None),
    ],
)
def test_numbers_are_taken_from_every_line_or_from_none(text, names, numbers):
    found = parse_label_names(text.split("|"), FILE)
    assert (found.names, found.numbers) == (names.split("|"), numbers)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("id name|0 a|1 b", "first line, 'id name', has no number"),
        ("2_c|0_a|1_b", "another order than the lines"),
    ],
)
def test_lines_that_may_be_more_than_names_are_refused(text, sentence):
    with pytest.raises(DataError, match=sentence):
        parse_label_names(text.split("|"), FILE)


def test_numbers_on_both_sides_and_gaps_are_left_to_the_lists():
    with pytest.raises(DataError, match="before and behind"):
        parse_label_names(["1 a 2", "2 b 1"], FILE)
    assert numbered_with_gaps(["5 c", "0 a"]).described() == (
        "each line has the number of its class (0 to 5, with gaps)"
    )


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\t "), min_size=1), min_size=1))
def test_written_names_are_read_again(words):
    names = [f"{number} {word}" if len(words) % 2 else word for number, word in enumerate(words)]
    lines = (
        labels_text(names).splitlines()
        if "".join(names).isprintable()
        else labels_text(names).split("\n")[:-1]
    )
    if len(set(names)) == len(names):
        assert parse_label_names(lines, FILE).names == names


def test_repeated_names_are_numbered():
    assert distinct_names(["crane", "ox", "crane"]) == ["crane", "ox", "crane (2)"]
