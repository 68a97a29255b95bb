"""Networks that OpenVINO runs on the CPU; Paddle is not needed for that."""

import sys
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

PendingRows = Callable[[], list[np.ndarray]]
"""Waits for images that were begun; returns one array an image, in order."""


@cache
def openvino_core() -> Any:
    """OpenVINO's core: one for the process, which is never dropped.

    Its CPU plug-in gives the thread that compiles an alternate stack for signals (``sigaltstack``), which is
    freed with the last core. The next Ctrl-C, whose handler runs there, would then end the process with a
    segmentation fault.
    """
    # OpenVINO reports each import to its maker, with an identity that it keeps in ~/intel. Without this
    # package it uses a stub, and so does NNCF.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino  # here, as it is an extra

    return openvino.Core()


def limit_threads(count: int) -> None:
    """Let programs that are compiled from now on run at most this number of images at once, a thread each."""
    openvino_core().set_property("CPU", {"INFERENCE_NUM_THREADS": count})


def compile_program(file: Path, precision: str) -> "RequestRing":
    """Compile a program of Paddle's older format, ``.pdmodel``, in precision ``f32`` or ``bf16``.

    Raises:
        Exception: of any kind, if OpenVINO cannot read or compile it.
    """
    core = openvino_core()
    model = core.read_model(file)
    # Without the precision, OpenVINO takes bfloat16 by itself if the processor has it.
    hints = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "THROUGHPUT"}
    program = core.compile_model(model, "CPU", hints)
    # One thread an image: several would round differently, depending on the machine's cores.
    if (threads := program.get_property("INFERENCE_NUM_THREADS")) != program.get_property("NUM_STREAMS"):
        counts = {"NUM_STREAMS": str(threads), "INFERENCE_NUM_THREADS": str(threads)}
        program = core.compile_model(model, "CPU", {**hints, **counts})
    return RequestRing(program)


class RequestRing:
    """The infer requests of a program, used in turn: each runs one image, and several run at once.

    That is faster than batches, and no image depends on others.
    """

    # Not OpenVINO's AsyncInferQueue with callbacks: after the last callback its thread still wants Python's
    # lock. A program that is dropped just then waits for that thread while it holds the lock: a deadlock.

    def __init__(self, program: Any) -> None:
        self.count = program.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._free = [program.create_infer_request() for _ in range(self.count)]
        # The request comes last, as the last is dropped first, and waits for its end then.
        self._running: deque[tuple[np.ndarray, Future[np.ndarray], Any]] = deque()

    def begin(self, arrays: Sequence[np.ndarray]) -> PendingRows:
        """Begin images; returns as soon as the last of them runs. Can be called again then."""
        rows: list[Future[np.ndarray]] = [Future() for _ in arrays]
        for array, row in zip(arrays, rows, strict=True):
            if not self._free:
                self._finish_first()
            request = self._free.pop()
            try:
                # Not copied: the queue keeps the array alive until its row is there.
                request.start_async({0: array[None]}, share_inputs=True)
                self._running.append((array, row, request))
            except Exception as error:  # noqa: BLE001  # raised again where the row is asked for
                row.set_exception(error)
                self._free.append(request)

        def wait() -> list[np.ndarray]:
            while not all(row.done() for row in rows):
                self._finish_first()
            return [row.result() for row in rows]

        return wait

    def _finish_first(self) -> None:
        _, row, request = self._running.popleft()
        try:
            request.wait()
            # Copied: the next image of this request overwrites its output.
            row.set_result(request.get_output_tensor(0).data[0].copy())
        except Exception as error:  # noqa: BLE001  # raised again where the row is asked for
            row.set_exception(error)
        self._free.append(request)
