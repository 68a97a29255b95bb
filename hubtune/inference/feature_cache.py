"""The feature cache: what a frozen network said of a picture, kept so that it is computed once.

``$HUBTUNE_HOME/features`` holds a folder for each *space*: values that depend on the same facts (weights,
view, engine, layer), which its ``space.json`` tells. In it are the values of many pictures a file. Any number
of processes use the cache at once without waiting for each other: each writes its own files, under random
names, and no file is ever changed. Whatever is damaged counts as absent; nothing is executed or unpickled.
"""

import contextlib
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hubtune.errors import UsageError
from hubtune.inference.shard import Damaged, open_shard, remove, rewrite_shard, sound_rows, starts_of
from hubtune.inference.space import Space, name_of
from hubtune.inference.store import DESCRIPTION, NOTES, Entry, Store, shard_entries
from hubtune.storage.cache_folder import cache_root

DEFAULT_LIMIT = 10 * 10**9
_VARIABLE = "HUBTUNE_CACHE_SIZE"
_SIZE = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*(?:([kmgt])(i)?b?|b)?", re.IGNORECASE)


@dataclass(frozen=True)
class Kept:
    """What is kept in a space.

    Attributes:
        folder: its folder.
        description: its facts; empty where they cannot be read.
        images: how many different ones.
        bytes: their size on the disk.
        used: when it was last used, in seconds since 1970.
    """

    folder: Path
    description: dict[str, Any]
    images: int
    bytes: int
    used: float


@dataclass(frozen=True)
class Checked:
    """What was found when every row of a space was read.

    Attributes:
        folder: its folder.
        description: its facts; empty where they cannot be read.
        rows: how many rows were read.
        damaged_rows: how many of them are not as they were written.
        damaged_shards: how many shards had such rows, or could not be read at all.
        removed_shards: how many of those could be removed.
        saved_rows: how many rows of those were as they had been written, and are kept in new shards.
    """

    folder: Path
    description: dict[str, Any]
    rows: int
    damaged_rows: int
    damaged_shards: int
    removed_shards: int
    saved_rows: int


