"""What `finetune` and `tune` are given: a recipe, or images and perhaps lists; and what they say about it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import hubtune
from hubtune.cli.console import say, shown
from hubtune.cli.split_output import print_remarks, quote_path, say_repair
from hubtune.data.sources.naming import is_source
from hubtune.errors import UsageError
from hubtune.text import first_few

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings

_LIST_TITLES = {"train": "training", "validate": "validation", "test": "the test"}


def with_trust(recipe: "hubtune.Recipe", trust_code: bool) -> "hubtune.Recipe":
    """Return the recipe with the trust of the command line: a file is not the consent of who uses it."""
    module = recipe.module.model_copy(update={"trust_code": trust_code})
    return recipe.model_copy(update={"module": module})


def read_or_default_recipe(
    what: str, overrides: Sequence[str], trust_code: bool, settings: "SourceSettings | None" = None
) -> "hubtune.Recipe":
    """Return the recipe in a file, or the default one for images, with the settings of its lists."""
    from hubtune.train.defaults import default_recipe, read_recipe

    if settings is not None:
        overrides = [*overrides, *settings.as_overrides()]
    if is_source(what):
        return default_recipe(what, [*overrides, f"module.trust_code={str(trust_code).lower()}"])
    return with_trust(read_recipe(what, overrides), trust_code)


def say_unused(recipe: "hubtune.Recipe") -> None:
    """Name the keys of a recipe that have no effect on its strategy."""
    from hubtune.recipe.load import unused_keys

    if unused := unused_keys(recipe):
        say(f"Not used by strategy {recipe.strategy.name}: {', '.join(unused)}")


def find_lists_for(source: str, settings: "SourceSettings") -> Path | None:
    """Return the folder of the lists of a source; ``None`` without any.

    Raises:
        UsageError: if options say how a folder or a table is to be read, but lists say it already.
    """
    from hubtune.data.existing_lists import find_lists

    base = find_lists(source)
    if base is not None and (settings.parts or settings.as_classes or settings.columns):
        raise UsageError(
            f"{source} has lists already, which say what is in it: make others by hubtune split "
            f"{quote_path(source)} --force with these options, or remove the options"
        )
    return base


def describe_lists(dataset: "hubtune.BaseCVDataset") -> str:
    """Say what the lists of a data set were taken for."""
    names = [file.name for name, file in dataset.list_files.items() if file and name != "predict"]
    classes = first_few(dataset.label_list, 5)
    return shown(
        f"{dataset.base_path} has the lists {', '.join(names)}; {dataset.num_labels:,} classes: {classes}"
    )


def make_lists(
    recipe: "hubtune.Recipe", source: str, folder: Path, settings: "SourceSettings | None" = None
) -> tuple["hubtune.Recipe", str]:
    """Split a source that has no lists yet into a folder, and print the result.

    Returns the recipe for the lists, and a sentence about what the source was taken for.

    Raises:
        HubtuneError: if the images cannot be used, or the lists not written.
    """
    from hubtune.cli.progress import working_bar
    from hubtune.data.prepare import DEFAULT_REQUEST, split_source

    request = replace(DEFAULT_REQUEST, settings=settings or DEFAULT_REQUEST.settings)
    with working_bar("opening") as progress:
        split = split_source(source, request, progress=progress)
    split.write(folder, force=True)
    taken_for = shown(f"{source} is {split.taken_for}")
    say(taken_for)
    counts = ", ".join(f"{len(split.lists[name]):,} for {title}" for name, title in _LIST_TITLES.items())
    if any(image.part for image in split.lists["train"]):
        say(f"Lists: {counts}")
    else:
        example = f"hubtune split {quote_path(source)} --val 20"
        say(f"No lists for {shown(source)} yet: {counts} (to choose yourself: {example})")
    print_remarks(split, "not in any list")
    if split.leaks:
        say_repair(folder)
    return use_lists(recipe, folder), taken_for


def use_lists(recipe: "hubtune.Recipe", folder: Path) -> "hubtune.Recipe":
    """Return a recipe for lists that hubtune made."""
    own = {"base": str(folder), "encoding": None, "labels_are": None}
    return recipe.model_copy(update={"data": recipe.data.model_copy(update=own)})


def say_recipe(recipe: "hubtune.Recipe") -> None:
    base = shown(recipe.data.base)
    say(f"Data: {base}; module: {recipe.module.name}; strategy: {recipe.strategy.name}")
