"""Checks a draft against the schema, and says each mistake in a sentence."""

from typing import Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from hubtune.errors import suggest
from hubtune.recipe.base import Settings
from hubtune.recipe.document import Draft, Found, Spot
from hubtune.recipe.introspect import (
    all_keys_of,
    choices,
    example,
    keys_of,
    locate,
    sections_in,
    tag_of,
    takes_text,
    wanted,
    words,
)
from hubtune.recipe.schema import Recipe
from hubtune.storage.yaml_reader import MAX_PROBLEMS, MORE, KeyPath
from hubtune.text import describe_value, escaped, shortened

_LONGEST_WORD = 64  # the search for a similar word takes the square of its length


def check(draft: Draft) -> Recipe | None:
    """Return the draft as a recipe, or note its mistakes in the draft and return None."""
    for section in Recipe.long_forms:
        draft.write_out(section)
    try:
        return Recipe.model_validate(draft.data)
    except ValidationError as error:
        errors = error.errors(include_url=False)
    noted: set[Found] = set()
    for one in errors[:MAX_PROBLEMS] + _impossible_besides(draft, errors):
        problem = _explain(draft, one)
        # Each member of a union that was tried gives an error; one is enough.
        if problem is not None and problem not in noted:
            noted.add(problem)
            draft.problems.append(problem)
    if len(errors) > MAX_PROBLEMS:
        draft.problems.append(Found(Spot((2, 0, 0), draft.root.label), MORE))
    return None


def _impossible_besides(draft: Draft, errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Return the impossible combinations, which pydantic looks for only where nothing else is wrong.

    So what is wrong is taken out, or replaced by the schema's example where something is required.
    """
    wrong_keys: set[KeyPath] = set()
    wrong_sections: set[str | int] = set()
    for error in errors:
        path, _, field = locate(error["loc"])
        if len(path) == 2 and (field is None or not field.is_required()):
            wrong_keys.add(path)
        else:
            wrong_sections.update(path[:1])
    data: dict[str, Any] = {}
    for section, value in draft.data.items():
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


def _explain(draft: Draft, error: ErrorDetails) -> Found | None:
    """Return the sentence for one of pydantic's errors; None where the draft has a better one already."""
    kind, given = error["type"], error["input"]
    if kind == "impossible":
        return Found(draft.key_spot(tuple(error["ctx"]["key"].split("."))), error["msg"])
    path, owner, field = locate(error["loc"])
    if any(path[:length] in draft.refused for length in range(len(path) + 1)):
        return None
    if kind == "string_unicode":
        return Found(draft.value_spot(path), f"{describe_value(given)} cannot be written as UTF-8")
    if field is None or kind == "extra_forbidden":
        return Found(draft.key_spot(path), _unknown(draft, path, owner))
    if kind == "missing":
        line = example(str(path[-1]), field)
        return Found(draft.key_spot(path[:-1]), _missing(str(path[-1]), path[:-1], line))
    if kind == "union_tag_not_found":
        name = str(field.discriminator)
        return Found(draft.key_spot(path), _missing(name, path, f"{name}: {choices(field)[0]}"))
    if kind == "union_tag_invalid" and isinstance(given, dict):
        name = str(field.discriminator)
        return Found(draft.value_spot((*path, name)), _wrong(path, field, given[name]))
    if kind == "value_error":
        said = escaped(str(error["ctx"]["error"]))
        return Found(draft.value_spot(path), f"{_name(path)}: {said}; found {describe_value(given)}")
    return Found(draft.value_spot(path), _wrong(path, field, given))


def _wrong(path: KeyPath, field: FieldInfo, given: Any) -> str:
    if given is None and sections_in(field.annotation):
        return f"{_name(path)} is empty: write keys under it, or remove it"
    end = ""
    if isinstance(given, str):
        end = suggest(given[:_LONGEST_WORD], words(field))
        end = f".{end}" if end else ""
    elif isinstance(given, bool | int | float) and takes_text(field):
        end = "; quotes make it text"
    what = wanted(field, item=isinstance(path[-1], int))
    return f"{_name(path)} must be {what}, not {describe_value(given)}{end}"


def _missing(key: str, section: KeyPath, line: str) -> str:
    place = f" in {_name(section)}" if section else ""
    return f"missing key '{key}'{place}, as in `{line}`"


def _unknown(draft: Draft, path: KeyPath, owner: type[Settings]) -> str:
    key = str(path[-1])
    section = "".join(f"{part}." for part in path[:-1]) if draft.key_spot(path).in_override else ""
    said = f"unknown key '{shortened(section + key)}'"
    if len(path) > 1 and not section:
        tag = tag_of(owner)
        said += f" in {_name(path[:-1])}{f' {tag}' if tag else ''}"
    known = all_keys_of(owner)
    if key in known:
        usual = next(name for name, field in keys_of(owner).items() if field is known[key])
        return f"'{usual}' and '{key}' say the same thing: keep one of them"
    if len(path) > 1 and key in Recipe.model_fields:
        return f"{said}: '{key}' belongs at the top level"
    others = [
        (name, section_there)
        for name, field in Recipe.model_fields.items()
        for section_there in sections_in(field.annotation)
        if name != path[0]
    ]
    if homes := [name for name, section_there in others if key in all_keys_of(section_there)]:
        return f"{said}: '{key}' belongs under {' or '.join(dict.fromkeys(homes))}"
    word = key[:_LONGEST_WORD]
    if suggest(word, known):
        return f"{said}.{suggest(section + word, [section + name for name in known])}"
    if len(path) == 1:
        near = [
            f"'{name}.{there}'"
            for name, section_there in others
            for there in keys_of(section_there)
            if suggest(word, [there])
        ]
        if near:
            return f"{said}. Did you mean {' or '.join(dict.fromkeys(near))}?"
    return f"{said}. Allowed: {', '.join(keys_of(owner))}"


def _name(path: KeyPath) -> str:
    """Return how a message names a place: `train.epochs`, or `lr_mult in item 2 of strategy.list`."""
    index = next((index for index, part in enumerate(path) if isinstance(part, int)), None)
    if index is None:
        return escaped(".".join(str(part) for part in path)) or "the recipe"
    item = f"item {int(path[index]) + 1} of {_name(path[:index])}"
    rest = path[index + 1 :]
    return f"{_name(rest)} in {item}" if rest else item
