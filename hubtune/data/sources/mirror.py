"""Pictures in buckets and on web servers, brought into the cache: what has not changed is not fetched again.

A source's folder in the cache has ``files/``, what was fetched; ``listing.json``, what is at the source;
``fetched.jsonl``, a line for each file that arrived whole; and ``parts/``, files that did not.
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
from collections.abc import Callable, Collection, Generator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import TextIO
from urllib.parse import quote

from hubtune.data.images.decode import MAX_BYTES
from hubtune.data.sources.archive import inside
from hubtune.data.sources.remote import Object, Remote, reach
from hubtune.errors import DataError, MachineError
from hubtune.log import logger
from hubtune.storage.atomic import with_ending, write_atomically
from hubtune.storage.cache_folder import cache_write_error, source_folder
from hubtune.storage.download import PAUSE_SECONDS, TRIES, DownloadError, is_offline
from hubtune.storage.lock import exclusive_lock
from hubtune.text import plural

THREADS = 16
"""Files that are fetched at once: most of the time goes into waiting for the server's answer."""

_FILES, _PARTS, _LISTING, _FETCHED = "files", "parts", "listing.json", "fetched.jsonl"
# Files that are handed to the threads at once.
_PORTION = 4 * THREADS


@dataclass(frozen=True)
class MirroredSource:
    """What lies in the cache of a source.

    Attributes:
        folder: the folder that names start from.
        file: the file, where the address is that of a single one.
        left_out: name → why it is not there.
    """

    folder: Path
    file: Path | None
    left_out: dict[str, str]


@dataclass
class _Record:
    """A file that arrived whole: what the source said of it, and what it is on the disk."""

    token: str | None
    size: int
    mtime_ns: int


@dataclass
class _Cache:
    """A source's folder in the cache."""

    folder: Path
    records: dict[str, _Record] = field(default_factory=dict)
    _journal: TextIO | None = None
    _lock: Lock = field(default_factory=Lock)

    def load(self) -> None:
        """Read which files arrived whole; a line that a killed process cut is passed over."""
        try:
            lines = (self.folder / _FETCHED).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return
        for line in lines:
            try:
                name, *rest = json.loads(line)
                self.records[name] = _Record(*rest)
            except (ValueError, TypeError):
                continue

    def path(self, name: str) -> Path:
        return self.folder / _FILES / name

    def part(self, name: str) -> Path:
        return self.folder / _PARTS / hashlib.sha256(name.encode(errors="surrogateescape")).hexdigest()

    def has(self, name: str) -> bool:
        """Whether a file is there as it arrived."""
        record = self.records.get(name)
        try:
            status = self.path(name).stat()
        except OSError:
            return False
        return record is not None and (status.st_size, status.st_mtime_ns) == (record.size, record.mtime_ns)

    def note(self, name: str, token: str | None) -> None:
        """Note that a file arrived whole."""
        status = self.path(name).stat()
        record = _Record(token, status.st_size, status.st_mtime_ns)
        with self._lock:
            self.records[name] = record
            if self._journal is None:
                self._journal = (self.folder / _FETCHED).open("a", encoding="utf-8")
            self._journal.write(json.dumps([name, record.token, record.size, record.mtime_ns]) + "\n")
            self._journal.flush()

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()

    def remove_others(self, names: Collection[str]) -> None:
        """Remove what is no longer at the source, and folders that are empty then."""
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
    advance: Callable[[str, int, int], None] | None = None,
) -> MirroredSource:
    """Bring a file, or all files of a folder, into the cache.

    The source is listed at each call. Files that were fetched before, and have the same size and the same
    ETag (or time) as then, are not fetched again; what a call that was stopped has fetched stays. A file gets
    its name when it is whole: its size and, where the source tells one, its sum have been checked. With
    ``HUBTUNE_OFFLINE``, what is in the cache is used if it is all there.

    Args:
        address: of a file or a folder.
        names: fetch these, named from the folder that the file at ``address`` lies in, together with it.
        advance: told how many files, or of a single file how many MB, are there, and how many there will be.

    Raises:
        DataError: there is nothing at the address.
        UsageError: the address cannot be one, or holds a password.
        MachineError: the network, the credentials or the disk do not allow it.
    """
    remote = reach(address)
    folder = source_folder("remote", address.rstrip("/").rpartition("/")[2], address)
    cache = _Cache(folder)
    try:
        if is_offline():
            cache.load()
            return _as_cached(address, cache, names)
        with exclusive_lock(with_ending(folder, ".lock")):
            (folder / _FILES).mkdir(parents=True, exist_ok=True)
            (folder / _PARTS).mkdir(exist_ok=True)
            cache.load()
            try:
                return _fetch(address, remote, cache, names, advance)
            finally:
                cache.close()
    except DownloadError as error:
        raise MachineError(_unreached(address, str(error), cache)) from error
    except OSError as error:
        raise cache_write_error(folder, error) from error


def _as_cached(address: str, cache: _Cache, names: Collection[str] | None) -> MirroredSource:
    try:
        listing = json.loads((cache.folder / _LISTING).read_text(encoding="utf-8"))
        wanted, single, left_out = listing["names"], listing["single"], listing["left_out"]
    except (FileNotFoundError, ValueError, KeyError):
        raise MachineError(
            f"{address} is not in the cache, and HUBTUNE_OFFLINE forbids to fetch it: unset it once"
        ) from None
    missing = [name for name in {*wanted, *(names or ())} if name not in left_out and not cache.has(name)]
    if missing:
        raise MachineError(
            f"The cache lacks {plural(len(missing), 'file')} of {address} (such as {min(missing)!a}), and "
            "HUBTUNE_OFFLINE forbids to fetch them: unset it once"
        )
    root = cache.folder / _FILES
    return MirroredSource(root, root / single if single else None, left_out)


