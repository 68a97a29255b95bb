"""The files of a folder, or of a tar archive that is read without unpacking it."""

import gzip
import os
import tarfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from hubtune.errors import ModelError
from hubtune.storage.fluid.tensor import Readable
from hubtune.storage.regular_file import open_regular

GZIP = b"\x1f\x8b"

# The largest network has about 1,000 variables, and optimizers keep four more for each.
_MOST_FILES = 20_000
# The format allows headers of any size, which tarfile reads into memory.
_MOST_HEADER_BYTES = 2**16
# Weights hardly shrink; the states of optimizers, which may be all 0, do.
_MOST_GROWTH = 20
_MOST_GROWTH_BYTES = 2**26


def is_tar(start: bytes) -> bool:
    """Return whether a file that starts with these 512 bytes is a tar archive."""
    return start[257:262] == b"ustar"


def read_files(path: Path) -> Iterator[tuple[str, int, Readable]]:
    """Yield name, size in bytes and content of each file in a folder or a tar archive, also gzipped.

    Names are relative, with ``/``; hidden files are left out. A content can be read until the next file is
    asked for.

    Raises:
        ValueError: there are too many files, or the archive is damaged, holds links or names outside of
            itself, or unpacks to far more than weights do.
        OSError: a file cannot be read.
        ModelError: a gzip file is of another kind.
    """
    files = _folder_files(path) if path.is_dir() else _tar_files(path)
    for number, (name, size, content) in enumerate(files):
        if number >= _MOST_FILES:
            raise ValueError(f"it holds more than {_MOST_FILES:,} files")
        if not any(part.startswith((".", "__MACOSX")) for part in name.split("/")):
            yield name, size, content


def _folder_files(folder: Path) -> Iterator[tuple[str, int, Readable]]:
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(parent, name)
            with open_regular(path) as file:
                yield path.relative_to(folder).as_posix(), os.fstat(file.fileno()).st_size, file


def _tar_files(path: Path) -> Iterator[tuple[str, int, Readable]]:
    with _open_archive(path) as (stream, end):
        try:
            if not is_tar(stream.read(tarfile.BLOCKSIZE)):
                raise ModelError(f"{path} is a gzip file without a tar archive in it: unpack it first")
            stream.seek(0)
            with tarfile.open(fileobj=_Headers(stream), mode="r:") as archive:  # type: ignore[call-overload]
                for member in archive:
                    archive.members.clear()  # otherwise it remembers all
                    if not member.isdir():
                        _check_member(member, end)
                        stream.seek(member.offset_data)
                        yield str(PurePosixPath(member.name)), member.size, stream
        except tarfile.TarError as error:
            raise ValueError(f"it is cut short or no tar archive: {error}") from error
        except RecursionError as error:  # tarfile reads a header after a header in this way
            raise ValueError("its headers have no end") from error


def _check_member(member: tarfile.TarInfo, end: int) -> None:
    if not member.isreg() or member.issparse():
        raise ValueError("it holds a link or another entry that is not a plain file")
    name = PurePosixPath(member.name)
    if name.is_absolute() or ".." in name.parts or "\\" in member.name:
        raise ValueError("it holds a file with a path outside of the archive")
    if member.offset_data + member.size > end:
        raise ValueError(f"it holds a file of {member.size:,} bytes, and is cut short or no weights")


@contextmanager
def _open_archive(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """Yield the archive's content, and how many bytes it has, or may have if it is packed."""
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        gzipped = file.read(len(GZIP)) == GZIP
        file.seek(0)
        if gzipped:
            unpacked = _Unpacked(fileobj=file, mode="rb")
            yield cast(BinaryIO, unpacked), _MOST_GROWTH * size + _MOST_GROWTH_BYTES
        else:
            yield file, size


class _Unpacked(gzip.GzipFile):
    """Unpacks a file, and raises ValueError if it is damaged."""

    def read(self, size: int | None = -1) -> bytes:
        with _damage():
            return super().read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with _damage():
            return super().seek(offset, whence)


@contextmanager
def _damage() -> Iterator[None]:
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f"it is cut short or damaged: {error}") from error


class _Headers:
    """What tarfile reads of an archive: its headers, but none that would fill the memory."""

    def __init__(self, stream: BinaryIO) -> None:
        self.seek, self.tell = stream.seek, stream.tell
        self._read = stream.read

    def read(self, size: int) -> bytes:
        if size > _MOST_HEADER_BYTES:
            raise ValueError(f"it has a header of {size:,} bytes")
        return self._read(size)
