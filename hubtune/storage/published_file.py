"""Files that are published at an address, in the cache: a file is there whole and verified, or not at all.

Beside a cached file may lie, under its name with one more ending: ``.json``, its recorded checksum; ``.part``
and ``.part.json``, an interrupted download and its origin; ``.lock``, empty, by which processes take turns.
"""

import errno
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from hubtune.errors import HubtuneError, MachineError, UsageError
from hubtune.log import logger
from hubtune.storage import download
from hubtune.storage.atomic import (
    digest_of,
    rename_when_free,
    sha256_of,
    sync_folder,
    with_ending,
    write_atomically,
)
from hubtune.storage.cache_folder import cache_write_error
from hubtune.storage.download import PAUSE_SECONDS, TRIES, DownloadError, Progress
from hubtune.storage.lock import exclusive_lock
from hubtune.storage.regular_file import open_regular, read_json


@dataclass(frozen=True)
class ExpectedFile:
    """What the file at an address must be: its checksums in hexadecimal, if they are published."""

    sha256: str | None = None
    md5: str | None = None
    # Returns what is wrong with the content of a file without a checksum, before it is used the first time.
    find_error: Callable[[Path], str | None] | None = None
    recorded: bool = False  # the checksum is not published, but of the file that was used first

    @property
    def has_checksum(self) -> bool:
        return bool(self.sha256 or self.md5)

    def checksum_error(self, path: Path) -> str | None:
        """Return how a file's checksum differs; ``None`` if it does not, or there is none."""
        for kind, expected in (("sha256", self.sha256), ("md5", self.md5)):
            if expected:
                actual = digest_of(path, kind)
                if actual != expected.lower():
                    return f"has the {kind} {actual} instead of {expected.lower()}"
        return None

    def content_error(self, path: Path) -> str | None:
        """Return what is wrong with the content of a file that has no checksum; ``None`` for nothing."""
        with open_regular(path) as file:
            other = download.unexpected_content(file.read(1024))
        if other:
            return f"is {other}"
        return self.find_error(path) if self.find_error else None

    def with_record(self, record: Path) -> "ExpectedFile":
        """Return this with the checksum in a record; unchanged if the record is missing or damaged."""
        try:
            sha256 = read_json(record)["sha256"]
        except (FileNotFoundError, ValueError, TypeError, KeyError):
            return self
        return replace(self, sha256=str(sha256), recorded=True)


@dataclass(frozen=True)
class CachedFile:
    """A published file, and how it is spoken of.

    Attributes:
        path: its place in the cache.
        urls: its official addresses, in the order in which they are tried.
        expected: what it must be.
        unavailable: returns what a person can do if it cannot be had, for a reason such as ``is not there``.
        wrong_content: the error for a file that is not the published one.
    """

    path: Path
    urls: Sequence[str]
    expected: ExpectedFile
    unavailable: Callable[[str], str]
    wrong_content: type[HubtuneError]


def checksum_record(path: Path) -> Path:
    """Return the path of a cached file's recorded checksum, which exists if none is published."""
    return with_ending(path, ".json")


def write_record(record: Path, content: Path) -> None:
    """Record the checksum of a file without a published one."""
    write_atomically(record, json.dumps({"sha256": sha256_of(content)}) + "\n")


def partial_files(path: Path) -> list[Path]:
    """Return the paths of an interrupted download of a file, and of its origin."""
    return [with_ending(path, ".part"), with_ending(path, ".part.json")]


def cached_file_error(path: Path, expected: ExpectedFile, record: Path | None = None) -> str | None:
    """Return what is wrong with a file; ``None`` if it can be used.

    If no checksum is published, the one in ``record`` (default: :func:`checksum_record`) is read, or written
    at first use.

    Raises:
        OSError: the file cannot be read.
    """
    record = record or checksum_record(path)
    if not path.is_file():
        return "is not in the cache"
    if expected.has_checksum:
        return expected.checksum_error(path)
    if record.exists():
        recorded = expected.with_record(record)
        return recorded.checksum_error(path) if recorded.has_checksum else "has a damaged record beside it"
    reason = expected.content_error(path)
    if reason is None:
        try:
            record.parent.mkdir(parents=True, exist_ok=True)
            write_record(record, path)
        except OSError as error:
            # A shared read-only cache can be used all the same.
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
    return reason


