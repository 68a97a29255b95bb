"""One word for pictures wherever they are: a folder, lists, a table, an archive, CIFAR's files, a bucket."""

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import unquote

from hubtune.data.dataset import LIST_NAMES, BaseCVDataset, ListDataset
from hubtune.data.images.verify import IMAGE_SUFFIXES
from hubtune.data.list_files import LABEL_LIST, TRAIN_LIST, count_classes
from hubtune.data.listing import Excluded, Listing
from hubtune.data.scan.scanner import name_key, walk_classes
from hubtune.data.sources.archive import unpack
from hubtune.data.sources.cifar import convert
from hubtune.data.sources.divided import is_divided, walk_divided
from hubtune.data.sources.mirror import mirror_source
from hubtune.data.sources.packed import packing
from hubtune.data.sources.remote import is_address
from hubtune.data.sources.table import (
    NOTHING,
    TABLE_SUFFIXES,
    ColumnError,
    Rows,
    is_table,
    named_files,
    read_table,
)
from hubtune.errors import DataError
from hubtune.storage.cache_folder import build_once, data_folder, source_folder
from hubtune.storage.pickle_reader import read_plain_pickle
from hubtune.text import first_few, plural

Advance = Callable[[str, int, int], None]
"""Called with what is being done, in a word or two for a bar (``unpacking``, ``fetching``, ``fetching, MB``),
how much of it is done, and of how much, 0 while that is unknown."""

