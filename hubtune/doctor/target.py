"""Checks of what a person names: a run, a recipe or pictures."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hubtune.doctor.check import BAD, GOOD, NOTE, Check
from hubtune.errors import HubtuneError, UsageError
from hubtune.text import shell_quoted

if TYPE_CHECKING:
    from hubtune.data.dataset import BaseCVDataset

_RUN_FILES = ("recipe.yaml", "manifest.json", "metrics.jsonl", "result.json", "skipped.csv", "train.log")
_RECIPE_SUFFIXES = (".yaml", ".yml")
_LAST_BYTES = 1_000_000  # of a file in a bundle


class TargetExamination(NamedTuple):
    """The checks of a target.

    Attributes:
        texts: name in a bundle → text that helps to find the mistake, such as ``run/recipe.yaml``; the bundle
            removes secrets from it.
    """

    checks: list[Check]
    texts: dict[str, str]


def examine_target(target: Path) -> TargetExamination:
    """Check a run, a recipe or pictures, without the network.

    Raises:
        HubtuneError: there is no such thing, or it cannot be read at all.
    """
    # What these import may be what is broken on a machine.
    from hubtune.runs.folder import RECIPE_FILE, is_run

    if not target.exists():
        raise UsageError(
            f"There is no {target}: name a run, a recipe or pictures, or nothing for this machine"
        )
    for folder in (target, *target.parents[:1]):
        if is_run(folder) and (folder == target or target.name in ("best_model", RECIPE_FILE)):
            return _examine_run(folder)
    if target.suffix.lower() in _RECIPE_SUFFIXES and target.is_file():
        return TargetExamination(_grouped("Recipe", _examine_recipe(target)), _texts([target], "recipe"))
    return TargetExamination(_grouped("Pictures", _examine_images(target)), {})


def _examine_run(run: Path) -> TargetExamination:
    from hubtune.data.listing import WORDS
    from hubtune.doctor.run_record import read_run_record
    from hubtune.doctor.training import check_training
    from hubtune.runs.lists import dataset_of
    from hubtune.text import plural

    record = read_run_record(run)
    checks, training = [], 0
    classes = len(record.manifest.get("labels", []))
    try:
        dataset = dataset_of(record.recipe, complete=True)
        training, classes = len(dataset.examples("train")), dataset.num_labels
        checks += _check_dataset(dataset)
    except HubtuneError as error:
        checks.append(Check("lists", NOTE, f"Its lists cannot be read any more: {error}"))
    skipped = {name: count for name, count in (record.result or {}).get("skipped", {}).items() if count}
    if skipped:
        lists = ", ".join(f"{count:,} {WORDS.get(name, name)}" for name, count in skipped.items())
        found = f"{plural(sum(skipped.values()), 'picture')} could not be read and were left out: {lists}"
        checks.append(Check("unreadable", NOTE, found, f"see {shell_quoted(str(run / 'skipped.csv'))}"))
    trained = _grouped("Training", check_training(record, max(classes, 2), training))
    return TargetExamination(
        [*trained, *_grouped("Lists", checks)], _texts([run / f for f in _RUN_FILES], "run")
    )


def _check_dataset(dataset: "BaseCVDataset") -> list[Check]:
    from hubtune.data.dataset import LIST_NAMES
    from hubtune.doctor.lists import check_list_images

    cure = f"hubtune split {shell_quoted(str(dataset.base_path))} --val 20% --test 20% --out NEW_LISTS"
    dataset.check_files()
    images = {name: dataset.examples(name) for name in LIST_NAMES}
    own = {name: examples for name, examples in images.items() if examples}
    return check_list_images(dataset.class_names, own, dataset.label_sets, dataset.image_root, cure)


def _examine_recipe(file: Path) -> list[Check]:
    from hubtune.recipe.load import load_recipe
    from hubtune.runs.lists import dataset_of

    recipe = load_recipe(file)
    name = recipe.module.name
    checks = [Check("recipe", GOOD, f"The recipe is valid: {name}, {recipe.strategy.name}")]
    try:
        checks += _check_dataset(dataset_of(recipe, complete=False))
    except HubtuneError as error:
        checks.append(Check("lists", BAD, str(error), f"hubtune split {shell_quoted(str(recipe.data.base))}"))
    return checks


def _examine_images(source: Path) -> list[Check]:
    from hubtune.data.listing import ImageEntry
    from hubtune.data.sources.open import open_source
    from hubtune.doctor.lists import check_list_images

    listing = open_source(source)
    number_of = {label: number for number, label in enumerate(listing.labels)}
    images: dict[str, list[ImageEntry]] = {}
    for found in listing.files:
        entry = ImageEntry(found.path, number_of[found.label], found.name)
        images.setdefault(found.part or "train", []).append(entry)
    checks = [Check("source", GOOD, f"{source} is {listing.taken_for}")] if listing.taken_for else []
    cure = f"hubtune split {shell_quoted(str(source))} --val 20% --test 20%"
    checks += check_list_images(listing.labels, images, listing.label_sets, listing.root, cure)
    return [*checks, *(Check("remark", NOTE, remark.rstrip(".")) for remark in listing.remarks)]


def _grouped(group: str, checks: list[Check]) -> list[Check]:
    return [replace(check, group=group) for check in checks]


def _texts(files: list[Path], folder: str) -> dict[str, str]:
    texts = {}
    for file in files:
        with suppress(OSError):
            texts[f"{folder}/{file.name}"] = file.read_bytes()[-_LAST_BYTES:].decode(errors="replace")
    return texts
