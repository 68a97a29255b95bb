"""Write the tables of all recipe keys into ``docs/recipes.md`` and its translations, from the schema.

They stand between two markers.

    python tools/make_recipe_reference.py
"""

import json
from pathlib import Path
from typing import NamedTuple, get_origin

from hubtune.messages.translation import translate, translate_word
from hubtune.recipe.base import Settings
from hubtune.recipe.introspect import describe_field, field_choices, nested_sections, section_tag, usual_keys
from hubtune.recipe.schema import Recipe

_DOCS = Path(__file__).parents[1] / "docs"
PAGES = {"en": _DOCS / "recipes.md", "zh": _DOCS / "zh" / "recipes.md"}
_HEADINGS = {
    "en": ("Top level", "key", "allowed", "default", "meaning"),
    "zh": ("顶层", "键", "允许的值", "默认值", "含义"),
}
_WORDS = ("required", "text")
BEGIN = "<!-- keys: begin -->"
END = "<!-- keys: end -->"


class Row(NamedTuple):
    """One key of a recipe.

    Attributes:
        section: the section that has it; empty for the top level.
        key: how a recipe writes it.
        allowed: the values that it accepts.
        default: its default, or ``required``.
        meaning: what it does.
    """

    section: str
    key: str
    allowed: str
    default: str
    meaning: str


def reference_rows() -> list[Row]:
    """Return every key of a recipe, section by section."""
    return _rows_below("", Recipe)


def _rows_below(place: str, section: type[Settings]) -> list[Row]:
    """Return the rows of a section and of all sections inside it."""
    rows = [_row(place, section, key) for key in usual_keys(section)]
    for key, field in usual_keys(section).items():
        item = f"{place}, an item of {key}" if get_origin(field.annotation) is list else ""
        name = item or f"{place.replace(': ', ' ')}.{key}".lstrip(".")
        for inner in nested_sections(field.annotation):
            tag = section_tag(inner) if field.discriminator is not None else None
            rows += _rows_below(f"{name}: {tag}" if tag else name, inner)
    return rows


def _row(place: str, section: type[Settings], key: str) -> Row:
    field = usual_keys(section)[key]
    default = field.default
    if field.is_required():
        default_text = "required"
    elif isinstance(default, Settings):
        default_text = f"`{section_tag(type(default))}`" if field_choices(field) else "as below"
    else:
        default_text = f"`{json.dumps(default).strip(chr(34))}`"
    # The key that names a strategy is explained by the strategy's docstring.
    meaning = field.description or (section.__doc__ or "").partition("\n\n")[0]
    return Row(place, key, describe_field(field), default_text, " ".join(meaning.split()))


def reference_table(language: str) -> str:
    """Return the rows as Markdown, one table per section, in a language."""
    top, *columns = _HEADINGS[language]
    lines: list[str] = []
    previous = None
    for row in reference_rows():
        if row.section != previous:
            heading = f"### {f'`{row.section}`' if row.section else top}"
            lines += ["", heading, "", f"| {' | '.join(columns)} |", "|-|-|-|-|"]
            previous = row.section
        texts = [
            translate_word(text, language) if text in _WORDS else translate(text, language)
            for text in row[2:]
        ]
        texts[0] = texts[0].replace("<", "&lt;")
        cells = [f"`{row.key}`", *texts]
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines).strip()


def with_reference(text: str, language: str) -> str:
    """Return a Markdown text with the current tables in a language between its markers.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the markers {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n{reference_table(language)}\n{END}{after}"


if __name__ == "__main__":
    for code, page in PAGES.items():
        text = with_reference(page.read_text(encoding="utf-8"), code)
        page.write_text(text, encoding="utf-8", newline="\n")
