"""Changes to a recipe from the command line: ``-o train.epochs=5``."""

from collections.abc import Sequence
from typing import Any

from hubtune.recipe.document import Draft, Found, Spot
from hubtune.recipe.introspect import all_keys_of, sections_in
from hubtune.recipe.schema import Recipe
from hubtune.storage.yaml_reader import MAX_DEPTH, parse_yaml, plain_value
from hubtune.text import shortened


def apply_overrides(draft: Draft, overrides: Sequence[str]) -> None:
    """Put overrides into a draft, in order; the last of several for one key counts.

    Mistakes in them are noted in the draft. Whether their keys exist is left to the check of the whole.
    """
    for number, text in enumerate(overrides):
        spot = Spot((1, number, 0), f"-o {shortened(text)}")
        key, equals, written = text.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        if not equals or not all(path) or len(path) > MAX_DEPTH:
            draft.problems.append(Found(spot, "an override is KEY=VALUE, as in -o train.epochs=5"))
        elif any("\ud800" <= character <= "\udfff" for character in text):
            draft.problems.append(Found(spot, "an override must be text in UTF-8"))
        else:
            _apply(draft, path, written.strip(), spot)


def _apply(draft: Draft, path: tuple[str, ...], written: str, spot: Spot) -> None:
    value, problems = _value(written)
    draft.problems += [Found(spot, problem) for problem in problems]
    if len(path) > 1:
        draft.write_out(path[0])
        _name_default(draft, path[0], spot)
    if len(path) > 2 and not draft.write_out_key(path[0], path[1]):
        return  # the check of the whole tells of the wrong value
    for spelling in _same(path):
        draft.remove((*path[:-1], spelling))
    draft.put(path, value, spot)
    if problems:
        draft.refused.add(path)


def _value(written: str) -> tuple[Any, list[str]]:
    if not written.startswith(("[", "{", '"', "'")):
        # Not through the parser, which would stumble over what is plain text in a shell: *.jpg, a: b, #1.
        return plain_value(written), []
    document = parse_yaml(written)
    return document.data, [problem.text for problem in document.problems]


def _name_default(draft: Draft, section: str, spot: Spot) -> None:
    """Begin a section that is not there with the name of what it is by default (a strategy has one)."""
    field = Recipe.model_fields.get(section)
    if field is not None and field.discriminator is not None and draft.data.get(section) is None:
        name = str(field.discriminator)
        draft.put((section, name), getattr(field.default, name), spot)


def _same(path: tuple[str, ...]) -> list[str]:
    """Return the spellings of the last key, which an override replaces whichever the recipe has used."""
    field = Recipe.model_fields.get(path[0])
    if len(path) != 2 or field is None:
        return []
    for section in sections_in(field.annotation):
        keys = all_keys_of(section)
        if path[1] in keys:
            return [key for key, other in keys.items() if other is keys[path[1]]]
    return []
