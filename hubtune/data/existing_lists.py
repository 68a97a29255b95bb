"""Lists that exist for a source of images: where they are, their leaks, and folds of their images."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

from hubtune.data.dataset import LIST_NAMES, BaseCVDataset, ListDataset
from hubtune.data.list_files import TRAIN_LIST, relative_to
from hubtune.data.listing import Listing, Progress, SourceFile, no_progress
from hubtune.data.lists import read_paths
from hubtune.data.prepare import find_all_groups, split_source
from hubtune.data.scan.scanner import scan_listing
from hubtune.data.sources.naming import lists_folder
from hubtune.data.sources.open import is_cached, open_source
from hubtune.data.sources.settings import AS_FOUND, SourceSettings
from hubtune.data.splits.files import Split, fold_name
from hubtune.data.splits.kfold import fold_splits, given_folds
from hubtune.data.splits.quota import SplitRequest
from hubtune.data.splits.split import make_split
from hubtune.errors import UsageError


def find_lists(source: str) -> Path | None:
    """Return the base folder of the lists that exist for a source, or that it is; ``None`` without any.

    Images that were removed from the cache are brought back, with the errors of :func:`open_source`.
    """
    base = lists_folder(source)
    if "://" not in source and Path(source).is_dir():
        folder = Path(source)
        if (folder / TRAIN_LIST).exists():
            return folder
        real = folder.resolve()
        beside = real.parent
        listed = read_paths(beside / TRAIN_LIST, beside)[:100] if (beside / TRAIN_LIST).exists() else []
        return base if any(path.resolve().is_relative_to(real) for path in listed) else None
    if not (base / TRAIN_LIST).exists():
        return None
    if any(is_cached(path) and not path.exists() for path in read_paths(base / TRAIN_LIST, base)[:1]):
        open_source(source)
    return base


def check_lists(
    dataset: BaseCVDataset, *, group_by: str | None = None, progress: Progress = no_progress
) -> Split:
    """Return existing lists as a split, with their leaks; ``group_by`` is a regular expression over names.

    Raises:
        DataError: if lists cannot be read, or a class has no usable image.
        UsageError: if ``group_by`` makes no groups.
    """
    return _split_of(_listing_of(dataset), dataset.label_list, group_by, progress)


def _split_of(listing: Listing, labels: Sequence[str], group_by: str | None, progress: Progress) -> Split:
    """Return a split whose images are in the lists that they come from, or in training."""
    scan = scan_listing(listing, advance=partial(progress, "reading pictures"))
    # Harmless peculiarities of the files were reported when their lists were made.
    scan = replace(scan, renamed=[], animated=[])
    groups = find_all_groups(scan, pattern=group_by, progress=progress)
    return make_split(scan, SplitRequest(labels={name: name for name in labels}), groups=groups)


def _listing_of(dataset: BaseCVDataset, names: Sequence[str] = LIST_NAMES) -> Listing:
    """Return the images of some lists in their order; a file that is listed twice is there twice."""
    labels, base = dataset.label_list, dataset.base_path
    dataset.check_files()
    examples = [(name, example) for name in names for example in dataset.examples(name)]
    examples.sort(key=lambda entry: entry[1].label)
    files = [
        SourceFile(example.path, relative_to(example.path, base), labels[example.label], part=name)
        for name, example in examples
    ]
    return Listing(base, list(dict.fromkeys(file.label for file in files)), files, remarks=[*dataset.remarks])


def folds_of_source(
    source: str,
    folds: int,
    *,
    seed: int,
    settings: SourceSettings = AS_FOUND,
    progress: Progress = no_progress,
) -> tuple[list[Split], Split]:
    """Return the folds of a source, and a split with all their images.

    If there are none, all images outside the test list are divided by the seed.

    Raises:
        UsageError: if another number of folds exists.
        DataError: if the images cannot be used, or are too few.
    """
    places = (Path(source), lists_folder(source))
    base = next(filter(_count_folds, places), None) or find_lists(source)
    if base is not None:
        dataset = ListDataset(base, encoding=settings.encoding, labels_are=settings.labels_are)
        return folds_of_lists(dataset, folds, seed=seed, progress=progress)
    pool = split_source(source, SplitRequest(folds=folds, settings=settings), progress=progress)
    return fold_splits(pool, folds, seed=seed), pool


def folds_of_lists(
    dataset: BaseCVDataset, folds: int, *, seed: int, progress: Progress = no_progress
) -> tuple[list[Split], Split]:
    """Return the folds of lists as :func:`folds_of_source`; the test list is not opened."""
    base = dataset.base_path
    existing = _count_folds(base)
    if not existing:
        pool = _pool(dataset, progress)
        return fold_splits(pool, folds, seed=seed), pool
    if existing != folds:
        raise UsageError(
            f"{base} has lists of {existing} folds: take --folds {existing}, or make others with "
            f"hubtune split PICTURES --folds {folds} --force"
        )
    datasets = [ListDataset(base / fold_name(number)) for number in range(1, folds + 1)]
    # The folders are siblings, so an image has the same name in the lists of all of them.
    fold_of = {
        file.name: fold
        for fold, dataset in enumerate(datasets)
        for file in _listing_of(dataset, ("validate",)).files
    }
    pool = _pool(datasets[0], progress)
    return given_folds(pool, fold_of, folds), pool


def _count_folds(base: Path) -> int:
    return next(n for n in count() if not (base / fold_name(n + 1) / TRAIN_LIST).is_file())


def _pool(dataset: BaseCVDataset, progress: Progress) -> Split:
    """Return the training and validation images of lists as one training list."""
    listing = _listing_of(dataset, ("train", "validate"))
    listing.files = [replace(file, part=None) for file in listing.files]
    return _split_of(listing, dataset.label_list, None, progress)
