"""Files on the command line: images to read, and files to write."""

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hubtune.cli.console import say, shown
from hubtune.errors import DataError, MachineError, UsageError
from hubtune.text import first_few, plural

if TYPE_CHECKING:
    from hubtune.data.listing import Listing


def expand_images(arguments: Sequence[str]) -> Iterator[str]:
    """Yield the images of files, folders, patterns and list files (``.txt``), in the order of the arguments.

    A path that does not exist is yielded as it is: its row says that there is no such file.

    Raises:
        UsageError: an argument is empty.
        DataError: a folder or a list has no image.
    """
    from hubtune.data.lists import read_paths
    from hubtune.data.sources.folder_walk import walk_images

    for argument in arguments:
        if not argument:
            raise UsageError("One of the names of pictures is empty: leave it out")
        path = Path(argument)
        if path.is_dir():
            listing = walk_images(path)
            _report_excluded(listing)
            if not listing.files:
                raise DataError(f"There is no picture in {path}: name a folder that has some")
            yield from (str(file.path) for file in listing.files)
        elif path.is_file() and path.suffix.lower() == ".txt":
            paths = read_paths(path, path.parent)
            if not paths:
                raise DataError(f"{path} names no picture")
            yield from map(str, paths)
        elif not path.exists() and any(mark in argument for mark in "*?["):
            # Not Path.glob(), which takes no absolute patterns.
            yield from sorted(glob.glob(argument, recursive=True)) or [argument]  # noqa: PTH207
        else:
            yield argument


def _report_excluded(listing: "Listing") -> None:
    """Name the files of a folder that are not predicted, on one line for each reason."""
    from hubtune.data.listing import known_as

    reasons: dict[str, list[Path]] = {}
    if count := len(listing.non_images):
        kind = "that is not a picture" if count == 1 else "that are not pictures"
        reasons[f"{plural(count, 'file')} {kind}"] = listing.non_images
    for entry in listing.left_out:
        reasons.setdefault(entry.reason, []).append(entry.path)
    for reason, paths in reasons.items():
        names = first_few([known_as(path, listing.root) for path in paths])
        say(f"Passed over in {shown(listing.root)}: {shown(reason)}: {shown(names)}")


def check_parent(path: Path) -> None:
    """Refuse a path to write whose folder does not exist."""
    if not path.parent.is_dir():
        raise UsageError(f"There is no folder {path.parent} to write into: make it first")


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
