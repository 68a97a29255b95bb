"""Engines run a network without gradients, as fast as the machine can.

On a CPU, OpenVINO runs a network several times faster than Paddle, and it reads Paddle's own programs. Each
engine other than Paddle in float32 is compared with it on real images before it is used.
"""

import sys
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import paddle

from hubtune.errors import MachineError
from hubtune.inference.memory import BatchCheck
from hubtune.inference.program import Subnetwork, save_program
from hubtune.log import logger
from hubtune.models.classifier import by_shape

TOLERANCES = {"openvino": 1e-4, "openvino-bf16": 0.02, "paddle-amp": 0.02}
"""Largest difference from Paddle's values in float32, as a share of an image's largest value."""

SAMPLE_SIZES = {"openvino-bf16": 8, "paddle-amp": 8}
"""Number of images that an engine is checked on, if not 1: in low precision, one image says little."""

# A network that needs one program a shape: further programs would fill the memory.
_MAX_PROGRAMS = 4
# A program for all shapes may be wrong at some of them: the first image of this many shapes is checked.
_CHECKED_SHAPES = 4
# Of the memory that Paddle takes for an image, at least.
_OPENVINO_SHARE = 0.5

PendingRows = Callable[[], list[np.ndarray]]
"""Waits for images that were begun; returns one array an image, in order."""


class Engine(Protocol):
    """Runs a network: ``openvino``, ``openvino-bf16``, ``paddle`` or ``paddle-amp``; one thread at a time."""

    @property
    def name(self) -> str: ...

    def begin(self, arrays: Sequence[np.ndarray]) -> PendingRows:
        """Begin to run images, uint8 ``[h, w, channels]``, of any shapes.

        If further images are begun before these are waited for, the processor never idles.
        """
        ...


def expected_engine(wanted: str) -> str:
    """Return the name of the engine that :func:`start_engine` tries first."""
    if wanted != "auto":
        return wanted
    if paddle.device.get_device().startswith("gpu"):
        return "paddle-amp"
    return "paddle" if find_spec("openvino") is None else "openvino"


def check_engine(wanted: str) -> None:
    """Refuse an engine that this machine does not have, by a ``MachineError`` that names another one."""
    if wanted.startswith("openvino") and find_spec("openvino") is None:
        raise MachineError(
            "The engine openvino is not installed: pip install openvino, or use --engine paddle"
        )
    capabilities = "OPTIMIZATION_CAPABILITIES"
    if wanted == "openvino-bf16" and "BF16" not in _openvino_core().get_property("CPU", capabilities):
        raise MachineError(
            "This processor has no bfloat16 arithmetic: use --engine openvino, as exact as Paddle"
        )
    if wanted == "paddle-amp" and not paddle.device.get_device().startswith("gpu"):
        raise MachineError(
            "Mixed precision needs a GPU, on a CPU Paddle leaves it out: use --engine auto, or --device gpu"
        )


def start_engine(part: Subnetwork, sample: Sequence[np.ndarray], *, wanted: str = "auto") -> Engine:
    """Start the fastest engine whose outputs agree with Paddle's.

    Args:
        part: from images to one row an image, with its values of this moment; switched to evaluation mode.
        sample: inputs of real images, uint8 ``[h, w, channels]``. An engine that differs on them by more than
            :data:`TOLERANCES` is not used, which is logged.
        wanted: an engine's name, or ``auto``: OpenVINO in float32 on a CPU, Paddle with automatic mixed
            precision on a GPU, and Paddle in float32 where these cannot be used.

    Raises:
        MachineError: the engine that was asked for by name is not available.
    """
    check_engine(wanted)
    part.eval()
    plain = _Paddle(part)
    name = expected_engine(wanted)
    if name == "paddle":
        return plain
    sample = sample[: SAMPLE_SIZES.get(name, 1)]
    expected = plain.begin(sample)()
    try:
        engine = _STARTS[name](part, sample)
        difference = _difference(engine.begin(sample)(), expected)
    except MachineError:
        raise
    except Exception as error:  # foreign code and compilers can fail in any way
        if wanted != "auto":
            raise MachineError(
                f"This network cannot be run by {name} ({_last_line(error)}): use --engine auto or paddle"
            ) from error
        logger.info("Paddle runs this network, as %s cannot (%s)", name, _last_line(error))
        return plain
    if difference <= TOLERANCES[name]:
        logger.debug("%s differs from Paddle by %.1e of the largest value", name, difference)
        return engine
    logger.warning(
        "%s is not used: on %d pictures its values differ from Paddle's by up to %.1e of the largest, more "
        "than %g",
        *(name, len(sample), difference, TOLERANCES[name]),
    )
    # Of a network that bfloat16 is too coarse for, float32 is still several times faster in OpenVINO.
    return start_engine(part, sample, wanted="openvino") if name == "openvino-bf16" else plain


