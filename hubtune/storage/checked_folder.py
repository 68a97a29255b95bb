"""Checked folders: files with a ``manifest.json``, written last, that holds the size and SHA-256 of each.

Models and checkpoints are checked folders. A checked folder exists whole or not at all, whenever the process
that writes it is killed, and damage is noticed when it is read.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from hubtune.errors import MachineError, ModelError
from hubtune.storage.atomic import replacing_folder, sha256_of, sync_folder
from hubtune.storage.regular_file import read_json

MANIFEST = "manifest.json"


def write_checked(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a folder of files, name → content, in place of an older one if it exists.

    Raises:
        MachineError: the folder cannot be written; an older one is left as it was.
    """
    manifest = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
    }
    listing = (json.dumps(manifest, indent=1) + "\n").encode()
    try:
        recover(folder)
        with replacing_folder(folder, _beside(folder, "new"), _beside(folder, "old")) as new:
            for name, content in [*files.items(), (MANIFEST, listing)]:
                with (new / name).open("xb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
            sync_folder(new)
    except OSError as error:
        raise MachineError(
            f"{folder} could not be written ({error.strerror or error}): free some space, or check the "
            "permissions, then try again"
        ) from error


def recover(folder: Path) -> None:
    """Finish or remove what a killed :func:`write_checked` left beside a folder."""
    if not folder.exists():
        whole = find_checked(folder)
        if whole != folder:
            whole.rename(folder)
    for kind in ("new", "old"):
        shutil.rmtree(_beside(folder, kind), ignore_errors=True)


def find_checked(folder: Path) -> Path:
    """Return where a checked folder is: in its place or, after a kill during the exchange, beside it."""
    if folder.exists():
        return folder
    for kind in ("new", "old"):
        other = _beside(folder, kind)
        if other.exists() and integrity_error(other) is None:
            return other
    return folder


def integrity_error(folder: Path) -> str | None:
    """Return what is wrong with a checked folder; ``None`` if its files are as they were written."""
    try:
        if not (folder / MANIFEST).is_file():
            return f"{MANIFEST} is missing"
        manifest = read_json(folder / MANIFEST)
        for name, expected in manifest.items():
            file = folder / name
            if file.parent != folder:
                return f"{MANIFEST} names a file elsewhere"
            if not file.is_file():
                return f"{name} is missing"
            if file.stat().st_size != expected["size"]:
                return f"{name} has another size than when it was written"
            if sha256_of(file) != expected["sha256"]:
                return f"{name} is damaged: its SHA-256 differs"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return f"{MANIFEST} is damaged"
    return None


def open_checked(folder: Path, *names: str) -> Path:
    """Check a checked folder, whose manifest must list the names, and return where it is.

    Raises:
        ModelError: the folder is missing, damaged, or lacks one of the files.
    """
    found = find_checked(folder)
    reason = integrity_error(found) if found.is_dir() else "there is no such folder"
    if reason is None:
        listed = read_json(found / MANIFEST)
        reason = next((f"{MANIFEST} does not list {name}" for name in names if name not in listed), None)
    if reason is not None:
        raise ModelError(f"{folder} cannot be used: {reason}")
    return found


def _beside(folder: Path, kind: str) -> Path:
    return folder.parent / f".{folder.name}.{kind}"
