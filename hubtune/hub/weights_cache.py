"""The cache of downloaded weights: a file is there whole and verified, or not at all.

Beside a cached file may lie, under its name with one more ending: ``.json``, its recorded checksum; ``.part``
and ``.part.json``, an interrupted download and its origin; ``.lock``, empty, by which processes take turns.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hubtune.errors import LockedError, MachineError, ModelError, UsageError
from hubtune.log import logger
from hubtune.storage import download
from hubtune.storage.atomic import digest_of, sha256_of, sync_folder, with_ending, write_atomically
from hubtune.storage.cache_folder import cache_root, cache_write_error
from hubtune.storage.download import PAUSE_SECONDS, TRIES, DownloadError, Progress
from hubtune.storage.lock import exclusive_lock
from hubtune.storage.regular_file import open_regular, read_json

PASS_A_FILE = "name a file as its weights (`-o module.weights=FILE`, elsewhere `--weights FILE`)"
"""Advice for when official weights cannot be had."""


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


def weights_folder() -> Path:
    return cache_root() / "weights"


def cache_path(url: str) -> Path:
    """Return the path in the cache of the file at an address, whether it exists or not.

    Example:
        >>> cache_path("https://example.com/dygraph/ResNet50_pretrained.pdparams").name
        'ResNet50_pretrained-66330effd9.pdparams'
    """
    last = unquote(urlsplit(url).path).rpartition("/")[2]
    name = Path(re.sub(r"[^A-Za-z0-9._-]", "_", last)[-100:].lstrip("."))
    # Different addresses may end in the same file name.
    digest = hashlib.sha256(url.encode()).hexdigest()[:10]
    return weights_folder() / f"{name.stem or 'file'}-{digest}{name.suffix}"


def checksum_record(path: Path) -> Path:
    """Return the path of a cached file's recorded checksum, which exists if none is published."""
    return with_ending(path, ".json")


def fetch_file(url: str, expected: ExpectedFile, *, progress: Progress | None = None) -> Path:
    """Return the verified local copy of the file at an address; download it if it is missing.

    If no checksum is published, the SHA-256 of the first sound file (downloaded, or put into the cache by a
    person) is recorded, and later files must match it. A cached file with a wrong checksum is downloaded
    again. The official address is tried first, then each of ``HUBTUNE_MIRROR``. Of several processes that
    need the same file, one downloads it and the others wait. The next call resumes an interrupted download.

    Raises:
        MachineError: no network, ``HUBTUNE_OFFLINE`` is set, no server has a sound file, the disk is full, or
            a folder cannot be written.
        ModelError: the file's checksum differs from the published or recorded one, or ``url`` is not an
            address.
        UsageError: ``HUBTUNE_MIRROR`` holds something that is not an address.
    """
    if not download.is_web_address(url):
        raise ModelError(f"{url!r} is no http or https address of weights.")
    path = cache_path(url)
    try:
        reason = cached_file_error(path, expected)
        if reason is None:
            return path
        if download.is_offline():
            raise MachineError(_unavailable(url, path, f"{reason}, and HUBTUNE_OFFLINE forbids fetching it"))
        sources = _sources(url)
        with exclusive_lock(with_ending(path, ".lock")):
            # Another process may have fetched it meanwhile.
            reason = cached_file_error(path, expected)
            if reason is not None:
                if path.exists():
                    logger.warning("%s %s: it is deleted and fetched again.", path, reason)
                    path.unlink()
                if not expected.has_checksum:
                    expected = expected.with_record(checksum_record(path))
                _download(url, sources, path, expected, progress)
    except OSError as error:
        raise cache_write_error(path, error) from error
    return path


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
            _write_record(record, path)
        except OSError as error:
            # A shared read-only cache can be used all the same.
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                raise
    return reason


def add_to_cache(file: Path, url: str) -> Path:
    """Copy a file into the cache as the file at an address, record its checksum, and return its path there.

    Raises:
        MachineError: the cache cannot be written.
    """
    path = cache_path(url)
    part, origin = _partial_files(path)
    try:
        with exclusive_lock(with_ending(path, ".lock")):
            origin.unlink(missing_ok=True)
            shutil.copyfile(file, part)
            _write_record(checksum_record(path), part)
            part.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise cache_write_error(path, error) from error
    return path


