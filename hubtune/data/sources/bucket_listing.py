"""Stored listings of buckets: listing a million objects takes minutes, and is not always needed again."""

import contextlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path

from hubtune.data.sources.remote import Object, Remote
from hubtune.storage.atomic import replacing
from hubtune.storage.cache_folder import source_folder

LISTED = "objects.jsonl"


def mirror_folder(address: str) -> Path:
    """Return the folder in the cache for the copy of a source."""
    return source_folder("remote", address.rstrip("/").rpartition("/")[2], address)


def is_listed(address: str) -> bool:
    """Whether a listing of a source is stored."""
    return (mirror_folder(address) / LISTED).is_file()


def list_objects(
    remote: Remote, folder: Path, names: Collection[str] | None, *, relist: bool
) -> tuple[dict[str, Object], str | None]:
    """Return :meth:`Remote.objects`, from the stored listing of a whole folder unless ``relist`` is set.

    Errors are those of :meth:`Remote.objects`, and OSError if the listing cannot be stored.
    """
    if names is None and not relist and (stored := load_listing(folder)) is not None:
        return stored
    objects, single = remote.objects(names)
    if names is None and single is None:
        save_listing(folder, objects, single)
    return objects, single


def save_listing(folder: Path, objects: Mapping[str, Object], single: str | None) -> None:
    """Write a listing into a source's folder of the cache; raises OSError."""
    with replacing(folder / LISTED) as file:
        file.write(json.dumps({"single": single}).encode() + b"\n")
        for item in objects.values():
            file.write(
                json.dumps([item.name, item.where, item.size, item.token, item.small]).encode() + b"\n"
            )


def load_listing(folder: Path) -> tuple[dict[str, Object], str | None] | None:
    """Return the stored listing of a source; ``None`` if there is none, or it is damaged."""
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        with (folder / LISTED).open(encoding="utf-8") as file:
            single = json.loads(next(file, ""))["single"]
            items = [Object(*json.loads(line)) for line in file]
        return {item.name: item for item in items}, single
    return None
