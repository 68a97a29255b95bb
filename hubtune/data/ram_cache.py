"""Cache of decoded images in memory: later epochs need not decode them again."""

from collections.abc import Callable, Hashable
from threading import Lock

import numpy as np
from PIL import Image

from hubtune.hardware.memory import free_memory

_MAX_BYTES = 512 * 1024**2
_SAMPLE = 100  # images after which the size of all is estimated


class DecodedImages:
    """Images that are decoded once if all fit into memory, else on each request; safe with threads."""

    def __init__(self, count: int, limit: int | None = None) -> None:
        """Create a cache for ``count`` images; ``limit`` in bytes, default :func:`spare_memory`."""
        self._count = count
        self._limit = spare_memory() if limit is None else limit
        self._lock = Lock()
        self._bytes = 0
        self._arrays: dict[Hashable, np.ndarray] | None = {} if self._limit else None

    def get(self, key: Hashable, decode: Callable[[], Image.Image]) -> Image.Image:
        """Return an image from the cache, or decode it to mode ``L``, ``RGB`` or ``RGBA``."""
        arrays = self._arrays
        if arrays is None:
            return decode()
        if (pixels := arrays.get(key)) is not None:
            return Image.fromarray(pixels)
        image = decode()
        self._store(key, np.asarray(image))  # an array, because Pillow takes four bytes a pixel for RGB
        return image

    def _store(self, key: Hashable, pixels: np.ndarray) -> None:
        with self._lock:
            if self._arrays is None or key in self._arrays:
                return
            self._arrays[key] = pixels
            self._bytes += pixels.nbytes
            estimate = self._bytes * self._count / len(self._arrays)
            # All or nothing: a part of the images would take the memory and save little of the decoding.
            if self._bytes > self._limit or (len(self._arrays) >= _SAMPLE and estimate > self._limit):
                self._arrays = None


def spare_memory() -> int:
    """Most bytes for cached images: 512 MiB, but at most a quarter of the free memory."""
    return min(4 * _MAX_BYTES, free_memory() or 4 * _MAX_BYTES) // 4
