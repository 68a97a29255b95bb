"""Packs the images of a source into shards, in a folder or a bucket."""

import hashlib
import io
import json
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hubtune.data.images.decode import ImageError, read_content
from hubtune.data.images.verify import check_ends, is_image
from hubtune.data.label_sets import LabelSets
from hubtune.data.listing import PARTS, Listing, Progress, SourceFile, no_progress
from hubtune.data.shards.index import SHARD_INDEX, SampleRow, ShardIndex, TarShard, table_text
from hubtune.errors import DataError, UsageError, writing
from hubtune.storage.address import is_bucket_address
from hubtune.storage.atomic import sha256_of, write_atomically
from hubtune.storage.cache_folder import cache_root
from hubtune.storage.new_folder import check_unoccupied
from hubtune.storage.object_store import ObjectStore
from hubtune.storage.regular_file import open_regular

Keep = Callable[[str, Path], None]
"""Takes a finished shard, its name and its file, to its place."""


def pack_listing(
    listing: Listing, out: str, *, shard_bytes: int, progress: Progress = no_progress
) -> tuple[ShardIndex, int]:
    """Write the images of a source into shards, and then their index.

    Images are in an order drawn from their names, so that each shard has images of all classes. If the source
    is divided into lists, a shard has images of one list, so that each list can be read by itself. The same
    source gives the same bytes on every machine.

    Args:
        out: a new or empty folder, or the address of one in a bucket.
        shard_bytes: a shard ends when it has more than this.

    Returns:
        The index, and the number of files that are left out because they are not images.

    Raises:
        DataError: there is no image, or a file cannot be read.
        UsageError: there is something at ``out`` already.
        MachineError: it cannot be written.
    """
    files = [file for file in listing.files if is_image(file.path)]
    if not files:
        raise DataError(f"There is no picture in {listing.root}")
    number_of = {part: number for number, part in enumerate((None, *PARTS))}
    files.sort(key=lambda file: (number_of[file.part], *_drawn(file.name)))
    left_out = len(listing.files) - len(files)
    if is_bucket_address(out):
        return _pack_into_bucket(files, listing, out, shard_bytes, progress), left_out
    folder = Path(out)
    check_unoccupied(folder)

    def keep(name: str, file: Path) -> None:
        file.rename(folder / name)

    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        index = _write_shards(files, listing, folder, shard_bytes, progress, keep)
        write_atomically(folder / SHARD_INDEX, index.text())
    return index, left_out


def _pack_into_bucket(
    files: list[SourceFile], listing: Listing, address: str, shard_bytes: int, progress: Progress
) -> ShardIndex:
    store = ObjectStore(address)
    if SHARD_INDEX in store.list(SHARD_INDEX):
        raise UsageError(f"{address} has shards already: choose another place")

    def keep(name: str, file: Path) -> None:
        with open_regular(file) as content:
            store.put(name, content)
        file.unlink()

    with writing(cache_root()):
        cache_root().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache_root(), prefix=".shards-") as folder:
            index = _write_shards(files, listing, Path(folder), shard_bytes, progress, keep)
    store.put(SHARD_INDEX, index.text().encode())
    return index


def _write_shards(
    files: list[SourceFile],
    listing: Listing,
    folder: Path,
    shard_bytes: int,
    progress: Progress,
    keep: Keep,
) -> ShardIndex:
    index = ShardIndex(listing.labels, label_sets=listing.label_sets)
    number_of = {label: number for number, label in enumerate(listing.labels)}
    done = 0
    while done < len(files):
        name = f"shard-{len(index.shards):06d}.tar"
        file = folder / f".{name}.part"
        rows: list[SampleRow] = []
        with tarfile.open(file, "w", format=tarfile.USTAR_FORMAT) as archive:
            while done < len(files) and archive.offset < shard_bytes:
                entry = files[done]
                if rows and entry.part != rows[0].part:
                    break
                rows.append(_add(archive, done, entry, number_of[entry.label], listing.label_sets))
                done += 1
                progress("packing", done, len(files))
        table = table_text(rows).encode()
        sums = sha256_of(file), hashlib.sha256(table).hexdigest()
        shard = TarShard(name, file.stat().st_size, sums[0], len(rows), sums[1])
        keep(name, file)
        written = folder / f".{shard.table_name}.part"
        written.write_bytes(table)
        keep(shard.table_name, written)
        index.shards.append(shard)
    return index


def _add(
    archive: tarfile.TarFile, key: int, entry: SourceFile, number: int, sets: LabelSets | None
) -> SampleRow:
    """Write the files of an image into a shard, and return its row of the table."""
    try:
        content = read_content(entry.path)
    except ImageError as error:
        raise DataError(f"{entry.path} cannot be read ({error.reason})") from error
    bits, problem = 0, ""
    try:
        bits = check_ends(entry.path)
    except ImageError as error:
        problem = error.reason
    suffix = "".join(letter for letter in entry.path.suffix.lower() if letter.isascii() and letter.isalnum())
    suffix = suffix if 0 < len(suffix) <= 10 and suffix not in ("cls", "json") else "img"
    about: dict[str, Any] = {"name": entry.name, "label": entry.label}
    about |= {} if sets is None else {"labels": [sets.labels[own] for own in sets.sets[number]]}
    about |= {} if entry.group is None else {"group": entry.group}
    about |= {} if entry.part is None else {"part": entry.part}
    offset = _add_file(archive, f"{key:09d}.{suffix}", content)
    _add_file(archive, f"{key:09d}.cls", str(number).encode())
    _add_file(archive, f"{key:09d}.json", json.dumps(about).encode())
    return SampleRow(
        *(f"{key:09d}.{suffix}", offset, len(content), hashlib.sha256(content).hexdigest(), bits, problem),
        *(entry.name, number, entry.group, entry.part),
    )


def _add_file(archive: tarfile.TarFile, name: str, content: bytes) -> int:
    """Write a file, and return the place of its content in the tar file."""
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
    return archive.offset - -(-len(content) // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def _drawn(name: str) -> tuple[bytes, str]:
    """Return a sort key drawn from a name."""
    encoded = name.encode("utf-8", errors="surrogateescape")
    return hashlib.blake2b(encoded, digest_size=8).digest(), name