class FeatureCache:
    """The cache as one run uses it.

    A cache that cannot be read or written never fails a run: it is told once, and the run goes on without.

    Args:
        folder: where it is; default: ``features`` in :func:`~hubtune.storage.cache_folder.cache_root`.
        limit: the most bytes that it takes, 0 for none; default: ``HUBTUNE_CACHE_SIZE``, or 10 GB.

    Raises:
        UsageError: the variable holds no size.
        MachineError: no folder is given, and there is no home folder for one.

    Example:
        >>> with FeatureCache().space({"module": "resnet50_imagenet", "view": "whole 288"}) as space:
        ...     values = space.get(key)
        ...     if values is None:
        ...         space.put(key, values := compute(picture))
    """

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        self.folder = cache_root() / "features" if folder is None else folder
        self.limit = limit_from_environment() if limit is None else limit
        self._store = Store(self.folder, self.limit)

    @property
    def keeps(self) -> bool:
        """Whether what is given to it has a chance to be kept: there is room, and it can be written."""
        return self._store.keeps

    def space(self, description: Mapping[str, Any]) -> Space:
        """Open the space of values that depend on these facts.

        Args:
            description: all that the values depend on, as JSON can hold it. People see ``module``, ``layer``,
                ``view``, ``engine`` and ``weights``.
        """
        return Space(self._store, description)

    def note(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return what was noted under a key; ``None`` where nothing was, or it is damaged."""
        path = self._note_of(key)
        if not self.limit:
            return None
        try:
            found = json.loads(path.read_bytes())
            content = {"key": found["key"], "document": found["document"]}
            if found["sha256"] != name_of(content) or path != self._note_of(found["key"]):
                raise ValueError("it is not what was written")
        except OSError:
            return None
        except (ValueError, TypeError, KeyError, RecursionError):
            remove(path)
            return None
        self._store.use(path)
        return found["document"]

    def keep_note(self, key: Mapping[str, Any], document: Mapping[str, Any]) -> None:
        """Note a small outcome under a key, in place of an older one.

        Args:
            key: all that the outcome depends on, as JSON can hold it.
            document: the outcome, the same.
        """
        content = {"key": key, "document": document}
        note = {**content, "sha256": name_of(content)}
        self._store.keep_note(self._note_of(key), json.dumps(note, indent=1) + "\n")

    def kept(self) -> list[Kept]:
        """Return what is kept, the space that was used last first."""
        found = []
        for folder in self._store.spaces():
            entries = list(shard_entries(folder))
            if entries:
                size, used = sum(entry.bytes for entry in entries), max(entry.used for entry in entries)
                found.append(Kept(folder, _described(folder), _images(entries), size, used))
        return sorted(found, key=lambda kept: kept.used, reverse=True)

    def size(self) -> int:
        """Return the bytes that all shards and notes take."""
        return sum(entry.bytes for entry in self._store.entries())

    def prune(
        self, *, unused_since: float | None = None, keep: int | None = None, dry_run: bool = False
    ) -> list[Entry]:
        """Remove shards that cannot be read and what killed processes left, then what was unused for longest.

        What a process is just writing stays.

        Args:
            unused_since: remove what was last used before this time, in seconds since 1970.
            keep: and then so much that this many bytes are left at most; default: the limit.
            dry_run: only tell what would be removed.

        Returns:
            What was removed.
        """
        keep = self.limit if keep is None else keep
        entries = sorted(self._store.entries(), key=lambda entry: entry.used)
        total = sum(entry.bytes for entry in entries)
        useless = {entry.path for entry in entries if entry.left or not entry.readable}
        removed = []
        for entry in sorted(entries, key=lambda entry: entry.path not in useless):
            old = entry.whole and (total > keep or (unused_since is not None and entry.used < unused_since))
            if (old or entry.path in useless) and (dry_run or entry.remove()):
                total -= entry.bytes
                removed.append(entry)
        if not dry_run:
            self._store.remove_empty_spaces()
        return removed

    def verify(self) -> Iterator[Checked]:
        """Read every row of every space, and remove those that are damaged.

        The other rows of their shards are written into new ones first. What cannot be read or written just
        now stays as it is.
        """
        for folder in self._store.spaces():
            rows = bad_rows = bad_shards = removed = saved = 0
            for entry in [*shard_entries(folder)]:
                if not entry.whole:
                    continue
                count, sound, gone = 0, None, False
                try:
                    shard = open_shard(entry.path)
                    count = shard.count
                    sound = dict(sound_rows(shard))
                except (FileNotFoundError, Damaged):
                    if not entry.path.exists():  # another process has just removed it
                        continue
                    gone = entry.remove()
                except OSError:  # the next process may be able to
                    pass
                rows += count
                if sound is not None and len(sound) == count:
                    continue
                bad_shards += 1
                if sound is not None:
                    with contextlib.suppress(OSError):
                        gone = rewrite_shard(entry.path, sound)
                    bad_rows += count - len(sound)
                    saved += gone * len(sound)
                removed += gone
            if rows or bad_shards:
                yield Checked(folder, _described(folder), rows, bad_rows, bad_shards, removed, saved)

    def _note_of(self, key: Mapping[str, Any]) -> Path:
        return self.folder / NOTES / f"{name_of(key)}.json"


def bytes_of(size: str) -> int:
    """Return the bytes that a size in words means: ``10GB``, ``1.5 GiB``, ``500 MB``, ``1000``.

    Raises:
        ValueError: it is no size.
    """
    parts = _SIZE.fullmatch(size.strip())
    if parts is None:
        raise ValueError(f"{size!r} is no size: write 10GB, 500MB or 1.5GiB")
    number, unit, binary = parts.groups()
    base = 1024 if binary else 1000
    return int(float(number) * base ** " kmgt".index((unit or " ").lower()))


def limit_from_environment() -> int:
    """Return the most bytes that the cache takes: ``HUBTUNE_CACHE_SIZE``, or 10 GB where it is not set.

    Raises:
        UsageError: the variable holds no size.
    """
    text = os.environ.get(_VARIABLE, "")
    if not text.strip():
        return DEFAULT_LIMIT
    try:
        return bytes_of(text)
    except ValueError as error:
        raise UsageError(f"{_VARIABLE}: {error}, or 0 to keep nothing") from error


def _described(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / DESCRIPTION).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _images(entries: Iterable[Entry]) -> int:
    """How many different pictures shards have: two processes may have computed the same."""
    starts = [np.zeros(0, np.uint64)]
    for entry in entries:
        with contextlib.suppress(OSError, Damaged):
            if entry.whole:
                starts.append(starts_of(open_shard(entry.path).keys()))
    return len(np.unique(np.concatenate(starts)))
