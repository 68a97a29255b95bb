"""Files and folders that appear whole or not at all, and checksums."""

import contextlib
import csv
import errno
import hashlib
import io
import os
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO

from hubtune.storage.regular_file import open_regular
from hubtune.text import escape_cell

_WINDOWS = os.name == "nt"
_WAITS = (0.01, 0.04, 0.15, 0.3, 0.5)  # seconds

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors of a disk without room, and of a user's quota that is used up."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    return digest_of(path, "sha256")


def sha256_of_tree(path: Path) -> str:
    """Return the SHA-256 of a file; of a folder, that of the names and checksums of all files in it.

    Raises:
        OSError: a file cannot be read.
    """
    if not path.is_dir():
        return sha256_of(path)
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    lines = "".join(f"{name}\0{sha256_of(files[name])}\n" for name in sorted(files))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def digest_of(path: Path, kind: str) -> str:
    """Return a checksum as :func:`sha256_of`, of a kind that :mod:`hashlib` names."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, partial(hashlib.new, kind, usedforsecurity=False)).hexdigest()


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that readers see the old content or the new, never a part; text as UTF-8.

    When this returns, the new content survives a loss of power. When it raises, the old content is untouched
    and no temporary file is left.

    Raises:
        OSError: the folder does not exist or cannot be written, or the disk is full.
    """
    with replacing(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


def write_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file of :func:`csv_content`."""
    write_atomically(file, csv_content(header, rows))


def csv_content(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Return the content of a CSV file without formulas; file names that are not Unicode keep their bytes."""
    text = io.StringIO()
    writer = csv.writer(text)  # with its CR LF: with other line ends, a CR in a name would not be quoted
    for row in (header, *rows):
        writer.writerow([escape_cell(cell) if isinstance(cell, str) else cell for cell in row])
    return text.getvalue().encode("utf-8", errors="surrogateescape")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yield a file to write, which replaces ``path`` when the block ends without an exception.

    The guarantees are those of :func:`write_atomically`.

    Raises:
        OSError: as :func:`write_atomically`.
    """
    # Not tempfile: only their owner can read its files, and that would stay so after the rename.
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        rename_when_free(temporary.replace, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(path)  # a full disk is noticed where the system knows no name
        raise
    sync_folder(path.parent)


@contextlib.contextmanager
def replacing_folder(folder: Path, unfinished: Path, previous: Path | None = None) -> Iterator[Path]:
    """Yield a new folder to fill, which becomes ``folder`` when the block ends without an exception.

    If the block raises, the new folder is removed, and an earlier ``folder`` is back in its place. The rename
    survives a loss of power; syncing the files in the folder is up to the block.

    Args:
        folder: must be missing or empty, unless ``previous`` is given.
        unfinished: the new folder's name until then, beside ``folder``; what a killed process left there is
            removed.
        previous: name of an earlier ``folder`` during the exchange, beside it; it is removed at the end.

    Raises:
        OSError: the folder cannot be written or replaced, or the disk is full.
    """
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        if folder.exists():
            # Windows never renames a folder onto another one.
            rename_when_free(folder.rename, previous) if previous else folder.rmdir()
        rename_when_free(unfinished.rename, folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        if previous and previous.exists() and not folder.exists():
            previous.rename(folder)
        raise
    sync_folder(folder.parent)
    if previous:
        shutil.rmtree(previous, ignore_errors=True)


def rename_when_free(rename: Callable[[Path], object], target: Path) -> None:
    """Call ``rename`` with the target; on Windows, wait a second for programs that have the files open.

    Virus scanners and indexers open each new file for a moment, and it cannot be replaced meanwhile.
    """
    for seconds in _WAITS if _WINDOWS else ():
        try:
            rename(target)
            return
        except PermissionError:
            time.sleep(seconds)
    rename(target)


def sync_folder(folder: Path) -> None:
    """Make a rename inside a folder survive a loss of power, where the platform can (Windows cannot)."""
    # Some platforms and network drives cannot open or sync a folder. That is not an error, since the file's
    # own content is already on the disk.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def with_ending(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
