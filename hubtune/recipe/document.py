"""What was written in a recipe and its overrides, before it is checked, with the place of everything."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hubtune.recipe.schema import Recipe
from hubtune.storage.yaml_reader import Document, KeyPath, Position


class Spot(NamedTuple):
    """A place to point to; spots sort in the order in which mistakes are reported.

    Attributes:
        order: 0 for the recipe, 1 for the overrides and 2 for what comes last; then line and column, or the
            override's number.
        label: the beginning of a message, such as ``recipes/idol5.yaml:4:3`` or ``-o train.epoch=3``.
    """

    order: tuple[int, int, int]
    label: str

    @property
    def in_override(self) -> bool:
        """Whether this is an override; those name keys in full."""
        return self.order[0] == 1


class Found(NamedTuple):
    """A mistake that was found, and where."""

    spot: Spot
    text: str


@dataclass
class Draft:
    """A recipe as it was written.

    Attributes:
        data: what was written; never changed in place, since it may be the caller's.
        root: where the whole of it stands.
        keys: the spots of keys.
        values: the spots of values.
        refused: paths of values that could not be read; their mistakes have been noted already.
        problems: the mistakes so far.
    """

    data: dict[str, Any]
    root: Spot
    keys: dict[KeyPath, Spot] = field(default_factory=dict)
    values: dict[KeyPath, Spot] = field(default_factory=dict)
    refused: set[KeyPath] = field(default_factory=set)
    problems: list[Found] = field(default_factory=list)

    @classmethod
    def from_document(cls, document: Document, source: str) -> "Draft":
        """Take over what a YAML file says; `source` is its name."""

        def spot(position: Position) -> Spot:
            return Spot((0, *position), f"{source}:{position.line}:{position.column}")

        return cls(
            data=document.data,
            root=spot(document.values.get((), Position(1, 1))),
            keys={path: spot(position) for path, position in document.keys.items()},
            values={path: spot(position) for path, position in document.values.items()},
            refused=document.refused,
            problems=[Found(spot(problem.position), problem.text) for problem in document.problems],
        )

    def key_spot(self, path: KeyPath) -> Spot:
        """Return the spot of a key, or of the nearest thing around it."""
        return self.keys[path] if path in self.keys else self.value_spot(path)

    def value_spot(self, path: KeyPath) -> Spot:
        """Return the spot of a value, or of the nearest thing around it."""
        while path:
            if path in self.values:
                return self.values[path]
            path = path[:-1]
        return self.root

    def write_out(self, section: str) -> None:
        """Turn a section's short form into the long one, its spots along with it."""
        if section not in Recipe.long_forms or section not in self.data:
            return
        short = self.data[section]
        long = Recipe.long_forms[section](short)
        if long is short:
            return
        self.data = {**self.data, section: long}
        moved_to = next(key for key, value in long.items() if value is short)
        for spots in (self.keys, self.values):
            for path in [path for path in spots if len(path) > 1 and path[0] == section]:
                spots[(section, moved_to, *path[1:])] = spots.pop(path)
        self.refused = {
            (section, moved_to, *path[1:]) if len(path) > 1 and path[0] == section else path
            for path in self.refused
        }

    def write_out_key(self, section: str, key: str) -> bool:
        """Turn the short form of a key within a section into the long one, if it is one.

        Returns:
            Whether keys may be put into it; into a wrong value they may not, as it would be gone.
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

    def put(self, path: tuple[str, ...], value: Any, spot: Spot) -> None:
        """Set a value that stands at `spot`, making or replacing what is around it as needed."""
        self.remove(path)
        self.data = _with(self.data, path, value)
        self.keys[path] = self.values[path] = spot
        for length in range(1, len(path)):
            self.keys.setdefault(path[:length], spot)
            self.values.setdefault(path[:length], spot)

    def remove(self, path: tuple[str, ...]) -> None:
        """Take a value out, if it is there, and forget its place."""
        for spots in (self.keys, self.values):
            for inner in [inner for inner in spots if inner[: len(path)] == path]:
                del spots[inner]
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