class LazyEngine:
    """An engine that starts with its first images, and is checked on them.

    Compiling takes seconds, which are saved where no image turns out to be readable. The arguments are those
    of :func:`start_engine`.
    """

    def __init__(self, part: Subnetwork, wanted: str = "auto") -> None:
        self._part, self._wanted = part, wanted
        self._engine: Engine | None = None

    @property
    def name(self) -> str:
        return self._wanted if self._engine is None else self._engine.name

    def begin(self, arrays: Sequence[np.ndarray]) -> PendingRows:
        if self._engine is None:
            self._engine = start_engine(self._part, arrays, wanted=self._wanted)
            logger.info("engine: %s", self._engine.name)
        return self._engine.begin(arrays)


class _Paddle:
    """Paddle itself, a batch for each shape."""

    def __init__(self, part: Subnetwork, *, amp: bool = False) -> None:
        self.name, self._part, self._amp = ("paddle-amp" if amp else "paddle"), part, amp
        self.check_memory = BatchCheck(part)

    def begin(self, arrays: Sequence[np.ndarray]) -> PendingRows:
        batches = []
        for indices in by_shape(arrays):
            self.check_memory(len(indices), arrays[indices[0]], share=0.5 if self._amp else 1.0)
            images = paddle.to_tensor(np.stack([arrays[index] for index in indices]))
            with paddle.no_grad(), paddle.amp.auto_cast(enable=self._amp):
                batches.append((indices, self._part(images)))

        def wait() -> list[np.ndarray]:
            # On a GPU the batches are still running; numpy() waits for them.
            groups = [(indices, values.astype("float32").numpy()) for indices, values in batches]
            return _in_order(groups, len(arrays))

        return wait


@cache
def _openvino_core() -> Any:
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


