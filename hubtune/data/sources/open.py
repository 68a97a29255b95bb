"""Opens every kind of source: a folder, lists, a table, an archive, CIFAR's files, a bucket."""

import contextlib
import os
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from hubtune.data.dataset import LIST_NAMES, BaseCVDataset, ListDataset
from hubtune.data.default_lists import has_lists, label_file_beside
from hubtune.data.images.verify import IMAGE_SUFFIXES
from hubtune.data.label_sets import LabelSets
from hubtune.data.list_files import SPLIT_FILE
from hubtune.data.list_labels import MULTI_LABEL
from hubtune.data.listing import Excluded, Listing, Progress, describe_classes, name_key, no_progress
from hubtune.data.shards.index import SHARD_INDEX
from hubtune.data.shards.members import file_exists
from hubtune.data.shards.remote import fetch_shard_indexes, known_shards
from hubtune.data.sources.archive import unpack
from hubtune.data.sources.archive_formats import packing
from hubtune.data.sources.attribute_list import is_attribute_file
from hubtune.data.sources.bucket_listing import is_listed
from hubtune.data.sources.cifar import cached_cifar, is_cifar
from hubtune.data.sources.folder import walk_classes, walk_divided
from hubtune.data.sources.layout import list_folders, read_layout
from hubtune.data.sources.mirror import mirror_source
from hubtune.data.sources.rows import Rows
from hubtune.data.sources.settings import AS_FOUND, SourceSettings
from hubtune.data.sources.shards import open_shards
from hubtune.data.sources.table import NOTHING, TABLE_SUFFIXES, is_table, named_files, read_table
from hubtune.data.sources.table_columns import ColumnError
from hubtune.errors import DataError, MachineError, UsageError
from hubtune.storage.address import is_address, is_bucket_address
from hubtune.storage.regular_file import open_regular
from hubtune.text import first_few, plural

FILE_SUFFIXES = TABLE_SUFFIXES | {".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz"}
"""Suffixes of sources that are files, besides lists."""


