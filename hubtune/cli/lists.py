"""The lists of a source that a person names: those that were made for it, or those that would be."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from hubtune.cli.progress import counting_bar, working_bar
from hubtune.cli.seen import features_among
from hubtune.data.dataset import LIST_NAMES, BaseCVDataset
from hubtune.data.dedup.duplicates import find_bursts, find_groups
from hubtune.data.dedup.groups import DuplicateGroup, check_keys, extract_keys, groups_by_key
from hubtune.data.list_files import TRAIN_LIST, read_paths, relative_to
from hubtune.data.listing import ImageEntry, Listing, SourceFile
from hubtune.data.scan.scanner import Scan, scan_listing
from hubtune.data.sources.open import is_cached, open_source
from hubtune.data.sources.table import ColumnError
from hubtune.data.splits.files import Split
from hubtune.data.splits.quota import SplitSize
from hubtune.data.splits.split import images_of, make_split
from hubtune.errors import UsageError
from hubtune.text import plural

if TYPE_CHECKING:
    from hubtune.hub.module import Module

DEFAULT_SPLIT = {"validate": "10%", "test": "20%"}
"""What is taken for validation and test where no lists have been made."""

_PACKED = re.compile(r"(\.(tar|csv|tsv|txt|zip|tgz|gz|bz2|xz|zst))+$", re.IGNORECASE)


def is_source(text: str) -> bool:
    """Whether a text names pictures, and not a recipe: a folder, an address, an archive, a table, a list."""
    return "://" in text or Path(text).is_dir() or bool(_PACKED.search(text))


def source_name(text: str) -> str:
    """What a source is called: its folder's or its file's name, without what says how it is packed."""
    if "://" not in text and Path(text).is_dir():
        return Path(text).resolve().name
    return _PACKED.sub("", PurePosixPath(text.replace("\\", "/")).name) or "pictures"


def place_of_lists(text: str) -> Path:
    """Where the lists of a source go if nobody says it: beside a folder, else into a folder of their own."""
    folder = Path(text)
    if "://" in text or not folder.is_dir():
        return Path(f"{source_name(text)}-lists")
    # Of `.` and `..`, only the resolved path tells the parent.
    return folder.resolve().parent if folder.name in ("", "..") else folder.parent


def lists_of(source: str) -> Path | None:
    """The base folder of the lists that were made for a source, or that it is; ``None`` without any.

    Raises:
        HubtuneError: as :func:`opened`, where the cache does not have any more what the lists name.
    """
    if "://" not in source and Path(source).is_dir():
        return base_of(Path(source))
    place = place_of_lists(source)
    if not (place / TRAIN_LIST).exists():
        return None
    first = read_paths(place / TRAIN_LIST, place)[:1]
    if any(is_cached(path) and not path.exists() for path in first):
        opened(source)
    return place


def base_of(folder: Path) -> Path | None:
    """The base folder of the lists that a folder has, or that name its pictures; ``None`` without any.

    Args:
        folder: a folder of lists, or of pictures with the lists beside it.
    """
    if (folder / TRAIN_LIST).exists():
        return folder
    beside = folder.resolve().parent
    if (beside / TRAIN_LIST).exists() and _names_images_of(beside / TRAIN_LIST, folder):
        return place_of_lists(str(folder))
    return None


def _names_images_of(file: Path, folder: Path) -> bool:
    inside = folder.resolve()
    return any(path.resolve().is_relative_to(inside) for path in read_paths(file, file.parent)[:100])


def split_source(text: str) -> Split:
    """Divide a source as is done where no lists have been made; nothing is written.

    Raises:
        HubtuneError: as :func:`opened`, :func:`scanned` and :func:`~hubtune.data.splits.split.make_split`.
    """
    scan = scanned(opened(text))
    validate, test = (SplitSize.parse(DEFAULT_SPLIT[name]) for name in ("validate", "test"))
    return make_split(scan, validate=validate, test=test, groups=groups_of(scan))


def opened(text: str, *, skip: Path | None = None, group_column: str | None = None) -> Listing:
    """Open a source; on a terminal, a bar shows how far that is.

    Raises:
        HubtuneError: as :func:`~hubtune.data.sources.open.open_source`.
    """
    with working_bar("opening") as advance:
        return open_source(text, skip=skip, group_column=group_column, advance=advance)


def opened_in_groups(text: str, group_by: str, *, skip: Path | None = None) -> tuple[Listing, str | None]:
    """Open a source of which a person has said what belongs together, before any picture is read.

    Args:
        text: the source.
        group_by: a column of the table that it is, or else a regular expression over names.
        skip: a folder inside it that is not looked at.

    Returns:
        Its files, and the regular expression, if it is one.

    Raises:
        HubtuneError: as :func:`opened`.
        UsageError: if it makes no groups.
    """
    try:
        listing = opened(text, skip=skip, group_column=group_by)
    except ColumnError as error:
        listing = opened(text, skip=skip)
        try:
            extract_keys([file.name for file in listing.files], group_by)
        except UsageError as reason:
            raise UsageError(f"{reason}. {error}") from reason
        return listing, group_by
    what = f"The column {group_by!r}"
    check_keys([file.group for file in listing.files], what, [file.name for file in listing.files])
    return listing, None


def scanned(listing: Listing) -> Scan:
    """Look at all pictures of a listing; on a terminal, a bar shows how far that is.

    Raises:
        DataError: as :func:`~hubtune.data.scan.scanner.scan_listing`.
    """
    with counting_bar("reading pictures") as advance:
        return scan_listing(listing, advance=advance)


def scanned_again(listing: Listing) -> Scan:
    """Look at the pictures of lists; what does not hinder their use was said when the lists were made.

    Raises:
        DataError: as :func:`scanned`.
    """
    return replace(scanned(listing), renamed=[], animated=[])


def without_validation(listing: Listing) -> Listing:
    """A source for cross-validation, where what it keeps for validation is as good as any other picture."""
    files = [replace(file, part="train") if file.part == "validate" else file for file in listing.files]
    return replace(listing, files=[*dict.fromkeys(files)])  # some may be in both lists


def groups_of(
    scan: Scan,
    test_scan: Scan | None = None,
    *,
    pattern: str | None = None,
    network: "Module | None" = None,
) -> list[DuplicateGroup]:
    """What belongs together: copies that are found, and what the source, names or a network say.

    Args:
        scan: the pictures.
        test_scan: those of a test folder.
        pattern: a regular expression over names.
        network: the module that looks for pictures of one thing.

    Raises:
        UsageError: if the pattern makes no groups.
    """
    images = images_of(scan, test_scan)
    groups = [*copies_among(images), *groups_by_key([image.group for image in images])]
    if network is not None:
        groups += find_bursts(features_among(images, network))
    if pattern is not None:
        keys = extract_keys([image.name for image in images], pattern)
        groups += groups_by_key(keys)
        alone = keys.count(None)
        if alone:
            stands = "does not match it and stands for itself"
            stand = "do not match it and stand for themselves"
            scan.notes.append(
                f"--group-by '{pattern}': {alone:,} of {plural(len(keys), 'picture')} "
                f"{stands if alone == 1 else stand}."
            )
    return groups


def copies_among(images: Sequence[ImageEntry]) -> list[DuplicateGroup]:
    """Find copies; on a terminal, something moves meanwhile."""
    with counting_bar("looking for copies"):
        return find_groups(images)


def listing_of(dataset: BaseCVDataset, names: tuple[str, ...] = LIST_NAMES) -> Listing:
    """What lists name, in their order; a file that they name twice is there twice.

    Args:
        dataset: the lists.
        names: which of them.
    """
    labels, base = dataset.label_list, dataset.base_path
    examples: list[tuple[str, ImageEntry]] = [
        (name, example) for name in names for example in dataset.examples(name)
    ]
    examples.sort(key=lambda entry: entry[1].label)
    files = [
        SourceFile(example.path, relative_to(example.path, base), labels[example.label], part=name)
        for name, example in examples
    ]
    return Listing(base, list(dict.fromkeys(file.label for file in files)), files)
