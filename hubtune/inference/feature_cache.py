"""The feature cache: outputs of a frozen network are computed once for each image, and then read.

It is one SQLite file, ``$HUBTUNE_HOME/features/features.sqlite``. An output is found by the SHA-256 of its
image's file content within a *space*: outputs that depend on the same facts, such as module, weights, layer,
view and engine. Each row has a checksum, which is compared whenever the row is read. Any number of processes
may use the file at once. Nothing is executed or unpickled.
"""

import contextlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hubtune.errors import UsageError
from hubtune.inference.feature_rows import USED_BYTES, Content, FeatureRows, digest_facts
from hubtune.storage.cache_folder import cache_root, size_on_disk
from hubtune.text import parse_bytes

DEFAULT_LIMIT = 10 * 10**9

_VARIABLE = "HUBTUNE_CACHE_SIZE"
_KEY_BYTES = 32
# Rows are written, and removed to make room, in batches of about this size; each open space may hold one in
# memory. A transaction waits for the disk twice, which a batch makes rare.
_BATCH_BYTES = 16 * 2**20
# Older versions had a folder of .npy files for each space.
_OLD_SPACE = re.compile(r"[0-9a-f]{64}")
_OLD_NAMES = ("notes", "merge.lock")
_NOTES = {"what": "notes"}


@dataclass(frozen=True)
class SpaceSummary:
    """What a space holds: the number of images, and the size of their outputs.

    Its name is the SHA-256 of its description, the facts that its outputs depend on, which is empty where it
    cannot be read. One of them was last read or written at ``used``, in seconds since 1970.
    """

    name: str
    description: dict[str, Any]
    images: int
    bytes: int
    used: float


