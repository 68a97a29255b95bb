"""What `finetune` and `tune` are given: a recipe, or images and perhaps lists; and what they say about it."""

from collections.abc import Sequence
from pathlib import Path

import hubtune
from hubtune.cli.console import say, shown
from hubtune.cli.split_output import print_remarks, quote_path, say_repair
from hubtune.data.sources.naming import is_source

_LIST_TITLES = {"train": "training", "validate": "validation", "test": "the test"}


def with_trust(recipe: "hubtune.Recipe", trust_code: bool) -> "hubtune.Recipe":
    """Return the recipe with the trust of the command line: a file is not the consent of who uses it."""
    module = recipe.module.model_copy(update={"trust_code": trust_code})
    return recipe.model_copy(update={"module": module})


def read_or_default_recipe(what: str, overrides: Sequence[str], trust_code: bool) -> "hubtune.Recipe":
    """Return the recipe in a file, or the default one for images."""
    from hubtune.train.defaults import default_recipe, read_recipe

    if is_source(what):
        return default_recipe(what, [*overrides, f"module.trust_code={str(trust_code).lower()}"])
    return with_trust(read_recipe(what, overrides), trust_code)


def say_unused(recipe: "hubtune.Recipe") -> None:
    """Name the keys of a recipe that have no effect on its strategy."""
    from hubtune.recipe.load import unused_keys

    if unused := unused_keys(recipe):
        say(f"Not used by strategy {recipe.strategy.name}: {', '.join(unused)}")


def make_lists(recipe: "hubtune.Recipe", source: str, folder: Path) -> "hubtune.Recipe":
    """Split a source that has no lists yet into a folder, print the result, and return the recipe for it.

    Raises:
        HubtuneError: if the images cannot be used, or the lists not written.
    """
    from hubtune.cli.progress import working_bar
    from hubtune.data.prepare import DEFAULT_SPLIT, split_source
    from hubtune.data.splits.files import write_split

    with working_bar("opening") as progress:
        split = split_source(source, progress=progress)
    write_split(split, folder, {"pictures": source, **DEFAULT_SPLIT, "train": None, "seed": 0}, force=True)
    counts = ", ".join(f"{len(split.lists[name]):,} for {title}" for name, title in _LIST_TITLES.items())
    if any(image.part for image in split.lists["train"]):
        say(f"{shown(source)} is divided already: {counts}")
    else:
        example = f"hubtune split {quote_path(source)} --val 20"
        say(f"No lists for {shown(source)} yet: {counts} (to choose yourself: {example})")
    print_remarks(split, "not in any list")
    if split.leaks:
        say_repair(folder)
    return use_lists(recipe, folder)


def use_lists(recipe: "hubtune.Recipe", folder: Path) -> "hubtune.Recipe":
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"base": str(folder)})})


def say_recipe(recipe: "hubtune.Recipe") -> None:
    base = shown(recipe.data.base)
    say(f"Data: {base}; module: {recipe.module.name}; strategy: {recipe.strategy.name}")