class _OpenVINO:
    """OpenVINO on the CPU, with one program for all shapes if the network allows it, else one a shape."""

    def __init__(self, part: Subnetwork, sample: Sequence[np.ndarray], *, precision: str) -> None:
        self.name = "openvino" if precision == "f32" else f"openvino-{precision}"
        self._part, self._paddle, self._precision = part, _Paddle(part), precision
        self._programs: dict[tuple[int, ...], _RequestRing] = {}
        self._any_shape: _RequestRing | None = None
        # Shape → whether OpenVINO's values agree with Paddle's.
        self._agrees: dict[tuple[int, ...], bool] = {}
        try:
            program = self._compile(None, None)
            program.begin(sample)()
            self._any_shape = program
        except Exception as error:  # noqa: BLE001  # Paddle and OpenVINO fail in many ways here
            logger.debug("one program a shape is compiled, as there is none for all (%s)", _last_line(error))
        for array in sample:  # which the caller compares with Paddle
            self._program(array.shape)
            self._agrees[array.shape] = True

    def begin(self, arrays: Sequence[np.ndarray]) -> PendingRows:
        batches: list[tuple[list[int], PendingRows]] = []
        mixed: list[int] = []
        for indices in by_shape(arrays):
            same_shape = [arrays[index] for index in indices]
            if not self._takes(same_shape[0]):
                batches.append((indices, self._paddle.begin(same_shape)))
                continue
            program = self._program(same_shape[0].shape)
            # Layers that OpenVINO joins have no outputs of their own, and bfloat16 takes half the bytes.
            share = _OPENVINO_SHARE / (1 if self._precision == "f32" else 2)
            self._paddle.check_memory(min(len(indices), program.count), same_shape[0], share=share)
            if self._any_shape is None:
                batches.append((indices, program.begin(same_shape)))
            else:
                mixed += indices
        if self._any_shape is not None and mixed:
            # All shapes at once, so that no request waits for the others of its shape.
            pending = self._begin_or_fall_back(self._any_shape, [arrays[index] for index in mixed])
            batches.append((mixed, pending))
        return lambda: _in_order([(indices, wait()) for indices, wait in batches], len(arrays))

    def _begin_or_fall_back(self, program: "_RequestRing", arrays: list[np.ndarray]) -> PendingRows:
        pending = program.begin(arrays)

        def wait() -> list[np.ndarray]:
            try:
                return pending()
            except RuntimeError as error:  # at a shape that was not checked
                logger.info("Paddle runs some pictures, as OpenVINO cannot (%s)", _last_line(error))
                return self._paddle.begin(arrays)()

        return wait

    def _takes(self, array: np.ndarray) -> bool:
        shape = array.shape
        if shape in self._agrees:
            return self._agrees[shape]
        # In bfloat16, one image's difference says little: the sample has decided.
        if self._any_shape is not None and (self._precision != "f32" or len(self._agrees) >= _CHECKED_SHAPES):
            return True
        if self._any_shape is None and len(self._programs) >= _MAX_PROGRAMS:
            return False
        side = f"{shape[1]}×{shape[0]}"
        try:
            difference = _difference(self._program(shape).begin([array])(), self._paddle.begin([array])())
        except Exception as error:  # noqa: BLE001  # foreign code and compilers can fail in any way
            logger.info("Paddle runs pictures of %s, as OpenVINO cannot (%s)", side, _last_line(error))
            difference = np.inf
        self._agrees[shape] = difference <= TOLERANCES[self.name]
        if not self._agrees[shape] and np.isfinite(difference):
            message = "Paddle runs pictures of %s, as OpenVINO's values differ by %.1e of the largest"
            logger.warning(message, side, difference)
        return self._agrees[shape]

    def _program(self, shape: tuple[int, ...]) -> "_RequestRing":
        if self._any_shape is None and shape not in self._programs:
            self._programs[shape] = self._compile(*shape[:2])
        return self._any_shape or self._programs[shape]

    def _compile(self, height: int | None, width: int | None) -> "_RequestRing":
        with tempfile.TemporaryDirectory(prefix="hubtune-") as folder:
            path = Path(folder) / "network"
            core = _openvino_core()
            save_program(self._part, path, height, width, old=True)
            model = core.read_model(path.with_suffix(".pdmodel"))
            # Without the precision, OpenVINO takes bfloat16 by itself if the processor has it.
            hints = {"INFERENCE_PRECISION_HINT": self._precision, "PERFORMANCE_HINT": "THROUGHPUT"}
            return _RequestRing(core.compile_model(model, "CPU", hints))


class _RequestRing:
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


_STARTS: dict[str, Callable[[Subnetwork, Sequence[np.ndarray]], Engine]] = {
    "openvino": partial(_OpenVINO, precision="f32"),
    "openvino-bf16": partial(_OpenVINO, precision="bf16"),
    "paddle-amp": lambda part, sample: _Paddle(part, amp=True),
}


def _in_order(groups: Sequence[tuple[list[int], Sequence[np.ndarray]]], count: int) -> list[np.ndarray]:
    rows = {index: row for indices, values in groups for index, row in zip(indices, values, strict=True)}
    return [rows[index] for index in range(count)]


def _difference(values: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    shares = [
        float(np.abs(one - other).max() / max(float(np.abs(other).max()), 1e-12))
        for one, other in zip(values, expected, strict=True)
    ]
    return max((share if np.isfinite(share) else np.inf for share in shares), default=0.0)


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
