"""The bytes of archives: what kind a file is, and limits on what Python's own readers take into memory."""

import bz2
import gzip
import lzma
import struct
import tarfile
from pathlib import Path
from typing import BinaryIO

from hubtune.errors import DataError

_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_GZIP, _BZIP2, _XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"
_FOREIGN = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "RAR", b"\x28\xb5\x2f\xfd": "Zstandard"}
_TAR_MARK = slice(257, 262)
# What tarfile may read between two members: long names and pax records are a few kilobytes.
_HEADER_BYTES = 2**20
_ENTRY = struct.Struct("<4s24x3H12x")  # of a zip's directory: mark, lengths of name, extra and comment
_END = struct.Struct("<4s4xHHLLH")


def packing(path: Path) -> str | None:
    """Return ``zip`` or ``tar`` by a file's first bytes; ``None`` for what is no archive.

    Raises:
        DataError: it is an archive of a kind that is not read here.
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        start = file.read(512)
    if start.startswith(_ZIP):
        return "zip"
    for mark, kind in _FOREIGN.items():
        if start.startswith(mark):
            raise DataError(
                f"{path} is a {kind} archive, which is not read here: unpack it, and give the folder"
            )
    if start.startswith((_GZIP, _BZIP2, _XZ)) or start[_TAR_MARK] == b"ustar":
        return "tar"
    # Archives of the time before the mark.
    return "tar" if path.suffix.lower() == ".tar" else None


def count_zip_entries(path: Path, *, most: int) -> int:
    """Return the number of entries in a zip's directory, ``most + 1`` if there are more.

    The number that the archive itself tells is not believed.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        length = file.seek(0, 2)
        tail_start = max(0, length - 2**16 - _END.size)
        file.seek(tail_start)
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < _END.size:
            return 0  # zipfile says what is wrong
        size, end = _END.unpack_from(tail, at)[3], tail_start + at
        if size == 0xFFFFFFFF or tail[max(0, at - 20) : at].startswith(b"PK\x06\x07"):  # zip64
            file.seek(max(0, end - 76))
            wide = file.read(56)
            if wide.startswith(b"PK\x06\x06"):
                size, end = struct.unpack_from("<Q", wide, 40)[0], end - 76
        file.seek(max(0, end - size))
        count = 0
        while count <= most and size >= _ENTRY.size:
            entry = file.read(_ENTRY.size)
            if len(entry) < _ENTRY.size or not entry.startswith(b"PK\x01\x02"):
                break
            rest = sum(_ENTRY.unpack(entry)[1:])
            file.seek(rest, 1)
            size -= _ENTRY.size + rest
            count += 1
    return count


class TarStream:
    """The bytes of a tar, unpacked as they are asked for, and never more than the members account for.

    tarfile reads a header's records into memory whole, however long they say they are: a few kilobytes
    could fill it.
    """

    def __init__(self, packed: BinaryIO) -> None:
        start = packed.read(len(_XZ))
        packed.seek(0)
        self._stream: BinaryIO | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile = packed
        if start.startswith(_GZIP):
            self._stream = gzip.GzipFile(fileobj=packed)
        elif start.startswith(_BZIP2):
            self._stream = bz2.BZ2File(packed)
        elif start == _XZ:
            self._stream = lzma.LZMAFile(packed)  # noqa: SIM115  # closed with what it reads
        self._allowed = _HEADER_BYTES
        self._last = b""

    def expect(self, count: int) -> None:
        """Allow as many bytes to be read as a member's content has, and a header more."""
        self._allowed = count + _HEADER_BYTES

    def read(self, count: int) -> bytes:
        """Read, as tarfile asks for."""
        try:
            chunk = self._stream.read(count)
        except OSError as error:
            if error.errno is None:  # gzip's and bzip2's way to say that data are damaged
                raise tarfile.ReadError(str(error)) from error
            raise
        self._allowed -= len(chunk)
        if self._allowed < 0:
            raise tarfile.ReadError("a header is longer than any of a file")
        self._last = chunk or self._last
        return chunk

    def check_end(self) -> None:
        """Check that the archive ended as archives do.

        Raises:
            tarfile.ReadError: it was cut between two members, which tarfile does not notice, or a second
                archive follows, which it would not read.
        """
        if len(self._last) < tarfile.BLOCKSIZE or self._last[-tarfile.BLOCKSIZE :].strip(b"\0"):
            raise tarfile.ReadError("it has no end, or something follows it")
