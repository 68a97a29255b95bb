"""The formats of archives: what kind a file is, its members, and limits on the memory of Python's readers."""

import bz2
import contextlib
import gzip
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from hubtune.errors import DataError
from hubtune.storage.regular_file import open_regular

_ZIP = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_GZIP, _BZIP2, _XZ = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\x00"
_FOREIGN = {b"7z\xbc\xaf\x27\x1c": "7z", b"Rar!\x1a\x07": "RAR", b"\x28\xb5\x2f\xfd": "Zstandard"}
_TAR_MARK = slice(257, 262)
# What tarfile may read between two members: long names and pax records are a few kilobytes.
_HEADER_BYTES = 2**20
_ENTRY = struct.Struct("<4s24x3H12x")  # of a zip's directory: mark, lengths of name, extra and comment
_END = struct.Struct("<4s4xHHLLH")


class Member(NamedTuple):
    """A file, folder or anything else in an archive."""

    name: str  # as the archive has it
    size: int = 0  # bytes, unpacked
    open: Callable[[], BinaryIO] | None = None  # opens its content; `None` for a folder
    link_target: str | None = None  # the member that a hard link is another name of
    problem: str | None = None  # the reason why it is neither a file nor a folder


def packing(path: Path) -> str | None:
    """Return ``zip`` or ``tar`` by a file's first bytes; ``None`` for other files.

    Raises:
        DataError: if it is an archive of an unsupported kind.
        OSError: if it cannot be read.
    """
    with open_regular(path) as file:
        start = file.read(512)
    if start.startswith(_ZIP):
        return "zip"
    if kind := next((kind for mark, kind in _FOREIGN.items() if start.startswith(mark)), None):
        raise DataError(f"{path} is a {kind} archive, which is not read here: unpack it, and give the folder")
    if start.startswith((_GZIP, _BZIP2, _XZ)) or start[_TAR_MARK] == b"ustar":
        return "tar"
    # Archives from before the mark existed.
    return "tar" if path.suffix.lower() == ".tar" else None


def count_zip_entries(path: Path, *, most: int) -> int:
    """Return the number of entries in a zip's directory, ``most + 1`` if there are more.

    The entries are counted, as the number in the archive may be forged.
    """
    with open_regular(path) as file:
        length = file.seek(0, 2)
        tail_start = max(0, length - 2**16 - _END.size)
        file.seek(tail_start)
        tail = file.read()
        at = tail.rfind(b"PK\x05\x06")
        if at < 0 or len(tail) - at < _END.size:
            return 0  # zipfile reports the damage
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


def zip_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo, *, is_decoded: bool = False) -> Member:
    """Return a member; its name ``is_decoded`` if the archive was opened with the encoding of its names."""
    name = info.filename
    if not info.flag_bits & 0x800 and not is_decoded:
        # zipfile decodes names without the UTF-8 flag as cp437, in which every byte is a character. Many
        # programs write the bytes of another encoding, most often UTF-8, without setting the flag.
        with contextlib.suppress(UnicodeEncodeError):  # zipfile took the name from a UTF-8 extra field
            name = name.encode("cp437").decode("utf-8", errors="surrogateescape")
    if info.is_dir() or name.endswith("\\"):
        return Member(name)
    mode = info.external_attr >> 16 if info.create_system == 3 else 0
    kind = stat.S_IFMT(mode)
    if kind not in (0, stat.S_IFREG):
        return Member(name, problem="link in an archive" if kind == stat.S_IFLNK else "is no file")
    return Member(name, info.file_size, lambda: archive.open(info))  # type: ignore[arg-type, return-value]


def tar_members(packed: BinaryIO, encoding: str | None = None) -> Iterator[Member]:
    """Yield the members of a tar as a stream; each is to be read before the next one.

    Nothing of earlier members is kept, and nothing is read twice.

    Raises:
        tarfile.TarError: if it is damaged, cut between two members, or followed by another archive.
    """
    stream = _TarStream(packed)
    names = ("utf-8", "surrogateescape") if encoding is None else (encoding, "strict")
    options = dict(zip(("mode", "encoding", "errors"), ("r|", *names), strict=True))
    with tarfile.open(fileobj=stream, **options) as archive:  # type: ignore[call-overload]
        stream.expect(0)
        while (info := archive.next()) is not None:
            archive.members.clear()  # otherwise all headers of a million files stay in memory
            stream.expect(info.size)
            yield _tar_member(archive, info)
            stream.expect(info.size)
    stream.check_end()


def _tar_member(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member:
    if info.isdir():
        return Member(info.name)
    if info.islnk():
        return Member(info.name, link_target=info.linkname)
    if info.isreg():
        return Member(info.name, info.size, lambda: archive.extractfile(info))  # type: ignore[arg-type, return-value]
    return Member(info.name, info.size, problem="link in an archive" if info.issym() else "is no file")


class _TarStream:
    """The bytes of a tar, decompressed on demand, and never more than the members account for."""

    # tarfile reads the records of a header into memory whole, however long they claim to be: a few kilobytes
    # could fill it.
    def __init__(self, packed: BinaryIO) -> None:
        start = packed.read(len(_XZ))
        packed.seek(0)
        self._stream: BinaryIO | gzip.GzipFile | bz2.BZ2File | lzma.LZMAFile = packed
        if start.startswith(_GZIP):
            self._stream = gzip.GzipFile(fileobj=packed)
        elif start.startswith(_BZIP2):
            self._stream = bz2.BZ2File(packed)
        elif start == _XZ:
            self._stream = lzma.LZMAFile(packed)  # noqa: SIM115  # closed with the file that it reads
        self._allowed = _HEADER_BYTES
        self._last = b""

    def expect(self, count: int) -> None:
        """Allow a member's content of ``count`` bytes, and a header, to be read."""
        self._allowed = count + _HEADER_BYTES

    def read(self, count: int) -> bytes:
        try:
            chunk = self._stream.read(count)
        except OSError as error:
            if error.errno is None:  # raised by gzip and bz2 for damaged data
                raise tarfile.ReadError(str(error)) from error
            raise
        self._allowed -= len(chunk)
        if self._allowed < 0:
            raise tarfile.ReadError("a header is longer than any of a file")
        self._last = chunk or self._last
        return chunk

    def check_end(self) -> None:
        """Refuse an archive that was cut between two members, is followed by another, or has a wrong sum."""
        # tarfile does not notice the first, would not read the second, and stops before what compression has
        # at its end.
        ended = len(self._last) >= tarfile.BLOCKSIZE and not self._last[-tarfile.BLOCKSIZE :].strip(b"\0")
        self.expect(0)
        while ended and (chunk := self.read(2**16)):
            ended = not chunk.strip(b"\0")
        if not ended:
            raise tarfile.ReadError("it has no end, or something follows it")
