"""Numbers and names read well, and shares are not rounded to all or nothing."""

import pytest

from hubtune.report.phrases import Phrases, shell_word

EN, ZH = Phrases("en"), Phrases("zh")


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.88333, "88.3"), (1.0, "100"), (0.0, "0"), (0.99999, "99.9"), (0.00001, "0.1"), (0.5, "50.0")],
)
def test_only_all_is_100_percent_and_only_nothing_0(share, text):
    assert (EN.percent(share), ZH.percent(share)) == (f"{text}\u00a0%", f"{text}%")


def test_intervals_have_decimals_where_they_are_narrow():
    assert EN.between((0.8137, 0.9292)) == "between 81 and 93\u00a0%"
    assert EN.between((0.7512, 0.7566)) == "between 75.1 and 75.7\u00a0%"
    assert ZH.between((0.8137, 0.9292)) == "81% 至 93% 之间"
    assert EN.ends((0.8137, 0.9292)) == "81–93\u00a0%"


def test_images_are_named_by_their_list():
    names = [EN.images_of(name, 1200) for name in ("test", "validate", "train", "new/")]
    assert names == [
        "1,200 test pictures",
        "1,200 validation pictures",
        "1,200 training pictures",
        "1,200 pictures",
    ]
    assert EN.images_of("test", 1) == "1 test picture"
    assert ZH.images_of("test", 120) == "120 张测试图片"
    assert (EN.list_title("validate"), EN.list_title("a\u202eb")) == ("validation", "a\\u202eb")


def test_class_names_are_quoted_shortened_and_harmless():
    assert EN.names(["a"]) == "“a”"
    assert EN.names(["a", "b", "c", "d", "e"]) == "“a”, “b”, “c” and 2 more"
    assert ZH.names(["a", "b"]) == "“a”、“b”"
    assert EN.quoted("x\u202e\x1b[2J") == "“x\\u202e\\x1b[2J”"
    assert len(EN.quoted("x" * 300)) < 70
    assert len(EN.short("x" * 300)) == len(EN.short("x" * 32)) == 32


def test_a_path_is_a_word_of_a_shell():
    assert (shell_word("runs/a"), shell_word("my runs/a'b")) == ("runs/a", "'my runs/a'\"'\"'b'")
