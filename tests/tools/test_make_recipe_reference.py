"""The tables in docs/recipes.md agree with the schema, and its examples are valid recipes."""

import re
import subprocess
import sys

import pytest
from support.scripts import ROOT, load_script

from hubtune.recipe.load import load_recipe

tool = load_script("make_recipe_reference")
DOCS = tool.PAGE.read_text("utf-8")


def test_the_tables_are_up_to_date():
    assert tool.with_reference(DOCS) == DOCS, "run: python tools/make_recipe_reference.py"


def test_every_key_is_explained():
    rows = tool.reference_rows()
    assert [row for row in rows if not row.meaning] == []
    assert next(row for row in rows if row.key == "batch_size") == (
        *("train", "batch_size", "a whole number from 1 to 65536 or auto", "`32`"),
        "Pictures per step; `auto`: 32, in as few parts as the memory allows.",
    )


def test_every_example_is_a_recipe(tmp_path):
    examples = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    assert examples
    for example in examples:
        (tmp_path / "r.yaml").write_text(example, encoding="utf-8")
        load_recipe(tmp_path / "r.yaml")


def test_the_script_replaces_what_is_between_the_markers(tmp_path):
    file = tmp_path / "x.md"
    file.write_text(f"before\n{tool.BEGIN}\nold\n{tool.END}\nafter\n", encoding="utf-8")
    subprocess.run([sys.executable, tool.__file__, str(file)], cwd=ROOT, check=True)
    expected = f"before\n{tool.BEGIN}\n{tool.reference_table()}\n{tool.END}\nafter\n"
    assert file.read_text(encoding="utf-8") == expected
    with pytest.raises(ValueError, match=f"^the markers {tool.BEGIN} and {tool.END} are missing$"):
        tool.with_reference("no table here")
