"""Loading pictures ahead of the network, in threads, in order, without ever hanging or losing one."""

import contextlib
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Generic, TypeVar

from hubtune.data.images.decode import ImageError
from hubtune.errors import MachineError

STALL_SECONDS = 120.0
"""A single picture that takes longer than this is on a disk or share that does not answer."""

# While the network works on one batch, this many more are decoded or waiting.
_BATCHES_AHEAD = 2

T = TypeVar("T")


@dataclass(frozen=True)
class Batch(Generic[T]):
    """Pictures that were loaded together.

    Attributes:
        indices: which of the pictures these are; ``arrays`` are in the same order.
        arrays: what ``prepare`` has made of each picture.
        bad: index → error of the pictures that could not be read; nothing takes their place.
        waited: seconds for which the consumer waited for this batch. Of the first batch it is all of its
            loading; of the later ones, what loading ahead could not hide.
    """

    indices: list[int]
    arrays: list[T]
    bad: dict[int, ImageError]
    waited: float = 0.0


def load_batches(
    paths: Sequence[Path],
    batches: Iterable[Sequence[int]],
    prepare: Callable[[int], T],
    *,
    workers: int,
) -> Iterator[Batch[T]]:
    """Load batches of pictures, decoding in threads (Pillow does so without holding Python's lock).

    At most four batches are in memory: the consumer's latest, the next, and two that are decoded ahead.

    Args:
        paths: all pictures; only named in messages.
        batches: the indices of each batch.
        prepare: index → the picture as the consumer wants it; called in any thread, in any order.
        workers: number of threads, at least one.

    Yields:
        One :class:`Batch` for each of ``batches``, in order, though its pictures may all be bad.

    Raises:
        MachineError: if a picture does not load within two minutes.
    """
    waiting: SimpleQueue[_Task[T] | None] = SimpleQueue()
    pending: deque[tuple[Sequence[int], list[Future[T]]]] = deque()
    # Not a ThreadPoolExecutor: Python waits for its threads before it exits, for a stuck one for ever.
    for number in range(workers):
        Thread(target=_work, args=(waiting,), name=f"hubtune-decode-{number}", daemon=True).start()
    try:
        for indices in batches:
            tasks = [_Task(Future(), prepare, index) for index in indices]
            for task in tasks:
                waiting.put(task)
            pending.append((indices, [task.future for task in tasks]))
            if len(pending) > _BATCHES_AHEAD:
                yield _collect(*pending.popleft(), paths)
        while pending:
            yield _collect(*pending.popleft(), paths)
    finally:
        # Without waiting: a consumer that stops early, or Ctrl-C, must not wait for pictures ahead.
        with contextlib.suppress(Empty):
            while True:
                waiting.get_nowait()
        for _ in range(workers):
            waiting.put(None)


@dataclass(frozen=True)
class _Task(Generic[T]):
    future: Future[T]
    prepare: Callable[[int], T]
    index: int


def _work(waiting: "SimpleQueue[_Task[T] | None]") -> None:
    """Do the tasks of a queue until there comes ``None``."""
    while (task := waiting.get()) is not None:
        try:
            task.future.set_result(task.prepare(task.index))
        except BaseException as error:  # noqa: BLE001  # raised again where the result is asked for
            task.future.set_exception(error)
        del task  # an idle thread keeps no picture


def _collect(indices: Sequence[int], futures: list[Future[T]], paths: Sequence[Path]) -> Batch[T]:
    start = time.perf_counter()
    good: list[int] = []
    arrays: list[T] = []
    bad: dict[int, ImageError] = {}
    for index, future in zip(indices, futures, strict=True):
        try:
            array = future.result(timeout=STALL_SECONDS)
        except ImageError as error:
            bad[index] = error
        except TimeoutError as error:
            raise MachineError(
                f"{paths[index]} did not load within {STALL_SECONDS:.0f} seconds: "
                "is its disk or network share reachable?"
            ) from error
        else:
            good.append(index)
            arrays.append(array)
    return Batch(good, arrays, bad, time.perf_counter() - start)
