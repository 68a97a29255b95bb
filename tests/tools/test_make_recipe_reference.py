"""The tables in docs/recipes.md agree with the schema, and its examples are valid recipes."""

import re

import pytest
from support.scripts import load_script

from hubtune.recipe.load import load_recipe

tool = load_script("make_recipe_reference")
DOCS = {code: page.read_text("utf-8") for code, page in tool.PAGES.items()}


@pytest.mark.parametrize("language", DOCS)
def test_the_tables_are_up_to_date(language):
    text = DOCS[language]
    assert tool.with_reference(text, language) == text, "run: python tools/make_recipe_reference.py"


def test_the_tables_explain_every_key():
    rows = tool.reference_rows()
    assert [row for row in rows if not row.meaning] == []
    assert next(row for row in rows if row.key == "batch_size") == (
        *("train", "batch_size", "a whole number from 1 to 65536 or auto", "`32`"),
        "Pictures per step; `auto`: 32, in as few parts as the memory allows.",
    )
    with pytest.raises(ValueError, match=f"^the markers {tool.BEGIN} and {tool.END} are missing$"):
        tool.with_reference("no table here", "en")


def test_every_example_is_a_recipe(tmp_path):
    examples = re.findall(r"```yaml\n(.*?)```", DOCS["en"], re.DOTALL)
    assert examples
    for example in examples:
        (tmp_path / "r.yaml").write_text(example, encoding="utf-8")
        load_recipe(tmp_path / "r.yaml")
