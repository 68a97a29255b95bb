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
from hubtune.storage.address import is_bucket_address
from hubtune.text import first_few

if TYPE_CHECKING:
    from hubtune.data.sources.settings import SourceSettings
    from hubtune.runs.bucket_run import BucketRun

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


def find_bucket(what: str, overrides: Sequence[str]) -> str | None:
    """Return the address of a run to continue: ``what`` itself, or the place that ``-o run=`` names."""
    from hubtune.runs.bucket_run import has_run

    if is_bucket_address(what) and has_run(what):
        return what
    return next(filter(is_bucket_address, reversed(_named_runs(overrides))), None)


def _named_runs(overrides: Sequence[str]) -> list[str]:
    """Return the places of runs that overrides name, of which the last one counts."""
    pairs = (text.partition("=") for text in overrides)
    return [value.strip() for key, _, value in pairs if key.strip() == "run"]


def bring_recipe(address: str) -> Path | None:
    """Bring a run from a bucket to this machine, and return its recipe; ``None`` if there is none."""
    from hubtune.runs.bucket_run import choose_bucket_run
    from hubtune.runs.folder import RECIPE_FILE, is_run

    folder = choose_bucket_run(address, resume=True).folder
    return folder / RECIPE_FILE if is_run(folder) else None


def bring_newer(address: str, folder: Path) -> None:
    """Bring to a run on this machine what another machine has added to its copy in a bucket."""
    from hubtune.runs.bucket_run import fetch_run, has_run

    if has_run(address):
        fetch_run(address, folder)


def place_new_run(place: str) -> "BucketRun":
    """Return a free place for a run, and its folder on this machine, which are the same but for a bucket."""
    from hubtune.runs.bucket_run import BucketRun, choose_bucket_run
    from hubtune.runs.folder import free_folder

    if is_bucket_address(place):
        return choose_bucket_run(place, resume=False)
    folder = free_folder(Path(place))
    return BucketRun(str(folder), folder)


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
    what = "classes" if dataset.label_sets is None else "labels, multi-label"
    return shown(
        f"{dataset.base_path} has the lists {', '.join(names)}; {dataset.num_labels:,} {what}: {classes}"
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
    counts = ", ".join(f"{len(split.lists[name]):,} for {words}" for name, words in _LIST_TITLES.items())
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


def own_recipe(what: str, overrides: Sequence[str], resume: bool) -> Path | None:
    """Return the recipe of a run, if that is named or resumed; it names all lists that it uses."""
    from hubtune.runs.folder import MANIFEST_FILE, RECIPE_FILE, is_run, latest_in_series
    from hubtune.train.defaults import default_run_folder

    path = Path(what)
    if not is_source(what):
        # A person's own recipe may have the same name.
        is_own = path.name == RECIPE_FILE and (path.parent / MANIFEST_FILE).is_file()
        return path if is_own and path.is_file() else None
    if is_run(path):
        if not resume:
            raise UsageError(
                f"{what} is a run: continue it with --resume, or repeat it with "
                f"hubtune finetune {path / RECIPE_FILE} -o run=runs/NAME"
            )
        return path / RECIPE_FILE
    if resume and (place := find_bucket(what, overrides)):
        return bring_recipe(place)
    named = _named_runs(overrides)
    run = latest_in_series(Path(named[-1]) if named else default_run_folder(what))
    return run / RECIPE_FILE if resume and is_run(run) else None


def settle_run(
    recipe: "hubtune.Recipe", own: Path | None, resume: bool
) -> tuple["hubtune.Recipe", Path | None]:
    """Return the recipe with its final place, and the folder of the run to resume, if there is one.

    A folder in use is refused before Paddle is loaded.
    """
    from hubtune.runs.folder import check_unlocked, is_run, latest_in_series

    place = recipe.run or ""
    if own is not None:
        run = own.parent
        if resume and is_bucket_address(place):
            bring_newer(place, run)
    elif is_bucket_address(place) and resume:
        from hubtune.runs.bucket_run import choose_bucket_run

        chosen = choose_bucket_run(place, resume=True)
        recipe, run = recipe.model_copy(update={"run": chosen.address}), chosen.folder
    else:
        run = latest_in_series(Path(place))
    if resume and is_run(run):
        check_unlocked(run)
        return recipe, run
    return recipe.model_copy(update={"run": place_new_run(recipe.run or "").address}), None
