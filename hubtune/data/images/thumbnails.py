"""Thumbnails of images: small WebP files without metadata, for pages and notebooks."""

import io
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from PIL import Image

from hubtune.data.images.decode import ImageError
from hubtune.data.images.verify import check_pixels
from hubtune.data.shards.members import DamagedMemberError, read_local_member
from hubtune.errors import HubtuneError, MachineError

SIDE = 96
"""Long side of a thumbnail, pixels."""

QUALITY = 75
"""Of WebP, 0 to 100."""

WORKERS = 2
"""Threads that make thumbnails: Pillow holds no lock of Python while it decodes."""


def make_thumbnail(path: Path, content: bytes | None = None) -> bytes | None:
    """Return a WebP file of an image file, or of its ``content``; ``None`` if it cannot be read.

    The image is decoded by hubtune's own decoder and encoded again: the thumbnail has no metadata, such as
    where a photo was taken.
    """
    try:
        image = check_pixels(path, content, side=SIDE).small
    except (ImageError, MachineError):
        return None
    image.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    file = io.BytesIO()
    image.save(file, "WEBP", quality=QUALITY)
    return file.getvalue()


def local_thumbnails(paths: Sequence[Path]) -> list[bytes | None]:
    """Return a WebP file for each image; ``None`` for one that is not on this machine or is unreadable.

    Nothing is fetched, unlike by :func:`make_thumbnail`, which asks a bucket for images of its shards.
    """
    with ThreadPoolExecutor(WORKERS) as pool:
        return list(pool.map(_local_thumbnail, paths))


def _local_thumbnail(path: Path) -> bytes | None:
    # An image that is gone since it was listed must not hide the others.
    with suppress(HubtuneError, DamagedMemberError, OSError, ValueError):
        return make_thumbnail(path, read_local_member(path))
    return None
