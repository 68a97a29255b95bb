"""Text for people: escapes, values, sizes, durations and numbers of things."""

import math
import shlex

import pytest

from hubtune import text

VALUES = [
    (None, "null (nothing)"), (True, "true"), (3, "the number 3"), ("a\n", "the text 'a\\n'"),
    ([], "an empty list"), ((1,), "a list"), ({}, "a section of keys"),
    (2**200, "a number of very many digits"), (object(), "an object of the type object"),
]  # fmt: skip
ADDRESSES = (
    "s3://user:KEY@host/p.zip", "s3:/user:KEY@host/p.zip", "https://u:a/KEY@host/p.zip",
    "https://host/p.zip?code=KEY", "https://host/p.zip#token=KEY", "oss://u:a?KEY@host/p.zip",
    "https://host/p.zip?X-Amz-Signature=KEY&x=1",
)  # fmt: skip
SIZES = {
    "10GB": 10**10, "500 MB": 5 * 10**8, "1.5 GiB": 3 * 2**29, "2g": 2 * 10**9, "7 kb": 7000,
    "1234": 1234, "12 B": 12, " 1TiB ": 2**40, "0": 0,
}  # fmt: skip


def test_values_and_amounts_are_described_and_what_a_terminal_would_obey_is_escaped():
    assert text.escaped("é\x1b[2J\n\u202e\udcff") == "é\\x1b[2J\\n\\u202e\\udcff"
    assert text.escaped("图片\u3000👩\u200d🔬.jpg") == "图片\u3000👩\u200d🔬.jpg"
    assert text.escaped_lines("a\n\x9b") == "a\n\\x9b"
    assert text.shortened("x" * 61) == "x" * 60 + "…"
    assert [text.describe_value(value) for value, _ in VALUES] == [described for _, described in VALUES]
    sizes = [text.format_bytes(count) for count in (999, 1500, 2 * 10**6)]
    assert sizes == ["999 bytes", "1.5 kB", "2 MB"]
    durations = [text.format_duration(seconds) for seconds in (0.2, 7.4, 190, 7000)]
    assert durations == ["1 second", "7 seconds", "3 minutes", "1.9 hours"]
    assert [text.plural(1, "file"), text.plural(1200, "file")] == ["1 file", "1,200 files"]
    assert text.first_few(list("abcde")) == "a, b, c and 2 more"


def test_keys_in_addresses_are_not_repeated_and_cells_are_escaped():
    for form in ADDRESSES:
        shown = text.without_keys(f"Fetching {form} failed: see '{form}'.")
        assert "KEY" not in shown and shown.count("host/p.zip") == 2 and shown.endswith("'."), shown
    assert text.without_keys("https://host/p.zip is C:/a#b?c@d") == "https://host/p.zip is C:/a#b?c@d"
    cells = {"=1": "'=1", "'=1": "''=1", "'a": "'a", "": "", "\t=1": "'\t=1", "@": "'@", "a\\b": "a\\b"}
    cells |= {"\x1b[31m\x9b": "\\x1b[31m\\x9b", "\\x1b": "\\x5cx1b", "=\0": "'=\\x00", "a\nb": "a\nb"}
    for cell, quoted in cells.items():
        assert (text.escape_cell(cell), text.unescape_cell(quoted)) == (quoted, cell)


def test_sizes_are_parsed_or_refused():
    assert {size: text.parse_bytes(size) for size in SIZES} == SIZES
    for wrong in ("", "ten", "-1", "1 XB", "1e9", "nan", "10 iB", "1,5GB", "٣GB", "9" * 400):
        with pytest.raises(ValueError, match=r"is not a size: write 10GB, 500MB or 1\.5GiB"):
            text.parse_bytes(wrong)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("a/b", "a_b"), ("con", "_con"), ("NUL.txt", "_NUL.txt"), ("\udcff", "_"), (" . ", "_"), ("猫", "猫")],
)
def test_a_name_for_a_file_is_accepted_by_every_system(name, expected):
    assert text.safe_file_name(name) == expected


@pytest.mark.parametrize(("share", "shown"), [(0.8083, "80.8 %"), (1, "100.0 %"), (None, "–")])
def test_a_share_is_a_percentage_and_none_is_a_dash(share, shown):
    assert text.format_share(share) == shown
    assert text.format_share(math.nan) == "–"


def test_words_of_a_shell_are_quoted_as_on_this_system(monkeypatch):
    words = ["pics", "my pics", r"C:\Users\Ann Lee\pics", "it's", "100%"]
    monkeypatch.setattr(text, "_WINDOWS", False)
    assert [text.shell_quoted(word) for word in words] == [shlex.quote(word) for word in words]
    monkeypatch.setattr(text, "_WINDOWS", True)
    quoted = ["pics", '"my pics"', r'"C:\Users\Ann Lee\pics"', '"it\'s"', '"100%"']
    assert [text.shell_quoted(word) for word in words] == quoted
    assert text.shell_quoted(r"C:\pics\a.png") == r"C:\pics\a.png"
