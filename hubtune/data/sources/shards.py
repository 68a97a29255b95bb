"""Shards as a source: images in tar files, in WebDataset's layout, with an index.

A shard ``shard-000000.tar`` has three files for each image, one after another: ``000000000.jpg``;
``000000000.cls``, the number of its class; and ``000000000.json`` with ``name``, ``label``, and perhaps
``group`` and ``part``. The indexes beside them are those of :mod:`hubtune.data.shards.index`.
"""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from hubtune.data.images.decode import MAX_BYTES
from hubtune.data.listing import PARTS, Listing, SourceFile, describe_classes
from hubtune.data.shards.index import MEMBER, TarShard, read_index, read_sample_table
from hubtune.data.shards.members import address_of, forget_shards
from hubtune.errors import DataError
from hubtune.storage.atomic import sha256_of
from hubtune.text import plural

_MOST_TEXT = 2**16  # bytes of a .cls or .json file


class Sample(NamedTuple):
    """An image in a shard: its key, the suffix of its file, its bytes, and what the shard says about it."""

    key: str
    suffix: str
    content: bytes
    name: str
    label: str
    group: str | None
    part: str | None


def check_shard(file: Path, shard: TarShard) -> None:
    """Raise DataError if a shard is not as it was written."""
    try:
        if file.stat().st_size == shard.size and sha256_of(file) == shard.sha256:
            return
    except OSError as error:
        raise DataError(f"The shard {file} cannot be read ({error.strerror})") from error
    raise DataError(f"The shard {file} is damaged: its size or SHA-256 is not that of the index")


def read_samples(file: Path, labels: list[str]) -> Iterator[Sample]:
    """Yield the images of a shard in their order; nothing of it is written to the disk.

    Raises:
        DataError: it is damaged, or has files that do not belong into a shard.
    """
    try:
        with tarfile.open(file, "r:") as archive:
            key = ""
            files: dict[str, bytes] = {}
            for member in archive:
                found = MEMBER.fullmatch(member.name)
                small = found is not None and found[2] in ("cls", "json")
                if found is None or not member.isfile() or member.size > (_MOST_TEXT if small else MAX_BYTES):
                    raise DataError(f"The shard {file} has a file {member.name!r} that does not belong there")
                if found[1] != key and files:
                    yield _sample(key, files, labels)
                    files = {}
                content = archive.extractfile(member)
                assert content is not None
                key, files[found[2]] = found[1], content.read()
            if files:
                yield _sample(key, files, labels)
    except (tarfile.TarError, OSError, EOFError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise DataError(f"The shard {file} is damaged ({error})") from error


def _sample(key: str, files: dict[str, bytes], labels: list[str]) -> Sample:
    about = json.loads(files.pop("json", b"{}"))
    number = int(files.pop("cls"))
    [(suffix, content)] = files.items()
    label = labels[number] if number >= 0 else ""
    part = about.get("part")
    return Sample(
        *(key, suffix, content, str(about.get("name", f"{key}.{suffix}")), label),
        None if about.get("group") is None else str(about["group"]),
        part if part in PARTS else None,
    )


def open_shards(folder: Path) -> Listing:
    """List the images of shards, one shard after another; nothing is unpacked, and no shard is read.

    Raises:
        DataError: an index is damaged, or a shard is missing or has another size.
    """
    forget_shards(folder)
    index = read_index(folder)
    listing = Listing(folder, list(index.labels), label_sets=index.label_sets)
    is_local = address_of(folder) is None
    for shard in index.shards:
        file = folder / shard.name
        if is_local:
            _check_size(file, shard)
        for row in read_sample_table(folder, shard):
            if not 0 <= row.label < len(index.labels):
                raise DataError(f"{folder / shard.table_name} is damaged: it has the class {row.label}")
            part = row.part if row.part in PARTS else None
            label = index.labels[row.label]
            listing.files.append(SourceFile(file / row.file, row.name, label, row.group, part))
    listing.taken_for = f"{plural(len(index.shards), 'shard')}; {describe_classes(listing)}"
    return listing


def _check_size(file: Path, shard: TarShard) -> None:
    try:
        size = file.stat().st_size
    except OSError as error:
        raise DataError(f"The shard {file} cannot be read ({error.strerror})") from error
    if size != shard.size:
        raise DataError(f"The shard {file} is damaged: it has {size:,} bytes, not {shard.size:,}")
