"""Reads recipes from files and from Python, and writes them back to text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hubtune.errors import RecipeError, suggest
from hubtune.recipe.document import Location, RecipeDocument
from hubtune.recipe.overrides import apply_overrides
from hubtune.recipe.schema import Recipe
from hubtune.recipe.validate import validate_recipe
from hubtune.storage.yaml_reader import MAX_BYTES, parse_yaml, plain_value, read_text
from hubtune.text import describe_value, escaped

_MOST_NAMES = 5  # in a message
_SUFFIXES = (".yaml", ".yml")
_PADDLECLAS_SECTIONS = frozenset({"Arch", "ARCHITECTURE"})


def load_recipe(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file and apply overrides of the form ``a.b=value``.

    Raises:
        RecipeError: the file cannot be read, or has mistakes; the error lists all of them in order of place.

    Example:
        >>> load_recipe("recipes/idol5.yaml", ["train.epochs=1"]).train.epochs  # doctest: +SKIP
        1
    """
    path = Path(path)
    parsed = parse_yaml(_read(path))
    source = escaped(str(path))
    if isinstance(parsed.data, dict) and parsed.data.keys() & _PADDLECLAS_SECTIONS:
        command = f"hubtune import paddleclas-config {source} -o recipe.yaml"
        raise RecipeError([f"{source}: this is a configuration of PaddleClas: translate it by {command}"])
    document = RecipeDocument.from_yaml(parsed, source)
    if not parsed.complete:
        raise _error(document)
    if parsed.data is None:
        document.data = {}  # so that messages name the keys that an empty file lacks
    return _finish(document, overrides)


def make_recipe(data: dict[str, Any], overrides: Sequence[str] = (), source: str = "recipe") -> Recipe:
    """Validate a recipe that does not come from a file; ``source`` is its name in messages.

    Raises:
        RecipeError: it has mistakes; the error lists all of them.

    Example:
        >>> make_recipe({"data": {"base": "pics"}, "module": "resnet50_imagenet"}).module.weights
        'official'
    """
    return _finish(RecipeDocument(data, Location((0, 0, 0), escaped(source))), overrides)


def dump_recipe(recipe: Recipe, command: str | None = None) -> str:
    """Return a recipe as YAML with every default written out; ``load_recipe`` reads back an equal one.

    The command that the recipe belongs to becomes a comment in the first line.
    """
    comment = f"# command: {escaped(command)}\n" if command is not None else ""
    return comment + yaml.dump(
        recipe.model_dump(by_alias=True),
        Dumper=RecipeDumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=MAX_BYTES,
    )


def unused_keys(recipe: Recipe) -> list[str]:
    """Return the keys that differ from their defaults but have no effect on the strategy.

    They are not mistakes; callers mention them.

    Example:
        >>> frozen = {"data": {"base": "pics"}, "module": "resnet50_imagenet", "strategy": "frozen"}
        >>> unused_keys(make_recipe(frozen, ["train.epochs=5", "train.seed=1"]))
        ['train.epochs']
    """
    fields = type(recipe.train).model_fields
    unused = fields.keys() - (recipe.strategy.train_keys or fields)
    named = [
        f"train.{key}"
        for key, field in fields.items()
        if key in unused and getattr(recipe.train, key) != field.default
    ]
    return [*named, *(f"strategy.{key}" for key in recipe.strategy.unused_settings())]


def _finish(document: RecipeDocument, overrides: Sequence[str]) -> Recipe:
    if not isinstance(document.data, dict):
        reason = f"a recipe is keys with values, as in `run: runs/x`, not {describe_value(document.data)}"
        raise RecipeError([f"{document.root.label}: {reason}"])
    apply_overrides(document, overrides)
    recipe = validate_recipe(document)
    if recipe is None or document.problems:
        raise _error(document)
    return recipe


def _error(document: RecipeDocument) -> RecipeError:
    in_order = sorted(document.problems, key=lambda problem: problem.location.order)
    return RecipeError([f"{problem.location.label}: {problem.text}" for problem in in_order])


def _read(path: Path) -> str:
    source = escaped(str(path))
    try:
        return read_text(path)
    except FileNotFoundError:
        near = suggest(path.name, _recipe_names(path.parent)) or _list_recipes(path.parent)
        raise RecipeError([f"{source}: there is no such file.{near}"]) from None
    except IsADirectoryError:
        recipes = _list_recipes(path)
        raise RecipeError([f"{source}: this is a folder, and a recipe is a file.{recipes}"]) from None


def _list_recipes(folder: Path) -> str:
    names = [escaped(name) for name in _recipe_names(folder)]
    if not names:
        return " Without a recipe, give a folder of pictures: hubtune finetune pics/"
    more = ", …" if len(names) > _MOST_NAMES else ""
    return f" Recipes there: {', '.join(names[:_MOST_NAMES])}{more}"


def _recipe_names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in _SUFFIXES)
    except (OSError, ValueError):
        return []


class RecipeDumper(yaml.SafeDumper):
    """Writes text so that the strict reader reads it back as text, and never an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if plain_value(text) == text else "'"
    if not text.isprintable():
        style = '"'  # other styles fold line breaks, some of which PyYAML does not read back
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


RecipeDumper.add_representer(str, _represent_text)
