"""Archives of pictures, unpacked into the cache without trusting them.

What can go wrong is known (https://cwe.mitre.org/data/definitions/22.html, CVE-2007-4559 for tar; Fifield,
"A better zip bomb", WOOT 2019): names that lead out of the folder, links, a few bytes that unpack to
terabytes. Nothing is unpacked by :meth:`extractall`: each member's name is checked, and its bytes are
counted, before anything of it is written.
"""

import contextlib
import errno
import json
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO

from hubtune.data.images.decode import MAX_BYTES
from hubtune.data.listing import Excluded
from hubtune.data.sources.packed import TarStream, count_zip_entries, packing
from hubtune.errors import DataError, MachineError
from hubtune.storage.cache_folder import build_once, source_folder

MOST_FILES = 500_000
"""An archive of more files is not unpacked."""

MOST_TIMES = 100
"""An archive that unpacks to more than so many times its size is not: pictures are packed already."""

MOST_DEPTH = 100
"""An archive of deeper folders is not unpacked: what walks through them could run out of stack."""

SMALL_BYTES = 2**26
"""An archive that unpacks to no more than this is unpacked whatever its own size is."""

_CHUNK = 2**20
_ABOUT = "unpacked.json"
_FILES = "files"
_UNREADABLE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError)
# Names that a file system cannot hold: too long, or bytes that it takes for no text.
_NO_NAME = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL})
_BY_HAND = "unpack it with a program that you trust, and give the folder"


@dataclass(frozen=True)
class ExtractedArchive:
    """An archive's content.

    Attributes:
        folder: where it is.
        left_out: members that are not there, and why.
        remarks: what a person should know, one sentence each.
    """

    folder: Path
    left_out: list[Excluded]
    remarks: list[str]


@dataclass(frozen=True)
class _Member:
    """A file, folder or anything else in an archive.

    Attributes:
        name: as the archive has it.
        size: bytes, unpacked.
        open: opens its content; ``None`` for a folder.
        twin: the member that a hard link is another name of.
        oddity: in words, what is no file and no folder.
    """

    name: str
    size: int = 0
    open: Callable[[], BinaryIO] | None = None
    twin: str | None = None
    oddity: str | None = None


