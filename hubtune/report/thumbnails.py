"""Thumbnails of images for pages: small WebP files without metadata, which are cached."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import PIL
from PIL import Image, features

from hubtune.data.images.decode import ImageError
from hubtune.data.images.verify import check_pixels
from hubtune.data.scan.scan_cache import stamp_file
from hubtune.errors import MachineError, UsageError
from hubtune.inference.feature_cache import FeatureCache
from hubtune.inference.feature_rows import digest_facts

SIDE = 96
"""Long side of a thumbnail, pixels."""

_QUALITY = 75
_WORKERS = 2
_FACTS = {
    "module": "reports",
    "layer": "thumbnails",
    "view": f"{SIDE} px",
    "quality": _QUALITY,
    "pillow": PIL.__version__,
    "webp": features.version("webp"),
}


def make_thumbnails(paths: Sequence[Path]) -> list[bytes | None]:
    """Return a WebP file for each image, or read it from the feature cache; ``None`` for an unreadable one.

    Thumbnails are decoded by hubtune's own decoder and encoded again, so that they carry no metadata, such as
    where a photo was taken.
    """
    cache = _open_cache()
    keys = [_key_of(path) for path in paths]
    space = digest_facts(_FACTS)
    found = {key: row[2] for key in keys if key and cache and (row := cache.read_row(space, key))}
    missing = [path for path, key in zip(paths, keys, strict=True) if key not in found]
    with ThreadPoolExecutor(_WORKERS) as pool:  # Pillow holds no lock of Python while it decodes
        made: Iterator[bytes | None] = iter(list(pool.map(_make_thumbnail, missing)))
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


def _make_thumbnail(path: Path) -> bytes | None:
    try:
        image = check_pixels(path, side=SIDE).small
    except (ImageError, MachineError):
        return None
    image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    content = io.BytesIO()
    image.save(content, "WEBP", quality=_QUALITY)
    return content.getvalue()
