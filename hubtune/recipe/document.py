"""A recipe as it was written, before validation: its values, their locations and the mistakes so far."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hubtune.recipe.schema import Recipe
from hubtune.storage.yaml_reader import KeyPath, YamlDocument
from hubtune.storage.yaml_syntax import Position


class Location(NamedTuple):
    """A place that a message points to; locations sort in the order in which mistakes are reported."""

    # 0 for the recipe, 1 for the overrides and 2 for the end; then line and column, or the override's number.
    order: tuple[int, int, int]
    label: str  # the start of a message, such as recipes/idol5.yaml:4:3 or -o train.epoch=3

    @property
    def in_override(self) -> bool:
        return self.order[0] == 1


class RecipeProblem(NamedTuple):
    location: Location
    text: str


@dataclass
class RecipeDocument:
    """A recipe as it was written: its values, the locations of keys and values, and the mistakes so far."""

    data: dict[str, Any]  # never changed in place, since it may be the caller's
    root: Location  # of the whole document
    keys: dict[KeyPath, Location] = field(default_factory=dict)
    values: dict[KeyPath, Location] = field(default_factory=dict)
    refused: set[KeyPath] = field(default_factory=set)  # not readable, and already among the problems
    problems: list[RecipeProblem] = field(default_factory=list)

    @classmethod
    def from_yaml(cls, document: YamlDocument, source: str) -> "RecipeDocument":
        """Convert what was read from a YAML file; ``source`` is the file's name in messages."""

        def locate(position: Position) -> Location:
            return Location((0, *position), f"{source}:{position.line}:{position.column}")

        return cls(
            data=document.data,
            root=locate(document.values.get((), Position(1, 1))),
            keys={path: locate(position) for path, position in document.keys.items()},
            values={path: locate(position) for path, position in document.values.items()},
            refused=document.refused,
            problems=[RecipeProblem(locate(problem.position), problem.text) for problem in document.problems],
        )

    def key_location(self, path: KeyPath) -> Location:
        """Return the location of a key, or of the nearest value around it."""
        return self.keys[path] if path in self.keys else self.value_location(path)

    def value_location(self, path: KeyPath) -> Location:
        """Return the location of a value, or of the nearest value around it."""
        while path and path not in self.values:
            path = path[:-1]
        return self.values[path] if path else self.root

    def expand_section(self, section: str) -> None:
        """Replace a section's short form by the long one, and move its locations along."""
        short: Any = self.data.get(section)
        long: Any = Recipe.long_forms[section](short) if section in Recipe.long_forms else short
        if long is short:
            return
        self.data = {**self.data, section: long}
        key = next(key for key, value in long.items() if value is short)

        def moved(path: KeyPath) -> KeyPath:
            return (section, key, *path[1:]) if len(path) > 1 and path[0] == section else path

        self.keys = {moved(path): location for path, location in self.keys.items()}
        self.values = {moved(path): location for path, location in self.values.items()}
        self.refused = {moved(path) for path in self.refused}

    def expand_key(self, section: str, key: str) -> bool:
        """Replace the short form of a key inside a section by the long one, if it has one.

        Returns whether keys may be set inside it; setting one inside a wrong value would hide that value.
        """
        inside = self.data.get(section)
        long_form = Recipe.nested_long_forms.get((section, key))
        if long_form is None or not isinstance(inside, dict) or inside.get(key) is None:
            return True
        try:
            value = long_form(inside[key])
        except ValueError:
            return False
        if not isinstance(value, dict):
            return False
        self.data = {**self.data, section: {**inside, key: value}}
        return True

    def set(self, path: tuple[str, ...], value: Any, location: Location) -> None:
        """Set a value and its location; sections around it are made or replaced as needed."""
        self.remove(path)
        self.data = _with(self.data, path, value)
        self.keys[path] = self.values[path] = location
        for length in range(1, len(path)):
            self.keys.setdefault(path[:length], location)
            self.values.setdefault(path[:length], location)

    def remove(self, path: tuple[str, ...]) -> None:
        """Remove a value, if it exists, and all locations inside it."""
        for locations in (self.keys, self.values):
            for inner in [inner for inner in locations if inner[: len(path)] == path]:
                del locations[inner]
        self.refused = {inner for inner in self.refused if inner[: len(path)] != path}
        self.data = _without(self.data, path)


def _with(data: dict[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    inner = data.get(path[0])
    if len(path) > 1:
        value = _with(inner if isinstance(inner, dict) else {}, path[1:], value)
    return {**data, path[0]: value}


def _without(data: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    if len(path) == 1:
        return {key: value for key, value in data.items() if key != path[0]}
    inner = data.get(path[0])
    return {**data, path[0]: _without(inner, path[1:])} if isinstance(inner, dict) else data
