"""Reads the schema: which keys a section has, and a description of the values that each accepts.

Messages and documentation are both built from here, so neither repeats the schema.
"""

import re
import types
from collections.abc import Iterator
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types
import yaml
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from hubtune.recipe.base import Settings
from hubtune.recipe.schema import Recipe
from hubtune.storage.yaml_reader import KeyPath

_BOUNDS = (("ge", "of at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))
_TYPE_NAMES: dict[Any, str] = {bool: "true or false", types.NoneType: "null", str: "text"}


class FieldLocation(NamedTuple):
    """The place in the recipe that a pydantic error is about."""

    path: KeyPath  # in the recipe's long form
    owner: type[Settings]  # the section that has, or lacks, the last key
    field: FieldInfo | None  # that key's field; None if the section has no such key


def _spellings(name: str, field: FieldInfo) -> list[str]:
    """Return the keys that a recipe may use for a field, the usual one first."""
    if isinstance(field.validation_alias, AliasChoices):
        return [str(choice) for choice in field.validation_alias.choices]
    return [field.alias or name]


def usual_keys(section: type[Settings]) -> dict[str, FieldInfo]:
    """Return a section's fields by their usual keys."""
    return {_spellings(name, field)[0]: field for name, field in section.model_fields.items()}


def accepted_keys(section: type[Settings]) -> dict[str, FieldInfo]:
    """Return a section's fields by every key that a recipe may use."""
    return {key: field for name, field in section.model_fields.items() for key in _spellings(name, field)}


def nested_sections(annotation: Any) -> list[type[Settings]]:
    """Return the sections that a value of this type, or an item of such a list, may be."""
    return [
        kind for kind in _alternatives(annotation) if isinstance(kind, type) and issubclass(kind, Settings)
    ]


def locate_error(location: tuple[str | int, ...]) -> FieldLocation:
    """Convert pydantic's location, which also names members of unions, to a place in the recipe."""
    path: list[str | int] = []
    sections: list[type[Settings]] = [Recipe]
    owner: type[Settings] = Recipe
    field: FieldInfo | None = None
    at_tag = in_list = False
    for part in location:
        if at_tag:
            sections, at_tag = [section for section in sections if section_tag(section) == part], False
        elif isinstance(part, int) and in_list:
            path.append(part)
            in_list = False
        elif sections:
            # Only Python callers can pass a number as a key, and no section has such a key.
            owner, field = sections[0], accepted_keys(sections[0]).get(str(part))
            path.append(part)
            if field is None:
                break
            sections, at_tag = nested_sections(field.annotation), field.discriminator is not None
            in_list = get_origin(field.annotation) is list
    return FieldLocation(tuple(path), owner, field)


def section_tag(section: type[Settings]) -> str | None:
    """Return the name by which a recipe chooses this section among its alternatives."""
    name = section.model_fields.get("name")
    return name.default if name is not None and get_origin(name.annotation) is Literal else None


def field_choices(field: FieldInfo) -> list[str]:
    """Return the words that a field accepts, if it accepts only certain words."""
    if field.discriminator is not None:
        return [tag for section in nested_sections(field.annotation) if (tag := section_tag(section))]
    literals = [kind for kind in _alternatives(field.annotation) if get_origin(kind) is Literal]
    return [str(word) for kind in literals for word in get_args(kind)]


def similar_words(field: FieldInfo) -> list[str]:
    """Return the words that a wrong value may resemble: the choices, or those in a pattern's description."""
    if _has_pattern(field):
        return re.findall(r"`([^`<]+)`", field.description or "")
    return field_choices(field)


def accepts_text(field: FieldInfo) -> bool:
    return str in _alternatives(field.annotation)


def describe_field(field: FieldInfo, *, item: bool = False) -> str:
    """Describe the values that a field accepts, or, with ``item``, an item of its list.

    Example:
        >>> describe_field(usual_keys(Recipe)["run"])
        'text or null'
    """
    if item:
        return _describe_type(get_args(field.annotation)[0], [])
    if field.discriminator is not None:
        return f"one of {', '.join(field_choices(field))}"
    if _has_pattern(field):
        # A regular expression explains nothing; the field's description lists what it allows.
        return " ".join((field.description or "other text").replace("`", "").split()).rstrip(".")
    short_form = any(isinstance(value, str) for value in field.examples or [])
    name = "a name or " if short_form and nested_sections(field.annotation) else ""
    return f"{name}{_describe_type(field.annotation, field.metadata)}"


def example_line(key: str, field: FieldInfo) -> str:
    """Return a line that a recipe could have for this key; ``key: ''`` if the field has no example."""
    value = field.examples[0] if field.examples else ""
    return yaml.safe_dump({key: value}, default_flow_style=True, width=1000).strip()[1:-1]


def _alternatives(annotation: Any) -> Iterator[Any]:
    """Yield the plain types in a type: the members of a union, the items of a list."""
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


def _describe_type(annotation: Any, limits: list[Any]) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        more = [limit for extra in inside[1:] for limit in getattr(extra, "metadata", [])]
        return _describe_type(inside[0], [*limits, *more])
    if origin in (Union, types.UnionType):
        return " or ".join(_describe_type(member, limits) for member in inside)
    if origin is list:
        return f"a list{_describe_length(limits)}, each {_describe_type(inside[0], [])}"
    if origin is Literal:
        return f"one of {', '.join(map(str, inside))}" if len(inside) > 1 else str(inside[0])
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return "a section of keys"
    if annotation in (int, float):
        return f"a {'whole ' if annotation is int else ''}number{_describe_range(limits)}"
    not_empty = annotation is str and any(isinstance(limit, annotated_types.MinLen) for limit in limits)
    return _TYPE_NAMES[annotation] + (" that is not empty" if not_empty else "")


def _describe_range(limits: list[Any]) -> str:
    bounds = {name: getattr(limit, name) for limit in limits for name, _ in _BOUNDS if hasattr(limit, name)}
    if {"ge", "le"} <= bounds.keys():
        return f" from {bounds['ge']} to {bounds['le']}"
    phrases = [f"{phrase} {bounds[name]}" for name, phrase in _BOUNDS if name in bounds]
    return f" {' and '.join(phrases)}" if phrases else ""


def _describe_length(limits: list[Any]) -> str:
    least = [limit.min_length for limit in limits if isinstance(limit, annotated_types.MinLen)]
    most = [limit.max_length for limit in limits if isinstance(limit, annotated_types.MaxLen)]
    if least and least == most:
        return f" of {least[0]}"
    phrases = [*(f"at least {count}" for count in least), *(f"at most {count}" for count in most)]
    return f" of {' and '.join(phrases)}" if phrases else ""
