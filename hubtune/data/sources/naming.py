"""Names of sources: whether a text is one, what it is called, and where its lists go."""

import re
from pathlib import Path, PurePosixPath

from hubtune.storage.cache_folder import is_cached

_SUFFIXES = re.compile(r"(\.(tar|csv|tsv|txt|zip|tgz|gz|bz2|xz|zst))+$", re.IGNORECASE)


def is_source(text: str) -> bool:
    """Whether a text names images, and not a recipe: a folder, an address, an archive, a table, a list."""
    return "://" in text or Path(text).is_dir() or bool(_SUFFIXES.search(text))


def source_name(source: str) -> str:
    """Return the name of a source: of its folder or file, without the suffixes of tables and archives."""
    if "://" not in source and Path(source).is_dir():
        return Path(source).resolve().name
    return _SUFFIXES.sub("", PurePosixPath(source.replace("\\", "/")).name) or "pictures"


def lists_folder(source: str) -> Path:
    """Return the default folder for lists: beside a folder of images, or else ``NAME-lists``."""
    folder = Path(source)
    if "://" in source or not folder.is_dir() or is_cached(folder):
        return Path(f"{source_name(source)}-lists")
    # The parent of `.` and `..` is known only after resolving them.
    return folder.resolve().parent if folder.name in ("", "..") else folder.parent
