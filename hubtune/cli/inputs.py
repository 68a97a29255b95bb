"""Files on the command line: images to read, and files to write."""

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from glob import escape, glob, has_magic  # not Path.glob(), which takes no absolute patterns
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.cli.console import say, shown
from hubtune.errors import DataError, MachineError, UsageError
from hubtune.storage.address import FetchedFile, is_address, is_bucket_address, name_of
from hubtune.text import first_few

if TYPE_CHECKING:
    from hubtune.data.listing import Listing
    from hubtune.data.sources.settings import SourceSettings
    from hubtune.inference.shard_prediction import ShardSource


def expand_images(arguments: Sequence[str], settings: "SourceSettings | None" = None) -> Iterator[str]:
    """Yield the images of files, folders, patterns, lists, tables and addresses, in the arguments' order.

    A path that exists is never taken for a pattern. One that does not exist is yielded as it is: its row says
    that there is no such file. Addresses are fetched into the cache, and yielded as
    :class:`~hubtune.storage.address.FetchedFile`. ``settings`` have the columns of tables, and
    the encoding.

    Raises:
        UsageError: an argument is empty, ``-``, or no address that can be fetched.
        DataError: a folder, a pattern, a list or a table has no image, or a list or table cannot be read.
        MachineError: an address cannot be fetched.
    """
    for argument in arguments:
        if not argument:
            raise UsageError("One of the names of pictures is empty: leave it out")
        if os.path.lexists(argument):
            yield from _expand_path(Path(argument), argument, settings)
        elif argument == "-":
            raise UsageError(
                "Pictures are not read from the standard input: write their paths into a file, one a line, "
                "and name it: paths.txt"
            )
        elif is_address(argument):
            if is_bucket_address(argument) and "*" in argument:
                folder = argument[: argument.index("*")].rpartition("/")[0]
                raise UsageError(f"Patterns are for files on this machine: name the folder, {folder}/")
            yield from _fetch(argument)
        elif has_magic(argument):
            for path in _expand_pattern(argument):
                yield from _expand_path(Path(path), path, settings)
        else:
            yield argument


def one_shard_source(arguments: Sequence[str]) -> "ShardSource | None":
    """Return the shards that the only argument names; ``None`` if it names something else.

    Raises:
        DataError: their index is damaged.
        MachineError: a bucket cannot be read.
    """
    if len(arguments) != 1 or not (is_bucket_address(arguments[0]) or Path(arguments[0]).is_dir()):
        return None
    from hubtune.inference.shard_prediction import find_shards

    return find_shards(arguments[0])


def expand_named_images(
    arguments: Sequence[str], settings: "SourceSettings | None" = None
) -> Iterator[tuple[str, str]]:
    """Yield the images of :func:`expand_images`, each with a name that is the same on all machines.

    The name is the path below the folder that was named, or below that of the list, table or pattern, with
    ``/``; the files of one list are named as the list has them.
    """
    for argument in arguments:
        is_folder = os.path.isdir(argument)  # noqa: PTH112  # Path's raises for a very long name
        folder = argument if is_folder else os.path.split(argument)[0]
        while not is_folder and has_magic(folder) and not os.path.lexists(folder):
            folder = os.path.split(folder)[0]
        start = os.path.join(Path(folder), "") if folder else ""  # noqa: PTH118  # ends in a separator
        for path in expand_images([argument], settings):
            yield path, name_of(path).removeprefix(start).replace(os.sep, "/")


def _fetch(address: str) -> list[FetchedFile]:
    from hubtune.cli.progress import working_bar
    from hubtune.data.sources.remote_images import fetch_images

    with working_bar("fetching") as progress:
        return fetch_images(address, progress)


def _expand_path(path: Path, name: str, settings: "SourceSettings | None") -> Iterator[str]:
    from hubtune.data.list_rows import read_paths
    from hubtune.data.sources.folder_walk import walk_images
    from hubtune.data.sources.settings import AS_FOUND
    from hubtune.data.sources.table import TABLE_SUFFIXES, read_table_paths

    settings = settings or AS_FOUND
    suffix = path.suffix.lower()
    if path.is_dir():
        listing = walk_images(path)
        _report_excluded(listing)
        if not listing.files:
            raise DataError(f"There is no picture in {path}: name a folder that has some")
        yield from (str(file.path) for file in listing.files)
    elif path.is_file() and (suffix == ".txt" or suffix in TABLE_SUFFIXES):
        is_list = suffix == ".txt"
        paths = (
            read_paths(path, path.parent, settings.encoding) if is_list else read_table_paths(path, settings)
        )
        if not paths:
            raise DataError(f"{path} names no picture")
        yield from map(str, paths)
    else:
        yield name


