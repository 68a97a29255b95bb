"""Batch size: how many images of a batch fit into memory at once, by an estimate and by experience."""

from collections.abc import Callable, Sequence

from hubtune.inference.memory import ImageMemory, free_bytes
from hubtune.log import logger

_UNKNOWN = 4 * 2**30  # bytes, if the machine does not report its free memory
_SHARE = 0.6  # of the free memory that may be used; other programs need some, too

PartSizes = Sequence[Sequence[int]]
"""Pairs of steps that were made, and the number of images that are computed at once from then on."""


def largest_batch(memory: ImageMemory, batch_size: int) -> int:
    """Return how many images of a batch fit into free memory: all, a half, a quarter, …"""
    free = free_bytes(swap=False)
    part = batch_size
    while part > 1 and part * memory.most > _SHARE * (_UNKNOWN if free is None else free):
        part = _half(part)
    return part


class BatchParts:
    """How many images of a batch are computed at once in each step, under ``batch_size: auto``.

    The number is halved from the step on in which memory runs out. A resumed run takes the same numbers, so
    that it makes the same steps.
    """

    def __init__(self) -> None:
        """Set no number: batches are computed as they are."""
        self._sizes: list[tuple[int, int]] = []
        self._record: Callable[[PartSizes], None] = lambda sizes: None

    def begin(self, size: int, recorded: PartSizes, record: Callable[[PartSizes], None]) -> None:
        """Begin with a number of images, or, in a resumed run, with its recorded ones.

        ``record`` is called with all numbers whenever there is a new one.
        """
        self._record = record
        self._sizes = [(step, count) for step, count in recorded]
        if not self._sizes:
            self._change(0, size)

    @property
    def at_once(self) -> int | None:
        """The smallest number so far; ``None`` if batches are computed as they are."""
        return min((count for _, count in self._sizes), default=None)

    def in_step(self, step: int) -> int | None:
        """Return the number for the step after ``step`` steps."""
        return min((count for first, count in self._sizes if first <= step), default=None)

    def limit(self, step: int, size: int) -> None:
        """From ``step`` steps on, compute at most ``size`` images at once: memory has become shorter."""
        now = self.in_step(step)
        if now is not None and size < now:
            self._change(step, size)

    def halve(self, step: int, count: int) -> bool:
        """Halve the number for the step after ``step`` steps, in which memory ran out, and later ones.

        ``count`` images could have been computed at once; returns whether fewer are possible.
        """
        now = self.in_step(step)
        if now is None or min(now, count) <= 1:
            return False
        size = _half(now)
        while size >= count:  # always one of the same numbers, in whatever batch memory ran out
            size = _half(size)
        logger.warning(
            "Memory ran out in step %d with %d pictures at once: the step is made again, and from here on, "
            "%d are computed at once",
            *(step + 1, min(now, count), size),
        )
        self._change(step, size)
        return True

    def _change(self, step: int, size: int) -> None:
        self._sizes = [*(entry for entry in self._sizes if entry[0] != step), (step, size)]
        self._record(sorted(self._sizes))


def _half(count: int) -> int:
    return -(-count // 2)
