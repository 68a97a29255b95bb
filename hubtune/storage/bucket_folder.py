"""Checked folders in buckets: objects first, ``manifest.json`` last, under a name that is never used again.

A reader that requires the manifest, and compares sizes and checksums, never takes a part of a folder for all
of it, whenever the writer is killed. To remove a folder, its manifest is removed first.
"""

import hashlib
import json
import os
import secrets
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from hubtune.storage.atomic import replacing_folder, sync_folder
from hubtune.storage.checked_folder import MANIFEST, integrity_error
from hubtune.storage.object_store import MissingObjectError, ObjectInfo, ObjectStore
from hubtune.storage.regular_file import open_regular

_MOST_FILES = 1000


class DamagedFolderError(Exception):
    """A folder in a bucket is not as it was written."""


def unused_name(start: str) -> str:
    """Return a name for a folder that no other writer takes: ``start-<8 hexadecimal digits>``."""
    return f"{start}-{secrets.token_hex(4)}"


def put_checked(store: ObjectStore, folder: Path, name: str) -> bytes | None:
    """Copy a checked folder of this machine into a bucket; returns its manifest.

    Returns ``None``, without a manifest in the bucket, if the folder is removed, exchanged or damaged
    meanwhile.

    Raises:
        MachineError: the bucket cannot be written.
    """
    with ExitStack() as opened:
        try:
            with open_regular(folder / MANIFEST) as file:
                manifest = file.read()
            expected = read_manifest(manifest)
            # Open files stay what they are when a newer folder takes the place of this one.
            files = {each: opened.enter_context(open_regular(folder / each)) for each in expected}
            if any(
                hashlib.file_digest(files[each], "sha256").hexdigest() != expected[each][1] for each in files
            ):
                return None
        except (OSError, DamagedFolderError):
            return None
        for each, content in files.items():
            _put_file(store, f"{name}/{each}", content)
    store.put(f"{name}/{MANIFEST}", manifest)
    return manifest


def _put_file(store: ObjectStore, name: str, content: BinaryIO) -> None:
    content.seek(0)
    store.put(name, content if os.fstat(content.fileno()).st_size else b"")


def read_manifest(content: bytes) -> dict[str, tuple[int, str]]:
    """Return name → size and SHA-256 of the files of a checked folder, of its ``manifest.json``.

    Raises:
        DamagedFolderError: it is damaged, or names what cannot be a file in the folder.
    """
    try:
        document: dict[str, Any] = json.loads(content)
        files = {name: (int(each["size"]), str(each["sha256"])) for name, each in document.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise DamagedFolderError(f"{MANIFEST} is damaged") from error
    if len(files) > _MOST_FILES or not all(map(_is_file_name, files)):
        raise DamagedFolderError(f"{MANIFEST} names what is not a file in the folder")
    return files


def _is_file_name(name: str) -> bool:
    return name not in ("", "..") and Path(name).name == name and "\\" not in name


def fetch_checked(store: ObjectStore, name: str, folder: Path) -> None:
    """Copy a checked folder from a bucket to this machine, in place of an older one, whole or not at all.

    Raises:
        DamagedFolderError: it is not as it was written; what is at ``folder`` stays.
        MissingObjectError: it was removed meanwhile, or never completed.
        MachineError: the bucket cannot be read.
        OSError: the disk cannot be written.
    """
    manifest = store.get(f"{name}/{MANIFEST}")
    files = read_manifest(manifest)
    new, old = (folder.parent / f".{folder.name}.{kind}" for kind in ("new", "old"))
    with replacing_folder(folder, new, old) as unfinished:
        for each in files:
            store.download(f"{name}/{each}", unfinished / each)
        (unfinished / MANIFEST).write_bytes(manifest)
        if problem := integrity_error(unfinished):
            raise DamagedFolderError(f"{store.address}/{name}: {problem}")
        sync_folder(unfinished)


def remove_checked(store: ObjectStore, name: str, objects: dict[str, ObjectInfo]) -> None:
    """Remove a folder of a bucket, its manifest first; ``objects`` is a listing with its objects."""
    own = sorted(
        (each for each in objects if each.startswith(f"{name}/")), key=lambda each: not is_manifest(each)
    )
    for each in own:
        store.delete(each)


def is_manifest(name: str) -> bool:
    return name.rpartition("/")[2] == MANIFEST


def manifest_of(store: ObjectStore, name: str) -> bytes | None:
    """Return the manifest of a folder in a bucket; ``None`` if it has none."""
    try:
        return store.get(f"{name}/{MANIFEST}")
    except MissingObjectError:
        return None