def unpack(archive: Path, *, advance: Callable[[int, int], None] | None = None) -> ExtractedArchive:
    """Unpack an archive into the cache, once; it is unpacked anew when its size or time changes.

    Links to what is not in the archive, devices, files too large for a picture, and names that the file
    system cannot hold are left out and named.

    Args:
        archive: a zip, or a tar that may be packed by gzip, bzip2 or xz.
        advance: called with the number of files done and of all files, 0 where that is unknown.

    Raises:
        DataError: it is no archive, damaged, encrypted, or not safe to unpack; nothing of it stays then.
        MachineError: the disk is full, or the cache cannot be written.
    """
    try:
        status = archive.stat()
        identity = f"{archive.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
        kind = packing(archive)
    except OSError as error:
        raise DataError(f"{archive} cannot be read ({error.strerror})") from error
    if kind is None:
        raise DataError(f"{archive} is no zip or tar archive: {_BY_HAND}")

    def make(folder: Path) -> None:
        unpacking = _Unpacking(archive, folder / _FILES, status.st_size, advance)
        with _reading(archive):
            (_zip if kind == "zip" else _tar)(archive, unpacking)
        about = {"archive": str(archive), "left_out": unpacking.left_out, "remarks": unpacking.remarks}
        (folder / _ABOUT).write_text(json.dumps(about), encoding="utf-8")

    folder = build_once(source_folder("unpacked", archive.stem, identity), make)
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        left_out = [Excluded(folder / _FILES / name, reason) for name, reason in about["left_out"]]
        return ExtractedArchive(folder / _FILES, left_out, about["remarks"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MachineError(f"The cache is damaged: delete {folder}, and run the command again") from error


def inside(name: str) -> str:
    """Return where a foreign name leads below a folder, with ``/`` and without ``.`` and empty parts.

    Raises:
        ValueError: it leads out of the folder, or too deep into it; in words.
    """
    # On every machine, so that all make the same of an archive.
    name = name.replace("\\", "/")
    if name.startswith("/"):
        raise ValueError("is absolute")
    if re.match("[A-Za-z]:", name):
        raise ValueError("has a drive letter")
    if "\0" in name:
        raise ValueError("has a zero byte")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError("leads out of its folder")
    if len(parts) > MOST_DEPTH:
        raise ValueError(f"leads more than {MOST_DEPTH} folders deep")
    if os.name == "nt" and ":" in name:
        raise ValueError("has a colon, which Windows takes for a hidden stream")
    return "/".join(parts)


class _Unpacking:
    """Writes members below a folder, and stops where an archive is not what one of pictures is."""

    def __init__(
        self, archive: Path, folder: Path, packed: int, advance: Callable[[int, int], None] | None
    ) -> None:
        self.left_out: list[tuple[str, str]] = []
        self.remarks: list[str] = []
        self.total = 0  # files, where that is known
        self.folder = folder
        self._archive = archive
        self._most_bytes = max(SMALL_BYTES, MOST_TIMES * packed)
        self._advance = advance
        self._bytes = 0
        self._members = 0
        self._files: set[str] = set()
        self._folders = {""}
        folder.mkdir()

    def refused(self, why: str) -> DataError:
        """Return the error for an archive that is not unpacked."""
        return DataError(f"{self._archive} is not unpacked: {why}; {_BY_HAND}")

    def check_count(self, members: int) -> None:
        """Refuse an archive of too many members."""
        if members > MOST_FILES:
            raise self.refused(f"it holds more than {MOST_FILES:,} files")

    def count(self, member: _Member) -> None:
        """Refuse what unpacks to too much, by what a member says of itself; more is never read of it."""
        self._members += 1
        self.check_count(self._members)
        self._bytes += member.size
        if self._bytes > self._most_bytes:
            raise self.refused(
                f"it would take more than {self._most_bytes / 1e6:,.0f} MB, {MOST_TIMES} times its own size"
                if self._most_bytes > SMALL_BYTES
                else f"it would take more than {SMALL_BYTES / 1e6:,.0f} MB, too much for so small a file"
            )

    def add(self, member: _Member) -> None:
        """Write a member that was counted."""
        try:
            name = inside(member.name)
        except ValueError as error:
            raise self.refused(f"the name {member.name!a} in it {error}") from error
        if member.oddity or member.size > MAX_BYTES:
            self.left_out.append(
                (name, member.oddity or f"has {member.size:,} bytes, too many for a picture")
            )
            return
        try:
            if member.open is None and member.twin is None:
                self._make_folder(name)
            else:
                self._make_folder(name.rpartition("/")[0])
                self._write(name, member)
        except OSError as error:
            if error.errno not in _NO_NAME:
                raise
            self.left_out.append((name, f"cannot be called so on this file system ({error.strerror})"))
        if self._advance is not None:
            self._advance(len(self._files), self.total)

    def _make_folder(self, name: str) -> None:
        missing = []
        while name not in self._folders:
            missing.append(name)
            name = name.rpartition("/")[0]
        for name in reversed(missing):
            try:
                (self.folder / name).mkdir()
            except FileExistsError as error:
                raise self._clash(name) from error
            self._folders.add(name)

    def _write(self, name: str, member: _Member) -> None:
        path = self.folder / name
        if name in self._files:
            raise self.refused(f"it holds two files called {name!a}")
        try:
            if member.twin is not None:
                self._link(name, member.twin)
            else:
                assert member.open is not None
                with path.open("xb") as file, member.open() as content:
                    self._copy(content, file, member)
        except FileExistsError as error:
            raise self._clash(name) from error
        self._files.add(name)

    def _clash(self, name: str) -> DataError:
        # Of the same letters in another case, on a disk that takes them for the same; or a file and a folder.
        return self.refused(f"{name!a} in it has the name of another file or folder of it, on this disk")

    def _link(self, name: str, twin: str) -> None:
        with contextlib.suppress(ValueError):
            twin = inside(twin)
        if twin not in self._files:
            self.left_out.append((name, "link to what is not in the archive"))
            return
        try:
            os.link(self.folder / twin, self.folder / name)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            shutil.copyfile(self.folder / twin, self.folder / name)

    def _copy(self, content: BinaryIO, file: BinaryIO, member: _Member) -> None:
        left = member.size
        while left and (chunk := _read(content, min(left, _CHUNK))):
            file.write(chunk)
            left -= len(chunk)
        # One byte more than it says: the end is what makes a zip check its sum.
        if left or _read(content, 1):
            raise tarfile.ReadError(f"{member.name!a} has another length than its header says")


def _read(content: BinaryIO, count: int) -> bytes:
    try:
        return content.read(count)
    except OSError as error:
        if error.errno is None:  # bzip2's way to say that data are damaged
            raise EOFError(str(error)) from error
        raise


@contextlib.contextmanager
def _reading(archive: Path) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        raise DataError(f"{archive} is damaged or cut short ({error}): get it again") from error
    except NotImplementedError as error:
        raise DataError(
            f"{archive} is packed in a way that is not read here ({error}): {_BY_HAND}"
        ) from error


def _zip(archive: Path, unpacking: _Unpacking) -> None:
    # Before zipfile makes an object of each.
    unpacking.check_count(count_zip_entries(archive, most=MOST_FILES))
    with zipfile.ZipFile(archive) as opened:
        members = [_zip_member(opened, info) for info in opened.infolist()]
        for info, member in zip(opened.infolist(), members, strict=True):
            if info.flag_bits & 1:
                raise unpacking.refused("it is encrypted")
            unpacking.count(member)
        needed = sum(member.size for member in members)
        free = shutil.disk_usage(unpacking.folder).free
        if needed > free:
            raise MachineError(
                f"{archive} unpacks to {needed / 1e9:,.1f} GB, but the cache has {free / 1e9:,.1f} GB: "
                "free some space, or set HUBTUNE_HOME to a folder on a larger disk"
            )
        odd = [member.name for member in members if not _is_text(member.name)]
        if odd:
            unpacking.remarks.append(
                f"{len(odd):,} names in {archive.name} are not in UTF-8 (first {odd[0]!a}): they are kept as "
                f"they are; for readable ones, {_BY_HAND}."
            )
        unpacking.total = sum(member.open is not None for member in members)
        for member in members:
            unpacking.add(member)


def _zip_member(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    name = info.filename
    if not info.flag_bits & 0x800:
        # zipfile reads names without the mark of UTF-8 as cp437, in which every byte is a character: many
        # programs write the bytes of their own encoding, most often UTF-8, and do not say so.
        with contextlib.suppress(UnicodeEncodeError):  # it has found the name in UTF-8 elsewhere
            name = name.encode("cp437").decode("utf-8", errors="surrogateescape")
    if info.is_dir() or name.endswith("\\"):
        return _Member(name)
    mode = info.external_attr >> 16 if info.create_system == 3 else 0
    kind = stat.S_IFMT(mode)
    if kind not in (0, stat.S_IFREG):
        return _Member(name, oddity="link in an archive" if kind == stat.S_IFLNK else "is no file")
    return _Member(name, info.file_size, lambda: _opened(opened, info))


def _opened(opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> BinaryIO:
    return opened.open(info)  # type: ignore[return-value]  # IO[bytes], which is as good


def _is_text(name: str) -> bool:
    return not re.search("[\ud800-\udfff]", name)


def _tar(archive: Path, unpacking: _Unpacking) -> None:
    with archive.open("rb") as packed:
        stream = TarStream(packed)
        # As a stream: nothing is kept of what was passed, and nothing is read twice.
        with tarfile.open(
            fileobj=stream,  # type: ignore[call-overload]
            mode="r|",
            encoding="utf-8",
            errors="surrogateescape",
        ) as opened:
            stream.expect(0)
            while (info := opened.next()) is not None:
                opened.members.clear()  # else all headers of a million files stay in memory
                member = _tar_member(opened, info)
                unpacking.count(member)
                stream.expect(info.size)
                unpacking.add(member)
                stream.expect(info.size)
        stream.check_end()


def _tar_member(opened: tarfile.TarFile, info: tarfile.TarInfo) -> _Member:
    if info.isdir():
        return _Member(info.name)
    if info.islnk():
        return _Member(info.name, twin=info.linkname)
    if info.isreg():
        return _Member(info.name, info.size, lambda: opened.extractfile(info))  # type: ignore[arg-type, return-value]
    return _Member(info.name, info.size, oddity="link in an archive" if info.issym() else "is no file")