_SPLIT_FILE = "split.json"
# Of what is no folder, though it may not be there.
_FILE_SUFFIXES = TABLE_SUFFIXES | {".txt", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz"}
# CIFAR's files: the one with the classes' names, and one of the others.
_CIFAR = (("batches.meta", "data_batch_1"), ("meta", "train"))
# Python 2 wrote an operation a value, and the largest batch has 50,000 labels.
_MOST_OPCODES = 1_000_000


@dataclass(frozen=True)
class _Request:
    """What a person wants of a source, whatever it turns out to be."""

    advance: Advance | None
    group_column: str | None

    def telling(self, what: str) -> Callable[[int, int], None] | None:
        """What is told how far one kind of work is."""
        return None if self.advance is None else partial(self.advance, what)

    def expect_no_column(self, source: Path) -> None:
        """Refuse a source that is no table, where a column was named."""
        if self.group_column is not None and source.exists():
            raise ColumnError(f"There is no table with a column {self.group_column!r}")


def open_source(
    where: str | os.PathLike[str],
    *,
    skip: Path | None = None,
    group_column: str | None = None,
    advance: Advance | None = None,
) -> Listing:
    """Name all files of a source of pictures, and bring what is packed or far away into the cache.

    No picture is opened, and nothing is written into a folder of pictures: what must be unpacked or fetched
    goes to ``$HUBTUNE_HOME/data``, once.

    Args:
        where: one of

            - a folder with a folder for each class;
            - a folder divided into ``train``, ``val`` and ``test``, each with class folders;
            - a folder with lists, ``train_list.txt`` and others as PaddleHub or PaddleClas call them;
            - a list file, ``path label`` a line;
            - a table, CSV or TSV, with the columns ``path`` and ``label``, and perhaps ``group`` and
              ``split``; or a folder with one and no class folders;
            - an archive, zip or tar, of any of these;
            - the folder or the archive of CIFAR-10 or CIFAR-100 as published;
            - the address of any of these: ``s3://bucket/folder``, ``oss://…``, ``https://…/archive.zip``.
        skip: a folder inside it that is not looked at.
        group_column: the column of a table that says what belongs together, in place of ``group``.
        advance: told how far the listing, fetching and unpacking is.

    Returns:
        The files with what the source says of each. ``Listed.part`` is set for every file of a source that is
        divided into lists already, else for none. Names do not depend on where the cache is.

    Raises:
        ColumnError: the source is no table, or has no such column.
        DataError: there is nothing there, or it is no data set, or an archive that cannot be unpacked safely.
        UsageError: an address that holds a password, or is of an unknown kind.
        MachineError: no network or no credentials, a missing extra, ``HUBTUNE_OFFLINE`` is set and the cache
            lacks a file, the disk is full, or the cache cannot be written.
    """
    text = os.fspath(where)
    if text.startswith("file://"):
        text = unquote(text.removeprefix("file://"))
    request = _Request(advance, group_column)
    if is_address(text):
        return _open_address(text, request)
    path = Path(text)
    if path.is_file():
        return _open_file(path, request)
    if path.suffix.lower() in _FILE_SUFFIXES and not os.path.lexists(path):
        raise DataError(f"There is no {path}: give a folder of pictures, an archive or a table")
    return _open_folder(path, skip, request)


def is_cached(path: Path) -> bool:
    """Whether a listing's root, or a picture, lies in the cache: the source was an archive or an address."""
    return path.resolve().is_relative_to(data_folder().resolve())


def _open_address(address: str, request: _Request) -> Listing:
    fetched = mirror_source(address, advance=request.advance)
    if fetched.file is None:
        return _open_inside(fetched.folder, request, fetched.left_out)
    file = fetched.file
    if file.suffix.lower() in TABLE_SUFFIXES:
        # Those that lead out of its folder are told of when it is read.
        names = [name for name in named_files(file) if not re.match(r"/|\.\.(/|$)|[A-Za-z]:", name)]
        fetched = mirror_source(address, names, advance=request.advance)
        return read_table(file, closed=True, absent=fetched.left_out, group_column=request.group_column)
    if packing(file) is None:
        raise DataError(f"{address} is no archive and no table: give one, or a folder of a bucket")
    return _open_archive(file, request)


def _open_file(file: Path, request: _Request) -> Listing:
    if file.suffix.lower() in TABLE_SUFFIXES:
        return read_table(file, group_column=request.group_column)
    try:
        if packing(file) is not None:
            return _open_archive(file, request)
        with file.open("rb") as opened:
            start = opened.read(4096)
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror})") from error
    if b"\0" in start or file.suffix.lower() in IMAGE_SUFFIXES:
        raise DataError(f"{file} is no list, no table and no archive: give one, or a folder of pictures")
    request.expect_no_column(file)
    labels = LABEL_LIST if (file.parent / LABEL_LIST).exists() else None
    if labels is None and count_classes(file) is None:
        raise DataError(
            f"{file} names classes, but there is no {LABEL_LIST} beside it: write it, one class name a line"
        )
    dataset = BaseCVDataset(file.parent, train_list_file=file.name, label_list_file=labels)
    return _listed(dataset, file, [("train", None)], closed=False)


def _open_archive(archive: Path, request: _Request) -> Listing:
    done = unpack(archive, advance=request.telling("unpacking"))
    listing = _open_inside(done.folder, request, {})
    listing.left_out += done.left_out
    listing.remarks += done.remarks
    return listing


def _open_inside(folder: Path, request: _Request, absent: Mapping[str, str]) -> Listing:
    """Open what lies in the cache; what a packer puts around a data set is not a part of its names."""
    top = folder
    while (below := _only_folder(folder)) is not None:
        folder = below
    start = f"{folder.relative_to(top).as_posix()}/" if folder != top else ""
    inner = {name.removeprefix(start): why for name, why in absent.items() if name.startswith(start)}
    listing = _open_folder(folder, None, request, closed=True, absent=inner)
    known = {entry.path for entry in listing.left_out}
    listing.left_out += [Excluded(top / name, why) for name, why in absent.items() if top / name not in known]
    return listing


def _only_folder(folder: Path) -> Path | None:
    """The folder that all of a folder is in, unless that is itself a folder of pictures."""
    folders, files = _entries(folder)
    if len(folders) != 1 or _says_what_is_there(files):
        return None
    below, inner = _entries(folders[0])
    # Without folders and tables in it, it is a class without others: the usual message says so.
    known = any(file.name in names for file in inner for names in _CIFAR) or _says_what_is_there(inner)
    return folders[0] if below or known else None


