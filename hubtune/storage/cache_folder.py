"""The cache folder, and the folders in it that are built once from a source, whole or not at all."""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from hubtune.errors import MachineError
from hubtune.storage.atomic import replacing_folder, with_ending
from hubtune.storage.lock import exclusive_lock


def cache_root() -> Path:
    """Return hubtune's cache folder: ``$HUBTUNE_HOME`` or ``~/.cache/hubtune``.

    Raises:
        MachineError: the variable is unset and the user has no home folder.
    """
    chosen = os.environ.get("HUBTUNE_HOME")
    try:
        return Path(chosen).expanduser().absolute() if chosen else Path.home() / ".cache" / "hubtune"
    except RuntimeError as error:
        raise MachineError("This user has no home folder; set HUBTUNE_HOME to a folder to use.") from error


def data_folder() -> Path:
    return cache_root() / "data"


def is_cached(path: Path) -> bool:
    """Whether a folder or an image lies in the cache: its source is packed, remote, or a public data set."""
    return path.resolve().is_relative_to(data_folder().resolve())


def size_on_disk(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder; 0 where there is none."""
    files = (
        [path] if path.is_file() else (Path(top, name) for top, _, names in os.walk(path) for name in names)
    )
    total = 0
    for file in files:
        with contextlib.suppress(OSError):  # another process may be removing it
            total += file.lstat().st_size
    return total


def source_folder(kind: str, name: str, identity: str) -> Path:
    """Return the cache's folder for a source, whether it exists or not.

    ``kind`` is what it holds (``unpacked``, ``remote``, ``cifar``), ``name`` is for people, and ``identity``
    distinguishes the source from all others.
    """
    digest = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:10]
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-60:].lstrip(".")
    return data_folder() / kind / f"{readable or 'source'}-{digest}"


def build_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, from :func:`source_folder`, after making it if it is missing.

    ``make`` fills an empty folder; if it raises, nothing of the folder stays. Processes that need the same
    folder take turns. The next process removes what a killed one left.

    Raises:
        MachineError: the cache cannot be written.
    """
    if folder.is_dir():
        return folder
    try:
        with exclusive_lock(with_ending(folder, ".lock")):
            if not folder.is_dir():
                with replacing_folder(folder, with_ending(folder, ".part")) as unfinished:
                    make(unfinished)
                    # One call for perhaps 100,000 files; without it, a loss of power could leave empty
                    # files behind the new name.
                    if hasattr(os, "sync"):
                        os.sync()
    except OSError as error:
        raise cache_write_error(folder, error) from error
    return folder


def cache_write_error(path: Path, error: OSError) -> MachineError:
    return MachineError(
        f"The cache cannot keep {path}: {error.strerror or error}. "
        "Free some space or set HUBTUNE_HOME to a folder that can be written."
    )


def remove_data() -> int:
    """Remove all pictures that were unpacked or fetched, a source at a time; returns their bytes.

    Raises:
        OSError: one of them cannot be removed.
    """
    freed = 0
    # What a killed process has left unfinished is removed with its source.
    folders = filter(Path.is_dir, data_folder().glob("*/*"))
    for folder in sorted({path.with_name(path.name.removesuffix(".part")) for path in folders}):
        unfinished = folder.with_name(f"{folder.name}.part")
        freed += size_on_disk(folder) + size_on_disk(unfinished)
        with exclusive_lock(with_ending(folder, ".lock")):
            if unfinished.exists():
                shutil.rmtree(unfinished)
            # Under this name, half of a source can never be taken for all of it.
            if folder.exists():
                shutil.rmtree(folder.rename(unfinished))
    return freed
