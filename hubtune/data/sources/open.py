"""Opens every kind of source: a folder, lists, a table, an archive, CIFAR's files, a bucket."""

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from hubtune.data.dataset import LIST_NAMES, BaseCVDataset, ListDataset
from hubtune.data.images.verify import IMAGE_SUFFIXES
from hubtune.data.list_files import LABEL_LIST, TRAIN_LIST, count_listed_classes
from hubtune.data.listing import Excluded, Listing, Progress, name_key, no_progress
from hubtune.data.sources.archive import unpack
from hubtune.data.sources.archive_formats import packing
from hubtune.data.sources.cifar import cached_cifar, is_cifar
from hubtune.data.sources.folder import is_divided, walk_classes, walk_divided
from hubtune.data.sources.mirror import mirror_source
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
from hubtune.storage.cache_folder import data_folder
from hubtune.storage.regular_file import open_regular
from hubtune.text import first_few, plural

_SPLIT_FILE = "split.json"
# Suffixes of sources that are files, for the message about one that does not exist.
_FILE_SUFFIXES = TABLE_SUFFIXES | {".txt", ".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz"}


def open_source(
    where: str | os.PathLike[str],
    *,
    skip: Path | None = None,
    group_column: str | None = None,
    progress: Progress = no_progress,
) -> Listing:
    """List all files of a source of images; bring what is packed or remote into the cache.

    No image is opened, and nothing is written into a folder of images: what must be unpacked or fetched
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
        skip: a folder inside it that is ignored.
        group_column: the column of a table with the groups of images, in place of ``group``.
        progress: reports the listing, fetching and unpacking.

    Returns:
        The files with class, group and part of each. ``SourceFile.part`` is set for every file of a source
        that is divided into lists already, and for none otherwise. Names do not depend on the place of the
        cache.

    Raises:
        ColumnError: if the source is not a table, or has no such column.
        DataError: if there is nothing, or it is not a data set, or an archive that cannot be unpacked safely.
        UsageError: if an address holds a password, or is of an unknown kind.
        MachineError: if there is no network or no credentials, an extra is missing, ``HUBTUNE_OFFLINE`` is
            set and the cache lacks a file, the disk is full, or the cache cannot be written.
    """
    text = os.fspath(where)
    if text.startswith("file://"):
        text = unquote(text.removeprefix("file://"))
    opener = _Opener(group_column, progress)
    if is_address(text):
        return opener.open_address(text)
    path = Path(text)
    if path.is_file():
        return opener.open_file(path)
    if path.suffix.lower() in _FILE_SUFFIXES and not os.path.lexists(path):
        raise DataError(f"There is no {path}: give a folder of pictures, an archive or a table")
    return opener.open_folder(path, skip)


def is_cached(path: Path) -> bool:
    """Whether the root of a listing, or an image, lies in the cache: its source is packed or remote."""
    return path.resolve().is_relative_to(data_folder().resolve())


