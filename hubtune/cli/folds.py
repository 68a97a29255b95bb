"""``hubtune finetune --folds``: the folds of what a person names, and what they have come to."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hubtune.cli.console import figures, percent, say, shown
from hubtune.errors import UsageError

if TYPE_CHECKING:
    from hubtune.data.dataset import BaseCVDataset
    from hubtune.data.listing import Listing
    from hubtune.data.splits.files import Split
    from hubtune.tuning.cross_validation import CrossValidation


def folds_of_source(source: str, folds: int, *, seed: int) -> "tuple[list[Split], Split]":
    """The folds that a source has lists for; else those of all its pictures but for a test list's.

    Returns:
        The folds, and all their pictures.

    Raises:
        UsageError: if there are lists of another number of folds.
        DataError: if the pictures cannot be used, or are too few.
    """
    from hubtune.cli.lists import groups_of, lists_of, opened, place_of_lists, scanned, without_validation
    from hubtune.data.dataset import ListDataset
    from hubtune.data.splits.kfold import fold_splits
    from hubtune.data.splits.quota import NOTHING
    from hubtune.data.splits.split import make_split

    for place in dict.fromkeys((Path(source), place_of_lists(source))):
        if found := _written_folds(place):
            return _read_folds(place, found, folds)
    base = lists_of(source)
    if base is not None:
        return folds_of_lists(ListDataset(base), folds, seed=seed)
    scan = scanned(without_validation(opened(source)))
    pool = make_split(scan, validate=NOTHING, groups=groups_of(scan))
    return fold_splits(pool, folds, seed=seed), pool


def folds_of_lists(dataset: "BaseCVDataset", folds: int, *, seed: int) -> "tuple[list[Split], Split]":
    """The folds of a data set's training and validation pictures; its test list is not opened.

    Returns:
        The folds, and all their pictures.

    Raises:
        UsageError: if its folder has lists of another number of folds.
        DataError: if the pictures cannot be used, or are too few.
    """
    from hubtune.cli.lists import listing_of
    from hubtune.data.splits.kfold import fold_splits

    if found := _written_folds(dataset.base_path):
        return _read_folds(dataset.base_path, found, folds)
    pool = _pool(listing_of(dataset, ("train", "validate")), dataset.label_list)
    return fold_splits(pool, folds, seed=seed), pool


def _written_folds(base: Path) -> int:
    """How many folds a folder has lists for."""
    from hubtune.data.list_files import TRAIN_LIST
    from hubtune.data.splits.files import fold_name

    number = 0
    while (base / fold_name(number + 1) / TRAIN_LIST).is_file():
        number += 1
    return number


def _read_folds(base: Path, found: int, folds: int) -> "tuple[list[Split], Split]":
    from hubtune.cli.lists import listing_of
    from hubtune.data.dataset import ListDataset
    from hubtune.data.splits.files import fold_name
    from hubtune.data.splits.kfold import given_folds

    if found != folds:
        raise UsageError(
            f"{base} has lists of {found} folds: take --folds {found}, or make others with "
            f"hubtune split PICTURES --folds {folds} --force"
        )
    datasets = [ListDataset(base / fold_name(number)) for number in range(1, folds + 1)]
    # The folders are siblings: a picture is called the same in the lists of all of them.
    fold_of = {
        file.name: fold
        for fold, dataset in enumerate(datasets)
        for file in listing_of(dataset, ("validate",)).files
    }
    pool = _pool(listing_of(datasets[0], ("train", "validate")), datasets[0].label_list)
    return given_folds(pool, fold_of, folds), pool


def _pool(listing: "Listing", labels: list[str]) -> "Split":
    """All pictures of a listing as one training list."""
    from hubtune.cli.lists import groups_of, scanned_again
    from hubtune.data.splits.quota import NOTHING
    from hubtune.data.splits.split import make_split

    files = [replace(file, part=None) for file in listing.files]
    scan = scanned_again(replace(listing, files=files))
    return make_split(scan, validate=NOTHING, labels={name: name for name in labels}, groups=groups_of(scan))


def print_folds(found: "CrossValidation") -> None:
    """Print what the folds have come to."""
    for run, test in zip(found.runs, found.tests, strict=True):
        click.echo(f"{run.path.name + ':':<10}  {figures(test)}")
    low, high = found.interval
    click.echo(
        f"All folds:  {percent(found.accuracy)} ({found.right:,} of {found.count:,} right; 95 % interval "
        f"{100 * low:.1f}–{percent(high)})"
    )
    click.echo("            each picture was predicted once, by a model that has not seen it or its group")
    if found.independent < 0.99 * found.count:
        click.echo(
            f"            the interval is that of {found.independent:,.0f} independent pictures: those of "
            "one group count as one"
        )
    say(f"Runs: {shown(str(found.folder))}")
    say("These models measure; train the one that is to be used on all pictures, without --folds")
