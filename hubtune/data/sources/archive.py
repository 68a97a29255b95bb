"""Archives of images, unpacked into the cache without trusting them.

The dangers are known (https://cwe.mitre.org/data/definitions/22.html, CVE-2007-4559 for tar; Fifield, "A
better zip bomb", WOOT 2019): names that lead out of the folder, links, a few bytes that unpack to terabytes.
So :meth:`extractall` is never called: the name of each member is checked, and its bytes are counted, before
anything of it is written.
"""

import contextlib
import errno
import json
import os
import re
import shutil
import tarfile
import zipfile
import zlib
from lzma import LZMAError
from pathlib import Path
from typing import BinaryIO, NamedTuple

from hubtune.data.images.decode import MAX_BYTES
from hubtune.data.list_files import encode
from hubtune.data.listing import Excluded, Progress, no_progress
from hubtune.data.sources.archive_formats import Member, count_zip_entries, packing, tar_members, zip_member
from hubtune.errors import DataError, MachineError
from hubtune.storage.cache_folder import build_once, source_folder
from hubtune.storage.regular_file import open_regular
from hubtune.storage.text_file import likely_readings, question_of_encoding
from hubtune.text import escaped

# Limits of an archive that is unpacked.
MOST_FILES = 500_000
MOST_TIMES = 100  # ratio of the unpacked size to the archive's own: images are compressed already
MOST_DEPTH = 100  # of folders: a walk through them could exhaust the stack
SMALL_BYTES = 2**26  # an archive of this unpacked size may have any ratio

_CHUNK = 2**20
_ABOUT = "unpacked.json"
_FILES = "files"
# A name that is marked as UTF-8 and is none is an error of Unicode.
_UNREADABLE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, UnicodeError)
# Names that a file system cannot hold: too long, or bytes that it does not accept as text.
_NAME_ERRORS = frozenset({errno.ENAMETOOLONG, errno.EILSEQ, errno.EINVAL})
_UNDECODED = re.compile("[\ud800-\udfff]")
_BY_HAND = "unpack it with a program that you trust, and give the folder"


class ExtractedArchive(NamedTuple):
    """The content of an archive: its folder, the members that were not unpacked, and remarks for people."""

    folder: Path
    left_out: list[Excluded]
    remarks: list[str]


