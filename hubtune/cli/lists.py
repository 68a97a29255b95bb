"""The lists of a source that a person names: those that were made for it, or those that would be."""

import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path, PurePosixPath

from hubtune.cli.output import on_terminal
from hubtune.data.amount import Amount
from hubtune.data.belonging import given_groups, keys_by_pattern
from hubtune.data.dataset import LIST_NAMES, BaseCVDataset
from hubtune.data.leaks import Group, find_groups
from hubtune.data.listing import Listed, Listing
from hubtune.data.lists import TRAIN_LIST, Example, read_paths, relative_to
from hubtune.data.scan import Scan, counted, scan_classes, scan_listing
from hubtune.data.sources import open_source
from hubtune.data.split import make_split, pictures_of
from hubtune.data.split_files import Split

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
    """The base folder of the lists that were made for a source, or that it is; ``None`` without any."""
    if "://" not in source and Path(source).is_dir():
        return base_of(Path(source))
    place = place_of_lists(source)
    return place if (place / TRAIN_LIST).exists() else None


def base_of(folder: Path) -> Path | None:
    """The base folder of the lists that a folder has, or that name its pictures; ``None`` without any.

    Args:
        folder: a folder of lists, or of pictures with the lists beside it.
    """
    if (folder / TRAIN_LIST).exists():
        return folder
    beside = folder.resolve().parent
    if (beside / TRAIN_LIST).exists() and _names_pictures_of(beside / TRAIN_LIST, folder):
        return place_of_lists(str(folder))
    return None


def _names_pictures_of(file: Path, folder: Path) -> bool:
    inside = folder.resolve()
    return any(path.resolve().is_relative_to(inside) for path in read_paths(file, file.parent)[:100])


def default_split(folder: Path, advance: Callable[[int, int], None] | None = None) -> Split:
    """Divide a folder of pictures as is done where no lists have been made; nothing is written.

    Args:
        folder: a folder with a folder of pictures for each class.
        advance: called with the number of pictures that were read, and of all.

    Raises:
        DataError: if it cannot be divided.
    """
    return split_by_default(scan_classes(folder, advance=advance))


def split_by_default(scan: Scan) -> Split:
    """Divide pictures as is done where nobody has said how."""
    validate, test = (Amount.parse(DEFAULT_SPLIT[name]) for name in ("validate", "test"))
    return make_split(scan, validate=validate, test=test)


def scan_source(text: str, *, skip: Path | None = None) -> Scan:
    """Open a source, and look at all its pictures; on a terminal, bars show how far that is.

    Raises:
        HubtuneError: as :func:`~hubtune.data.sources.open_source` and
            :func:`~hubtune.data.scan.scan_listing`.
    """
    with _bar("opening") as advance:
        told = None if advance is None else lambda what, done, total: advance(done, total)
        listing = open_source(text, skip=skip, advance=told)
    return scan_listed(listing)


def scan_listed(listing: Listing) -> Scan:
    """Look at all pictures of a listing; on a terminal, a bar shows how far that is."""
    with _bar("reading pictures") as advance:
        return scan_listing(listing, advance=advance)


def groups_of(scan: Scan, test_scan: Scan | None = None, *, group_by: str | None = None) -> list[Group]:
    """What belongs together: copies that are found, what the source says, and what names say.

    Args:
        scan: the pictures.
        test_scan: those of a test folder.
        group_by: a regular expression over names.

    Raises:
        UsageError: if it makes no groups.
    """
    pictures = pictures_of(scan, test_scan)
    groups = [*find_groups(pictures), *given_groups([picture.group for picture in pictures])]
    if group_by is not None:
        keys = keys_by_pattern([picture.name for picture in pictures], group_by)
        groups += given_groups(keys)
        alone = keys.count(None)
        if alone:
            verb = "is" if alone == 1 else "are"
            scan.said.append(
                f"{counted(alone, 'picture')} of {len(keys):,} {verb} not called as --group-by {group_by!r} "
                "says, and so stand for themselves."
            )
    return groups


def _bar(what: str) -> AbstractContextManager[Callable[[int, int], None] | None]:
    if not on_terminal():
        return nullcontext(None)
    from hubtune.cli.progress import counting_bar

    return counting_bar(what)


def listing_of(dataset: BaseCVDataset, names: tuple[str, ...] = LIST_NAMES) -> Listing:
    """What lists name, in their order; a file that they name twice is there twice.

    Args:
        dataset: the lists.
        names: which of them.
    """
    labels, base = dataset.label_list, dataset.base_path
    examples: list[tuple[str, Example]] = [
        (name, example) for name in names for example in dataset.examples(name)
    ]
    examples.sort(key=lambda entry: entry[1].label)
    files = [
        Listed(example.path, relative_to(example.path, base), labels[example.label], part=name)
        for name, example in examples
    ]
    return Listing(base, list(dict.fromkeys(file.label for file in files)), files)
