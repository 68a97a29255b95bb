"""Plain file helpers: the sum of a file, writing it whole or not at all, and what it may be instead."""

import contextlib
import hashlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that readers see the old content or the new, never a part; text as UTF-8.

    When this returns, the new content survives a loss of power. When it raises, the old content is
    untouched and no temporary file is left.

    Raises:
        OSError: the folder does not exist, or cannot be written, or the disk is full.
    """
    with replacing(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of ``path`` when the block ends as it should.

    The guarantees are those of :func:`write_atomically`.

    Raises:
        OSError: as :func:`write_atomically`.
    """
    # Not tempfile: its files can be read by their owner only, and would stay so after the rename.
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename inside a folder survive a loss of power, where the platform can (Windows cannot)."""
    # A folder that cannot be opened or synced (Windows, some network drives) is no reason to fail:
    # the file's own content is already on the disk.
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def html_page(start: bytes) -> str | None:
    """Return in words what a file is that starts like an HTML or XML page, ``None`` for any other.

    A single ``<`` is not enough: weights may start with any byte.
    """
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()[:14].lower()
    if text.startswith((b"<!doctype html", b"<html", b"<head", b"<body", b"<?xml", b"<!--", b"<script")):
        return "an HTML page, perhaps a login or error page of the network"
    return None
