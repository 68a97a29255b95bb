"""Sealed folders: files with a ``manifest.json`` that holds the size and SHA-256 of each and is written last.

Models and checkpoints are sealed folders. A sealed folder is there whole or not at all, whenever the process
that writes it is killed, and damage is noticed when it is read.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from hubtune.errors import MachineError, ModelError
from hubtune.storage.atomic import sha256_of, sync_folder

MANIFEST = "manifest.json"


def write_checked(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a sealed folder, in place of an older one if there is one.

    Args:
        folder: the folder; the one it lies in is made if needed.
        files: name → content.

    Raises:
        MachineError: if it cannot be written; an older one is still there then.
    """
    new, old = _beside(folder, "new"), _beside(folder, "old")
    manifest = {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in files.items()
    }
    try:
        recover(folder)
        new.mkdir(parents=True)
        for name, content in [*files.items(), (MANIFEST, _json(manifest))]:
            with (new / name).open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        sync_folder(new)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        sync_folder(folder.parent)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        shutil.rmtree(new, ignore_errors=True)
        if old.exists() and not folder.exists():
            old.rename(folder)
        raise MachineError(
            f"{folder} could not be written ({error.strerror or error}): free some space, or check the "
            "permissions, then try again"
        ) from error


def recover(folder: Path) -> None:
    """Remove what a killed :func:`write_checked` left beside a folder, after completing what it had written
    whole."""
    new, old = _beside(folder, "new"), _beside(folder, "old")
    if not folder.exists():
        found = find_checked(folder)
        if found != folder:
            found.rename(folder)
    shutil.rmtree(new, ignore_errors=True)
    shutil.rmtree(old, ignore_errors=True)


def find_checked(folder: Path) -> Path:
    """Where a sealed folder is: at its place, or, where ``write_checked`` was killed at its end, still
    beside it."""
    if folder.exists():
        return folder
    for other in (_beside(folder, "new"), _beside(folder, "old")):
        if other.exists() and integrity_error(other) is None:
            return other
    return folder


def integrity_error(folder: Path) -> str | None:
    """What is wrong with a sealed folder, in a few words; ``None`` if all is as it was written."""
    try:
        if not (folder / MANIFEST).is_file():
            return f"{MANIFEST} is missing"
        manifest = json.loads((folder / MANIFEST).read_bytes())
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
    """Check a sealed folder and return where it is.

    Args:
        folder: the folder.
        names: files that must be in it.

    Raises:
        ModelError: if it is missing, damaged, or lacks one of the files.
    """
    found = find_checked(folder)
    reason = integrity_error(found) if found.is_dir() else "there is no such folder"
    if reason is None:
        listed = json.loads((found / MANIFEST).read_bytes())
        reason = next((f"{MANIFEST} does not list {name}" for name in names if name not in listed), None)
    if reason is not None:
        raise ModelError(f"{folder} cannot be used: {reason}")
    return found


def _beside(folder: Path, kind: str) -> Path:
    return folder.parent / f".{folder.name}.{kind}"


def _json(document: object) -> bytes:
    return (json.dumps(document, indent=1) + "\n").encode()
