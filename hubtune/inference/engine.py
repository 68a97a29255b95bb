"""Engines: a frozen network, run without gradients as fast as the machine can.

On a CPU, OpenVINO runs a network several times faster than Paddle itself, and reads Paddle's own programs.
Every other engine is held against Paddle on real pictures before it is used.
"""

import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import paddle

from hubtune.errors import MachineError
from hubtune.inference.program import Part, save_program
from hubtune.log import logger
from hubtune.models.classifier import by_shape

TOLERANCES = {"openvino": 1e-4, "openvino-bf16": 0.02, "paddle-amp": 0.02}
"""How far an engine's values may be from Paddle's in float32, as a share of a picture's largest value."""

SAMPLE = {"openvino-bf16": 8, "paddle-amp": 8}
"""On how many pictures an engine is held against Paddle, where it is more than one."""

# A network that takes one shape a program: more programs than this would fill the memory.
_MOST_PROGRAMS = 4
# A program for all shapes may be wrong at some: the first picture of so many shapes is held against Paddle.
_CHECKED_SHAPES = 4


Rows = Callable[[], list[np.ndarray]]
"""Waits for what was begun: one array a picture, in order."""


class Engine(Protocol):
    """Runs a part of a network. It is used by one thread at a time."""

    @property
    def name(self) -> str:
        """``openvino``, ``openvino-bf16``, ``paddle`` or ``paddle-amp``."""
        ...

    def begin(self, arrays: Sequence[np.ndarray]) -> Rows:
        """Begin to run pictures, uint8 ``[h, w, 3]``, of any shapes.

        Where others are begun before these are waited for, the processor is never without work.
        """
        ...


def expected_engine(wanted: str) -> str:
    """The name of the engine that :func:`start_engine` will try first."""
    if wanted != "auto":
        return wanted
    if paddle.device.get_device().startswith("gpu"):
        return "paddle-amp"
    return "paddle" if find_spec("openvino") is None else "openvino"


def check_engine(wanted: str) -> None:
    """Refuse an engine that is not to be had on this machine.

    Raises:
        MachineError: it is not; the message says which to take.
    """
    if wanted.startswith("openvino") and find_spec("openvino") is None:
        raise MachineError(
            "The engine openvino is not installed: pip install openvino, or use --engine paddle"
        )
    if wanted == "openvino-bf16" and "BF16" not in _openvino_core().get_property(
        "CPU", "OPTIMIZATION_CAPABILITIES"
    ):
        raise MachineError(
            "This processor has no bfloat16 arithmetic: use --engine openvino, as exact as Paddle"
        )
    if wanted == "paddle-amp" and not paddle.device.get_device().startswith("gpu"):
        raise MachineError(
            "Mixed precision needs a GPU, on a CPU Paddle leaves it out: use --engine auto, or --device gpu"
        )


def start_engine(part: Part, sample: Sequence[np.ndarray], *, wanted: str = "auto") -> Engine:
    """Bring a part of a network, as it is now, into the fastest engine that gives Paddle's values.

    Args:
        part: from pictures to one row a picture; switched to evaluation mode.
        sample: real pictures, uint8 ``[h, w, 3]``, on the first of which the engine is held against Paddle;
            one that differs by more than :data:`TOLERANCES` is not used, with a word in the log.
        wanted: ``auto``: OpenVINO in float32 on a CPU, Paddle with automatic mixed precision on a GPU, and
            Paddle in float32 where these cannot be used; or an engine's name.

    Raises:
        MachineError: the engine that was asked for by name is not to be had on this machine.
    """
    check_engine(wanted)
    part.eval()
    plain = _Paddle(part)
    name = expected_engine(wanted)
    if name == "paddle":
        return plain
    sample = sample[: SAMPLE.get(name, 1)]
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
    if name == "openvino-bf16":
        return start_engine(part, sample, wanted="openvino")
    return plain


class LazyEngine:
    """Starts with the first pictures that it is given, and is held against Paddle on them."""

    def __init__(self, part: Part, wanted: str = "auto") -> None:
        """Remember what :func:`start_engine` takes; nothing is done yet."""
        self._part, self._wanted = part, wanted
        self._engine: Engine | None = None

    @property
    def name(self) -> str:
        """The engine's name; what was wanted, before it has started."""
        return self._wanted if self._engine is None else self._engine.name

    def begin(self, arrays: Sequence[np.ndarray]) -> Rows:
        """As :class:`Engine`."""
        if self._engine is None:
            self._engine = start_engine(self._part, arrays, wanted=self._wanted)
            logger.info("engine: %s", self._engine.name)
        return self._engine.begin(arrays)


