"""Part files: the rows of one shard of the images, each with a record that is written last.

A folder of parts is the common result of processes that never speak to one another. A part
``part-00003-of-00064.csv`` is finished once its record ``part-00003-of-00064.json`` exists, which holds its
size and SHA-256, and everything that the parts of one result have in common.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubtune.data.sharding import ImageShard
from hubtune.errors import DataError, UsageError, writing
from hubtune.log import logger
from hubtune.storage.atomic import sha256_of, write_atomically
from hubtune.storage.regular_file import MOST_LIST_BYTES, read_json
from hubtune.text import first_few, plural

SUFFIXES = (".csv", ".jsonl", ".npz")

_NAME = re.compile(r"part-(\d{5,})-of-(\d{5,})\.json")
# What all parts of one result have in common → how a message names a difference.
_COMMON = {
    "command": "another command",
    "model_sha256": "another model",
    "options": "other options",
    "pictures": "another number of pictures",
    "names_sha256": "pictures of other names",
}
# What may differ, as the rows then differ little or only in their paths.
_MAY_DIFFER = {"hubtune": "versions of hubtune", "engine": "engines", "source": "sources"}


@dataclass(frozen=True)
class Part:
    """A finished part: its file, and the record beside it.

    The record has ``command``, ``shard``, ``shards``, ``model``, ``model_sha256``, ``options``, ``source``,
    ``pictures`` (of all parts), ``names_sha256``, ``hubtune``, ``engine``, ``count`` (rows of this part),
    ``errors`` (unreadable pictures among them), ``positions`` (the place of each row among all pictures,
    from 0, ascending), ``suffix``, ``size`` and ``sha256``.
    """

    file: Path
    record: dict[str, Any]


class PartFolder:
    """A folder of part files with the suffix ``.csv``, ``.jsonl`` or ``.npz``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, shard: ImageShard, common: Mapping[str, Any], suffix: str) -> Part | None:
        """Return a shard's part if it is finished and intact.

        Args:
            shard: the shard.
            common: what the records of all parts have in common: ``command``, ``model_sha256``, ``options``,
                ``pictures`` and ``names_sha256``.
            suffix: of the part files.

        Raises:
            UsageError: the folder has parts of another number of shards, or of another format, or this part,
                or another one, was made by another model or from other pictures.
        """
        records = self._records()
        for other in records:
            if other.count != shard.count:
                raise UsageError(
                    f"{self.folder} has a part of {other.count}, {records[other].name}, and --shard {shard} "
                    f"is one of {shard.count}: name another folder, or remove the parts there"
                )
        # One other part suffices to notice a mistake before the work; the join compares all of them.
        checked = shard if shard in records else next(iter(records), None)
        part = None if checked is None else _read_part(records[checked])
        if part is None:
            return None
        if (different := _difference(part.record, {**common, "suffix": suffix})) is not None:
            raise UsageError(
                f"{part.file} was made with {different} than this command has: name another folder, or "
                "remove the parts there"
            )
        if checked != shard:
            return None
        if (reason := _damage(part)) is not None:
            logger.warning("%s: %s; it is made again", part.file, reason)
            return None
        return part

    def write(self, shard: ImageShard, content: bytes, suffix: str, record: Mapping[str, Any]) -> Part:
        """Write a part, then its record, each of them whole or not at all.

        Raises:
            MachineError: the folder cannot be written.
        """
        file = self.folder / f"{_stem(shard)}{suffix}"
        record = {
            "shard": shard.index,
            "shards": shard.count,
            **record,
            "suffix": suffix,
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        with writing(self.folder):
            write_atomically(file, content)
            write_atomically(self.folder / f"{_stem(shard)}.json", json.dumps(record) + "\n")
        return Part(file, record)

    def read_all(self, command: str) -> list[Part]:
        """Return all parts of the result of a command, in order, each checked.

        Raises:
            UsageError: another command wrote them.
            DataError: there is no part, one is missing or damaged, two are of different results, or an image
                is in none of them.
        """
        records = self._records()
        if not records:
            raise DataError(
                f"{self.folder} has no finished part: make them with --shard i/n -o {self.folder}"
            )
        counts = sorted({shard.count for shard in records})
        if len(counts) > 1:
            raise DataError(f"{self.folder} has parts of {' and of '.join(map(str, counts))} shards")
        shards = [ImageShard(index, counts[0]) for index in range(counts[0])]
        if missing := [shard for shard in shards if shard not in records]:
            again = first_few([f"--shard {shard}" for shard in missing])
            verb = "is" if len(missing) == 1 else "are"
            raise DataError(
                f"{len(missing)} of {plural(counts[0], 'part')} in {self.folder} {verb} not finished: run "
                f"{again} again"
            )
        parts = []
        for shard in shards:
            part = _read_part(records[shard])
            reason = "it is damaged" if part is None else _damage(part)
            if part is None or reason is not None:
                file = records[shard] if part is None else part.file
                raise DataError(f"{file}: {reason}; run --shard {shard} again")
            parts.append(part)
        self._check_common(parts)
        if (other := parts[0].record["command"]) != command:
            raise UsageError(
                f"The parts in {self.folder} were written by hubtune {other}: join them with its --gather"
            )
        return parts

    def _check_common(self, parts: list[Part]) -> None:
        first = parts[0].record
        for part in parts:
            if (other := _difference(part.record, first)) is not None:
                raise DataError(
                    f"{part.file.name} was made with {other} than {parts[0].file.name} in {self.folder}: "
                    "remove the wrong one and its .json, and run its --shard again"
                )
        if sorted(place for part in parts for place in part.record["positions"]) != [
            *range(first["pictures"])
        ]:
            raise DataError(f"The parts in {self.folder} do not hold each picture once: make them again")
        for key, title in _MAY_DIFFER.items():
            values = sorted({str(part.record.get(key)) for part in parts})
            if len(values) > 1:
                logger.warning("The parts are of different %s: %s", title, first_few(values))

    def _records(self) -> dict[ImageShard, Path]:
        if not self.folder.is_dir():
            return {}
        found = [(_NAME.fullmatch(file.name), file) for file in sorted(self.folder.iterdir())]
        return {ImageShard(int(name[1]), int(name[2])): file for name, file in found if name is not None}


def _stem(shard: ImageShard) -> str:
    return f"part-{shard.index:05}-of-{shard.count:05}"


def _read_part(record_file: Path) -> Part | None:
    """Return the part of a record; ``None`` if the record is damaged."""
    try:
        record = read_json(record_file, MOST_LIST_BYTES)
    except (OSError, ValueError):
        return None
    needed = {*_COMMON, "suffix", "size", "sha256", "positions"}
    if not isinstance(record, dict) or not needed <= set(record) or record["suffix"] not in SUFFIXES:
        return None
    return Part(record_file.with_suffix(record["suffix"]), record)


def _difference(record: Mapping[str, Any], common: Mapping[str, Any]) -> str | None:
    """Return what differs between a record and what it should have in common with others."""
    if record["suffix"] != common["suffix"]:
        return "another format"
    return next((title for key, title in _COMMON.items() if record[key] != common[key]), None)


def _damage(part: Part) -> str | None:
    """Return why a part is not as its record says; ``None`` if it is."""
    try:
        if part.file.stat().st_size != part.record["size"] or sha256_of(part.file) != part.record["sha256"]:
            return "it was changed or cut after it was written"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return None
