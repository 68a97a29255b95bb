"""Validates a recipe against the schema, and explains each mistake in a sentence."""

from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from hubtune.errors import suggest
from hubtune.recipe import introspect
from hubtune.recipe.base import Settings
from hubtune.recipe.document import Location, RecipeDocument, RecipeProblem
from hubtune.recipe.schema import Recipe
from hubtune.storage.yaml_reader import MAX_PROBLEMS, MORE, KeyPath
from hubtune.text import describe_value, escaped, shortened

_LONGEST_WORD = 64  # the search for a similar word takes time quadratic in the length


def validate_recipe(document: RecipeDocument) -> Recipe | None:
    """Return the document as a recipe, or add its mistakes to the document's problems and return None."""
    for section in Recipe.long_forms:
        document.expand_section(section)
    try:
        return Recipe.model_validate(document.data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    problems = [_explain(document, one) for one in errors[:MAX_PROBLEMS] + _impossible(document, errors)]
    # pydantic reports one error for each member of a union that it tried; the first is enough.
    document.problems += [problem for problem in dict.fromkeys(problems) if problem is not None]
    if len(errors) > MAX_PROBLEMS:
        document.problems.append(RecipeProblem(Location((2, 0, 0), document.root.label), MORE))
    return None


def _impossible(document: RecipeDocument, errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return the impossible combinations, which pydantic checks only if nothing else is wrong.

    The check runs on a copy without the wrong keys; required sections become the schema's example.
    """
    wrong_keys: set[KeyPath] = set()
    wrong_sections: set[str | int] = set()
    for error in errors:
        path, _, field = introspect.locate_error(error["loc"])
        if len(path) == 2 and (field is None or not field.is_required()):
            wrong_keys.add(path)
        else:
            wrong_sections.update(path[:1])
    data: dict[str, Any] = {}
    for section, value in document.data.items():
        if isinstance(value, dict):
            value = {key: inner for key, inner in value.items() if (section, key) not in wrong_keys}
        if section not in wrong_sections:
            data[section] = value
    for section, field in Recipe.model_fields.items():
        if section in wrong_sections and field.examples:
            data[section] = field.examples[0]
    try:
        Recipe.model_validate(data)
    except ValidationError as error:
        return [one for one in error.errors(include_url=False) if one["type"] == "impossible"]
    return []


def _explain(document: RecipeDocument, error: ErrorDetails) -> RecipeProblem | None:
    """Return the sentence for a pydantic error; None if the document already has a better one."""
    kind, given = error["type"], error["input"]
    if kind == "impossible":
        return RecipeProblem(document.key_location(tuple(error["ctx"]["key"].split("."))), error["msg"])
    path, owner, field = introspect.locate_error(error["loc"])
    if any(path[:length] in document.refused for length in range(len(path) + 1)):
        return None
    if kind == "string_unicode":
        text = f"{describe_value(given)} cannot be written as UTF-8"
    elif field is None or kind == "extra_forbidden":
        return RecipeProblem(document.key_location(path), _unknown_key(document, path, owner))
    elif kind == "missing":
        line = introspect.example_line(str(path[-1]), field)
        return RecipeProblem(document.key_location(path[:-1]), _missing_key(str(path[-1]), path[:-1], line))
    elif kind == "union_tag_not_found":
        name = str(field.discriminator)
        line = f"{name}: {introspect.field_choices(field)[0]}"
        return RecipeProblem(document.key_location(path), _missing_key(name, path, line))
    elif kind == "union_tag_invalid" and isinstance(given, dict):
        name = str(field.discriminator)
        location = document.value_location((*path, name))
        return RecipeProblem(location, _wrong_value(path, field, given[name]))
    elif kind == "value_error":
        reason = escaped(str(error["ctx"]["error"]))
        text = f"{_describe_path(path)}: {reason}; found {describe_value(given)}"
    else:
        text = _wrong_value(path, field, given)
    return RecipeProblem(document.value_location(path), text)


def _wrong_value(path: KeyPath, field: FieldInfo, given: Any) -> str:
    if given is None and introspect.nested_sections(field.annotation):
        return f"{_describe_path(path)} is empty: write keys under it, or remove it"
    end = ""
    if isinstance(given, str):
        end = suggest(given[:_LONGEST_WORD], introspect.similar_words(field))
        end = f".{end}" if end else ""
    elif isinstance(given, bool | int | float) and introspect.accepts_text(field):
        end = "; quotes make it text"
    accepted = introspect.describe_field(field, item=isinstance(path[-1], int))
    return f"{_describe_path(path)} must be {accepted}, not {describe_value(given)}{end}"


def _missing_key(key: str, section: KeyPath, line: str) -> str:
    place = _describe_path(section) if section else ""
    return f"missing key '{key}'{f' in {place}' if place else ''}, as in `{line}`"


def _unknown_key(document: RecipeDocument, path: KeyPath, owner: type[Settings]) -> str:
    key = str(path[-1])
    section = "".join(f"{part}." for part in path[:-1]) if document.key_location(path).in_override else ""
    name, place = shortened(section + key), ""
    if len(path) > 1 and not section:
        tag = introspect.section_tag(owner)
        place = f"{_describe_path(path[:-1])}{f' {tag}' if tag else ''}"
    message = f"unknown key '{name}'{f' in {place}' if place else ''}"
    known = introspect.accepted_keys(owner)
    if key in known:
        usual = next(name for name, field in introspect.usual_keys(owner).items() if field is known[key])
        return f"'{usual}' and '{key}' say the same thing: keep one of them"
    if len(path) > 1 and key in Recipe.model_fields:
        return f"{message}: '{key}' belongs at the top level"
    others = [
        (name, other)
        for name, field in Recipe.model_fields.items()
        for other in introspect.nested_sections(field.annotation)
        if name != path[0]
    ]
    if homes := [name for name, other in others if key in introspect.accepted_keys(other)]:
        return f"{message}: '{key}' belongs under {' or '.join(dict.fromkeys(homes))}"
    word = key[:_LONGEST_WORD]
    if suggest(word, known):
        return f"{message}.{suggest(section + word, [section + name for name in known])}"
    if len(path) == 1:
        near = [
            f"'{name}.{there}'"
            for name, other in others
            for there in introspect.usual_keys(other)
            if suggest(word, [there])
        ]
        if near:
            return f"{message}. Did you mean {' or '.join(dict.fromkeys(near))}?"
    return f"{message}. Allowed: {', '.join(introspect.usual_keys(owner))}"


def _describe_path(path: KeyPath) -> str:
    """Return the name of a place in messages: ``train.epochs``, ``lr_mult in item 2 of strategy.list``."""
    index = next((index for index, part in enumerate(path) if isinstance(part, int)), None)
    if index is None:
        return escaped(".".join(str(part) for part in path)) or "the recipe"
    item = f"item {int(path[index]) + 1} of {_describe_path(path[:index])}"
    rest = path[index + 1 :]
    return f"{_describe_path(rest)} in {item}" if rest else item
