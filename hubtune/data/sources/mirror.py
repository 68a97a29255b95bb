"""Copies of buckets and of files on web servers in the cache; unchanged files are not fetched again.

A source's folder in the cache has ``files/``, the complete files; ``parts/``, incomplete ones;
``listing.json``, the names at the source; and ``fetched.jsonl``, a line for each complete file.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
import time
import unicodedata
from collections import Counter
from collections.abc import Collection, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import NamedTuple
from urllib.parse import quote

from hubtune.data.images.decode import MAX_BYTES
from hubtune.data.listing import Progress, no_progress
from hubtune.data.sources.archive import inside
from hubtune.data.sources.bucket_listing import list_objects, mirror_folder, save_listing
from hubtune.data.sources.listing_file import read_listing_file
from hubtune.data.sources.remote import Object, Remote, connect
from hubtune.errors import DataError, MachineError
from hubtune.log import logger
from hubtune.storage.atomic import with_ending, write_atomically
from hubtune.storage.cache_folder import cache_write_error
from hubtune.storage.download import PAUSE_SECONDS, TRIES, DownloadError, is_offline
from hubtune.storage.lock import exclusive_lock
from hubtune.text import escaped, plural

THREADS = 16
"""Number of files fetched at once: most of the time is spent waiting for the server."""

LISTING = "listing.json"
_FILES, _PARTS, _FETCHED = "files", "parts", "fetched.jsonl"
# Files that are submitted to the threads in advance: a million futures would fill the memory.
_PORTION = 4 * THREADS


class MirroredSource(NamedTuple):
    """The copy of a source: its folder, the file if it is a single one, and name → reason of missing ones."""

    folder: Path
    file: Path | None
    left_out: dict[str, str]


class _Record(NamedTuple):
    """A complete file: its token at the source, and its size and time on the disk."""

    token: str | None
    size: int
    mtime_ns: int


@dataclass
class _Cache:
    """A source's folder in the cache."""

    folder: Path
    records: dict[str, _Record] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def load(self) -> None:
        """Read the records of complete files; a line that a killed process left incomplete is ignored."""
        with contextlib.suppress(FileNotFoundError):
            for line in (self.folder / _FETCHED).read_text(encoding="utf-8").splitlines():
                with contextlib.suppress(ValueError, TypeError):
                    name, *rest = json.loads(line)
                    self.records[name] = _Record(*rest)

    def source(self, single: str | None, left_out: dict[str, str]) -> MirroredSource:
        return MirroredSource(self.folder / _FILES, self.path(single) if single else None, left_out)

    def path(self, name: str) -> Path:
        return self.folder / _FILES / name

    def part(self, name: str) -> Path:
        return self.folder / _PARTS / hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()

    def has(self, name: str) -> bool:
        """Whether a file is complete and unchanged."""
        with contextlib.suppress(OSError, KeyError):
            return self._record(name, self.records[name].token) == self.records[name]
        return False

    def note(self, name: str, token: str | None) -> None:
        """Record a complete file."""
        record = self._record(name, token)
        with self._lock:
            self.records[name] = record
            with (self.folder / _FETCHED).open("a", encoding="utf-8") as journal:
                journal.write(json.dumps([name, *record]) + "\n")

    def _record(self, name: str, token: str | None) -> _Record:
        status = self.path(name).stat()
        return _Record(token, status.st_size, status.st_mtime_ns)

    def remove_others(self, names: Collection[str]) -> None:
        """Remove files that are no longer at the source, and folders that become empty."""
        top = self.folder / _FILES
        for place, _, files in os.walk(top, topdown=False):
            here = Path(place)
            for file in files:
                if (here / file).relative_to(top).as_posix() not in names:
                    (here / file).unlink()
            if here != top:
                with contextlib.suppress(OSError):  # not empty
                    here.rmdir()


def mirror_source(
    address: str,
    names: Collection[str] | None = None,
    *,
    relist: bool = True,
    listing: Path | None = None,
    progress: Progress = no_progress,
) -> MirroredSource:
    """Fetch a file, or all files of a folder, into the cache.

    The source is listed at each call, unless ``relist`` is false and an earlier listing is stored, or a file
    with its ``listing`` is given. Files of unchanged size and ETag (or time) are not fetched again, nor are
    those that an interrupted call has fetched. A file gets its name when it is complete, and its size and, if
    there is one, its checksum were verified. With ``HUBTUNE_OFFLINE`` the cache is used, which must be
    complete. ``names`` are files to fetch together with the file at ``address``, from its folder.

    Raises:
        DataError: if there is nothing at the address.
        UsageError: if the address is malformed, or holds a password.
        MachineError: if the network, the credentials or the disk do not allow it.
    """
    remote = connect(address)
    with _opened(address) as cache:
        if is_offline():
            return _as_cached(address, cache, names)
        if listing is not None:
            save_listing(cache.folder, read_listing_file(listing, address), None)
        return _fetch(address, remote, cache, names, progress, relist=relist and listing is None)