class _Paddle:
    """Paddle itself."""

    def __init__(self, part: Part, *, amp: bool = False) -> None:
        self.name = "paddle-amp" if amp else "paddle"
        self._part = part
        self._amp = amp

    def begin(self, arrays: Sequence[np.ndarray]) -> Rows:
        found: list[tuple[list[int], paddle.Tensor]] = []
        for indices in by_shape(arrays):
            images = paddle.to_tensor(np.stack([arrays[index] for index in indices]))
            with paddle.no_grad(), paddle.amp.auto_cast(enable=self._amp):
                found.append((indices, self._part(images)))

        def rows() -> list[np.ndarray]:
            # On a GPU, here the values are waited for.
            placed = {
                index: row
                for indices, values in found
                for index, row in zip(indices, values.astype("float32").numpy(), strict=True)
            }
            return [placed[index] for index in range(len(arrays))]

        return rows


@cache
def _openvino_core() -> Any:
    """One for the process, and never dropped.

    Its CPU plug-in gives the thread that compiles an alternate stack for signals (``sigaltstack``), and frees
    that when it is dropped; of several cores, the last to be dropped leaves a stack that is gone. The next
    Ctrl-C, whose handler runs there, would end the process with a segmentation fault.
    """
    import openvino  # here, as it is an extra

    return openvino.Core()


class _OpenVINO:
    """OpenVINO on the CPU, from a program for all shapes where there can be one, else from one a shape."""

    def __init__(self, part: Part, sample: Sequence[np.ndarray], *, precision: str) -> None:
        self.name = "openvino" if precision == "f32" else f"openvino-{precision}"
        self._part = part
        self._paddle = _Paddle(part)
        self._precision = precision
        self._programs: dict[tuple[int, ...], _Ring] = {}
        self._any_shape: _Ring | None = None
        # Shape → whether OpenVINO's values are right.
        self._sound: dict[tuple[int, ...], bool] = {}
        try:
            self._any_shape = self._compile(None, None)
            self._any_shape.begin(sample)()
        except Exception as error:  # noqa: BLE001  # Paddle and OpenVINO fail in many ways here
            logger.debug("one program a shape is made, as there is none for all (%s)", _last_line(error))
            self._any_shape = None
        for array in sample:  # which our caller holds against Paddle
            if self._any_shape is None and array.shape not in self._programs:
                self._programs[array.shape] = self._compile(*array.shape[:2])
            self._sound[array.shape] = True

    def begin(self, arrays: Sequence[np.ndarray]) -> Rows:
        begun: list[tuple[list[int], Rows]] = []
        ours: list[int] = []
        for indices in by_shape(arrays):
            if not self._is_sound(arrays[indices[0]]):
                begun.append((indices, self._paddle.begin([arrays[index] for index in indices])))
            elif self._any_shape is None:
                program = self._programs[arrays[indices[0]].shape]
                begun.append((indices, program.begin([arrays[index] for index in indices])))
            else:
                ours += indices
        if self._any_shape is not None and ours:
            # All shapes in one go, so that no request waits for the others of its shape.
            begun.append((ours, self._begin_or_leave(self._any_shape, [arrays[index] for index in ours])))

        def rows() -> list[np.ndarray]:
            placed = {
                index: row for indices, some in begun for index, row in zip(indices, some(), strict=True)
            }
            return [placed[index] for index in range(len(arrays))]

        return rows

    def _begin_or_leave(self, program: "_Ring", arrays: list[np.ndarray]) -> Rows:
        rows = program.begin(arrays)

        def rows_or_leave() -> list[np.ndarray]:
            try:
                return rows()
            except RuntimeError as error:  # at a shape that was not tried before
                logger.info("Paddle runs some pictures, as OpenVINO cannot (%s)", _last_line(error))
                return self._paddle.begin(arrays)()

        return rows_or_leave

    def _is_sound(self, array: np.ndarray) -> bool:
        """Whether OpenVINO is to run pictures of this shape."""
        shape = array.shape
        if shape in self._sound:
            return self._sound[shape]
        # In bfloat16, one picture's difference says little: the sample has decided.
        if self._any_shape is not None and (self._precision != "f32" or len(self._sound) >= _CHECKED_SHAPES):
            return True
        try:
            program = self._any_shape
            if program is None:
                if len(self._programs) >= _MOST_PROGRAMS:
                    return False
                program = self._programs[shape] = self._compile(*shape[:2])
            difference = _difference(program.begin([array])(), self._paddle.begin([array])())
        except Exception as error:  # noqa: BLE001  # foreign code and compilers can fail in any way
            logger.info(
                "Paddle runs pictures of %d×%d, as OpenVINO cannot (%s)", *shape[1::-1], _last_line(error)
            )
            difference = np.inf
        self._sound[shape] = difference <= TOLERANCES[self.name]
        if not self._sound[shape] and np.isfinite(difference):
            logger.warning(
                "Paddle runs pictures of %d×%d, as OpenVINO's values differ by %.1e of the largest",
                *(*shape[1::-1], difference),
            )
        return self._sound[shape]

    def _compile(self, height: int | None, width: int | None) -> "_Ring":
        """Make the program for pictures of these sides."""
        with tempfile.TemporaryDirectory(prefix="hubtune-") as folder:
            path = Path(folder) / "network"
            core = _openvino_core()
            save_program(self._part, path, height, width, old=True)
            model = core.read_model(path.with_suffix(".pdmodel"))
            # Without the hint, OpenVINO takes bfloat16 by itself where the processor has it.
            hints = {"INFERENCE_PRECISION_HINT": self._precision, "PERFORMANCE_HINT": "THROUGHPUT"}
            return _Ring(core.compile_model(model, "CPU", hints))


