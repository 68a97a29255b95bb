"""The indexes of shards: ``shards.json``, and for each shard a table of its images.

``shards.json`` has the class names, and size, SHA-256 and number of images of each shard. The table
``shard-000000.samples.json`` says where in ``shard-000000.tar`` each image is, and what is known of it, so
that one image can be read, and all can be listed and checked, without reading the shard.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from hubtune.data.label_sets import LabelSets
from hubtune.errors import DataError
from hubtune.storage.regular_file import MOST_LIST_BYTES, read_regular

SHARD_INDEX = "shards.json"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\.tar")
MEMBER = re.compile(r"(\d{1,12})\.([a-z0-9]{1,10})")
"""The name of a file in a shard: its key and its suffix."""

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class TarShard:
    """A tar file; ``size`` in bytes, and the SHA-256 of the file and of its table."""

    name: str
    size: int
    sha256: str
    images: int
    table_sha256: str

    @property
    def table_name(self) -> str:
        """Name of the file with the table of the images."""
        return f"{self.name.removesuffix('.tar')}.samples.json"


@dataclass(frozen=True)
class ShardIndex:
    """The content of ``shards.json``.

    Attributes:
        labels: the class names; of multi-label data, the names of the sets of labels.
        label_sets: the labels of multi-label data, and their sets.
    """

    labels: list[str]
    shards: list[TarShard] = field(default_factory=list)
    label_sets: LabelSets | None = None

    @property
    def images(self) -> int:
        """Number of images in all shards."""
        return sum(shard.images for shard in self.shards)

    def text(self) -> str:
        """Return the index as it is written."""
        # Older versions would take the sets for classes.
        version = 1 if self.label_sets is None else 2
        document = {"schema_version": version, "labels": self.labels, "shards": [*map(asdict, self.shards)]}
        if self.label_sets is not None:
            document["label_sets"] = asdict(self.label_sets)
        return json.dumps(document, indent=1) + "\n"


class SampleRow(NamedTuple):
    """An image of a shard.

    Attributes:
        file: its name in the tar file.
        offset, size: of its content, in bytes.
        sha256: of its content, in hexadecimal.
        bits: that it uses if it is one of 16 bits, else 0.
        problem: why it cannot be read; empty if it can.
        name: its path in the source that was packed.
        label: the number of its class; -1 without one.
        group, part: as of :class:`~hubtune.data.listing.SourceFile`.
    """

    file: str
    offset: int
    size: int
    sha256: str
    bits: int
    problem: str
    name: str
    label: int
    group: str | None
    part: str | None


def table_text(rows: list[SampleRow]) -> str:
    """Return a table as it is written: a column for each attribute of the rows."""
    columns = {name: [getattr(row, name) for row in rows] for name in SampleRow._fields}
    return json.dumps(columns, separators=(",", ":")) + "\n"


def parse_index(content: bytes, where: str) -> ShardIndex:
    """Read ``shards.json``.

    Raises:
        DataError: it is damaged, or written by a later version.
    """
    try:
        document: dict[str, Any] = json.loads(content)
        if document["schema_version"] not in (1, 2):
            raise DataError(f"{where} is of a later version of hubtune: upgrade it")
        shards = [
            TarShard(
                *(str(each["name"]), int(each["size"]), str(each["sha256"]), int(each["images"])),
                table_sha256=str(each["table_sha256"]),
            )
            for each in document["shards"]
        ]
        labels = [str(label) for label in document["labels"]]
        sets = None
        if (found := document.get("label_sets")) is not None:
            sets = LabelSets.of([*map(str, found["labels"])], [[*map(int, own)] for own in found["sets"]])
            if sets.names != labels:
                raise ValueError("labels are not the names of the sets")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise DataError(f"{where} is damaged: pack the pictures again") from error
    names = {shard.name for shard in shards}
    if len(names) < len(shards) or not all(map(_NAME.fullmatch, names)):
        raise DataError(f"{where} is damaged: it names what is not a shard beside it")
    return ShardIndex(labels, shards, sets)


def read_index(folder: Path) -> ShardIndex:
    """Read the index of the shards in a folder; errors are those of :func:`parse_index`."""
    try:
        content = read_regular(folder / SHARD_INDEX, MOST_LIST_BYTES)
    except OSError as error:
        raise DataError(f"{folder / SHARD_INDEX} cannot be read ({error.strerror})") from error
    return parse_index(content, str(folder / SHARD_INDEX))


def parse_table(content: bytes, shard: TarShard, where: str) -> list[SampleRow]:
    """Read the table of a shard's images, in the order of their names, which is that in the tar file.

    Raises:
        DataError: it is not the one that was written with the shard.
    """
    if hashlib.sha256(content).hexdigest() != shard.table_sha256:
        raise DataError(f"{where} is damaged: its SHA-256 is not that of the index; pack the pictures again")
    try:
        rows = [*_rows(json.loads(content))]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DataError(f"{where} is damaged: pack the pictures again") from error
    in_order = all(one.file < other.file for one, other in pairwise(rows))
    if not in_order or len(rows) != shard.images or any(map(_is_outside, rows, [shard] * len(rows))):
        raise DataError(f"{where} is damaged: it names what is not in the shard; pack the pictures again")
    return rows


def read_sample_table(folder: Path, shard: TarShard) -> list[SampleRow]:
    """Read the table of a shard in a folder; errors are those of :func:`parse_table`."""
    file = folder / shard.table_name
    try:
        content = read_regular(file, MOST_LIST_BYTES)
    except OSError as error:
        raise DataError(f"{file} cannot be read ({error.strerror}): pack the pictures again") from error
    return parse_table(content, shard, str(file))


def _rows(columns: dict[str, list[Any]]) -> Iterator[SampleRow]:
    for values in zip(*(columns[name] for name in SampleRow._fields), strict=True):
        file, offset, size, sha256, bits, problem, name, label, group, part = values
        yield SampleRow(
            *(str(file), int(offset), int(size), str(sha256), int(bits)),
            *(str(problem), str(name), int(label)),
            group=None if group is None else str(group),
            part=None if part is None else str(part),
        )


def _is_outside(row: SampleRow, shard: TarShard) -> bool:
    ends_inside = row.offset >= 0 and row.size >= 0 and row.offset + row.size <= shard.size
    return not (ends_inside and MEMBER.fullmatch(row.file) and _SHA256.fullmatch(row.sha256))
