"""The cache of downloaded weights, and what lies in it."""

import hashlib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hubtune.errors import LockedError, ModelError
from hubtune.storage import download
from hubtune.storage.atomic import sync_folder, with_ending
from hubtune.storage.cache_folder import cache_root, cache_write_error
from hubtune.storage.download import Progress
from hubtune.storage.lock import exclusive_lock
from hubtune.storage.published_file import (
    CachedFile,
    ExpectedFile,
    checksum_record,
    fetch_published,
    partial_files,
    write_record,
)

PASS_A_FILE = "name a file as its weights (`-o module.weights=FILE`, elsewhere `--weights FILE`)"
"""Advice for when official weights cannot be had."""


def weights_folder() -> Path:
    return cache_root() / "weights"


def cache_path(url: str) -> Path:
    """Return the path in the cache of the file at an address, whether it exists or not.

    Example:
        >>> cache_path("https://example.com/dygraph/ResNet50_pretrained.pdparams").name
        'ResNet50_pretrained-66330effd9.pdparams'
    """
    last = unquote(urlsplit(url).path).rpartition("/")[2]
    name = Path(re.sub(r"[^A-Za-z0-9._-]", "_", last)[-100:].lstrip("."))
    # Different addresses may end in the same file name.
    digest = hashlib.sha256(url.encode()).hexdigest()[:10]
    return weights_folder() / f"{name.stem or 'file'}-{digest}{name.suffix}"


def fetch_file(url: str, expected: ExpectedFile, *, progress: Progress | None = None) -> Path:
    """Return the verified local copy of the weights at an address, as :func:`fetch_published` does.

    Raises:
        ModelError: the file's checksum differs from the published or recorded one, or ``url`` is not an
            address.
        HubtuneError: as :func:`~hubtune.storage.published_file.fetch_published`.
    """
    if not download.is_web_address(url):
        raise ModelError(f"{url!r} is no http or https address of weights.")
    path = cache_path(url)

    def unavailable(reason: str) -> str:
        name = urlsplit(url).path.rpartition("/")[2]
        return (
            f"The weights {name} cannot be used: the file {reason}. Fetch {url} on another machine, and put "
            f"it at {path}, or {PASS_A_FILE}."
        )

    return fetch_published(CachedFile(path, (url,), expected, unavailable, ModelError), progress)


def add_to_cache(file: Path, url: str) -> Path:
    """Copy a file into the cache as the file at an address, record its checksum, and return its path there.

    Raises:
        MachineError: the cache cannot be written.
    """
    path = cache_path(url)
    part, origin = partial_files(path)
    try:
        with exclusive_lock(with_ending(path, ".lock")):
            origin.unlink(missing_ok=True)
            shutil.copyfile(file, part)
            write_record(checksum_record(path), part)
            part.replace(path)
            sync_folder(path.parent)
    except OSError as error:
        raise cache_write_error(path, error) from error
    return path


def cached_files() -> dict[Path, list[Path]]:
    """Return the files in the cache, grouped by the path of the download that they belong to."""
    groups: dict[Path, list[Path]] = {}
    for file in sorted(weights_folder().glob("*")):
        if file.is_file() and file.suffix != ".lock":
            path = file.with_name(re.sub(r"(\.part)?(\.json)?$", "", file.name))
            groups.setdefault(path, []).append(file)
    return groups


def partial_downloads() -> dict[Path, list[Path]]:
    """Return the files that interrupted downloads have left, grouped as in :func:`cached_files`."""
    return {
        path: own
        for path, files in cached_files().items()
        if (own := [file for file in files if file in partial_files(path)])
    }


def delete_cached_file(path: Path, files: Iterable[Path]) -> bool:
    """Delete files that belong to a path in the cache; ``False`` if another process is fetching that.

    Raises:
        MachineError: they cannot be deleted.
    """
    try:
        with exclusive_lock(with_ending(path, ".lock"), wait=False):
            for file in files:
                file.unlink(missing_ok=True)
    except LockedError:
        return False
    except OSError as error:
        raise cache_write_error(path, error) from error
    return True
