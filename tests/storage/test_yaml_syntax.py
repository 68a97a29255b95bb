"""Each kind of syntax mistake gets its own sentence, at its place."""

from pathlib import Path

import pytest

from hubtune.storage.yaml_reader import parse_yaml


def _described():
    """The texts of ``mistakes.txt``, each with the sentence about it."""
    blocks = Path(__file__).with_name("mistakes.txt").read_text(encoding="utf-8").removesuffix("\n")
    bell = "a: 1\nb: \x07\n2:4: the character U+0007 cannot stand here: remove it"
    for block in [*blocks.split("\n\n"), bell]:
        text, _, described = block.rpartition("\n")
        yield text, described


@pytest.mark.parametrize(("text", "described"), [*_described()])
def test_a_syntax_mistake_says_where_and_what_to_do(text, described):
    document = parse_yaml(text)
    assert [f"{at.line}:{at.column}: {problem}" for at, problem in document.problems] == [described]
    assert not document.complete
