"""docs/recipes.md says what the schema says, and its examples are recipes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from hubtune.recipe.load import load_recipe
from hubtune.recipe.reference import reference_rows, reference_table, with_reference

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")


def test_the_tables_in_the_docs_are_current() -> None:
    assert with_reference(DOCS) == DOCS, "run: python -m hubtune.recipe.reference docs/recipes.md"


def test_every_key_is_explained() -> None:
    assert [row for row in reference_rows() if not row.meaning] == []


def test_a_row_tells_what_is_allowed() -> None:
    row = next(row for row in reference_rows() if row.key == "batch_size")
    assert row == (
        *("train", "batch_size", "a whole number from 1 to 65536 or auto", "`32`"),
        "Pictures a step; `auto`: 32, in as few parts as the memory allows.",
    )


def test_every_example_in_the_docs_is_a_recipe(tmp_path: Path) -> None:
    examples = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    assert examples
    for example in examples:
        (tmp_path / "r.yaml").write_text(example, encoding="utf-8")
        load_recipe(tmp_path / "r.yaml")


def test_the_command_writes_the_tables(tmp_path: Path) -> None:
    file = tmp_path / "x.md"
    file.write_text("before\n<!-- keys: begin -->\nold\n<!-- keys: end -->\nafter\n", encoding="utf-8")
    subprocess.run([sys.executable, "-m", "hubtune.recipe.reference", str(file)], cwd=ROOT, check=True)
    assert file.read_text(encoding="utf-8") == (
        f"before\n<!-- keys: begin -->\n{reference_table()}\n<!-- keys: end -->\nafter\n"
    )


def test_a_file_without_markers_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"^the markers <!-- keys: begin --> and <!-- keys: end --> are missing$"
    ):
        with_reference("no table here")
