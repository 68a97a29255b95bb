"""Cache of decoded images in memory: later epochs need not decode them again."""

import contextlib
import os
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from threading import Lock

import numpy as np
from PIL import Image

from hubtune.errors import MachineError

_MAX_BYTES = 512 * 1024**2
_SAMPLE = 100  # images after which the size of all is estimated
# Limit and use of a Linux container's memory, in bytes (control groups 2 and 1).
_CGROUP_FILES = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


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


def free_memory() -> int | None:
    """Free bytes of memory, also within the process's control group; ``None`` except on Linux."""
    free = []
    with contextlib.suppress(OSError):  # not Linux
        for line in Path("/proc/meminfo").read_text("ascii").splitlines():
            if line.startswith("MemAvailable:"):
                free.append(int(line.split()[1]) * 1024)
    with contextlib.suppress(OSError, ValueError, StopIteration):  # not Linux, or no limit (`ulimit -v`)
        limits = Path("/proc/self/limits").read_text("ascii").splitlines()
        most = int(next(line for line in limits if line.startswith("Max address space")).split()[3])
        free.append(
            most - int(Path("/proc/self/statm").read_text("ascii").split()[0]) * os.sysconf("SC_PAGE_SIZE")
        )
    for limit, used in _CGROUP_FILES:
        with contextlib.suppress(OSError, ValueError):  # no such group, or "max": no limit
            free.append(int(Path(limit).read_text("ascii")) - int(Path(used).read_text("ascii")))
    return max(0, min(free)) if free else None


def out_of_memory(count: int, sides: Sequence[int], free: int | None, image_bytes: int = 0) -> MachineError:
    """Return the error for ``count`` images at once, of height and width ``sides``, with values to try.

    ``free`` is in bytes, as is ``image_bytes``: what an image needs at least, 0 if that is not known.
    """
    fitting, side, known = count // 2, max(sides) // 2, ""
    if image_bytes:
        known = f", for which at least {count * image_bytes / 1e9:,.2f} GB are needed"
    if free is not None:
        known += f"; {free / 1e9:,.2f} GB are free"
        if image_bytes:
            fitting = min(fitting, free // (2 * image_bytes))
            side = min(side, int(max(sides) * (free / (2 * count * image_bytes)) ** 0.5))
    smaller = f"a batch_size of {fitting}, or " if fitting else ""
    return MachineError(
        f"Memory does not hold {count} pictures of {sides[1]} × {sides[0]} pixels at once{known}. Close "
        f"other programs, or try {smaller}pictures of a smaller size, such as {max(16, side // 16 * 16)}"
    )
