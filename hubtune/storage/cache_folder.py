"""Folders of the cache that hold what was made of a source: each is made once, whole or not at all."""

import contextlib
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from hubtune.errors import MachineError
from hubtune.log import logger
from hubtune.storage.atomic import sync_folder


def cache_root() -> Path:
    """Return the folder that hubtune keeps its files in: ``$HUBTUNE_HOME`` or ``~/.cache/hubtune``.

    Raises:
        MachineError: the variable is unset and the user has no home folder.
    """
    chosen = os.environ.get("HUBTUNE_HOME")
    try:
        return Path(chosen).expanduser().absolute() if chosen else Path.home() / ".cache" / "hubtune"
    except RuntimeError as error:
        raise MachineError("This user has no home folder; set HUBTUNE_HOME to a folder to use.") from error


def data_folder() -> Path:
    """Return the folder of the cache that pictures are in."""
    return cache_root() / "data"


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


def place_of(kind: str, name: str, identity: str) -> Path:
    """Return the folder for a source, whether it is there or not.

    Args:
        kind: what is kept: ``unpacked``, ``remote``, ``cifar``.
        name: what a person knows the source by.
        identity: what makes it another source.
    """
    mark = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:10]
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-60:].lstrip(".")
    return data_folder() / kind / f"{readable or 'source'}-{mark}"


class exclusive_lock:
    """The lock of a folder of the cache, held while a block runs; freed by the system if the process dies."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FileLock(folder.with_name(folder.name + ".lock"))

    def __enter__(self) -> None:
        self._folder.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            logger.info("Another process is at work on %s; waiting for it.", self._folder.name)
            self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def build_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, after making it where it is missing.

    Processes that want the same folder take turns. What a process leaves behind that is killed is removed by
    the next one.

    Args:
        folder: as :func:`place_of` says.
        make: fills an empty folder; if it raises, nothing of it stays.

    Raises:
        MachineError: the cache cannot be written.
    """
    if folder.is_dir():
        return folder
    unfinished = folder.with_name(folder.name + ".part")
    try:
        with exclusive_lock(folder):
            if folder.is_dir():
                return folder
            shutil.rmtree(unfinished, ignore_errors=True)
            try:
                unfinished.mkdir()
                make(unfinished)
                # One call for all of perhaps 100,000 files; without it, a loss of power could leave empty
                # files behind the new name.
                if hasattr(os, "sync"):
                    os.sync()
                unfinished.rename(folder)
            except BaseException:
                shutil.rmtree(unfinished, ignore_errors=True)
                raise
            sync_folder(folder.parent)
    except (OSError, NotImplementedError) as error:  # the latter: a file system without locks
        raise cannot_keep(folder, error) from error
    return folder


def cannot_keep(folder: Path, error: Exception) -> MachineError:
    """Return the error for a cache that cannot be written."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    return MachineError(
        f"The cache cannot keep {folder}: {reason}. "
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
        with exclusive_lock(folder):
            if unfinished.exists():
                shutil.rmtree(unfinished)
            # Under this name, half of a source can never be taken for all of it.
            if folder.exists():
                shutil.rmtree(folder.rename(unfinished))
    return freed