def _says_what_is_there(files: list[Path]) -> bool:
    return any(file.name == TRAIN_LIST or is_table(file) for file in files)


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders and files that a person sees in a folder, sorted by name."""
    folders: list[Path] = []
    files: list[Path] = []
    # What is wrong with the folder is said by what walks through it.
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: name_key(entry.name)):
            if not entry.name.startswith(".") and entry.name != "__MACOSX":
                (folders if entry.is_dir() else files).append(folder / entry.name)
    return folders, files


def _open_folder(
    folder: Path,
    skip: Path | None,
    request: _Request,
    *,
    closed: bool = False,
    absent: Mapping[str, str] = NOTHING,
) -> Listing:
    folders, files = _entries(folder)
    names = {file.name for file in files}
    is_cifar = any(names.issuperset(pair) for pair in _CIFAR)
    divided = is_divided(folder)
    lists = ListDataset(folder)
    # hubtune's own lists beside the class folders that they were made from are no source.
    has_lists = (lists.list_files["train"] or folder).exists() and (
        len(folders) < 2 or divided or _SPLIT_FILE not in names
    )
    tables = [] if is_cifar or has_lists or divided or len(folders) > 1 else [*filter(is_table, files)]
    if len(tables) == 1:
        return read_table(tables[0], closed=closed, absent=absent, group_column=request.group_column)
    request.expect_no_column(folder)
    if is_cifar:
        return _open_cifar(folder, request)
    if has_lists:
        parts = [name for name in LIST_NAMES if (file := lists.list_files[name]) and file.exists()]
        given = [(name, name if len(parts) > 1 else None) for name in parts]
        listing = _listed(lists, folder, given, closed=closed, absent=absent)
        if len(folders) > 1:
            said = ", ".join(file.name for name in parts if (file := lists.list_files[name]))
            listing.remarks.append(f"{folder} has lists, which say what is in it: {said}.")
        return listing
    if divided:
        return walk_divided(folder, skip=skip)
    if tables:
        names_of = first_few([table.name for table in tables])
        raise DataError(f"{folder} holds {plural(len(tables), 'table')} ({names_of}): give one of them")
    if not folders and closed and (packed := [file for file in files if _is_packed(file)]):
        names_of = first_few([file.name for file in packed])
        raise DataError(f"{folder} holds no pictures, but archives ({names_of}): give one of them")
    return walk_classes(folder, skip=skip)


def _is_packed(file: Path) -> bool:
    try:
        return packing(file) is not None
    except (DataError, OSError):
        return False


def _listed(
    dataset: BaseCVDataset,
    source: Path,
    parts: list[tuple[str, str | None]],
    *,
    closed: bool,
    absent: Mapping[str, str] = NOTHING,
) -> Listing:
    """What lists name.

    Args:
        dataset: the lists.
        source: what messages call them.
        parts: the lists to read, and what each is to be known as.
        closed: whether paths must stay in the lists' folder.
        absent: files that are known not to be there, and why.
    """
    base, labels = dataset.base_path, dataset.label_list
    rows = Rows(base, closed, list(labels), absent)
    for name, part in parts:
        for example in dataset.examples(name):
            path = example.path
            written = path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()
            rows.add(str(dataset.list_files[name]), written, labels[example.label], None, part)
    return rows.listing(source)


def _open_cifar(folder: Path, request: _Request) -> Listing:
    stats = [(name, (folder / name).stat()) for names in _CIFAR for name in names if (folder / name).exists()]
    identity = "\0".join(
        [str(folder.resolve()), *(f"{name} {at.st_size} {at.st_mtime_ns}" for name, at in stats)]
    )
    read = partial(read_plain_pickle, most_opcodes=_MOST_OPCODES)
    tell = request.telling("writing pictures, by batch")

    def make(target: Path) -> None:
        convert(folder, target / "files", read=read, validate="0", advance=tell)

    images = build_once(source_folder("cifar", folder.name, identity), make) / "files"
    return _open_folder(images, None, request, closed=True)
