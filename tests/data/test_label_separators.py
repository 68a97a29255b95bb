"""What separates several labels in one text, and what is a part of a name."""

import pytest

from hubtune.data.label_separators import come_back, hint_at_several, split_labels


@pytest.mark.parametrize(
    ("texts", "parts"),
    [
        (["red,round", " red ; big", "", "a|b"], [["red", "round"], ["red", "big"], [], ["a", "b"]]),
        (["红、圆", "红，圆"], [["红", "圆"], ["红", "圆"]]),
        (["['red', 'round']", '["big"]', "[]", ""], [["red", "round"], ["big"], [], []]),
        (["{a,b}", "{b}"], [["a", "b"], ["b"]]),
        (["[a]", "b"], [["[a]"], ["b"]]),  # not all have brackets
        (["red round", "red big"], [["red round"], ["red big"]]),
    ],
)
def test_commas_and_the_like_separate_labels(texts, parts):
    assert list(split_labels(texts).values()) == parts


@pytest.mark.parametrize("separator", [" ", "/", " + ", "&", " & "])
def test_other_separators_count_where_several_labels_are_certain_and_come_back(separator):
    texts = [separator.join(pair) for pair in (("red", "round"), ("red", "big"), ("round", "big"))]
    assert [*split_labels(texts, is_certain=True).values()] == [
        ["red", "round"],
        ["red", "big"],
        ["round", "big"],
    ]
    assert [*split_labels(texts).values()] == [[text] for text in texts]
    [sentence] = hint_at_several(texts, "--labels-are multi-label")
    assert repr(texts[0]) in sentence and "--labels-are multi-label" in sentence


def test_blanks_separate_tags():
    texts = ["clear primary", "haze primary", "clear haze"]
    assert split_labels(texts, are_tags=True)["clear primary"] == ["clear", "primary"]


@pytest.mark.parametrize(
    "texts",
    [
        ["golden retriever", "labrador retriever", "german shepherd"],
        ["Apple Red 1", "Apple Red 2", "Apple Golden 1"],
        ["cat", "dog"],
    ],
)
def test_names_of_several_words_are_no_labels(texts):
    assert not hint_at_several(texts, "x")
    assert [*split_labels(texts, is_certain=True).values()] == [[text] for text in texts] or texts[0][
        0
    ] == "A"


def test_parts_come_back_in_other_names_or_stand_alone():
    assert come_back({"a": ["red", "round"], "b": ["red"], "c": ["round"]})
    assert come_back({"a": ["red", "round"], "b": ["red", "big"], "c": ["big", "round"]})
    assert not come_back({"a": ["tench", "Tinca tinca"], "b": ["maillot", "tank suit"], "c": ["maillot"]})
    assert not come_back({"a": ["red"], "b": ["round"]})
