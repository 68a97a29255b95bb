"""Looking at many files, in parallel, and only at those that are new or changed."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from hubtune.data.images.decode import ImageError
from hubtune.data.scan.inspect import inspect_image
from hubtune.data.scan.scan_cache import Look, ScanCache, Stamp, stamp_of

# Files that are given to the threads at once: a million of them would fill the memory.
_PORTION = 4096


def looks_at(paths: Sequence[Path]) -> Iterator[Look]:
    """Look at files, each once and to its last byte; yields the facts, or what is wrong, in order.

    What was told of a file before is taken from the cache. When the iterator is closed early, what is done is
    kept there.
    """
    # Pillow decodes without holding Python's lock, so threads use all cores.
    with ScanCache() as cache, ThreadPoolExecutor(max_workers=min(16, (os.cpu_count() or 1) + 2)) as pool:
        for start in range(0, len(paths), _PORTION):
            stamped = [(path, stamp_of(path)) for path in paths[start : start + _PORTION]]
            known = [cache.get(stamp) for _, stamp in stamped]
            unknown = [each for each, look in zip(stamped, known, strict=True) if look is None]
            futures = [pool.submit(_look, path) for path, _ in unknown]
            new: list[tuple[Stamp, _Made]] = []
            try:
                for look in known:
                    if look is None:
                        new.append((unknown[len(new)][1], futures[len(new)].result()))
                    yield look or new[-1][1].look
            finally:
                for future in futures:
                    future.cancel()
                cache.put((stamp, each.look) for stamp, each in new if each.lasting)


class _Made(NamedTuple):
    """What was told of a file, and whether it would be told again: a network drive's error would not."""

    look: Look
    lasting: bool


def _look(path: Path) -> _Made:
    if "\n" in str(path) or "\r" in str(path):
        return _Made("the name has a line break, which a list file cannot hold", lasting=False)
    try:
        return _Made(inspect_image(path), lasting=True)
    except ImageError as error:
        cause = error.__cause__
        of_machine = isinstance(cause, MemoryError) or (isinstance(cause, OSError) and bool(cause.errno))
        return _Made(error.reason, lasting=not of_machine)
