"""Thumbnails of images for pages, which are cached."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import PIL
from PIL import features

from hubtune.data.images.thumbnails import QUALITY, SIDE, WORKERS, make_thumbnail
from hubtune.data.scan.scan_cache import stamp_file
from hubtune.errors import MachineError, UsageError
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.feature_rows import digest_facts

_FACTS = {
    "module": "reports",
    "layer": "thumbnails",
    "view": f"{SIDE} px",
    "quality": QUALITY,
    "pillow": PIL.__version__,
    "webp": features.version("webp"),
}


def make_thumbnails(paths: Sequence[Path]) -> list[bytes | None]:
    """Return a WebP file for each image, made or from the feature cache; ``None`` for an unreadable one."""
    cache = _open_cache()
    keys = [_key_of(path) for path in paths]
    space = digest_facts(_FACTS)
    found = {key: row[2] for key in keys if key and cache and (row := cache.read_row(space, key))}
    missing = [path for path, key in zip(paths, keys, strict=True) if key not in found]
    with ThreadPoolExecutor(WORKERS) as pool:
        made: Iterator[bytes | None] = iter(list(pool.map(make_thumbnail, missing)))
    results = [bytes(found[key]) if key in found else next(made) for key in keys]
    new = {
        key: content
        for key, content in zip(keys, results, strict=True)
        if key and content and key not in found
    }
    if cache:
        cache.write_rows(_FACTS, {key: (b"", b"", content) for key, content in new.items()})
        cache.touch()
    return results


def _open_cache() -> FeatureCache | None:
    try:
        return FeatureCache()
    except (MachineError, UsageError):  # no home folder, or a size that cannot be read
        return None


def _key_of(path: Path) -> bytes | None:
    """The key of a file's current state; ``None`` if it has none, or may change without notice."""
    stamp = stamp_file(path)
    return None if stamp.state is None else stamp.key + stamp.state