def fetch_published(file: CachedFile, progress: Progress | None = None) -> Path:
    """Return the verified copy of a published file in the cache; download it if it is missing.

    If no checksum is published, the SHA-256 of the first sound file (downloaded, or put into the cache by a
    person) is recorded, and later files must match it. A cached file with a wrong checksum is downloaded
    again. The official addresses are tried first, then each of ``HUBTUNE_MIRROR``. Of several processes that
    need the same file, one downloads it and the others wait. The next call resumes an interrupted download.

    Raises:
        MachineError: no network, ``HUBTUNE_OFFLINE`` is set, no server has a sound file, the disk is full, or
            a folder cannot be written.
        HubtuneError: of the kind ``wrong_content``: the checksum differs from the published or recorded one.
        UsageError: ``HUBTUNE_MIRROR`` holds something that is not an address.
    """
    path, expected = file.path, file.expected
    try:
        reason = cached_file_error(path, expected)
        if reason is None:
            return path
        if download.is_offline():
            raise MachineError(file.unavailable(f"{reason}, and HUBTUNE_OFFLINE forbids fetching it"))
        sources = _with_mirrors(file.urls)
        with exclusive_lock(with_ending(path, ".lock")):
            # Another process may have fetched it meanwhile.
            reason = cached_file_error(path, expected)
            if reason is not None:
                if path.exists():
                    logger.warning("%s %s: it is deleted and fetched again.", path, reason)
                    path.unlink()
                if not expected.has_checksum:
                    file = replace(file, expected=expected.with_record(checksum_record(path)))
                _download(file, sources, progress)
    except OSError as error:
        raise cache_write_error(path, error) from error
    return path


class _WrongContentError(DownloadError):
    """A whole file arrived, but not the right one."""


def _with_mirrors(urls: Sequence[str]) -> list[str]:
    mirrors = [base.strip() for base in os.environ.get("HUBTUNE_MIRROR", "").split(",") if base.strip()]
    for base in mirrors:
        if not download.is_web_address(base):
            raise UsageError(f"HUBTUNE_MIRROR holds {base!r}, which is no http or https address.")
    parts = urlsplit(urls[0])
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return [*urls, *(base.rstrip("/") + path for base in mirrors)]


def _download(file: CachedFile, sources: list[str], progress: Progress | None) -> None:
    failures: list[str] = []
    wrong = ""
    for source in sources:
        server = urlsplit(source).hostname
        for attempt in range(TRIES):
            time.sleep(PAUSE_SECONDS * attempt)
            logger.info("Fetching %s from %s.", file.path.name, server)
            try:
                _try_download(source, file.path, file.expected, progress)
                return
            except DownloadError as failure:
                logger.warning("Fetching %s from %s failed: %s.", file.path.name, server, failure)
                failures.append(f"{server}: {failure}")
                if isinstance(failure, _WrongContentError):
                    wrong, reason = source, failure
                if failure.final:
                    break
    if wrong:
        other, advice = "the published file", "Try again later, or set HUBTUNE_MIRROR to another mirror."
        if file.expected.recorded:
            other = "the file that was first used"
            record = checksum_record(file.path)
            advice = f"If its publisher has replaced it, delete {record} to accept the new one."
        raise file.wrong_content(
            f"What {wrong} holds is not {other}: it {reason}, and was thrown away. {advice}"
        )
    reasons = "; ".join(dict.fromkeys(failures))
    advice = file.unavailable(f"is not in the cache, and fetching it failed ({reasons})")
    raise MachineError(f"{advice} HUBTUNE_MIRROR can name other servers to fetch from.")


def _try_download(source: str, path: Path, expected: ExpectedFile, progress: Progress | None) -> None:
    part, origin = partial_files(path)
    download.download(source, part, progress, checked=expected.has_checksum)
    reason = expected.checksum_error(part) if expected.has_checksum else expected.content_error(part)
    if reason is not None:
        part.unlink()
        origin.unlink(missing_ok=True)
        raise _WrongContentError(reason)
    if not expected.has_checksum:
        # Before the file itself, which would count as damaged beside the record of an earlier one.
        write_record(checksum_record(path), part)
    rename_when_free(part.replace, path)
    sync_folder(path.parent)
    origin.unlink(missing_ok=True)
