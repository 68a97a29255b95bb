"""Reads the schema: which keys a section has, and what each may hold, in words.

Messages and documentation both come from here, so that neither repeats the schema.
"""

import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types
import yaml
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from hubtune.recipe.schema import Recipe
from hubtune.recipe.strategy import Settings
from hubtune.recipe.strict_yaml import KeyPath


class Located(NamedTuple):
    """Where an error of pydantic's stands.

    Attributes:
        path: the keys and indices, as they are in the recipe's long form.
        owner: the section that has, or lacks, the last key.
        field: that key's field; None where the section has no such key.
    """

    path: KeyPath
    owner: type[Settings]
    field: FieldInfo | None


def spellings(name: str, field: FieldInfo) -> list[str]:
    """Return the keys that a recipe may use for a field, the usual one first."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [field.alias or name]


def keys_of(section: type[Settings]) -> dict[str, FieldInfo]:
    """Return a section's fields under their usual keys."""
    return {spellings(name, field)[0]: field for name, field in section.model_fields.items()}


def all_keys_of(section: type[Settings]) -> dict[str, FieldInfo]:
    """Return a section's fields under every key that a recipe may use."""
    return {key: field for name, field in section.model_fields.items() for key in spellings(name, field)}


def sections_in(annotation: Any) -> list[type[Settings]]:
    """Return the sections that a value of this type may be, or may be a list of."""
    return [
        kind for kind in _alternatives(annotation) if isinstance(kind, type) and issubclass(kind, Settings)
    ]


def locate(location: tuple[str | int, ...]) -> Located:
    """Turn pydantic's location, which names the members of unions too, into a place in the recipe."""
    path: list[str | int] = []
    sections: list[type[Settings]] = [Recipe]
    owner: type[Settings] = Recipe
    field: FieldInfo | None = None
    at_tag = False
    for part in location:
        if at_tag:
            sections, at_tag = [section for section in sections if tag_of(section) == part], False
        elif isinstance(part, int):
            path.append(part)
        elif sections:
            owner, field = sections[0], all_keys_of(sections[0]).get(part)
            path.append(part)
            if field is None:
                break
            sections, at_tag = sections_in(field.annotation), field.discriminator is not None
    return Located(tuple(path), owner, field)


def tag_of(section: type[Settings]) -> str | None:
    """Return the name by which a recipe chooses this section among its alternatives."""
    name = section.model_fields.get("name")
    return name.default if name is not None and get_origin(name.annotation) is Literal else None


def choices(field: FieldInfo) -> list[str]:
    """Return the words that a field accepts, if only certain words are."""
    if field.discriminator is not None:
        return [tag for section in sections_in(field.annotation) if (tag := tag_of(section))]
    return [
        str(word)
        for kind in _alternatives(field.annotation)
        if get_origin(kind) is Literal
        for word in get_args(kind)
    ]


def words(field: FieldInfo) -> list[str]:
    """Return the words that a wrong value is compared with.

    They are the choices, or those that the field's description names where a pattern says what is allowed.
    """
    return re.findall(r"`([^`<]+)`", field.description or "") if _has_pattern(field) else choices(field)


def takes_text(field: FieldInfo) -> bool:
    """Return whether any text will do."""
    return str in _alternatives(field.annotation)


def wanted(field: FieldInfo) -> str:
    """Say what a field may hold.

    Example:
        >>> wanted(keys_of(Recipe.model_fields["train"].annotation)["epochs"])
        'a whole number from 1 to 100000'
    """
    if allowed := choices(field):
        kinds = [f"one of {', '.join(allowed)}" if len(allowed) > 1 else allowed[0]]
    elif get_origin(field.annotation) is list:
        kinds = ["a list of sections, at least one"]
    elif sections_in(field.annotation):
        kinds = ["a section of keys"]
        if field.examples:
            kinds = [f"{'' if isinstance(field.examples[0], dict) else 'a name or '}a section of keys"]
    elif _has_pattern(field):
        # A regular expression is no explanation; the field's description lists what it allows.
        kinds = [(field.description or "other text").replace("`", "").rstrip(".")]
    else:
        kinds = [_kind(kind) for kind in _alternatives(field.annotation) if kind is not types.NoneType]
        kinds[-1] += _limits(field)
    if types.NoneType in _alternatives(field.annotation):
        kinds.append("null")
    return " or ".join(kinds)


def example(key: str, field: FieldInfo) -> str:
    """Return a line that a recipe could have for this key, or an empty string."""
    value = field.examples[0] if field.examples else ""
    return yaml.safe_dump({key: value}, default_flow_style=True, width=1000).strip()[1:-1]


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Yield the plain types in a type: of a union its members, of a list its items'."""
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _alternatives(get_args(annotation)[0])
    elif origin in (Union, types.UnionType, list):
        for member in get_args(annotation):
            yield from _alternatives(member)
    else:
        yield annotation


def _has_pattern(field: FieldInfo) -> bool:
    return any(hasattr(limit, "pattern") for limit in field.metadata)


def _kind(kind: Any) -> str:
    names: dict[Any, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false"}
    return names[kind]


def _limits(field: FieldInfo) -> str:
    bounds = {type(limit): limit for limit in field.metadata}
    if annotated_types.MinLen in bounds:
        return " that is not empty"
    if {annotated_types.Ge, annotated_types.Le} <= bounds.keys():
        return f" from {bounds[annotated_types.Ge].ge} to {bounds[annotated_types.Le].le}"
    said = [
        f"{phrase} {getattr(bounds[kind], name)}"
        for kind, name, phrase in (
            (annotated_types.Ge, "ge", "of at least"),
            (annotated_types.Gt, "gt", "above"),
            (annotated_types.Le, "le", "at most"),
            (annotated_types.Lt, "lt", "below"),
        )
        if kind in bounds
    ]
    return f" {' and '.join(said)}" if said else ""
