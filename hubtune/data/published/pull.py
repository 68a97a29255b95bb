"""Public data sets by name: fetched, verified, unpacked, with the lists of their official split."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hubtune.data.default_lists import find_default, has_lists
from hubtune.data.label_names import labels_text
from hubtune.data.list_files import LABEL_LIST, encode, list_text
from hubtune.data.list_rows import read_paths
from hubtune.data.listing import Progress, no_progress
from hubtune.data.prepare import DEFAULT_REQUEST, convert_cifar, split_source
from hubtune.data.published.catalog import PublishedDataset, PublishedFile
from hubtune.data.published.official_lists import OfficialLists
from hubtune.data.sources.archive import extract_archive
from hubtune.data.splits.files import LIST_FILES, Split, write_split
from hubtune.data.splits.quota import NOTHING, SplitRequest
from hubtune.errors import DataError, MachineError, UsageError
from hubtune.storage.atomic import replacing_folder
from hubtune.storage.cache_folder import build_once, data_folder
from hubtune.storage.new_folder import check_unoccupied
from hubtune.storage.published_file import CachedFile, ExpectedFile, fetch_published
from hubtune.text import plural

_REQUEST = SplitRequest(DEFAULT_REQUEST.validate, NOTHING)
_UNPACKED = ".unpacked"


class PulledDataset(NamedTuple):
    """A data set on this machine: its folder, and what a person should know, one sentence each."""

    folder: Path
    remarks: list[str]


def dataset_folder(dataset: PublishedDataset) -> Path:
    """Return the folder of a data set in the cache, whether it was pulled or not."""
    return data_folder() / "published" / dataset.name


def file_path(dataset: PublishedDataset, file: PublishedFile) -> Path:
    """Return the place of a published file in the cache, where a person may put it, too."""
    return data_folder() / "published" / f"{dataset.name}-files" / file.name


def pull_dataset(
    dataset: PublishedDataset,
    folder: Path | None = None,
    *,
    given: Path | None = None,
    progress: Progress = no_progress,
) -> PulledDataset:
    """Return a data set's folder, which all commands take for a source; make it if it is missing.

    It has the lists of the official split, if there is one. Where that has no validation list, a tenth of the
    training images of each class becomes it, as ``hubtune split`` would draw them.

    Args:
        folder: where; new or empty. Default: :func:`dataset_folder`, where an earlier one is returned.
        given: the file that the data set has, or a folder with all its files; nothing is fetched then.

    Raises:
        UsageError: ``folder`` is not empty, or ``given`` is a file where several are needed.
        DataError: a file is not the published one, or damaged.
        MachineError: there is no network, ``HUBTUNE_OFFLINE`` is set, or the disk is full.
    """
    remarks: list[str] = []
    target = dataset_folder(dataset) if folder is None else folder.absolute()
    if folder is None and target.is_dir():
        return PulledDataset(target, remarks)
    check_unoccupied(target)
    if given is None:
        files = [_fetch(dataset, file, progress) for file in dataset.files]
    else:
        files = [_check_given(dataset, file, given) for file in dataset.files]

    def make(unfinished: Path) -> None:
        remarks.extend(_build(dataset, files, unfinished, progress))

    if folder is None:
        return PulledDataset(build_once(target, make), remarks)
    try:
        with replacing_folder(target, target.with_name(f".{target.name}.part")) as unfinished:
            make(unfinished)
    except OSError as error:
        raise MachineError(
            f"{target} cannot be written ({error.strerror or error}): free some space, or choose another "
            "folder"
        ) from error
    return PulledDataset(target, remarks)


def _fetch(dataset: PublishedDataset, file: PublishedFile, progress: Progress) -> Path:
    path = file_path(dataset, file)

    def unavailable(reason: str) -> str:
        return (
            f"The data set {dataset.name} cannot be had: the file {file.name} {reason}. Fetch {file.urls[0]} "
            f"on another machine, and put it at {path}, or name it: "
            f"hubtune data pull {dataset.name} --from {'FILE' if len(dataset.files) == 1 else 'FOLDER'}."
        )

    def report(have: int, total: int | None) -> None:
        progress(f"fetching {file.name}, MB", have // 10**6, (total or 0) // 10**6)

    expected = ExpectedFile(file.sha256)
    return fetch_published(CachedFile(path, file.urls, expected, unavailable, DataError), report)


def _check_given(dataset: PublishedDataset, file: PublishedFile, given: Path) -> Path:
    path = given / file.name if given.is_dir() else given
    if not given.is_dir() and len(dataset.files) > 1:
        names = ", ".join(other.name for other in dataset.files)
        raise UsageError(f"{dataset.name} has several files: name a folder that has {names}")
    try:
        reason = ExpectedFile(file.sha256).checksum_error(path)
    except FileNotFoundError as error:
        raise DataError(f"There is no {path}: it is {file.urls[0]}") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    if reason is not None:
        raise DataError(
            f"{path} is not the published {file.name}: it {reason}; get it again from {file.urls[0]}"
        )
    return path


def _build(dataset: PublishedDataset, files: Sequence[Path], folder: Path, progress: Progress) -> list[str]:
    """Fill an empty folder with a data set, and return remarks."""
    if dataset.is_cifar:
        _, split = convert_cifar(files[0], folder, _REQUEST, progress)
        return _remarks_of(split)
    remarks = []
    others: dict[str, Path] = {}
    for published, file in zip(dataset.files, files, strict=True):
        if published.name.endswith(".mat"):
            others[published.name] = file
        else:
            remarks += _unpack(dataset, file, folder, progress)
    if dataset.read_lists is not None:
        official = dataset.read_lists(folder, others)
        _write_lists(official, folder)
        _remove_annotations(official, folder)
    if has_lists(folder):
        _check_inside(folder)
        if find_default(folder, "validate") is None:
            made = split_source(str(folder), _REQUEST, progress=progress)
            options = {"source": dataset.name, "validate": _REQUEST.validate.text, "seed": _REQUEST.seed}
            write_split(made, folder, options, force=True)
            remarks += _remarks_of(made)
    return remarks


def _unpack(dataset: PublishedDataset, archive: Path, folder: Path, progress: Progress) -> list[str]:
    """Unpack an archive, and move into the folder what lies below the data set's root in it."""
    unpacked = folder / _UNPACKED
    left_out, remarks = extract_archive(archive, unpacked, progress)
    if dataset.inner is not None:
        outer, unpacked = unpacked, folder / f"{_UNPACKED}-inner"
        inner_left_out, more = extract_archive(outer / dataset.inner, unpacked, progress)
        shutil.rmtree(outer)
        left_out, remarks = inner_left_out, more
    root = unpacked / dataset.root
    if not root.is_dir():
        raise DataError(
            f"{archive} has no folder {dataset.root}, as {dataset.name} has: it is another file; get it again"
        )
    for entry in sorted(root.iterdir()):
        entry.rename(folder / entry.name)
    shutil.rmtree(unpacked)
    if left_out:
        files, (name, reason) = plural(len(left_out), "file"), left_out[0]
        remarks.append(f"{files} left out of {archive.name}, the first of them {name}: {reason}.")
    return remarks