def open_source(
    where: str | os.PathLike[str],
    *,
    settings: SourceSettings = AS_FOUND,
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
              ``split``; or a folder with one and no class folders; or CelebA's list of attributes;
            - an archive, zip or tar, of any of these;
            - a folder of shards, which ``hubtune data pack`` writes;
            - the folder or the archive of CIFAR-10 or CIFAR-100 as published;
            - the address of any of these: ``s3://bucket/folder``, ``oss://…``, ``https://…/archive.zip``.
        settings: what a person said about the source.
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
    opener = _Opener(settings, group_column, progress)
    if settings.listing is not None and not is_bucket_address(text):
        raise UsageError(f"--listing is for pictures in a bucket, and {text} is none: remove it")
    listing = opener.open(text, skip)
    if settings.labels_are == MULTI_LABEL and listing.label_sets is None:
        labels = listing.labels
        listing.label_sets = LabelSets.of(labels, ((number,) for number in range(len(labels))))
        listing.remarks.append(f"Each picture has one of {plural(len(labels), 'label')}.")
    return listing


@dataclass(frozen=True)
class _Opener:
    """Opens sources of all kinds, which may contain one another."""

    settings: SourceSettings
    group_column: str | None
    progress: Progress

    def open(self, source: str, skip: Path | None) -> Listing:
        if is_address(source):
            return self.open_address(source)
        path = Path(source)
        if path.is_file():
            return self.open_file(path)
        if path.suffix.lower() in {*FILE_SUFFIXES, ".txt"} and not os.path.lexists(path):
            raise DataError(f"There is no {path}: give a folder of pictures, an archive or a table")
        return self.open_folder(path, skip)

    def open_address(self, address: str) -> Listing:
        if is_bucket_address(address) and (folder := self._shards_at(address)) is not None:
            self._refuse_column(folder)
            return open_shards(folder)
        fetched = mirror_source(
            address, relist=not self.settings.no_list, listing=self.settings.listing, progress=self.progress
        )
        if fetched.file is None:
            return self._open_cached(fetched.folder, fetched.left_out, address)
        file = fetched.file
        if file.suffix.lower() in TABLE_SUFFIXES:
            # Names that lead out of the folder are refused by `read_table`.
            names = [
                name
                for name in named_files(file, self.settings)
                if not re.match(r"/|\.\.(/|$)|[A-Za-z]:", name)
            ]
            fetched = mirror_source(address, names, progress=self.progress)
            return self._read_table(file, closed=True, absent=fetched.left_out)
        if packing(file) is None:
            raise DataError(f"{address} is no archive and no table: give one, or a folder of a bucket")
        return self._open_archive(file)

    def _shards_at(self, address: str) -> Path | None:
        """Return the folder in the cache for shards in a bucket; no request is made if none is wanted."""
        if self.settings.listing is not None:
            return None
        if self.settings.no_list and (folder := known_shards(address)) is not None:
            return folder
        if self.settings.no_list and is_listed(address):
            return None
        try:
            return fetch_shard_indexes(address)
        except (UsageError, MachineError):
            # What is said about folders in buckets helps more than a word about an index that may not exist.
            if known_shards(address) is not None:
                raise
            return None

    def open_file(self, file: Path) -> Listing:
        if file.suffix.lower() in TABLE_SUFFIXES:
            return self._read_table(file)
        try:
            if packing(file) is not None:
                return self._open_archive(file)
            with open_regular(file) as opened:
                start = opened.read(4096)
        except OSError as error:
            raise DataError(f"{file} cannot be read ({error.strerror})") from error
        is_text = (
            b"\0" not in start or start.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or self.settings.encoding
        )
        if not is_text or file.suffix.lower() in IMAGE_SUFFIXES:
            raise DataError(f"{file} is no list, no table and no archive: give one, or a folder of pictures")
        if is_attribute_file(file):
            return self._read_table(file)
        self._refuse_column(file)
        dataset = BaseCVDataset(
            file.parent,
            train_list_file=file.name,
            label_list_file=label_file_beside(file),
            encoding=self.settings.encoding,
            labels_are=self.settings.labels_are,
        )
        listing = self._read_lists(dataset, file, {"train": None}, closed=False)
        listing.taken_for = f"a list of pictures; {describe_classes(listing)}"
        return listing

    def _open_archive(self, archive: Path) -> Listing:
        extracted = unpack(archive, self.progress, encoding=self.settings.encoding)
        listing = self._open_cached(extracted.folder, {}, archive.name)
        listing.left_out += extracted.left_out
        listing.remarks += extracted.remarks
        return listing

    def _open_cached(self, folder: Path, absent: Mapping[str, str], source: str) -> Listing:
        """Open a folder of the cache; folders around the data set are not a part of its names."""
        top = folder
        while (below := _single_folder(folder)) is not None:
            folder = below
        folders, files = _entries(folder)
        is_sharded = any(file.name == SHARD_INDEX for file in files)
        archives = [] if folders or is_sharded else [file.name for file in files if _is_archive(file)]
        if archives:
            raise DataError(
                f"{source} has no pictures, but archives ({first_few(archives)}): unpack it, and give one of "
                "them"
            )
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
        if SHARD_INDEX in names:
            self._refuse_column(folder)
            return open_shards(folder)
        if is_cifar(names):
            self._refuse_column(folder)
            return self.open_folder(cached_cifar(folder, self.progress), closed=True)
        divided = bool(list_folders([path.name for path in folders]))
        is_decided = bool(self.settings.as_classes or self.settings.parts)
        # hubtune's own lists beside the class folders that they were made from are not a source.
        if has_lists(folder) and not is_decided and (len(folders) < 2 or divided or SPLIT_FILE not in names):
            self._refuse_column(folder)
            return self._open_lists(folder, folders, closed=closed, absent=absent)
        tables = [] if is_decided else [file for file in files if self._tells_classes(file, folders)]
        if len(tables) == 1:
            return self._read_table(tables[0], closed=closed, absent=absent)
        self._refuse_column(folder)
        if tables:
            count, names_of = plural(len(tables), "table"), first_few([table.name for table in tables])
            raise DataError(f"{folder} holds {count} ({names_of}): give one of them")
        layout = read_layout(folder, self.settings, skip=skip)
        if layout.parts:
            return walk_divided(folder, layout, skip=skip)
        return walk_classes(
            folder,
            layout,
            as_classes=self.settings.as_classes,
            least_classes=self.settings.least_classes,
            skip=skip,
        )

    def _read_table(
        self, file: Path, *, closed: bool = False, absent: Mapping[str, str] = NOTHING
    ) -> Listing:
        return read_table(file, self.settings, closed=closed, absent=absent, group_column=self.group_column)

    def _tells_classes(self, table: Path, folders: Sequence[Path]) -> bool:
        """Whether a file is a table with the labels of the pictures in the folders, none of them a class."""
        if table.suffix.lower() not in TABLE_SUFFIXES:
            return False
        if len(folders) < 2 and is_table(table, self.settings):
            return True
        try:
            files = read_table(table, self.settings, closed=True).files
        except DataError:
            return False
        if len(folders) < 2:
            return True
        labels_in: dict[str, set[str]] = {}
        for file in files:
            labels_in.setdefault(file.name.split("/")[0], set()).add(file.label)
        return bool(labels_in.keys() & {folder.name for folder in folders}) and any(
            len(labels) > 1 for labels in labels_in.values()
        )

    def _open_lists(
        self, folder: Path, folders: Sequence[Path], *, closed: bool, absent: Mapping[str, str]
    ) -> Listing:
        settings = self.settings
        lists = ListDataset(folder, encoding=settings.encoding, labels_are=settings.labels_are)
        parts = {name: file for name in LIST_NAMES if (file := lists.list_files[name]) and file.exists()}
        part_of = {name: name if len(parts) > 1 else None for name in parts}
        listing = self._read_lists(lists, folder, part_of, closed=closed, absent=absent)
        names_of = ", ".join(file.name for file in parts.values())
        listing.taken_for = f"a folder of lists ({names_of}); {describe_classes(listing)}"
        if len(folders) > 1:
            listing.remarks.append(f"{folder} has lists, which say what is in it: {names_of}.")
        return listing

    def _read_lists(
        self,
        dataset: BaseCVDataset,
        source: Path,
        part_of: Mapping[str, str | None],
        *,
        closed: bool,
        absent: Mapping[str, str] = NOTHING,
    ) -> Listing:
        """List the images of list files; ``part_of`` are the lists to read → the part of their images."""
        base, labels = dataset.base_path, dataset.class_names
        if not absent:
            dataset.check_files()
        rows = Rows(base, closed, list(labels), absent)
        start = f"{base.as_posix().rstrip('/')}/"
        for name, part in part_of.items():
            for example in dataset.examples(name):
                written = example.path.as_posix().removeprefix(start)
                found = written if file_exists(example.path) else None
                rows.add(str(dataset.list_files[name]), written, found, labels[example.label], None, part)
        listing = rows.listing(source, self.settings.least_classes)
        listing.label_sets = dataset.label_sets
        listing.remarks += dataset.remarks
        return listing

    def _refuse_column(self, source: Path) -> None:
        if self.group_column is not None and source.exists():
            raise ColumnError(f"There is no table with a column {self.group_column!r}")


def _single_folder(folder: Path) -> Path | None:
    folders, files = _entries(folder)
    if len(folders) != 1 or _describes_itself(folder, files):
        return None
    below, inner = _entries(folders[0])
    # A folder without folders and tables in it is a single class, which gets the usual message.
    is_data_set = below or is_cifar({file.name for file in inner}) or _describes_itself(folders[0], inner)
    return folders[0] if is_data_set else None


def _describes_itself(folder: Path, files: list[Path]) -> bool:
    return has_lists(folder) or any(map(is_table, files))


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
