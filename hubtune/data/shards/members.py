"""Images in shards by their paths: ``shards/shard-000000.tar/000000017.jpg`` is read from the tar file.

A shard from a bucket has such a path in the cache, ``$HUBTUNE_HOME/data/shards/<source>/shard-000000.tar/…``,
whether its tar file is there at the moment or not.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from os.path import lexists
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hubtune.data.shards.index import SHARD_INDEX, ShardIndex, TarShard, read_index, read_sample_table
from hubtune.errors import DataError
from hubtune.storage.object_store import MissingObjectError, ObjectStore
from hubtune.storage.regular_file import open_regular

SOURCE_FILE = "source.json"
"""In a folder of the cache: the address that its shards are fetched from."""

_SUFFIX = ".tar"


class DamagedMemberError(Exception):
    """An image in a shard is not as it was packed; the message is a short phrase."""


class PackedImage(NamedTuple):
    """An image in a shard, see :class:`~hubtune.data.shards.index.SampleRow`."""

    shard: "PackedShard"
    offset: int
    size: int
    sha256: bytes
    bits: int
    problem: str


class PackedShard:
    """A shard whose images are read one by one; a million of them take 60 MB of memory.

    Attributes:
        file: the tar file; that of a bucket may be missing.
        entry: its row in the index.
        address: of the bucket's folder that it is fetched from; ``None`` for a file of this machine.
    """

    def __init__(self, file: Path, entry: TarShard, address: str | None) -> None:
        """Read the table of the images; raises DataError if it is damaged."""
        self.file, self.entry, self.address = file, entry, address
        rows = read_sample_table(file.parent, entry)
        self._names = np.array([row.file.encode() for row in rows], np.bytes_)
        self._places = np.array([(row.offset, row.size, row.bits) for row in rows], np.int64).reshape(-1, 3)
        sums = bytes.fromhex("".join(row.sha256 for row in rows))
        self._sums = np.frombuffer(sums, np.uint8).reshape(-1, 32)
        self._problems = {number: row.problem for number, row in enumerate(rows) if row.problem}

    def find(self, name: str) -> PackedImage | None:
        """Return an image by its name in the shard."""
        wanted = os.fsencode(name)
        number = int(np.searchsorted(self._names, wanted))
        if number == len(self._names) or self._names[number] != wanted:
            return None
        offset, size, bits = self._places[number].tolist()
        return PackedImage(
            self, offset, size, self._sums[number].tobytes(), bits, self._problems.get(number, "")
        )

    def read(self, member: PackedImage) -> bytes:
        """Return the content of an image; one of a shard that is not on this machine by a request.

        Raises:
            OSError: the tar file cannot be read.
            DamagedMemberError: the image is not as it was packed.
            MachineError: the bucket cannot be read.
        """
        if self.address is None:
            return self.read_local(member)
        with suppress(FileNotFoundError, DamagedMemberError):
            return self.read_local(member)
        try:
            content = _store(self.address).get_range(self.entry.name, member.offset, member.size)
        except MissingObjectError:
            raise DamagedMemberError("its shard is no longer in the bucket") from None
        return _checked(content, member)

    def read_local(self, member: PackedImage) -> bytes:
        """Return the content of an image of a shard that is on this machine; errors as of :meth:`read`."""
        with open_regular(self.file) as file:
            file.seek(member.offset)
            return _checked(file.read(member.size), member)


def _checked(content: bytes, member: PackedImage) -> bytes:
    if hashlib.sha256(content).digest() != member.sha256:
        raise DamagedMemberError("not as it was packed: its shard is damaged or was replaced")
    return content


def find_member(path: str | os.PathLike[str]) -> PackedImage | None:
    """Return the image in a shard that a path names; ``None`` if it names none.

    Raises:
        DataError: the shard's indexes are damaged.
    """
    text = os.fspath(path)
    if _SUFFIX not in text:
        return None
    folder, name = os.path.split(text)
    if not folder.endswith(_SUFFIX):
        return None
    shard = find_shard(folder)
    return None if shard is None else shard.find(name)


def file_exists(path: str | os.PathLike[str]) -> bool:
    """Whether there is a file, a link or an image in a shard; also one that is not on this machine now."""
    return lexists(path) or find_member(path) is not None


def read_member(path: str | os.PathLike[str]) -> bytes | None:
    """Return the content of an image in a shard; ``None`` if the path names none.

    Errors are those of :func:`find_member` and :meth:`PackedShard.read`.
    """
    member = find_member(path)
    return None if member is None else member.shard.read(member)


def read_local_member(path: str | os.PathLike[str]) -> bytes | None:
    """Return what :func:`read_member` does, but of shards on this machine only; errors are the same."""
    member = find_member(path)
    return None if member is None else member.shard.read_local(member)


def reading_order(path: Path) -> tuple[str, str]:
    """Return a sort key by which images in shards come one shard after another; equal for all other files."""
    return (path.parent.name, path.name) if find_member(path) is not None else ("", "")


def shards_of(paths: Sequence[Path]) -> tuple[list[PackedShard], np.ndarray]:
    """Return the shards of images, by name, and for each path the number of its own ``[N]``; -1 without."""
    folders = [os.path.dirname(path) for path in paths]  # noqa: PTH120  # for a million paths
    found = {
        folder: shard
        for folder in set(folders)
        if folder.endswith(_SUFFIX) and (shard := find_shard(folder)) is not None
    }
    shards = sorted({id(shard): shard for shard in found.values()}.values(), key=lambda each: each.entry.name)
    number_of = {id(shard): number for number, shard in enumerate(shards)}
    numbers = {folder: number_of[id(shard)] for folder, shard in found.items()}
    return shards, np.array([numbers.get(folder, -1) for folder in folders], np.int64)


_opened: dict[str, PackedShard] = {}


def find_shard(file: str) -> PackedShard | None:
    """Return the shard whose tar file has this path; ``None`` if it is none.

    Raises:
        DataError: its indexes are damaged.
    """
    key = os.path.abspath(file)  # noqa: PTH100  # for a million paths
    if key not in _opened:
        path = Path(key)
        if path.is_dir() or not (path.parent / SHARD_INDEX).is_file():
            return None
        index, address = _index_of(path.parent, (path.parent / SHARD_INDEX).stat().st_mtime_ns)
        entry = next((shard for shard in index.shards if shard.name == path.name), None)
        if entry is None:
            return None
        _opened[key] = PackedShard(path, entry, address)
    return _opened[key]


def forget_shards(folder: Path) -> None:
    """Read the tables of a folder again when they are needed: its shards may have been packed again."""
    for file in [file for file, shard in _opened.items() if shard.file.parent == folder.absolute()]:
        del _opened[file]


@cache
def _index_of(folder: Path, version: int) -> tuple[ShardIndex, str | None]:
    return read_index(folder), address_of(folder)


def address_of(folder: Path) -> str | None:
    """Return the address that the shards of a folder are fetched from; ``None`` if it is not of the cache.

    Raises:
        DataError: the file with the address is damaged.
    """
    try:
        return str(json.loads((folder / SOURCE_FILE).read_text(encoding="utf-8"))["address"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder / SOURCE_FILE} is damaged: remove {folder}") from error


@cache
def _store(address: str) -> ObjectStore:
    return ObjectStore(address)
