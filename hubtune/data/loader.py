"""Load images ahead of the network, in threads and in order."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from hubtune.data.images.decode import ImageError
from hubtune.data.shards.read_ahead import ReadAhead
from hubtune.errors import HubtuneError, MachineError
from hubtune.hardware.memory import free_memory
from hubtune.log import logger
from hubtune.text import format_bytes

STALL_SECONDS = 120.0
"""An image that takes longer is on a disk or network share that does not answer."""

# Batches that are decoded or waiting while the network works on another.
_BATCHES_AHEAD = 2

T = TypeVar("T")


@dataclass(frozen=True)
class Batch(Generic[T]):
    """Images that were loaded together.

    Attributes:
        indices: of the images, in the order of ``arrays``.
        arrays: result of ``prepare`` for each image.
        bad: index → error of each unreadable image; it is not replaced.
        waited: seconds that the consumer waited: what loading ahead did not hide.
    """

    indices: list[int]
    arrays: list[T]
    bad: dict[int, ImageError]
    waited: float = 0.0


def load_batches(
    paths: Sequence[Path],
    batches: Sequence[Sequence[int]],
    prepare: Callable[[int], T],
    *,
    workers: int,
    readers: int = 1,
    unread: Collection[int] = (),
) -> Iterator[Batch[T]]:
    """Load batches of images in threads; Pillow decodes without holding Python's lock.

    At most four batches are in memory: the consumer's, the next one, and two that are decoded ahead.

    Args:
        paths: all images, for messages.
        batches: the indices of each batch; all of them are yielded in order, even if no image is readable.
        prepare: function from an index to the prepared image; called in any thread and order.
        workers: number of threads, at least one.
        readers: number of processes that load as many other images of the same source.
        unread: indices of images whose files ``prepare`` does not read.

    Raises:
        DataError: if a shard with images is damaged.
        MachineError: if an image does not load within two minutes, or ``prepare`` fails twice on it; or if
            the shards in a bucket cannot be read.
    """

    def attempt(index: int) -> T:
        try:
            return prepare(index)
        except (HubtuneError, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001  # of a broken library, perhaps only this time
            reason = f"{type(error).__name__}: {error}"
            logger.warning("%s could not be loaded (%s): trying once more", paths[index], reason)
            return prepare(index)

    tasks: SimpleQueue[tuple[Future[T], int] | None] = SimpleQueue()
    pending: deque[tuple[Sequence[int], list[Future[T]]]] = deque()
    ahead = ReadAhead(paths, batches, readers=readers, unread=unread)
    # Not a ThreadPoolExecutor: at exit, Python joins its threads, and would wait for a stalled one for ever.
    for number in range(workers):
        Thread(target=_work, args=(tasks, attempt), name=f"hubtune-decode-{number}", daemon=True).start()
    asked = collected = 0

    def count_loaded() -> int:
        """Return how many images are loaded, without one before them that is not."""
        running = (future.done() for _, futures in pending for future in futures)
        return collected + sum(1 for _ in takewhile(bool, running))

    try:
        ahead.start()
        for indices in batches:
            futures: list[Future[T]] = [Future() for _ in indices]
            pending.append((indices, futures))
            for place, (future, index) in enumerate(zip(futures, indices, strict=True), asked):
                ahead.reach(place, count_loaded)
                tasks.put((future, index))
            asked += len(indices)
            if len(pending) > _BATCHES_AHEAD:
                collected += len(pending[0][0])
                yield _collect(*pending.popleft(), paths)
        while pending:
            yield _collect(*pending.popleft(), paths)
    finally:
        ahead.close()
        # Drop the tasks ahead: a consumer that stops early, or Ctrl-C, must not wait for them.
        with contextlib.suppress(Empty):
            while True:
                tasks.get_nowait()
        for _ in range(workers):
            tasks.put(None)


def _work(tasks: "SimpleQueue[tuple[Future[T], int] | None]", prepare: Callable[[int], T]) -> None:
    """Run tasks until a ``None``."""
    while (task := tasks.get()) is not None:
        future, index = task
        try:
            future.set_result(prepare(index))
        except BaseException as error:  # noqa: BLE001  # raised again by future.result()
            future.set_exception(error)
        del task, future  # or an idle thread would keep the image in memory


def _collect(indices: Sequence[int], futures: list[Future[T]], paths: Sequence[Path]) -> Batch[T]:
    start = time.perf_counter()
    good: list[int] = []
    arrays: list[T] = []
    bad: dict[int, ImageError] = {}
    for index, future in zip(indices, futures, strict=True):
        try:
            arrays.append(future.result(timeout=STALL_SECONDS))
            good.append(index)
        except ImageError as error:
            bad[index] = error
        except TimeoutError as error:
            raise MachineError(
                f"{paths[index]} did not load within {STALL_SECONDS:.0f} seconds: "
                "is its disk or network share reachable?"
            ) from error
        except HubtuneError:
            raise
        except MemoryError as error:
            free = free_memory(swap=True)
            known = "" if free is None else f" ({format_bytes(free)} are free)"
            smaller = f", or try a batch size of {len(indices) // 2}" if len(indices) > 1 else ""
            raise MachineError(
                f"Memory has run out while a batch of {len(indices)} pictures was loaded, at {paths[index]}"
                f"{known}: close other programs{smaller}"
            ) from error
        except Exception as error:  # of a broken library: nothing that is this one image's fault
            raise MachineError(
                f"{paths[index]} could not be loaded ({type(error).__name__}: {error}), twice: try again, "
                "and if that does not help, leave the picture out"
            ) from error
    return Batch(good, arrays, bad, time.perf_counter() - start)
