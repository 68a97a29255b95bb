"""Decoded pictures kept in memory, so that the epochs after the first need not decode them again."""

import contextlib
from collections.abc import Callable, Hashable
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

_MOST = 512 * 1024**2
# So many pictures show how large the others are.
_SAMPLE = 100
# Where Linux says how much memory a container may have, and how much it has (control groups 2 and 1).
_GROUP_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


class DecodedImages:
    """Pictures that are decoded once, if there is room for all of them; else each time they are asked for.

    Safe with several threads.

    Example:
        >>> pictures = DecodedPictures(len(paths))
        >>> image = pictures.get(0, lambda: preprocessing.read(paths[0]))
    """

    def __init__(self, count: int, limit: int | None = None) -> None:
        """Start empty.

        Args:
            count: how many different pictures will be asked for.
            limit: bytes that they may take; ``None`` for what :func:`spare_memory` says. With 0, nothing is
                kept.
        """
        self._count = count
        self._limit = spare_memory() if limit is None else limit
        self._lock = Lock()
        self._bytes = 0
        self._kept: dict[Hashable, np.ndarray] | None = {} if self._limit else None

    def get(self, key: Hashable, decode: Callable[[], Image.Image]) -> Image.Image:
        """A picture: the one that was kept under a key, or what ``decode`` returns, which is kept then.

        Args:
            key: what tells the picture from others.
            decode: makes it, in mode ``L``, ``RGB`` or ``RGBA``. What it raises is passed on.
        """
        kept = self._kept
        pixels = None if kept is None else kept.get(key)
        if pixels is not None:
            return Image.fromarray(pixels)
        image = decode()
        if kept is not None:
            self._keep(key, np.asarray(image))  # Pillow itself takes four bytes a pixel
        return image

    def _keep(self, key: Hashable, pixels: np.ndarray) -> None:
        with self._lock:
            if self._kept is None or key in self._kept:
                return
            self._kept[key] = pixels
            self._bytes += pixels.nbytes
            foreseen = self._bytes * self._count / len(self._kept)
            # A part of the pictures would take all that memory and still leave most of the decoding to do.
            if self._bytes > self._limit or (len(self._kept) >= _SAMPLE and foreseen > self._limit):
                self._kept = None


def spare_memory() -> int:
    """Bytes that kept pictures may take: 512 MiB, but no more than a quarter of the memory that is free."""
    return min(4 * _MOST, free_memory() or 4 * _MOST) // 4


def free_memory() -> int | None:
    """Bytes of memory that are free, to the process's control group, too; ``None`` where it is not known.

    It is known on Linux only.
    """
    free = []
    with contextlib.suppress(OSError):  # not Linux
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free.append(int(line.split()[1]) * 1024)
    for most, used in _GROUP_FILES:
        with contextlib.suppress(OSError, ValueError):  # no such group, or "max": no limit
            free.append(int(Path(most).read_text("ascii")) - int(Path(used).read_text("ascii")))
    return max(0, min(free)) if free else None
