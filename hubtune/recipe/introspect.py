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

from hubtune.recipe.base import Settings
from hubtune.recipe.schema import Recipe
from hubtune.storage.yaml_reader import KeyPath


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
    at_tag = in_list = False
    for part in location:
        if at_tag:
            sections, at_tag = [section for section in sections if tag_of(section) == part], False
        elif isinstance(part, int) and in_list:
            path.append(part)
            in_list = False
        elif sections:
            # A key that is a number can come from Python only, and no section has one.
            owner, field = sections[0], all_keys_of(sections[0]).get(str(part))
            path.append(part)
            if field is None:
                break
            sections, at_tag = sections_in(field.annotation), field.discriminator is not None
            in_list = get_origin(field.annotation) is list
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


def wanted(field: FieldInfo, *, item: bool = False) -> str:
    """Say what a field may hold, or, with `item`, what an item of its list may be.

    Example:
        >>> wanted(keys_of(Recipe)["run"])
        'text or null'
    """
    if item:
        return _said(get_args(field.annotation)[0], [])
    if field.discriminator is not None:
        return f"one of {', '.join(choices(field))}"
    if _has_pattern(field):
        # A regular expression is no explanation; the field's description lists what it allows.
        return (field.description or "other text").replace("`", "").rstrip(".")
    short_form = any(isinstance(value, str) for value in field.examples or []) and sections_in(
        field.annotation
    )
    return f"{'a name or ' if short_form else ''}{_said(field.annotation, field.metadata)}"


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


def _said(annotation: Any, limits: list[Any]) -> str:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        more = [limit for extra in inside[1:] for limit in getattr(extra, "metadata", [])]
        return _said(inside[0], [*limits, *more])
    if origin in (Union, types.UnionType):
        return " or ".join(_said(member, limits) for member in inside)
    if origin is list:
        return f"a list{_count(limits)}, each {_said(inside[0], [])}"
    if origin is Literal:
        return f"one of {', '.join(map(str, inside))}" if len(inside) > 1 else str(inside[0])
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return "a section of keys"
    not_empty = any(isinstance(limit, annotated_types.MinLen) for limit in limits)
    names: dict[Any, str] = {
        int: f"a whole number{_range(limits)}",
        float: f"a number{_range(limits)}",
        str: "text that is not empty" if not_empty else "text",
        bool: "true or false",
        types.NoneType: "null",
    }
    return names[annotation]


def _range(limits: list[Any]) -> str:
    bounds = {type(limit): limit for limit in limits}
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


def _count(limits: list[Any]) -> str:
    least = {limit.min_length for limit in limits if isinstance(limit, annotated_types.MinLen)}
    most = {limit.max_length for limit in limits if isinstance(limit, annotated_types.MaxLen)}
    if least and least == most:
        return f" of {least.pop()}"
    said = [f"at least {limit.min_length}" for limit in limits if isinstance(limit, annotated_types.MinLen)]
    said += [f"at most {limit.max_length}" for limit in limits if isinstance(limit, annotated_types.MaxLen)]
    return f" of {' and '.join(said)}" if said else ""
