"""Module folders that are packed into an archive: unpacked into the cache, by the archive's content."""

import tarfile
import zipfile
from itertools import islice
from pathlib import Path, PurePosixPath

from hubtune.data.sources.archive import extract_archive
from hubtune.data.sources.archive_formats import packing, tar_members
from hubtune.errors import DataError, ModelError
from hubtune.hub.file_names import CODE_FILE, MODULE_FILE
from hubtune.storage.atomic import sha256_of
from hubtune.storage.cache_folder import build_once, source_folder
from hubtune.storage.regular_file import open_regular

_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".zip")
_MOST_NAMES = 1000  # of an archive, among which the module's files are looked for
_FILES = "files"


def unpack_module(archive: Path) -> Path | None:
    """Return the folder of the module in an archive, unpacked; ``None`` if the file is something else.

    The module's files lie at the top of the archive, or in one folder there. Nothing of it is run.

    Raises:
        ModelError: the archive cannot be read, or is not safe to unpack.
        MachineError: the cache cannot be written.
    """
    if not archive.name.lower().endswith(_SUFFIXES) or (inner := _module_folder(archive)) is None:
        return None

    def make(folder: Path) -> None:
        extract_archive(archive, folder / _FILES)

    try:
        folder = build_once(source_folder("modules", archive.name, sha256_of(archive)), make)
    except DataError as error:
        raise ModelError(str(error)) from error
    return folder / _FILES / inner


def _module_folder(archive: Path) -> str | None:
    """Return the folder in an archive that has a module's files; empty for the top, ``None`` without any."""
    try:
        paths = [PurePosixPath(name) for name in _names(archive)]
    # What cannot be read may be weights, whose reader says what is wrong with them.
    except (OSError, DataError, EOFError, ValueError, tarfile.TarError, zipfile.BadZipFile):
        return None
    folders = [path.parent for path in paths if path.name in (MODULE_FILE, CODE_FILE)]
    folders = [folder for folder in folders if len(folder.parts) <= 1]
    return None if not folders else min(folders).as_posix()


def _names(archive: Path) -> list[str]:
    if packing(archive) == "zip":
        with zipfile.ZipFile(archive) as opened:
            return opened.namelist()[:_MOST_NAMES]
    with open_regular(archive) as packed:
        return [member.name for member in islice(tar_members(packed, None), _MOST_NAMES)]