@contextlib.contextmanager
def _opened(address: str) -> Iterator[_Cache]:
    """Lock a source's folder in the cache, unless it is only read, and explain errors of the block."""
    cache = _Cache(mirror_folder(address))
    try:
        if is_offline():
            cache.load()
            yield cache
            return
        with exclusive_lock(with_ending(cache.folder, ".lock")):
            (cache.folder / _FILES).mkdir(parents=True, exist_ok=True)
            (cache.folder / _PARTS).mkdir(exist_ok=True)
            cache.load()
            yield cache
    except DownloadError as error:
        raise MachineError(_unreachable(address, str(error), cache)) from error
    except OSError as error:
        raise cache_write_error(cache.folder, error) from error


def mirrored_files(address: str) -> Path:
    """Return the folder in the cache for the files of an address, whether any was fetched or not."""
    return mirror_folder(address) / _FILES


def mirror_named(address: str, names: Collection[str]) -> Path:
    """Fetch those of the named files that a folder in a bucket has; others that were fetched stay.

    Returns the folder in the cache. Errors are those of :func:`mirror_source`; but there may be nothing.
    """
    remote = connect(address)
    with _opened(address) as cache:
        objects: dict[str, Object] = {}
        if not is_offline():  # what is missing then is reported by who reads it
            with contextlib.suppress(DataError):  # none of them is there
                objects, _ = remote.objects(names)
        unusable = _unusable(objects, cache.folder / _FILES) if objects else {}
        wanted = [item for name, item in sorted(objects.items()) if name not in unusable]
        with contextlib.closing(_fetch_all(remote, cache, wanted, None, no_progress)) as fetched:
            for _, lost in fetched:
                if lost is not None and not lost.final:
                    raise lost
        return cache.folder / _FILES


def _as_cached(address: str, cache: _Cache, names: Collection[str] | None) -> MirroredSource:
    try:
        listing = json.loads((cache.folder / LISTING).read_text(encoding="utf-8"))
        wanted, single, left_out = listing["names"], listing["single"], listing["left_out"]
    except (FileNotFoundError, ValueError, KeyError):
        raise MachineError(
            f"{address} is not in the cache, and HUBTUNE_OFFLINE forbids fetching it: unset it once"
        ) from None
    missing = [name for name in {*wanted, *(names or ())} if name not in left_out and not cache.has(name)]
    if missing:
        raise MachineError(
            f"The cache lacks {plural(len(missing), 'file')} of {address} (such as "
            f"'{escaped(min(missing))}'), and HUBTUNE_OFFLINE forbids fetching them: unset it once"
        )
    return cache.source(single, left_out)


def _fetch(
    address: str,
    remote: Remote,
    cache: _Cache,
    names: Collection[str] | None,
    progress: Progress,
    *,
    relist: bool,
) -> MirroredSource:
    progress("listing", 0, 0)
    objects, single = list_objects(remote, cache.folder, names, relist=relist)
    left_out = _unusable(objects, cache.folder / _FILES)
    wanted = [item for name, item in sorted(objects.items()) if name not in left_out]
    needed = sum(item.size or 0 for item in wanted if not cache.has(item.name))
    free = shutil.disk_usage(cache.folder).free
    if needed > free:
        raise MachineError(
            f"{address} has {needed / 1e9:,.1f} GB to fetch, but the cache has {free / 1e9:,.1f} GB: "
            "free some space, or set HUBTUNE_HOME to a folder on a larger disk"
        )
    # Files that are no longer listed do not belong to the source; a web address alone lists nothing.
    if names is not None or single is None:
        cache.remove_others({item.name for item in wanted})
    # Closing waits for the threads, so that files which complete after an error are recorded, too.
    with contextlib.closing(_fetch_all(remote, cache, wanted, single, progress)) as fetched:
        for done, (item, lost) in enumerate(fetched, start=1):
            if lost is not None:
                if not lost.final:
                    raise lost
                left_out[item.name] = str(lost)
            if single is None or names is not None:
                progress("fetching", done, len(wanted))
    if wanted and all(item.name in left_out for item in wanted):
        raise DataError(f"{address} cannot be fetched: {left_out[wanted[0].name]}")
    # Hostile names are quoted, so that they cannot lead out of the folder either.
    left_out = {quote(name, safe="") if _path_problem(name) else name: why for name, why in left_out.items()}
    fetched_names = [item.name for item in wanted]
    state = {"address": address, "names": fetched_names, "single": single, "left_out": left_out}
    write_atomically(cache.folder / LISTING, json.dumps(state))
    shutil.rmtree(cache.folder / _PARTS, ignore_errors=True)
    return cache.source(single, left_out)


