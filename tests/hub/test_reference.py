"""The page of backbones is the one that the records give."""

from pathlib import Path

from hubtune.hub.reference import page

PAGE = Path(__file__).parents[2] / "docs" / "backbones.md"


def test_the_page_of_backbones_is_up_to_date() -> None:
    said = "run python -m hubtune.hub.reference docs/backbones.md"
    assert PAGE.read_text(encoding="utf-8") == page(), said
