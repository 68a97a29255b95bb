"""Lists whose paths are keys of a bucket: each machine fetches the images into its own cache."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from hubtune.data.list_files import read_split_record, split_line
from hubtune.data.shards.cache import shards_folder
from hubtune.data.shards.members import address_of
from hubtune.data.shards.remote import fetch_shard_indexes, known_shards
from hubtune.data.sources.mirror import LISTING, mirror_named, mirrored_files
from hubtune.log import logger
from hubtune.storage.address import is_address
from hubtune.storage.cache_folder import data_folder

_IN_SHARD = ".tar/"


class MirroredFolder(NamedTuple):
    """A folder in a bucket, and its copy in the cache."""

    address: str
    folder: Path


def recorded_address(folder: Path) -> str | None:
    """Return the address that paths in the lists of a folder start from, as its ``split.json`` says."""
    address = read_split_record(folder).get("bucket")
    return address if isinstance(address, str) and is_address(address) else None


def image_root(folder: Path) -> Path:
    """Return the folder that paths in the lists of a folder start from; nothing is fetched."""
    address = recorded_address(folder)
    if address is None:
        return folder
    return known_shards(address) or mirrored_files(address)


def fetch_listed(address: str, lines: Iterable[str]) -> Path:
    """Fetch the images that lines of lists name from a folder in a bucket; returns its copy in the cache.

    Of images in shards, only the indexes are fetched.

    Raises:
        DataError: there is nothing at the address.
        MachineError: the bucket cannot be read, or the cache not written.
    """
    names = {name for line in lines for name in _possible_names(line)}
    if any(_IN_SHARD in name for name in names) and (folder := fetch_shard_indexes(address)) is not None:
        return folder
    logger.debug("fetching the pictures of lists from %s", address)
    return mirror_named(address, names)


def _possible_names(line: str) -> set[str]:
    """Return what may be the path in a line, whose label is before or behind it, or missing."""
    texts = (line, split_line(line)[0], line.rpartition("\t")[0], re.split(r"[ \t]", line, maxsplit=1)[-1])
    return {text.replace("\\", "/").removeprefix("./") for text in texts if text}


def _shards_with(paths: Sequence[Path]) -> MirroredFolder | None:
    """Return the shards in a bucket that have all of these images, if they are of one place."""
    folders = {path.parent.parent for path in paths}
    if len(folders) > 1 or not (folder := folders.pop()).is_relative_to(shards_folder()):
        return None
    address = address_of(folder)
    return None if address is None else MirroredFolder(address, folder)


def mirrored_from(paths: Iterable[Path]) -> MirroredFolder | None:
    """Return the folder in a bucket that all of these images were fetched from; ``None`` if there is none."""
    paths = [*paths]
    if paths and (packed := _shards_with(paths)) is not None:
        return packed
    top = data_folder() / "remote"
    found: MirroredFolder | None = None
    for path in paths:
        if found is not None and path.is_relative_to(found.folder):
            continue
        if found is not None or not path.is_relative_to(top):
            return None
        source = top / path.relative_to(top).parts[0]
        try:
            listing = json.loads((source / LISTING).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if listing.get("single") is not None:
            return None
        address = str(listing["address"]).rstrip("/")
        found = MirroredFolder(address, mirrored_files(str(listing["address"])))
        if not path.is_relative_to(found.folder):
            return None
    return found