def _unusable(objects: dict[str, Object], root: Path) -> dict[str, str]:
    """Return the names that cannot be files below a folder, and files too large for images, with reasons."""
    reasons = {}
    folders = {name[:at] for name in objects for at, letter in enumerate(name) if letter == "/"}
    times = Counter(map(_folded, objects))
    ignores_case = max(times.values(), default=0) > 1 and _ignores_case(root)
    for name, item in objects.items():
        if problem := _path_problem(name):
            reasons[name] = problem
        elif any(len(os.fsencode(part)) > 255 for part in name.split("/")):
            reasons[name] = "cannot be a file's path: too long"
        elif name in folders:
            reasons[name] = "is a file and a folder at once"
        elif ignores_case and times[_folded(name)] > 1:
            reasons[name] = "has the name of another file on this disk"
        elif item.size is not None and item.size > MAX_BYTES and item.small:
            reasons[name] = f"has {item.size:,} bytes, too many for a picture"
    return reasons


def _path_problem(name: str) -> str:
    try:
        return "" if inside(name) == name != "" else "cannot be a file's path"
    except ValueError as error:
        return f"cannot be a file's path: it {error}"


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _ignores_case(folder: Path) -> bool:
    """Whether a disk ignores the case of names."""
    probe = folder / ".Probe"
    probe.touch()
    try:
        return (folder / ".pROBE").exists()
    finally:
        probe.unlink()


def _fetch_all(
    remote: Remote, cache: _Cache, wanted: list[Object], single: str | None, progress: Progress
) -> Generator[tuple[Object, DownloadError | None]]:
    """Fetch files in parallel; yields each, with the error if it is lost."""
    waiting = iter(wanted)
    running: dict[Future[None], Object] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            while True:
                while len(running) < _PORTION and (item := next(waiting, None)):
                    report = progress if item.name == single else no_progress
                    running[pool.submit(_fetch_one, remote, cache, item, report)] = item
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    error = future.exception()
                    if error is not None and not isinstance(error, DownloadError):
                        raise error
                    yield running.pop(future), error
        finally:
            for future in running:
                future.cancel()


def _fetch_one(remote: Remote, cache: _Cache, item: Object, progress: Progress) -> None:
    """Fetch and verify a file, unless it is in the cache and has not changed."""

    def report(have: int, total: int | None) -> None:
        progress("fetching, MB", have // 10**6, (total or 0) // 10**6)

    part, path = cache.part(item.name), cache.path(item.name)
    for left in reversed(range(TRIES)):
        try:
            if cache.has(item.name) and remote.is_same(item, cache.records[item.name].token, path):
                return
            token = remote.receive(item, part, report)
            break
        except DownloadError as error:
            if error.final or not left:
                raise
            logger.warning("Fetching %a failed: %s; trying again.", item.name, error)
            time.sleep(PAUSE_SECONDS * 2 ** (TRIES - 1 - left))
    path.parent.mkdir(parents=True, exist_ok=True)
    part.replace(path)
    with_ending(part, ".json").unlink(missing_ok=True)
    cache.note(item.name, token)


def _unreachable(address: str, reason: str, cache: _Cache) -> str:
    have = sum(map(cache.has, cache.records))
    advice = f" {plural(have, 'file')} of it are in the cache and will not be fetched again." if have else ""
    if (cache.folder / LISTING).exists():
        advice += " To go on with what was fetched before, set HUBTUNE_OFFLINE=1."
    reason = re.sub(r"\s+", " ", reason)
    return f"{address} cannot be fetched ({reason}): check the network, and try again.{advice}"
