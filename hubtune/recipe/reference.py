"""The table of all recipe keys for the documentation, from the schema.

``python -m hubtune.recipe.reference docs/recipes.md`` writes it between the two markers in that file.
"""

import json
import sys
from pathlib import Path
from typing import NamedTuple, get_origin

from hubtune.recipe.base import Settings
from hubtune.recipe.introspect import choices, keys_of, sections_in, tag_of, wanted
from hubtune.recipe.schema import Recipe

BEGIN = "<!-- keys: begin -->"
END = "<!-- keys: end -->"


class Row(NamedTuple):
    """One key of a recipe.

    Attributes:
        section: the section that has it; empty for the top level.
        key: how a recipe writes it.
        allowed: what it may hold.
        default: what holds without it, or ``required``.
        meaning: what it is for.
    """

    section: str
    key: str
    allowed: str
    default: str
    meaning: str


def reference_rows() -> list[Row]:
    """Return every key of a recipe, section by section.

    Example:
        >>> reference_rows()[0].key
        'data'
    """
    return _rows_in("", Recipe)


def _rows_in(place: str, section: type[Settings]) -> list[Row]:
    """The rows of a section, and of all that are inside it."""
    rows = _rows(place, section)
    for key, field in keys_of(section).items():
        inside = f"{place}, an item of {key}" if get_origin(field.annotation) is list else ""
        name = inside or f"{place.replace(': ', ' ')}.{key}".lstrip(".")
        for inner in sections_in(field.annotation):
            tag = tag_of(inner) if field.discriminator is not None else None
            rows += _rows_in(f"{name}: {tag}" if tag else name, inner)
    return rows


def reference_table() -> str:
    """Return the rows as Markdown, a table for each section."""
    lines: list[str] = []
    previous = None
    for row in reference_rows():
        if row.section != previous:
            lines += [
                "",
                f"### {f'`{row.section}`' if row.section else 'Top level'}",
                "",
                "| key | allowed | default | meaning |",
                "|-|-|-|-|",
            ]
            previous = row.section
        cells = (f"`{row.key}`", row.allowed.replace("<", "&lt;"), row.default, row.meaning)
        lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
    return "\n".join(lines).strip()


def with_reference(text: str) -> str:
    """Return a Markdown text with the current table between its markers.

    Raises:
        ValueError: a marker is missing.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the markers {BEGIN} and {END} are missing")
    return f"{before}{BEGIN}\n{reference_table()}\n{END}{after}"


def _rows(section: str, kind: type[Settings]) -> list[Row]:
    rows = []
    for key, field in keys_of(kind).items():
        default = field.default
        if field.is_required():
            shown = "required"
        elif isinstance(default, Settings):
            shown = f"`{tag_of(type(default))}`" if choices(field) else "as below"
        else:
            shown = f"`{json.dumps(default).strip(chr(34))}`"
        # A strategy's name means what the strategy does.
        meaning = field.description or (kind.__doc__ or "").partition("\n\n")[0]
        rows.append(Row(section, key, wanted(field), shown, " ".join(meaning.split())))
    return rows


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(with_reference(file.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")