def unpack(
    archive: Path, progress: Progress = no_progress, *, encoding: str | None = None
) -> ExtractedArchive:
    """Unpack an archive into the cache, once; again if its size or time changes.

    It is a zip, or a tar that may be compressed by gzip, bzip2 or xz. Links out of it, devices, files too
    large for an image, and names that the file system cannot hold are left out and reported.

    Args:
        encoding: of the names that are not marked as UTF-8.

    Raises:
        DataError: if it is not an archive, damaged, encrypted, or not safe to unpack, or if the names of
            folders in it are in an unknown encoding; nothing of it is kept.
        MachineError: if the disk is full, or the cache cannot be written.
    """
    try:
        status = archive.stat()
    except OSError as error:
        raise DataError(f"{archive} cannot be read ({error.strerror})") from error
    identity = f"{archive.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    identity += "" if encoding is None else f"\0{encoding}"

    def make(folder: Path) -> None:
        left_out, remarks = extract_archive(archive, folder / _FILES, progress, encoding=encoding)
        about = {"archive": str(archive), "left_out": left_out, "remarks": remarks}
        (folder / _ABOUT).write_text(json.dumps(about), encoding="utf-8")

    folder = build_once(source_folder("unpacked", archive.stem, identity), make)
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        left_out = [Excluded(folder / _FILES / name, reason) for name, reason in about["left_out"]]
        return ExtractedArchive(folder / _FILES, left_out, about["remarks"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MachineError(f"The cache is damaged: delete {folder}, and run the command again") from error


def extract_archive(
    archive: Path, folder: Path, progress: Progress = no_progress, *, encoding: str | None = None
) -> tuple[list[tuple[str, str]], list[str]]:
    """Unpack an archive as :func:`unpack` into a folder, which is made.

    Returns the names and reasons of members that were left out, and remarks for people.

    Raises:
        DataError, MachineError: as :func:`unpack`; what was written until then stays.
        OSError: the folder cannot be written.
    """
    try:
        size, kind = archive.stat().st_size, packing(archive)
    except OSError as error:
        raise DataError(f"{archive} cannot be read ({error.strerror})") from error
    if kind is None:
        raise DataError(f"{archive} is no zip or tar archive: {_BY_HAND}")
    extraction = _Extraction(archive, folder, size, progress)
    try:
        (_extract_zip if kind == "zip" else _extract_tar)(archive, extraction, encoding)
    except _UNREADABLE as error:
        if encoding is not None and isinstance(error, UnicodeError):
            raise DataError(f"{archive}: the names in it are not in {encoding}") from error
        raise DataError(f"{archive} is damaged or cut short ({error}): get it again") from error
    except NotImplementedError as error:
        why = f"is packed in a way that is not read here ({error})"
        raise DataError(f"{archive} {why}: {_BY_HAND}") from error
    return extraction.left_out, extraction.remarks


def inside(name: str) -> str:
    """Normalise a foreign name to a path below a folder, with ``/`` and without ``.`` and empty parts.

    Raises:
        ValueError: if it leads out of the folder, or too deep into it; the message says which.
    """
    # The same on every machine, so that all of them unpack an archive alike.
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


class _Extraction:
    """Writes members below a folder, and stops where an archive is not what one of images would be."""

    def __init__(self, archive: Path, folder: Path, packed: int, progress: Progress) -> None:
        self.left_out: list[tuple[str, str]] = []
        self.remarks: list[str] = []
        self.total = 0  # files, if known
        self.folder = folder
        self._archive = archive
        self._most_bytes = max(SMALL_BYTES, MOST_TIMES * packed)
        self._progress = progress
        self._bytes = self._members = 0
        self._files: set[str] = set()
        self._folders = {""}
        folder.mkdir()

    def refusal(self, why: str) -> DataError:
        return DataError(f"{self._archive} is not unpacked: {why}; {_BY_HAND}")

    def _unknown_encoding(self, name: str) -> DataError:
        """Return the error for a folder, which may be a class, whose name is not in UTF-8."""
        western = "cp437" if zipfile.is_zipfile(self._archive) else "cp1252"
        usual = ("gbk", western, "big5", "shift_jis", "euc_kr", "cp866")
        known, options = question_of_encoding(likely_readings(encode(name), usual))
        return DataError(
            f"{self._archive} has names of folders that are not in UTF-8.{known} Name their encoding: "
            f"{options}"
        )

    def check_count(self, members: int) -> None:
        if members > MOST_FILES:
            raise self.refusal(f"it holds more than {MOST_FILES:,} files")

    def count(self, member: Member) -> None:
        """Refuse an archive that unpacks to too much, by the sizes in its headers; no more is ever read."""
        self._members += 1
        self.check_count(self._members)
        self._bytes += member.size
        if self._bytes > self._most_bytes:
            raise self.refusal(
                f"it would take more than {self._most_bytes / 1e6:,.0f} MB, {MOST_TIMES} times its own size"
                if self._most_bytes > SMALL_BYTES
                else f"it would take more than {SMALL_BYTES / 1e6:,.0f} MB, too much for so small a file"
            )

    def add(self, member: Member) -> None:
        try:
            name = inside(member.name)
        except ValueError as error:
            raise self.refusal(f"the name '{escaped(member.name)}' in it {error}") from error
        if _UNDECODED.search(name.rpartition("/")[0]):
            raise self._unknown_encoding(name)
        if member.problem or member.size > MAX_BYTES:
            reason = member.problem or f"has {member.size:,} bytes, too many for a picture"
            self.left_out.append((name, reason))
            return
        try:
            if member.open is None and member.link_target is None:
                self._make_folder(name)
            else:
                self._make_folder(name.rpartition("/")[0])
                self._write(name, member)
        except OSError as error:
            if error.errno not in _NAME_ERRORS:
                raise
            self.left_out.append((name, f"cannot be called so on this file system ({error.strerror})"))
        self._progress("unpacking", len(self._files), self.total)

    def _make_folder(self, name: str) -> None:
        if name in self._folders:
            return
        self._make_folder(name.rpartition("/")[0])  # at most MOST_DEPTH times
        try:
            (self.folder / name).mkdir()
        except FileExistsError as error:
            raise self._clash(name) from error
        self._folders.add(name)

    def _write(self, name: str, member: Member) -> None:
        if name in self._files:
            raise self.refusal(f"it holds two files called '{escaped(name)}'")
        try:
            if member.link_target is not None:
                self._link(name, member.link_target)
            else:
                assert member.open is not None
                with (self.folder / name).open("xb") as file, member.open() as content:
                    _copy(content, file, member)
        except FileExistsError as error:
            raise self._clash(name) from error
        self._files.add(name)

    def _clash(self, name: str) -> DataError:
        # Names that differ in case only, on a disk that ignores it; or a file and a folder of one name.
        return self.refusal(
            f"'{escaped(name)}' in it has the name of another file or folder of it, on this disk"
        )

    def _link(self, name: str, target: str) -> None:
        with contextlib.suppress(ValueError):
            target = inside(target)
        if target not in self._files:
            self.left_out.append((name, "link to what is not in the archive"))
            return
        try:
            os.link(self.folder / target, self.folder / name)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            shutil.copyfile(self.folder / target, self.folder / name)


def _copy(content: BinaryIO, file: BinaryIO, member: Member) -> None:
    left = member.size
    while left and (chunk := _read(content, min(left, _CHUNK))):
        file.write(chunk)
        left -= len(chunk)
    # Read one byte beyond the end: zipfile checks its sum there only.
    if left or _read(content, 1):
        raise tarfile.ReadError(f"'{escaped(member.name)}' has another length than its header says")


def _read(content: BinaryIO, count: int) -> bytes:
    try:
        return content.read(count)
    except OSError as error:
        if error.errno is None:  # raised by bz2 for damaged data
            raise EOFError(str(error)) from error
        raise


def _extract_zip(archive: Path, extraction: _Extraction, encoding: str | None) -> None:
    # Before zipfile makes an object of each entry.
    extraction.check_count(count_zip_entries(archive, most=MOST_FILES))
    with zipfile.ZipFile(archive, metadata_encoding=encoding) as opened:
        members = [zip_member(opened, info, is_decoded=encoding is not None) for info in opened.infolist()]
        for info, member in zip(opened.infolist(), members, strict=True):
            if info.flag_bits & 1:
                raise extraction.refusal("it is encrypted")
            extraction.count(member)
        needed = sum(member.size for member in members)
        free = shutil.disk_usage(extraction.folder).free
        if needed > free:
            raise MachineError(
                f"{archive} unpacks to {needed / 1e9:,.1f} GB, but the cache has {free / 1e9:,.1f} GB: "
                "free some space, or set HUBTUNE_HOME to a folder on a larger disk"
            )
        undecoded = [member.name for member in members if _UNDECODED.search(member.name)]
        if undecoded:
            extraction.remarks.append(
                f"{len(undecoded):,} names in {archive.name} are not in UTF-8 "
                f"(first '{escaped(undecoded[0])}'): they are used as they are; for readable ones: "
                "--encoding gbk, cp437, …"
            )
        extraction.total = sum(member.open is not None for member in members)
        for member in members:
            extraction.add(member)


def _extract_tar(archive: Path, extraction: _Extraction, encoding: str | None) -> None:
    with open_regular(archive) as packed:
        for member in tar_members(packed, encoding):
            extraction.count(member)
            extraction.add(member)
