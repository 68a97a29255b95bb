"""Strict YAML: what is read as what, what is refused, and where a mistake is said to be."""

import math

import pytest

from hubtune.errors import RecipeError
from hubtune.storage.yaml_reader import parse_yaml, plain_value, read_yaml


def problems(text):
    return [(*problem.position, problem.text) for problem in parse_yaml(text).problems]


SCALARS = {
    "true": True, "False": False, "": None, "~": None, "null": None, "5": 5, "-3": -3, "0": 0, "0o17": 15,
    "0x1F": 31, "1e-3": 0.001, "1.0e-4": 0.0001, ".5": 0.5, "1.": 1.0, "-.inf": -math.inf, ".nan": math.nan,
    "9" * 5000: math.inf,
}  # fmt: skip
TEXTS = "no yes on off No y 012 00 1_000 12:30 1e . 0b1 2024-01-02 +-1".split()


def test_scalars_follow_yaml_1_2_and_words_that_only_look_special_are_text():
    for text, value in [*SCALARS.items(), *zip(TEXTS, TEXTS, strict=True)]:
        assert repr(plain_value(text)) == repr(value)
    assert parse_yaml("a: '5'\nb: \"true\"\nc: ''").data == {"a": "5", "b": "true", "c": ""}
    assert parse_yaml("1: a\nno: b\n~: c").data == {"1": "a", "no": "b", "~": "c"}


def test_all_refused_things_are_reported_together():
    text = (
        "a: !!python/object/apply:os.system [exit]\nb: &anchor 1\nc: *anchor\n<<: {d: 1}\na: 2\n? [x, y]\n"
        ': {z: *anchor}\ne: "\\ud800"\n'
    )
    advice = "write the value out, or put it in quotes if it is text: '*anchor'"
    alias = f"aliases (*anchor) are not allowed here: {advice}"
    assert problems(text) == [
        (1, 4, "tags (!!python/object/apply:os.system) are not allowed here: remove it"),
        (2, 4, "anchors (&anchor) are not allowed here: remove it"),
        (3, 4, alias),
        (4, 1, "merge keys (<<) are not allowed here: write the keys out"),
        (5, 1, "the key 'a' is given twice (first on line 1): keep one"),
        (6, 3, "a key is one word, and this is a list or a section: put it in quotes"),
        (7, 7, alias),
        (8, 4, "an escape in this text stands for half a character: remove it"),
    ]  # fmt: skip
    assert parse_yaml(text).data == {"a": ["exit"], "b": 1, "c": None, "e": None}


@pytest.mark.parametrize("opening", ["[", "{", "- ", "? ", "[{", '{"a":'])
def test_bottomless_nesting_is_one_sentence(opening):
    assert problems(opening * 100_000)[-1][2] == "lists and sections are nested more than 16 deep here"


def test_an_alias_bomb_does_not_grow_and_reading_stops_after_a_hundred_mistakes():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 10)]
    document = parse_yaml("\n".join(lines))
    assert document.data["a9"] == [None] * 9
    assert len(document.problems) == 10 + 9 * 9
    found = problems("a: 1\n" * 1000)
    assert len(found) == 101
    assert found[-1] == (101, 4, "there may be more mistakes: these are the first 100")


def test_a_file_with_mistakes_is_refused_with_all_of_them(tmp_path):
    file = tmp_path / "module.yaml"
    file.write_text("a: !!str 1\na: 2\n", encoding="utf-8")
    with pytest.raises(RecipeError) as caught:
        read_yaml(file)
    tag, double = caught.value.problems
    assert tag == f"{file}:1:4: tags (!!str) are not allowed here: remove it"
    assert double == f"{file}:2:1: the key 'a' is given twice (first on line 1): keep one"


def test_aliases_stand_for_values_in_other_programs_files():
    document = parse_yaml("a: &x [1, {b: &y c}]\nd: *x\ne: {f: *y}", aliases=True)
    assert not document.problems
    assert document.data == {"a": [1, {"b": "c"}], "d": [1, {"b": "c"}], "e": {"f": "c"}}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: &x [1, *x]", (1, 11, "there is no complete value with the anchor &x before this")),
        ("a: *x", (1, 4, "there is no complete value with the anchor &x before this")),
        (
            "a0: &a0 ["
            + ", ".join("x" * 10)
            + "]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)),
            (5, 45, "with its aliases, this text has more than 100,000 values"),
        ),
        (
            "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 30)),
            (16, 12, "lists and sections are nested more than 16 deep here"),
        ),
    ],
    ids=["its own", "unknown", "bomb", "deep"],
)
def test_aliases_that_grow_or_lead_nowhere_are_refused(text, problem):
    [(position, sentence)] = parse_yaml(text, aliases=True).problems
    assert (*position, sentence) == problem
