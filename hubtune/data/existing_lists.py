"""Lists that exist for a source of images: where they are, their leaks, and folds of their images."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path

from hubtune.data.dataset import LIST_NAMES, BaseCVDataset, ListDataset
from hubtune.data.default_lists import find_default, has_lists
from hubtune.data.label_sets import LabelSets
from hubtune.data.list_files import TRAIN_LIST, relative_to
from hubtune.data.list_rows import read_paths
from hubtune.data.listing import Listing, Progress, SourceFile, no_progress
from hubtune.data.prepare import find_all_groups, split_source
from hubtune.data.scan.scanner import scan_listing
from hubtune.data.shards.members import file_exists
from hubtune.data.sources.naming import lists_folder
from hubtune.data.sources.open import open_source
from hubtune.data.sources.settings import AS_FOUND, SourceSettings
from hubtune.data.splits.files import Split, fold_name
from hubtune.data.splits.kfold import fold_splits, given_folds
from hubtune.data.splits.quota import SplitRequest
from hubtune.data.splits.split import make_split
from hubtune.errors import DataError, UsageError
from hubtune.storage.cache_folder import is_cached

_BEGINNING, _BLANKS = 65_536, b" \t\r\n\0\xef\xbb\xbf\xff\xfe"  # with the marks of UTF-8 and UTF-16


def find_lists(source: str) -> Path | None:
    """Return the base folder of the lists that exist for a source, or that it is; ``None`` without any.

    Images that were removed from the cache are brought back, with the errors of :func:`open_source`.

    Raises:
        DataError: if the training list of the source's lists has been emptied.
    """
    base = lists_folder(source)
    if "://" not in source and Path(source).is_dir():
        folder = Path(source)
        # Lists that a person has made for a public data set in the cache go before its own.
        own, in_cache = has_lists(folder), is_cached(folder)
        if own and not in_cache:
            return folder
        real = folder.resolve()
        beside = base if in_cache else real.parent
        if _has_emptied_list(beside, real):
            raise DataError(
                f"{beside / TRAIN_LIST} is empty: bring its lines back, or remove it to divide {source} again"
            )
        if _names_inside(beside / TRAIN_LIST, real):
            return base
        return folder if own else None
    if not (base / TRAIN_LIST).exists():
        return None
    if any(is_cached(path) and not file_exists(path) for path in read_paths(base / TRAIN_LIST, base)[:1]):
        open_source(source)
    return base


def _names_inside(file: Path, folder: Path) -> bool:
    """Whether one of the first hundred images of a list is in a folder; false without the list."""
    listed = read_paths(file, file.parent)[:100] if file.exists() else []
    return any(path.resolve().is_relative_to(folder) for path in listed)


def _has_emptied_list(lists: Path, folder: Path) -> bool:
    """Whether a folder has a training list without lines beside other lists of the images in ``folder``."""
    train = lists / TRAIN_LIST
    if not train.is_file() or not _is_blank(train):
        return False
    others = [file for name in LIST_NAMES[1:] if (file := find_default(lists, name)) is not None]
    filled = [file for file in others if not _is_blank(file)]
    return not filled or any(_names_inside(file, folder) for file in filled)


def _is_blank(file: Path) -> bool:
    """Whether a list has no line; its encoding does not matter, and may be unknown."""
    with file.open("rb") as opened:
        return not opened.read(_BEGINNING).strip(_BLANKS)


def check_lists(
    dataset: BaseCVDataset, *, group_by: str | None = None, progress: Progress = no_progress
) -> Split:
    """Return existing lists as a split, with their leaks; ``group_by`` is a regular expression over names.

    Raises:
        DataError: if lists cannot be read, or a class has no usable image.
        UsageError: if ``group_by`` makes no groups.
    """
    return _split_of(_listing_of(dataset), dataset.class_names, group_by, progress)


def _split_of(listing: Listing, labels: Sequence[str], group_by: str | None, progress: Progress) -> Split:
    """Return a split whose images are in the lists that they come from, or in training."""
    scan = scan_listing(listing, advance=partial(progress, "reading pictures"))
    # Harmless peculiarities of the files were reported when their lists were made.
    scan = replace(scan, renamed=[], animated=[])
    groups = find_all_groups(scan, pattern=group_by, progress=progress)
    names = None if scan.label_sets is not None else {name: name for name in labels}
    return make_split(scan, SplitRequest(labels=names), groups=groups)


def _listing_of(dataset: BaseCVDataset, names: Sequence[str] = LIST_NAMES) -> Listing:
    """Return the images of some lists in their order; a file that is listed twice is there twice."""
    labels, base = dataset.class_names, dataset.image_root
    dataset.check_files()
    examples = [(name, example) for name in names for example in dataset.examples(name)]
    examples.sort(key=lambda entry: entry[1].label)
    label_sets = dataset.label_sets
    if label_sets is not None:
        used = sorted({example.label for _, example in examples})
        label_sets = LabelSets.of(label_sets.labels, [label_sets.sets[number] for number in used])
        name_of = dict(zip(used, label_sets.names, strict=True))
        labels = [name_of.get(number, name) for number, name in enumerate(labels)]
    files = [
        SourceFile(example.path, relative_to(example.path, base), labels[example.label], part=name)
        for name, example in examples
    ]
    own = list(dict.fromkeys(file.label for file in files))
    return Listing(base, own, files, remarks=[*dataset.remarks], label_sets=label_sets)


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
    return _split_of(listing, dataset.class_names, None, progress)
