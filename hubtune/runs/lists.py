"""The lists of a run, and other lists that its model is measured on."""

from collections.abc import Sequence
from dataclasses import replace
from os.path import realpath
from pathlib import Path

from hubtune.data.bucket_dataset import BucketDataset
from hubtune.data.dataset import LIST_NAMES, BaseCVDataset, ListDataset
from hubtune.data.default_lists import label_file_beside
from hubtune.data.list_labels import MULTI_LABEL
from hubtune.data.source_dataset import SourceDataset
from hubtune.data.sources.attribute_list import is_attribute_file
from hubtune.data.sources.open import FILE_SUFFIXES
from hubtune.data.sources.settings import AS_FOUND, SourceSettings
from hubtune.data.sources.table import TABLE_SUFFIXES
from hubtune.errors import DataError, HubtuneError, UsageError
from hubtune.recipe.load import load_recipe
from hubtune.recipe.schema import Recipe
from hubtune.runs.folder import RECIPE_FILE, is_run
from hubtune.storage.address import is_bucket_address
from hubtune.text import plural


def dataset_of(recipe: Recipe, *, complete: bool) -> BaseCVDataset:
    """Return the data set of a recipe; in a ``complete`` one, a run's own, a list not named is not used."""
    data, kind = recipe.data, BaseCVDataset if complete else ListDataset
    if is_bucket_address(data.base):
        lists = {"train": data.train, "validate": data.validate_, "test": data.test, "labels": data.labels}
        return BucketDataset(
            data.base, lists, complete=complete, encoding=data.encoding, labels_are=data.labels_are
        )
    return kind(
        data.base,
        data.train,
        data.validate_,
        data.test,
        label_list_file=data.labels,
        encoding=data.encoding,
        labels_are=data.labels_are,
    )


def find_list(
    run: Path,
    on: str | None,
    labels: Sequence[str],
    settings: SourceSettings = AS_FOUND,
    *,
    multi_label: bool = False,
) -> tuple[BaseCVDataset, str]:
    """Return the data set of a list to measure a model on, and the list's name in it.

    Args:
        run: the folder of the run, or of its model.
        on: ``validate``, ``test`` or ``train`` of the run, a list file, or another source of images; by
            default the run's test list, else its validation list.
        labels: the model's class names.
        settings: how a source or a list is to be read.
        multi_label: whether the model is, so that a list with one label a picture is, too.

    Raises:
        UsageError: there is no such list or source.
        DataError: the run has no such list.
    """
    if on is not None and on not in LIST_NAMES:
        if "://" not in on and not Path(on).exists():
            raise UsageError(
                f"--on {on}: no such list file or folder; or name a list of the run: validate, test or train"
            )
        if multi_label:
            # A list or a table of one label a picture does not tell; folders do.
            is_listed = Path(on).is_file() and Path(on).suffix.lower() not in FILE_SUFFIXES - TABLE_SUFFIXES
            labels_are = settings.labels_are or (MULTI_LABEL if is_listed else None)
            settings = replace(settings, labels_are=labels_are, least_classes=1)
        return open_list(on, labels, settings), "test"
    if not is_run(run):
        raise UsageError(f"{run} is a model without lists: name a list file, --on test_list.txt")
    dataset = dataset_of(load_recipe(run / RECIPE_FILE, settings.as_overrides()), complete=True)
    name = on or ("test" if dataset.list_files["test"] else "validate")
    if dataset.list_files[name] is None:
        what = f"{name} list" if on else "test and no validation list"
        raise DataError(f"{run} has no {what}: name another, --on train, or a list file")
    return dataset, name


def count_shared(run: Path, dataset: BaseCVDataset, name: str) -> int:
    """Return how many images of a test list, by their places, are in the list ``name`` of a run.

    0 for the folder of a model, if the run's own lists are gone, and for the run's own test list, whose
    repeated images are in ``dataset.repeated``.
    """
    if not is_run(run):
        return 0
    try:
        own = dataset_of(load_recipe(run / RECIPE_FILE), complete=True)
        if own.list_files["test"] == dataset.list_files["test"]:
            return 0
        places = {realpath(entry.path) for entry in own.examples(name)}
    except HubtuneError:
        return 0
    return sum(realpath(entry.path) in places for entry in dataset.examples("test"))


def describe_trained(run: Path, dataset: BaseCVDataset) -> str | None:
    """Return a sentence about images of a test list that a run was trained on; ``None`` if there are none."""
    if not (count := count_shared(run, dataset, "train")):
        return None
    return (
        f"{count:,} of these {plural(len(dataset.examples('test')), 'picture')} are in the training list of "
        f"{run}: on new pictures, the accuracy is lower"
    )


def open_list(
    on: str, labels: Sequence[str], settings: SourceSettings = AS_FOUND, *, names_beside: bool = True
) -> BaseCVDataset:
    """Return a list file, or all images of another source, as a test list for a model's classes.

    With ``names_beside``, the class names of a list file are those in a file beside it.
    """
    file = Path(on)
    if not file.is_file() or file.suffix.lower() in FILE_SUFFIXES or is_attribute_file(file):
        return SourceDataset(on, labels, settings=settings)
    label_file = label_file_beside(file) if names_beside else None
    return BaseCVDataset(
        file.parent,
        test_list_file=file.name,
        encoding=settings.encoding,
        labels_are=settings.labels_are,
        label_list_file=label_file,
        label_list=None if label_file else labels,
    )