class FeatureCache(FeatureRows):
    """The cache as one run uses it: the run computes what it does not find.

    Its file takes at most ``limit`` bytes, 0 for no cache; default: ``HUBTUNE_CACHE_SIZE``, or 10 GB.

    Raises:
        UsageError: the variable does not hold a size.
        MachineError: no folder is given, and this user has no home folder.
    """

    def __init__(self, folder: Path | None = None, limit: int | None = None) -> None:
        folder = cache_root() / "features" if folder is None else folder
        super().__init__(folder, limit_from_environment() if limit is None else limit)

    def space(self, description: Mapping[str, Any]) -> "Space":
        """Open the space of outputs that depend on these facts, which JSON can hold.

        ``hubtune cache ls`` shows ``module``, ``layer``, ``view`` and ``engine`` of them.
        """
        return Space(self, description)

    def note(self, key: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the result that was stored under a key; ``None`` where there is none, or it is damaged."""
        content = self.read_row(digest_facts(_NOTES), digest_facts(key))
        return None if content is None else json.loads(bytes(content[2]))

    def put_note(self, key: Mapping[str, Any], document: Mapping[str, Any]) -> None:
        """Store a small result under a key, in place of an older one; both as JSON can hold them."""
        self.write_rows(_NOTES, {digest_facts(key): (b"", b"", json.dumps(document).encode())})

    def spaces(self) -> list[SpaceSummary]:
        """Return what is stored, the space that was used last first."""
        question = (
            "SELECT space, description, count(*), sum(bytes), CAST(max(used) AS REAL) FROM batches JOIN "
            "entries ON entries.batch = batches.id WHERE space <> ? GROUP BY space ORDER BY max(used) DESC"
        )
        now, rows = time.time(), self.database.read(question, (digest_facts(_NOTES).hex().encode(),))
        return [
            SpaceSummary(name.decode(errors="replace"), _parse(facts), images, size, min(max(used, 0.0), now))
            for name, facts, images, size, used in rows
        ]

    def size(self) -> int:
        """Return the bytes on the disk, with the files of older versions."""
        return sum(map(size_on_disk, [self.database.file, *self._old_files()]))

    def prune(
        self, *, unused_since: float | None = None, keep: int | None = None, dry_run: bool = False
    ) -> tuple[int, int]:
        """Remove the files of older versions, and then what was not used for the longest time.

        That is what was last used before ``unused_since``, in seconds since 1970, and more until the file has
        at most ``keep`` bytes; default: the limit. A ``dry_run`` removes nothing, and estimates the size.
        Returns the number of batches, files and folders that were removed, and their bytes.
        """
        keep = self.limit if keep is None else keep
        before, old_files = self.size(), list(self._old_files())
        batches = self.database.read(
            "SELECT batches.id, used, coalesce(sum(bytes), 0) FROM batches "
            "LEFT JOIN entries ON entries.batch = batches.id GROUP BY batches.id ORDER BY used"
        )
        total = left = sum(size for _, _, size in batches)
        # Keys, indices and pages that are not full count in proportion.
        scale = self.database.read(USED_BYTES)[0][0] / total if total else 0.0
        removed = []
        for batch, used, size in batches:
            if left * scale <= keep and (unused_since is None or used >= unused_since):
                break
            removed.append(batch)
            left -= size
        if dry_run:
            freed = round((total - left) * scale) + sum(map(size_on_disk, old_files))
            return len(removed) + len(old_files), freed
        if removed and not self.remove_batches(removed):
            removed = []
        if batches:
            self.database.shrink()
        for path in old_files:
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        return len(removed) + len(old_files) + self.database.replaced, before - self.size()

    def verify(self) -> Iterator[tuple[SpaceSummary, int, int]]:
        """Read every row, and remove those that are damaged.

        Yields each space, how many of its rows are damaged, and how many of those could be removed. Where the
        file is damaged as a whole, ``database.replaced`` says so.
        """
        for space in self.spaces():
            damaged = self.damaged_rows(space.name)
            yield space, len(damaged), self.remove_rows(damaged)

    def _old_files(self) -> Iterator[Path]:
        """What older versions have left in the folder."""
        with contextlib.suppress(OSError):
            for path in self.folder.iterdir():
                if path.name in _OLD_NAMES or (_OLD_SPACE.fullmatch(path.name) and path.is_dir()):
                    yield path


class Space:
    """Outputs that depend on the same facts; a context manager that writes what is missing at its end.

    Its methods may be called from several threads. Its name is the SHA-256 of its description.
    """

    def __init__(self, cache: FeatureCache, description: Mapping[str, Any]) -> None:
        self._digest = digest_facts(description)
        self.name = self._digest.hex()
        self._cache, self._description = cache, description
        # A small part of a small limit, as batches are removed whole.
        self._batch_bytes = max(1, min(_BATCH_BYTES, cache.limit // 8))
        self._lock = threading.Lock()  # of what is not written yet
        self._rows: dict[bytes, np.ndarray] = {}
        self._bytes = 0

    def __enter__(self) -> "Space":
        return self

    def __exit__(self, *_: object) -> None:
        self.flush()

    def get(self, key: bytes) -> np.ndarray | None:
        """Return a copy of the output of an image; ``None`` where it is not stored, or is damaged.

        The key is the SHA-256 of the image file's content, 32 bytes.
        """
        with self._lock:
            values = self._rows.get(key)
        if values is not None:
            return values.copy()
        content = self._cache.read_row(self._digest, key)
        if content is None:
            return None
        dtype, shape, data = content
        # An array over a bytearray can be written to, which one over bytes cannot.
        return np.frombuffer(bytearray(data), np.dtype(dtype.decode())).reshape(json.loads(shape))

    def put(self, key: bytes, values: np.ndarray) -> None:
        """Store a copy of the output of an image, floats of any shape.

        It is written with others, at the latest by :meth:`flush`.

        Raises:
            ValueError: the key is not a SHA-256, or the values are not floats.
        """
        if len(key) != _KEY_BYTES or values.dtype.kind != "f" or not values.size:
            raise ValueError(f"only floats under a key of {_KEY_BYTES} bytes are stored, not {values.dtype}")
        if not self._cache.writable:
            return
        with self._lock:
            self._bytes += values.nbytes - getattr(self._rows.get(key), "nbytes", 0)
            self._rows[key] = np.array(values, order="C")
            if self._bytes >= self._batch_bytes:
                self._write()

    def flush(self) -> None:
        """Write what is not in the file yet; when this returns, it survives a loss of power."""
        with self._lock:
            self._write()
        self._cache.touch()

    def _write(self) -> None:
        rows: dict[bytes, Content] = {}
        for key, values in self._rows.items():
            dtype, shape = values.dtype.str.encode(), json.dumps(values.shape).encode()
            rows[key] = dtype, shape, values.reshape(-1).view(np.uint8).data
        self._cache.write_rows(self._description, rows)
        self._rows, self._bytes = {}, 0


def limit_from_environment() -> int:
    """Return the most bytes that the cache takes: ``HUBTUNE_CACHE_SIZE``, or 10 GB where it is not set.

    Raises:
        UsageError: the variable does not hold a size.
    """
    text = os.environ.get(_VARIABLE, "")
    if not text.strip():
        return DEFAULT_LIMIT
    try:
        return parse_bytes(text)
    except ValueError as error:
        raise UsageError(f"{_VARIABLE}: {error}, or 0 for no cache") from error


def _parse(description: bytes) -> dict[str, Any]:
    with contextlib.suppress(TypeError, ValueError, RecursionError):  # it is damaged
        facts = json.loads(description)
        if isinstance(facts, dict):
            return facts
    return {}