class _Ring:
    """A program's requests in turn, several at once.

    One picture a request: faster than batches, and no picture depends on others.
    """

    # No queue with callbacks: after the last of them, OpenVINO's thread still wants Python's lock, and a
    # program that is dropped just then waits for that thread, with the lock, for ever.

    def __init__(self, program: Any) -> None:
        count = program.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._free = [program.create_infer_request() for _ in range(count)]
        # The request comes last, as the last is dropped first, and a request waits for its end then.
        self._running: deque[tuple[np.ndarray, _Result, Any]] = deque()

    def begin(self, arrays: Sequence[np.ndarray]) -> Rows:
        """Begin pictures; returns when the last of them runs, and can be called again then."""
        results = [_Result() for _ in arrays]
        for array, result in zip(arrays, results, strict=True):
            if not self._free:
                self._finish_first()
            request = self._free.pop()
            # Not copied: the array is held until its row is there.
            try:
                request.start_async({0: array[None]}, share_inputs=True)
            except Exception as error:  # noqa: BLE001  # raised again where the row is asked for
                result.error = error
                self._free.append(request)
                continue
            self._running.append((array, result, request))

        def rows() -> list[np.ndarray]:
            while self._running and not all(result.done for result in results):
                self._finish_first()
            return [result.get() for result in results]

        return rows

    def _finish_first(self) -> None:
        _, result, request = self._running.popleft()
        try:
            request.wait()
            result.row = request.get_output_tensor(0).data[0].copy()
        except Exception as error:  # noqa: BLE001  # raised again where the row is asked for
            result.error = error
        self._free.append(request)


@dataclass
class _Result:
    row: np.ndarray | None = None
    error: Exception | None = None

    @property
    def done(self) -> bool:
        return self.row is not None or self.error is not None

    def get(self) -> np.ndarray:
        if self.error is not None:
            raise self.error
        assert self.row is not None
        return self.row


def _start_openvino(part: Part, sample: Sequence[np.ndarray]) -> Engine:
    return _OpenVINO(part, sample, precision="f32")


def _start_bf16(part: Part, sample: Sequence[np.ndarray]) -> Engine:
    return _OpenVINO(part, sample, precision="bf16")


def _start_amp(part: Part, sample: Sequence[np.ndarray]) -> Engine:
    return _Paddle(part, amp=True)


_STARTS: dict[str, Callable[[Part, Sequence[np.ndarray]], Engine]] = {
    "openvino": _start_openvino,
    "openvino-bf16": _start_bf16,
    "paddle-amp": _start_amp,
}


def _difference(values: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest difference, as a share of each picture's largest value; infinite for what is no number."""
    shares = [
        float(np.abs(one - other).max() / max(float(np.abs(other).max()), 1e-12))
        for one, other in zip(values, expected, strict=True)
    ]
    return max((share if np.isfinite(share) else np.inf for share in shares), default=0.0)


def _last_line(error: Exception) -> str:
    """The last line that says something; compilers say much."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