@dataclass(frozen=True)
class _Opener:
    """Opens sources of all kinds, which may contain one another."""

    group_column: str | None
    progress: Progress

    def open_address(self, address: str) -> Listing:
        fetched = mirror_source(address, progress=self.progress)
        if fetched.file is None:
            return self._open_cached(fetched.folder, fetched.left_out)
        file = fetched.file
        if file.suffix.lower() in TABLE_SUFFIXES:
            # Names that lead out of the folder are refused by `read_table`.
            names = [name for name in named_files(file) if not re.match(r"/|\.\.(/|$)|[A-Za-z]:", name)]
            fetched = mirror_source(address, names, progress=self.progress)
            return read_table(file, closed=True, absent=fetched.left_out, group_column=self.group_column)
        if packing(file) is None:
            raise DataError(f"{address} is no archive and no table: give one, or a folder of a bucket")
        return self._open_archive(file)

    def open_file(self, file: Path) -> Listing:
        if file.suffix.lower() in TABLE_SUFFIXES:
            return read_table(file, group_column=self.group_column)
        try:
            if packing(file) is not None:
                return self._open_archive(file)
            with open_regular(file) as opened:
                start = opened.read(4096)
        except OSError as error:
            raise DataError(f"{file} cannot be read ({error.strerror})") from error
        if b"\0" in start or file.suffix.lower() in IMAGE_SUFFIXES:
            raise DataError(f"{file} is no list, no table and no archive: give one, or a folder of pictures")
        self._refuse_column(file)
        labels = LABEL_LIST if (file.parent / LABEL_LIST).exists() else None
        if labels is None and count_listed_classes(file) is None:
            advice = f"there is no {LABEL_LIST} beside it: write it, one class name a line"
            raise DataError(f"{file} names classes, but {advice}")
        dataset = BaseCVDataset(file.parent, train_list_file=file.name, label_list_file=labels)
        return _list_dataset(dataset, file, {"train": None}, closed=False)

    def _open_archive(self, archive: Path) -> Listing:
        extracted = unpack(archive, self.progress)
        listing = self._open_cached(extracted.folder, {})
        listing.left_out += extracted.left_out
        listing.remarks += extracted.remarks
        return listing

    def _open_cached(self, folder: Path, absent: Mapping[str, str]) -> Listing:
        """Open a folder of the cache; folders around the data set are not a part of its names."""
        top = folder
        while (below := _single_folder(folder)) is not None:
            folder = below
        start = f"{folder.relative_to(top).as_posix()}/" if folder != top else ""
        inner = {name.removeprefix(start): why for name, why in absent.items() if name.startswith(start)}
        listing = self.open_folder(folder, closed=True, absent=inner)
        known = {entry.path for entry in listing.left_out}
        others = (Excluded(top / name, why) for name, why in absent.items())
        listing.left_out += (entry for entry in others if entry.path not in known)
        return listing

    def open_folder(
        self,
        folder: Path,
        skip: Path | None = None,
        *,
        closed: bool = False,
        absent: Mapping[str, str] = NOTHING,
    ) -> Listing:
        """Open a folder; if it is ``closed``, tables and lists in it must not name files elsewhere."""
        folders, files = _entries(folder)
        names = {file.name for file in files}
        divided = is_divided(folder)
        lists = ListDataset(folder)
        # hubtune's own lists beside the class folders that they were made from are not a source.
        has_lists = (lists.list_files["train"] or folder).exists() and (
            len(folders) < 2 or divided or _SPLIT_FILE not in names
        )
        if not (is_cifar(names) or has_lists or divided or len(folders) > 1):
            tables = [file for file in files if is_table(file)]
            if len(tables) == 1:
                return read_table(tables[0], closed=closed, absent=absent, group_column=self.group_column)
            if tables:
                self._refuse_column(folder)
                count, names_of = plural(len(tables), "table"), first_few([table.name for table in tables])
                raise DataError(f"{folder} holds {count} ({names_of}): give one of them")
        self._refuse_column(folder)
        if is_cifar(names):
            return self.open_folder(cached_cifar(folder, self.progress), closed=True)
        if has_lists:
            parts = [name for name in LIST_NAMES if (file := lists.list_files[name]) and file.exists()]
            part_of = {name: name if len(parts) > 1 else None for name in parts}
            listing = _list_dataset(lists, folder, part_of, closed=closed, absent=absent)
            if len(folders) > 1:
                names_of = ", ".join(file.name for name in parts if (file := lists.list_files[name]))
                listing.remarks.append(f"{folder} has lists, which say what is in it: {names_of}.")
            return listing
        if divided:
            return walk_divided(folder, skip=skip)
        if not folders and closed and (archives := [file for file in files if _is_archive(file)]):
            names_of = first_few([file.name for file in archives])
            raise DataError(f"{folder} has no pictures, but archives ({names_of}): give one of them")
        return walk_classes(folder, skip=skip)

    def _refuse_column(self, source: Path) -> None:
        if self.group_column is not None and source.exists():
            raise ColumnError(f"There is no table with a column {self.group_column!r}")


def _single_folder(folder: Path) -> Path | None:
    folders, files = _entries(folder)
    if len(folders) != 1 or _describes_itself(files):
        return None
    below, inner = _entries(folders[0])
    # A folder without folders and tables in it is a single class, which gets the usual message.
    is_data_set = below or is_cifar({file.name for file in inner}) or _describes_itself(inner)
    return folders[0] if is_data_set else None


def _describes_itself(files: list[Path]) -> bool:
    return any(file.name == TRAIN_LIST or is_table(file) for file in files)


def _entries(folder: Path) -> tuple[list[Path], list[Path]]:
    folders: list[Path] = []
    files: list[Path] = []
    # Errors are reported by the walk through the folder.
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: name_key(entry.name)):
            if not entry.name.startswith(".") and entry.name != "__MACOSX":
                (folders if entry.is_dir() else files).append(folder / entry.name)
    return folders, files


def _is_archive(file: Path) -> bool:
    try:
        return packing(file) is not None
    except (DataError, OSError):
        return False


def _list_dataset(
    dataset: BaseCVDataset,
    source: Path,
    part_of: Mapping[str, str | None],
    *,
    closed: bool,
    absent: Mapping[str, str] = NOTHING,
) -> Listing:
    """List the images of list files; ``part_of`` are the lists to read → the part of their images."""
    base, labels = dataset.base_path, dataset.label_list
    rows = Rows(base, closed, list(labels), absent)
    for name, part in part_of.items():
        for example in dataset.examples(name):
            path = example.path
            written = path.relative_to(base).as_posix() if path.is_relative_to(base) else path.as_posix()
            rows.add(str(dataset.list_files[name]), written, labels[example.label], None, part)
    return rows.listing(source)
