"""The thread that runs the engines: what arrives while an engine works is run next, together."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, NamedTuple

import numpy as np

from hubtune.inference.model import Model
from hubtune.inference.openvino_program import PendingRows

# More would be answered later, and no faster: OpenVINO runs one image a core.
_MOST_TOGETHER = 8

Rows = list[np.ndarray]


class _Images(NamedTuple):
    """The views of one image, for a model."""

    model: Model
    arrays: Sequence[np.ndarray]
    finish: Callable[[Rows], Any]
    future: "Future[Any]"


class _Call(NamedTuple):
    """A function that uses an engine by itself."""

    function: Callable[[], Any]
    future: "Future[Any]"


class EngineQueue:
    """Runs images of all models in one thread, as an engine takes images from one thread at a time.

    Nothing waits for a timer. While a batch runs, the next one is begun, so that the processor never idles;
    its images are those that have arrived by then.
    """

    def __init__(self, on_batch: Callable[[int], None] = lambda size: None) -> None:
        """Start the thread; ``on_batch`` receives the number of images of each batch."""
        self._on_batch = on_batch
        self._jobs: SimpleQueue[_Images | _Call | None] = SimpleQueue()
        # A daemon: a program that ends does not wait for an engine that hangs.
        self._thread = Thread(target=self._run, name="hubtune-engine", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def run(
        self,
        model: Model,
        arrays: Sequence[np.ndarray],
        finish: Callable[[Rows], Any],
        future: "Future[Any]",
    ) -> None:
        """Run the views of an image; the future gets what ``finish`` returns for their rows.

        ``finish`` runs in the engine's thread, while the next images are computed.
        """
        self._jobs.put(_Images(model, arrays, finish, future))

    def call(self, function: Callable[[], Any]) -> "Future[Any]":
        """Run a function that uses an engine, while no image runs."""
        future: Future[Any] = Future()
        self._jobs.put(_Call(function, future))
        return future

    def stop(self) -> None:
        """End the thread after the images that are waiting."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        running: deque[Callable[[], None]] = deque()
        stopping = False
        while running or not stopping:
            images, call, stop = self._take(wait=not running and not stopping)
            stopping |= stop
            begun = self._begin(images) if images else []
            while running:
                running.popleft()()
            running.extend(begun)
            if call is not None:
                while running:
                    running.popleft()()
                _settle(call.future, call.function)

    def _take(self, *, wait: bool) -> tuple[list[_Images], _Call | None, bool]:
        """Return the images that have arrived, what is to be called after them, and whether to stop."""
        images: list[_Images] = []
        try:
            while len(images) < _MOST_TOGETHER:
                job = self._jobs.get(block=wait and not images)
                if job is None:
                    return images, None, True
                if isinstance(job, _Call):
                    return images, job, False
                images.append(job)
        except Empty:
            pass
        return images, None, False

    def _begin(self, images: list[_Images]) -> list[Callable[[], None]]:
        """Begin images, those of each model together; returns functions that wait for them."""
        self._on_batch(len(images))
        of_model: dict[int, list[_Images]] = {}
        for image in images:
            of_model.setdefault(id(image.model), []).append(image)
        return [self._begin_together(group) for group in of_model.values()]

    def _begin_together(self, group: list[_Images]) -> Callable[[], None]:
        try:
            pending = group[0].model.begin([array for image in group for array in image.arrays])
        except Exception:  # noqa: BLE001  # of engines; each image is tried by itself
            return lambda: self._run_one_by_one(group)
        return lambda: self._finish(group, pending)

    def _finish(self, group: list[_Images], pending: PendingRows) -> None:
        try:
            rows = pending()
        except Exception:  # noqa: BLE001  # as above
            self._run_one_by_one(group)
            return
        start = 0
        for image in group:
            own, start = rows[start : start + len(image.arrays)], start + len(image.arrays)
            _settle(image.future, lambda image=image, own=own: image.finish(own))  # type: ignore[misc]

    def _run_one_by_one(self, group: list[_Images]) -> None:
        """Run images that have failed together, so that one does not spoil the answers of the others."""
        for image in group:
            _settle(
                image.future,
                lambda image=image: image.finish(image.model.begin(image.arrays)()),  # type: ignore[misc]
            )


def _settle(future: "Future[Any]", function: Callable[[], Any]) -> None:
    """Give a future what a function returns or raises."""
    try:
        future.set_result(function())
    except Exception as error:  # noqa: BLE001  # raised again where the result is asked for
        future.set_exception(error)