def _write_lists(official: OfficialLists, folder: Path) -> None:
    for part, entries in official.lists.items():
        (folder / LIST_FILES[part]).write_bytes(encode(list_text(entries)))
    (folder / LABEL_LIST).write_bytes(encode(labels_text(official.classes)))


def _remove_annotations(official: OfficialLists, folder: Path) -> None:
    """Remove the folders without a listed image, beside which a source would not be read by its lists."""
    tops = {path.split("/")[0] for entries in official.lists.values() for path, _ in entries}
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name not in tops:
            shutil.rmtree(entry)


def _check_inside(folder: Path) -> None:
    """Refuse lists from an archive that name files elsewhere on this machine."""
    root = folder.resolve()
    for name in LIST_FILES:
        file = find_default(folder, name)
        for path in [] if file is None else read_paths(file, folder):
            if not path.resolve().is_relative_to(root):
                raise DataError(f"{file.name if file else name} of the data set names {path}, outside of it")


def _remarks_of(split: Split) -> list[str]:
    remarks = [*split.remarks]
    if split.left_out:
        remarks.append(
            f"{plural(len(split.left_out), 'picture')} left out of the lists; split.json names them."
        )
    if split.leaks:
        leaks = plural(len({leak.image.path for leak in split.leaks}), "picture")
        remarks.append(
            f"{leaks} of the official lists have a copy in another of them: `hubtune split --from FOLDER` "
            "names them, and writes lists without them."
        )
    return remarks