def cached_files() -> dict[Path, list[Path]]:
    """Return the files in the cache, grouped by the path of the download that they belong to."""
    groups: dict[Path, list[Path]] = {}
    for file in sorted(weights_folder().glob("*")):
        if file.is_file() and file.suffix != ".lock":
            path = file.with_name(re.sub(r"(\.part)?(\.json)?$", "", file.name))
            groups.setdefault(path, []).append(file)
    return groups


def partial_downloads() -> dict[Path, list[Path]]:
    """Return the files that interrupted downloads have left, grouped as in :func:`cached_files`."""
    return {
        path: partial_files
        for path, files in cached_files().items()
        if (partial_files := [file for file in files if file in _partial_files(path)])
    }


def delete_cached_file(path: Path, files: Iterable[Path]) -> bool:
    """Delete files that belong to a path in the cache; ``False`` if another process is fetching that.

    Raises:
        MachineError: they cannot be deleted.
    """
    try:
        with exclusive_lock(with_ending(path, ".lock"), wait=False):
            for file in files:
                file.unlink(missing_ok=True)
    except LockedError:
        return False
    except OSError as error:
        raise cache_write_error(path, error) from error
    return True


class _WrongContentError(DownloadError):
    """A whole file arrived, but not the right one."""


def _partial_files(path: Path) -> list[Path]:
    return [with_ending(path, ".part"), with_ending(path, ".part.json")]


def _write_record(record: Path, content: Path) -> None:
    write_atomically(record, json.dumps({"sha256": sha256_of(content)}) + "\n")


def _sources(url: str) -> list[str]:
    mirrors = [base.strip() for base in os.environ.get("HUBTUNE_MIRROR", "").split(",") if base.strip()]
    for base in mirrors:
        if not download.is_web_address(base):
            raise UsageError(f"HUBTUNE_MIRROR holds {base!r}, which is no http or https address.")
    parts = urlsplit(url)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    return [url, *(base.rstrip("/") + path for base in mirrors)]


def _unavailable(url: str, path: Path, reason: str) -> str:
    name = urlsplit(url).path.rpartition("/")[2]
    return (
        f"The weights {name} cannot be used: the file {reason}. Fetch {url} on another machine, and put it "
        f"at {path}, or {PASS_A_FILE}."
    )


def _download(
    url: str, sources: list[str], path: Path, expected: ExpectedFile, progress: Progress | None
) -> None:
    failures: list[str] = []
    wrong = ""
    for source in sources:
        server = urlsplit(source).hostname
        for attempt in range(TRIES):
            time.sleep(PAUSE_SECONDS * attempt)
            logger.info("Fetching %s from %s.", path.name, server)
            try:
                _try_download(source, path, expected, progress)
                return
            except DownloadError as failure:
                logger.warning("Fetching %s from %s failed: %s.", path.name, server, failure)
                failures.append(f"{server}: {failure}")
                if isinstance(failure, _WrongContentError):
                    wrong, reason = source, failure
                if failure.final:
                    break
    if wrong:
        other, advice = "the published file", "Try again later, or set HUBTUNE_MIRROR to another mirror."
        if expected.recorded:
            other = "the file that was first used"
            record = checksum_record(path)
            advice = f"If its publisher has replaced it, delete {record} to accept the new one."
        raise ModelError(f"What {wrong} holds is not {other}: it {reason}, and was thrown away. {advice}")
    reasons = "; ".join(dict.fromkeys(failures))
    advice = _unavailable(url, path, f"is not in the cache, and fetching it failed ({reasons})")
    raise MachineError(f"{advice} HUBTUNE_MIRROR can name other servers to fetch from.")


def _try_download(source: str, path: Path, expected: ExpectedFile, progress: Progress | None) -> None:
    part, origin = _partial_files(path)
    download.download(source, part, progress, checked=expected.has_checksum)
    reason = expected.checksum_error(part) if expected.has_checksum else expected.content_error(part)
    if reason is not None:
        part.unlink()
        origin.unlink(missing_ok=True)
        raise _WrongContentError(reason)
    if not expected.has_checksum:
        # Before the file itself, which would count as damaged beside the record of an earlier one.
        _write_record(checksum_record(path), part)
    part.replace(path)
    sync_folder(path.parent)
    origin.unlink(missing_ok=True)
