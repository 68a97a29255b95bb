"""Downloaded files, checked and kept: a file is in the cache whole and verified, or not at all.

Beside a cached file may lie, under its name with one more ending: ``.json``, its recorded sum; ``.part`` and
``.part.json``, a download that was interrupted, and what it was of; ``.lock``, empty, for processes to take
turns.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from filelock import FileLock, Timeout

from hubtune.errors import MachineError, ModelError, UsageError
from hubtune.log import logger
from hubtune.storage.atomic import sha256_of, sync_folder, write_atomically
from hubtune.storage.cache_folder import cache_root
from hubtune.storage.download import (
    PAUSE_SECONDS,
    TRIES,
    Lost,
    Progress,
    beside,
    is_offline,
    is_web_address,
    receive,
    unlikely,
    words,
)

PASS_A_FILE = "name a file as its weights (`-o module.weights=FILE`, elsewhere `--weights FILE`)"
"""Advice where official weights cannot be had."""


@dataclass(frozen=True)
class Known:
    """What is known of the file at an address.

    Attributes:
        sha256: its sum as published, in hexadecimal; ``None`` where none is.
        md5: the same.
        misfit: asked, where no sum is published, before a file is used for the first time: tells in words
            what is wrong with its content, ``None`` for nothing.
        recorded: whether the sum is not published, but that of the file that was used first.
    """

    sha256: str | None = None
    md5: str | None = None
    misfit: Callable[[Path], str | None] | None = None
    recorded: bool = False

    @property
    def summed(self) -> bool:
        """Whether there is a sum."""
        return bool(self.sha256 or self.md5)

    def difference(self, path: Path) -> str | None:
        """Return in words how a file's sum differs; ``None`` where it does not, or there is none.

        Raises:
            OSError: the file cannot be read.
        """
        for kind, expected in (("sha256", self.sha256), ("md5", self.md5)):
            if expected:
                found = sha256_of(path) if kind == "sha256" else _md5_of(path)
                if found != expected.lower():
                    return f"has the {kind} {found} instead of {expected.lower()}"
        return None


def weights_folder() -> Path:
    """Return the folder of the cache that weights are in."""
    return cache_root() / "weights"


def cached(url: str) -> Path:
    """Return the place in the cache of the file at an address, whether it is there or not.

    Example:
        >>> cached("https://example.com/dygraph/ResNet50_pretrained.pdparams").name
        'ResNet50_pretrained-66330effd9.pdparams'
    """
    last = unquote(urlsplit(url).path).rpartition("/")[2]
    name = Path(re.sub(r"[^A-Za-z0-9._-]", "_", last)[-100:].lstrip("."))
    # Different addresses end in the same file name.
    mark = hashlib.sha256(url.encode()).hexdigest()[:10]
    return weights_folder() / f"{name.stem or 'file'}-{mark}{name.suffix}"


def fetch_file(url: str, known: Known, *, progress: Progress | None = None) -> Path:
    """Return the verified local copy of the file at an address, downloading it where it is missing.

    Where no sum is published, the sha256 of the first sound file (downloaded, or put into the cache by a
    person) is recorded and holds from then on. A cached file with a wrong sum is fetched anew. The official
    address is tried first, then each of ``HUBTUNE_MIRROR``. Processes that want the same file take turns, and
    one of them downloads it. An interrupted download is resumed by the next call.

    Args:
        url: the official address, http or https.
        known: what is known of the file.
        progress: called with the bytes that are there and the total, ``None`` while that is unknown.

    Raises:
        MachineError: no network, ``HUBTUNE_OFFLINE`` is set, no server has a sound file, the disk is full, or
            a folder cannot be written.
        ModelError: what the address holds has another sum than published or recorded, or the address is none.
        UsageError: an address in ``HUBTUNE_MIRROR`` is none.
    """
    if not is_web_address(url):
        raise ModelError(f"{url!r} is no http or https address of weights.")
    path = cached(url)
    try:
        reason = cached_file_error(path, known)
        if reason is None:
            return path
        if is_offline():
            raise MachineError(_missing(url, path, f"{reason}, and HUBTUNE_OFFLINE forbids to fetch it"))
        sources = _sources(url)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _turn(path):
            # Another process may have fetched it meanwhile.
            reason = cached_file_error(path, known)
            if reason is not None:
                if path.exists():
                    logger.warning("%s %s: it is deleted and fetched again.", path, reason)
                    path.unlink()
                _download(
                    url,
                    sources,
                    path,
                    known if known.summed else known_from(record_of(path), known),
                    progress,
                )
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        raise _cannot_keep(path, error) from error
    return path


def _cannot_keep(path: Path, error: Exception) -> MachineError:
    return MachineError(
        f"The cache cannot keep {path}: {words(error)}. "
        "Free some space or set HUBTUNE_HOME to a folder that can be written."
    )


def record_of(path: Path) -> Path:
    """Return where the sum of a file in the cache is recorded, if none is published."""
    return beside(path, ".json")


def cached_file_error(path: Path, known: Known, record: Path | None = None) -> str | None:
    """Return in words what is wrong with a file; ``None`` where it can be used.

    Args:
        path: the file.
        known: what is known of it.
        record: where its sum is recorded if none is published: read, or written at first use; default:
            :func:`record_of` the file.

    Raises:
        OSError: the file cannot be read.
    """
    record = record or record_of(path)
    if not path.is_file():
        return "is not in the cache"
    if known.summed:
        return known.difference(path)
    if record.exists():
        recorded = known_from(record, known)
        return recorded.difference(path) if recorded.summed else "has a damaged record beside it"
    reason = _unsound(path, known)
    if reason is None:
        # A cache that is shared read-only can be used all the same.
        with _ignoring(errno.EACCES, errno.EPERM, errno.EROFS):
            record.parent.mkdir(parents=True, exist_ok=True)
            _record(record, path)
    return reason


def contents() -> dict[Path, list[Path]]:
    """Return the files in the cache by the place of the download that they belong to."""
    found: dict[Path, list[Path]] = {}
    for file in sorted(weights_folder().glob("*")):
        if file.is_file() and file.suffix != ".lock":
            found.setdefault(file.with_name(re.sub(r"(\.part)?(\.json)?$", "", file.name)), []).append(file)
    return found


def interrupted() -> dict[Path, list[Path]]:
    """Return what interrupted downloads have left, by the place that each was for."""
    found = {place: [file for file in files if file in _parts(place)] for place, files in contents().items()}
    return {place: files for place, files in found.items() if files}


def delete_cached_file(path: Path, files: Iterable[Path]) -> bool:
    """Remove files that belong to a place in the cache; returns whether no process was just fetching it.

    Raises:
        MachineError: they cannot be removed.
    """
    # The empty lock file stays: another process may have it open, and would then hold a lock of its own.
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(_lock_of(path)).acquire(timeout=0):
            for file in files:
                file.unlink(missing_ok=True)
    except Timeout:
        return False
    except (OSError, NotImplementedError) as error:
        raise _cannot_keep(path, error) from error
    return True


def _parts(path: Path) -> list[Path]:
    return [beside(path, ".part"), beside(path, ".part.json")]


def _lock_of(path: Path) -> Path:
    return beside(path, ".lock")


def put(file: Path, url: str) -> Path:
    """Copy a file into the cache as what an address holds, record its sum, and return its place there.

    Raises:
        MachineError: the cache cannot be written.
    """
    path = cached(url)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _turn(path):
            part, origin = _parts(path)
            origin.unlink(missing_ok=True)
            shutil.copyfile(file, part)
            _record(record_of(path), part)
            part.replace(path)
            sync_folder(path.parent)
    except (OSError, NotImplementedError) as error:
        raise _cannot_keep(path, error) from error
    return path


class _WrongContent(Exception):
    """A whole file arrived, but not the right one."""


def _md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def known_from(record: Path, known: Known) -> Known:
    """Return what is known together with the recorded sum; no sum where the record is missing or damaged."""
    try:
        found = json.loads(record.read_text(encoding="utf-8"))["sha256"]
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return known
    return replace(known, sha256=str(found), recorded=True)


@contextlib.contextmanager
def _ignoring(*codes: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in codes:
            raise


def _unsound(path: Path, known: Known) -> str | None:
    """Return in words what is wrong with the content of a file that there is no sum for."""
    with path.open("rb") as file:
        other = unlikely(file.read(1024))
    if other:
        return f"is {other}"
    return known.misfit(path) if known.misfit else None


def _record(record: Path, content: Path) -> None:
    write_atomically(record, json.dumps({"sha256": sha256_of(content)}) + "\n")


def _sources(url: str) -> list[str]:
    """Return the addresses to try, in order."""
    mirrors = [base.strip() for base in os.environ.get("HUBTUNE_MIRROR", "").split(",") if base.strip()]
    for base in mirrors:
        if not is_web_address(base):
            raise UsageError(f"HUBTUNE_MIRROR holds {base!r}, which is no http or https address.")
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return [url, *(base.rstrip("/") + path for base in mirrors)]


def _missing(url: str, path: Path, reason: str) -> str:
    name = urlsplit(url).path.rpartition("/")[2]
    return (
        f"The weights {name} cannot be used: the file {reason}. Fetch {url} on another machine, and put it "
        f"at {path}, or {PASS_A_FILE}."
    )


@contextlib.contextmanager
def _turn(path: Path) -> Iterator[None]:
    """Hold the lock of a cached file; the system releases it when the process dies."""
    lock = FileLock(_lock_of(path))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        logger.info("Another process is fetching %s; waiting for it.", path.name)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _download(url: str, sources: list[str], path: Path, known: Known, progress: Progress | None) -> None:
    """Bring a verified file to its place, or raise."""
    part = beside(path, ".part")
    failures: list[str] = []
    wrong: tuple[str, str] | None = None
    for source in sources:
        server = urlsplit(source).hostname
        for attempt in range(TRIES):
            if attempt:
                time.sleep(PAUSE_SECONDS * attempt)
            logger.info("Fetching %s from %s.", path.name, server)
            try:
                receive(source, part, progress, checked=known.summed)
                _check(part, known)
            except (Lost, _WrongContent) as failure:
                logger.warning("Fetching %s from %s failed: %s.", path.name, server, failure)
                failures.append(f"{server}: {failure}")
                if isinstance(failure, _WrongContent):
                    wrong = (source, str(failure))
                elif failure.final:
                    break
                continue
            if not known.summed:
                # Before the file itself, which would count as damaged beside the record of an earlier one.
                _record(record_of(path), part)
            part.replace(path)
            sync_folder(path.parent)
            beside(part, ".json").unlink(missing_ok=True)
            return
    if wrong is not None and known.recorded:
        raise ModelError(
            f"What {wrong[0]} holds is not the file that was first used: it {wrong[1]}, and was thrown away. "
            f"If its publisher has replaced it, delete {record_of(path)} to accept the new one."
        )
    if wrong is not None:
        raise ModelError(
            f"What {wrong[0]} holds is not the published file: it {wrong[1]}, and was thrown away. "
            "Try again later, or set HUBTUNE_MIRROR to the address of another mirror."
        )
    reasons = "; ".join(dict.fromkeys(failures))
    raise MachineError(
        _missing(url, path, f"is not in the cache, and fetching it failed ({reasons})")
        + " HUBTUNE_MIRROR can name other servers to fetch from."
    )


def _check(part: Path, known: Known) -> None:
    """Check a whole download, and throw it away where it is wrong."""
    reason = known.difference(part) if known.summed else _unsound(part, known)
    if reason is not None:
        part.unlink()
        beside(part, ".json").unlink(missing_ok=True)
        raise _WrongContent(reason)
