"""Recipes from files and from Python, and back to text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from hubtune.errors import RecipeError, suggest
from hubtune.recipe.document import Draft, Spot
from hubtune.recipe.overrides import apply_overrides
from hubtune.recipe.schema import Recipe
from hubtune.recipe.validate import check
from hubtune.storage.yaml_reader import MAX_BYTES, parse_yaml, plain_value, read_text
from hubtune.text import describe_value, escaped

_NAMES_SHOWN = 5
_SUFFIXES = (".yaml", ".yml")


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe file, with overrides of the form ``a.b=value`` put in.

    Raises:
        RecipeError: the file cannot be read, or has mistakes; all of them are in it, in order of place.

    Example:
        >>> load_recipe(Path("recipes/idol5.yaml"), ["train.epochs=1"]).train.epochs  # doctest: +SKIP
        1
    """
    source = escaped(str(path))
    document = parse_yaml(_read(path))
    draft = Draft.from_document(document, source)
    if not document.complete:
        raise _error(draft)
    if document.data is None:
        draft.data = {}  # so that an empty file's mistake is what it lacks
    return _finish(draft, overrides)


def make_recipe(data: dict[str, Any], overrides: Sequence[str] = (), source: str = "recipe") -> Recipe:
    """Check a recipe that does not come from a file; `source` is what messages call it.

    Raises:
        RecipeError: it has mistakes; all of them are in it.

    Example:
        >>> make_recipe({"data": {"base": "pics"}, "module": "resnet50_imagenet"}).module.weights
        'official'
    """
    return _finish(Draft(data, Spot((0, 0, 0), escaped(source))), overrides)


def dump_recipe(recipe: Recipe, command: str | None = None) -> str:
    """Write a recipe out, every default included; `load_recipe` reads it back to an equal one.

    Args:
        recipe: what to write.
        command: the command that the recipe belongs to, for a comment in the first line.
    """
    comment = f"# command: {escaped(command)}\n" if command is not None else ""
    return comment + yaml.dump(
        recipe.model_dump(by_alias=True),
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=MAX_BYTES,
    )


def unused_keys(recipe: Recipe) -> list[str]:
    """Return the keys under `train` that are not as by default, though the strategy makes no use of them.

    They are no mistake; the caller mentions them.

    Example:
        >>> frozen = {"data": {"base": "pics"}, "module": "resnet50_imagenet", "strategy": "frozen"}
        >>> unused_keys(make_recipe(frozen, ["train.epochs=5", "train.seed=1"]))
        ['train.epochs']
    """
    used = recipe.strategy.train_keys
    if used is None:
        return []
    return [
        f"train.{key}"
        for key, field in type(recipe.train).model_fields.items()
        if key not in used and getattr(recipe.train, key) != field.default
    ]


def _finish(draft: Draft, overrides: Sequence[str]) -> Recipe:
    if not isinstance(draft.data, dict):
        said = f"a recipe is keys with values, as in `run: runs/x`, not {describe_value(draft.data)}"
        raise RecipeError([f"{draft.root.label}: {said}"])
    apply_overrides(draft, overrides)
    recipe = check(draft)
    if recipe is None or draft.problems:
        raise _error(draft)
    return recipe


def _error(draft: Draft) -> RecipeError:
    in_order = sorted(draft.problems, key=lambda problem: problem.spot.order)
    return RecipeError([f"{problem.spot.label}: {problem.text}" for problem in in_order])


def _read(path: Path) -> str:
    source = escaped(str(path))
    try:
        return read_text(path)
    except FileNotFoundError:
        raise RecipeError([f"{source}: there is no such file.{_nearest(path)}"]) from None
    except IsADirectoryError:
        raise RecipeError(
            [f"{source}: this is a folder, and a recipe is a file.{_recipes_in(path)}"]
        ) from None


def _nearest(path: Path) -> str:
    names = _recipe_names(path.parent)
    return suggest(path.name, names) or _recipes_in(path.parent)


def _recipes_in(folder: Path) -> str:
    names = _recipe_names(folder)
    if not names:
        return " Without a recipe, give a folder of pictures: hubtune finetune pics/"
    more = ", …" if len(names) > _NAMES_SHOWN else ""
    return f" Recipes there: {', '.join(escaped(name) for name in names[:_NAMES_SHOWN])}{more}"


def _recipe_names(folder: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() in _SUFFIXES)
    except (OSError, ValueError):
        return []


class _Dumper(yaml.SafeDumper):
    """Writes text so that the strict reader takes it for text, and never an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _write_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if plain_value(text) == text else "'"
    if not text.isprintable():
        style = '"'  # the others fold line breaks, some of which PyYAML does not read back
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _write_text)
