"""Changes to a recipe from the command line: ``-o train.epochs=5``."""

from collections.abc import Sequence
from typing import Any

from hubtune.recipe.document import Location, RecipeDocument, RecipeProblem
from hubtune.recipe.introspect import accepted_keys, nested_sections
from hubtune.recipe.schema import Recipe
from hubtune.storage.yaml_reader import MAX_DEPTH, parse_yaml, plain_value
from hubtune.text import shortened


def apply_overrides(document: RecipeDocument, overrides: Sequence[str]) -> None:
    """Apply overrides to a recipe in order; of several for one key, the last wins.

    Mistakes in their form are added to the document's problems. Whether the keys exist is checked later, with
    the whole recipe.
    """
    for number, text in enumerate(overrides):
        location = Location((1, number, 0), f"-o {shortened(text)}")
        key, equals, written = text.partition("=")
        path = tuple(part.strip() for part in key.split("."))
        if not equals or not all(path) or len(path) > MAX_DEPTH:
            reason = "an override is KEY=VALUE, as in -o train.epochs=5"
            document.problems.append(RecipeProblem(location, reason))
        elif any("\ud800" <= character <= "\udfff" for character in text):
            document.problems.append(RecipeProblem(location, "an override must be text in UTF-8"))
        else:
            _apply(document, path, written.strip(), location)


def _apply(document: RecipeDocument, path: tuple[str, ...], written: str, location: Location) -> None:
    value, problems = _parse_value(written)
    document.problems += [RecipeProblem(location, problem) for problem in problems]
    if len(path) > 1:
        document.expand_section(path[0])
        _name_default(document, path[0], location)
    if len(path) > 2 and not document.expand_key(path[0], path[1]):
        return  # validation of the whole recipe reports the wrong value
    for synonym in _synonyms(path):
        document.remove((*path[:-1], synonym))
    document.set(path, value, location)
    if problems:
        document.refused.add(path)


def _parse_value(written: str) -> tuple[Any, list[str]]:
    if not written.startswith(("[", "{", '"', "'")):
        # The YAML parser would refuse what is plain text in a shell: *.jpg, a: b, #1.
        return plain_value(written), []
    document = parse_yaml(written)
    return document.data, [problem.text for problem in document.problems]


def _name_default(document: RecipeDocument, section: str, location: Location) -> None:
    """Give a missing section the name of its default (a strategy has one), so that keys can be set in it."""
    field = Recipe.model_fields.get(section)
    if field is not None and field.discriminator is not None and document.data.get(section) is None:
        name = str(field.discriminator)
        document.set((section, name), getattr(field.default, name), location)


def _synonyms(path: tuple[str, ...]) -> list[str]:
    """Return every spelling of the last key: an override replaces whichever the recipe has."""
    field = Recipe.model_fields.get(path[0])
    if len(path) == 2 and field is not None:
        for keys in map(accepted_keys, nested_sections(field.annotation)):
            if path[1] in keys:
                return [key for key, other in keys.items() if other is keys[path[1]]]
    return []