def _expand_pattern(pattern: str) -> list[str]:
    """Return the paths that fit a pattern, sorted; folders with a bracket in their own name are found."""
    folder, name = os.path.split(pattern)  # unlike Path, keeps a leading ./
    while has_magic(folder) and not os.path.lexists(folder):
        folder, last = os.path.split(folder)
        name = os.path.join(last, name)  # noqa: PTH118
    if not has_magic(name):
        return [pattern]
    matches = sorted(glob(os.path.join(escape(folder), name), recursive=True))  # noqa: PTH118, PTH207
    if "**" in name:  # it fits the files in the folders as well
        matches = [match for match in matches if not Path(match).is_dir()]
    if not matches:
        is_folder = not folder or os.path.isdir(folder)  # noqa: PTH112  # Path's raises for a very long name
        advice = "check its folder and its suffix" if is_folder else f"there is no folder {folder}"
        raise DataError(f"No file fits the pattern {pattern}: {advice}")
    return matches


def _report_excluded(listing: "Listing") -> None:
    """Name the files of a folder that are not predicted, on one line for each reason."""
    from hubtune.data.images.formats import count_formats
    from hubtune.data.images.verify import refusal_of
    from hubtune.data.listing import known_as

    reasons: dict[str, list[Path]] = {}
    if count := len(listing.non_images):
        reason = "1 file that is not a picture" if count == 1 else f"{count:,} files that are not pictures"
        reasons[reason] = listing.non_images
    for entry in listing.left_out:
        reasons.setdefault(entry.reason, []).append(entry.path)
    for reason, paths in reasons.items():
        names = first_few([known_as(path, listing.root) for path in paths])
        say(f"Passed over in {shown(listing.root)}: {shown(reason)}: {shown(names)}")
    for formats in count_formats(map(refusal_of, listing.non_images)):
        say(f"Among them {formats}")


def model_or_newest(model: Path | str | None) -> Path:
    """Return the model's folder, or if none is named that of the newest run, and say so.

    A model in a bucket is fetched into the cache.

    Raises:
        ModelError: none is named, and there is no run; or there is none at the address.
        MachineError: the bucket cannot be read.
    """
    return _say_newest("Model: {} (the newest run)") if model is None else bring_model(model)


def run_or_newest(run: Path | str | None) -> Path:
    """As :func:`model_or_newest`, for commands whose argument is a run."""
    return _say_newest("Newest run: {}") if run is None else bring_model(run)


def bring_model(place: Path | str) -> Path:
    """Return the folder on this machine of a run or a model, which may be in a bucket."""
    if isinstance(place, Path):
        return place
    from hubtune.runs.bucket_model import local_model

    folder = local_model(place)
    if is_bucket_address(place):
        say(f"{place} is used from {shown(folder)}")
    return folder


def _say_newest(text: str) -> Path:
    from hubtune.runs.folder import newest_run

    run = newest_run()
    say(text.format(shown(run)))
    return run


def tidy_path(path: str | Path) -> str:
    """Return a path without the ``..`` of a list's folder, if it is still the same file."""
    tidy = os.path.normpath(path)
    with suppress(OSError):
        if ".." in Path(path).parts and Path(tidy).samefile(path):
            return tidy
    return str(path)


def check_parent(path: Path) -> None:
    """Refuse a path to write whose folder does not exist."""
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent} to write into: make it first")


def check_output_folder(folder: Path, option: str) -> None:
    """Refuse a folder for results whose place is a file, or whose parent does not exist."""
    check_parent(folder)
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{option} {folder} is a file: name a folder")


def check_output_file(file: Path | None, option: str) -> None:
    """Refuse a file that cannot be written because of its place, before any work is done.

    Raises:
        UsageError: its folder does not exist, or it is a folder itself.
        MachineError: its folder cannot be written.
    """
    if file is None:  # the option was not used
        return
    check_parent(file)
    if not os.access(file.parent, os.W_OK):
        raise MachineError(f"{file.parent} cannot be written: name another folder for {option}")
    if file.is_dir():
        raise UsageError(f"{option} {file} is a folder: name a file")
