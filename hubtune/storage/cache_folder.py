"""The cache folder, and the folders in it that are built once from a source, whole or not at all."""

import hashlib
import os
import re
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
    """Return the cache's folder for images."""
    return cache_root() / "data"


def source_folder(kind: str, name: str, identity: str) -> Path:
    """Return the cache's folder for a source, whether it exists or not.

    Args:
        kind: what it holds: ``unpacked``, ``remote``, ``cifar``.
        name: the source's name, for people.
        identity: distinguishes the source from all others.
    """
    digest = hashlib.sha256(identity.encode(errors="surrogateescape")).hexdigest()[:10]
    readable = re.sub(r"[^A-Za-z0-9._-]", "_", name)[-60:].lstrip(".")
    return data_folder() / kind / f"{readable or 'source'}-{digest}"


def build_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return a folder of the cache, after making it if it is missing.

    Processes that need the same folder take turns. The next process removes what a killed one left.

    Args:
        folder: from :func:`source_folder`.
        make: fills an empty folder; if it raises, nothing of the folder stays.

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
    """Return the error for a file or folder of the cache that cannot be written."""
    return MachineError(
        f"The cache cannot keep {path}: {error.strerror or error}. "
        "Free some space or set HUBTUNE_HOME to a folder that can be written."
    )