def _fetch(
    address: str,
    remote: Remote,
    cache: _Cache,
    names: Collection[str] | None,
    advance: Callable[[str, int, int], None] | None,
) -> MirroredSource:
    if advance is not None:
        advance("listing", 0, 0)
    objects, single = remote.objects(names)
    left_out = _misfits(objects, cache.folder / _FILES)
    wanted = [item for name, item in sorted(objects.items()) if name not in left_out]
    _check_room(address, cache, wanted)
    # Before anything of the old state goes: what is no longer listed is not the source's.
    if names is not None or single is None:
        cache.remove_others({item.name for item in wanted})
    # Closed at once, which waits for the threads: what they bring meanwhile is kept, too.
    with contextlib.closing(_bring_all(remote, cache, wanted, single, advance)) as brought:
        for done, (item, lost) in enumerate(brought, start=1):
            if lost is not None:
                if not lost.final:
                    raise lost
                left_out[item.name] = str(lost)
            if advance is not None and (single is None or names is not None):
                advance("fetching", done, len(wanted))
    if wanted and all(item.name in left_out for item in wanted):
        raise DataError(f"{address} cannot be fetched: {left_out[wanted[0].name]}")
    # By names that cannot lead anywhere else either.
    told = {name if _fits(name) else quote(name, safe=""): why for name, why in left_out.items()}
    state = {
        "address": address,
        "names": [item.name for item in wanted],
        "single": single,
        "left_out": told,
    }
    write_atomically(cache.folder / _LISTING, json.dumps(state))
    shutil.rmtree(cache.folder / _PARTS, ignore_errors=True)
    root = cache.folder / _FILES
    return MirroredSource(root, root / single if single else None, told)


def _misfits(objects: dict[str, Object], root: Path) -> dict[str, str]:
    """Names that cannot be files below a folder, and files too large for pictures; and why."""
    found = {}
    folders = {name[:at] for name in objects for at, letter in enumerate(name) if letter == "/"}
    folds = Counter(_folded(name) for name in objects)
    folding: bool | None = None
    for name, item in objects.items():
        try:
            reason = "" if inside(name) == name != "" else "cannot be a file's path"
        except ValueError as error:
            reason = f"cannot be a file's path: it {error}"
        if not reason and any(len(os.fsencode(part)) > 255 for part in name.split("/")):
            reason = "cannot be a file's path: too long"
        if not reason and name in folders:
            reason = "is a file and a folder at once"
        if not reason and folds[_folded(name)] > 1:
            folding = _folds_names(root) if folding is None else folding
            reason = "has the name of another file on this disk" if folding else ""
        if not reason and item.size is not None and item.size > MAX_BYTES and item.small:
            reason = f"has {item.size:,} bytes, too many for a picture"
        if reason:
            found[name] = reason
    return found


def _fits(name: str) -> bool:
    with contextlib.suppress(ValueError):
        return inside(name) == name != ""
    return False


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _folds_names(folder: Path) -> bool:
    """Whether a disk takes names in other letters for the same."""
    probe = folder / ".Probe"
    probe.touch()
    try:
        return (folder / ".pROBE").exists()
    finally:
        probe.unlink()


def _check_room(address: str, cache: _Cache, wanted: list[Object]) -> None:
    needed = sum(item.size or 0 for item in wanted if not cache.has(item.name))
    free = shutil.disk_usage(cache.folder).free
    if needed > free:
        raise MachineError(
            f"{address} has {needed / 1e9:,.1f} GB to fetch, but the cache has {free / 1e9:,.1f} GB: "
            "free some space, or set HUBTUNE_HOME to a folder on a larger disk"
        )


def _bring_all(
    remote: Remote,
    cache: _Cache,
    wanted: list[Object],
    single: str | None,
    advance: Callable[[str, int, int], None] | None,
) -> Generator[tuple[Object, DownloadError | None]]:
    """Bring files in parallel; yields each, and why it is lost if it is."""
    waiting = iter(wanted)
    running: dict[Future[None], Object] = {}
    with ThreadPoolExecutor(THREADS) as pool:
        try:
            while True:
                while len(running) < _PORTION and (item := next(waiting, None)):
                    tell = _megabytes(advance) if item.name == single else None
                    running[pool.submit(_bring, remote, cache, item, tell)] = item
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    item = running.pop(future)
                    try:
                        future.result()
                    except DownloadError as error:
                        yield item, error
                    else:
                        yield item, None
        finally:
            for future in running:
                future.cancel()


def _megabytes(
    advance: Callable[[str, int, int], None] | None,
) -> Callable[[int, int | None], None] | None:
    if advance is None:
        return None
    return lambda have, total: advance("fetching, MB", have // 10**6, (total or 0) // 10**6)


def _bring(
    remote: Remote, cache: _Cache, item: Object, tell: Callable[[int, int | None], None] | None
) -> None:
    """Bring one file, whole and checked, to its place, unless it is there and has not changed."""
    part, path = cache.part(item.name), cache.path(item.name)
    for left in reversed(range(TRIES)):
        try:
            if cache.has(item.name) and remote.is_same(item, cache.records[item.name].token, path):
                return
            token = remote.receive(item, part, tell)
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


def _unreached(address: str, reason: str, cache: _Cache) -> str:
    have = sum(map(cache.has, cache.records))
    kept = f" {plural(have, 'file')} of it are in the cache and will not be fetched again." if have else ""
    offline = ""
    if (cache.folder / _LISTING).exists():
        offline = " To go on with what was fetched before, set HUBTUNE_OFFLINE=1."
    reason = re.sub(r"\s+", " ", reason)
    return f"{address} cannot be fetched ({reason}): check the network, and try again.{kept}{offline}"
