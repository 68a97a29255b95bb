"""Engines: a frozen network, run without gradients as fast as the machine can.

On a CPU, OpenVINO runs a network several times faster than Paddle itself, and reads Paddle's own programs.
Every other engine is held against Paddle on real pictures before it is used.
"""

import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import paddle
from paddle import nn

from hubtune.errors import MachineError
from hubtune.features.program import Forward, save_program
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


class Engine(Protocol):
    """Runs a network."""

    @property
    def name(self) -> str:
        """``openvino``, ``openvino-bf16``, ``paddle`` or ``paddle-amp``."""
        ...

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Run pictures, float32 ``[3, h, w]``, of any shapes; one array a picture, in order."""
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
    if wanted == "openvino-bf16":
        import openvino  # here, as it is an extra

        if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise MachineError(
                "This processor has no bfloat16 arithmetic: use --engine openvino, as exact as Paddle"
            )
    if wanted == "paddle-amp" and not paddle.device.get_device().startswith("gpu"):
        raise MachineError(
            "Mixed precision needs a GPU, on a CPU Paddle leaves it out: use --engine auto, or --device gpu"
        )


def start_engine(
    network: nn.Layer, forward: Forward, sample: Sequence[np.ndarray], *, wanted: str = "auto"
) -> Engine:
    """Bring a network, as it is now, into the fastest engine that gives Paddle's values.

    Args:
        network: holds the parameters; switched to evaluation mode.
        forward: what is computed with them, from pictures ``[N, 3, h, w]`` to one row a picture.
        sample: a few real pictures, float32 ``[3, h, w]``, on which the engine is held against Paddle; one
            that differs by more than :data:`TOLERANCES` is not used, with a word in the log.
        wanted: ``auto``: OpenVINO in float32 on a CPU, Paddle with automatic mixed precision on a GPU, and
            Paddle in float32 where these cannot be used; or an engine's name.

    Raises:
        MachineError: the engine that was asked for by name is not to be had on this machine.
    """
    check_engine(wanted)
    network.eval()
    plain = _Paddle(forward)
    name = expected_engine(wanted)
    if name == "paddle":
        return plain
    expected = plain(sample)
    try:
        engine = _STARTS[name](network, forward, sample)
        difference = _difference(engine(sample), expected)
    except MachineError:
        raise
    except Exception as error:  # foreign code and compilers can fail in any way
        if wanted != "auto":
            raise MachineError(
                f"This network cannot be run by {name} ({_in_short(error)}): use --engine auto or paddle"
            ) from error
        logger.info("Paddle runs this network, as %s cannot (%s)", name, _in_short(error))
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
        return start_engine(network, forward, sample, wanted="openvino")
    return plain


class LazyEngine:
    """Starts with the first pictures that it is given, and is held against Paddle on them."""

    def __init__(self, network: nn.Layer, forward: Forward, wanted: str = "auto") -> None:
        """Remember what :func:`start_engine` takes; nothing is done yet."""
        self._start = (network, forward, wanted)
        self._engine: Engine | None = None

    @property
    def name(self) -> str:
        """The engine's name; what was wanted, before it has started."""
        return self._start[2] if self._engine is None else self._engine.name

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """As :class:`Engine`."""
        if self._engine is None:
            network, forward, wanted = self._start
            count = SAMPLE.get(expected_engine(wanted), 1)
            self._engine = start_engine(network, forward, arrays[:count], wanted=wanted)
            logger.info("engine: %s", self._engine.name)
        return self._engine(arrays)


class _Paddle:
    """Paddle itself."""

    def __init__(self, forward: Forward, *, amp: bool = False) -> None:
        self.name = "paddle-amp" if amp else "paddle"
        self._forward = forward
        self._amp = amp

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        rows: dict[int, np.ndarray] = {}
        for indices in by_shape(arrays):
            images = paddle.to_tensor(np.stack([arrays[index] for index in indices]))
            with paddle.no_grad(), paddle.amp.auto_cast(enable=self._amp):
                values = self._forward(images).astype("float32").numpy()
            rows.update(zip(indices, values, strict=True))
        return [rows[index] for index in range(len(arrays))]


class _OpenVINO:
    """OpenVINO on the CPU, from a program for all shapes where there can be one, else from one a shape."""

    def __init__(
        self, network: nn.Layer, forward: Forward, sample: Sequence[np.ndarray], *, precision: str
    ) -> None:
        import openvino  # here, as it is an extra

        self.name = "openvino" if precision == "f32" else f"openvino-{precision}"
        self._network, self._forward = network, forward
        self._paddle = _Paddle(forward)
        self._core = openvino.Core()
        self._precision = precision
        self._programs: dict[tuple[int, ...], list[Any]] = {}
        self._any_shape: list[Any] | None = None
        # Shape → whether OpenVINO's values are right.
        self._sound: dict[tuple[int, ...], bool] = {}
        try:
            self._any_shape = self._compile((None, None))
            self._run(self._any_shape, sample)
        except Exception as error:  # noqa: BLE001  # Paddle and OpenVINO fail in many ways here
            logger.debug("one program a shape is made, as there is none for all (%s)", _in_short(error))
            self._any_shape = None
        for array in sample:  # which our caller holds against Paddle
            if self._any_shape is None and array.shape not in self._programs:
                self._programs[array.shape] = self._compile((array.shape[1], array.shape[2]))
            self._sound[array.shape] = True

    def __call__(self, arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        rows: dict[int, np.ndarray] = {}
        ours: list[int] = []
        for indices in by_shape(arrays):
            if self._is_sound(arrays[indices[0]]):
                ours += indices
            else:
                rows.update(zip(indices, self._paddle([arrays[index] for index in indices]), strict=True))
        if self._any_shape is not None:
            # All shapes in one go, so that no request waits for the others of its shape.
            rows.update(zip(ours, self._run_or_leave([arrays[i] for i in ours]), strict=True))
        else:
            for indices in by_shape([arrays[index] for index in ours]):
                alike = [arrays[ours[index]] for index in indices]
                values = self._run(self._programs[alike[0].shape], alike)
                rows.update(zip((ours[index] for index in indices), values, strict=True))
        return [rows[index] for index in range(len(arrays))]

    def _run_or_leave(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        try:
            return self._run(self._any_shape or [], arrays)
        except RuntimeError as error:  # at a shape that was not tried before
            logger.info("Paddle runs some pictures, as OpenVINO cannot (%s)", _in_short(error))
            return self._paddle(arrays)

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
                program = self._programs[shape] = self._compile((shape[1], shape[2]))
            difference = _difference(self._run(program, [array]), self._paddle([array]))
        except Exception as error:  # noqa: BLE001  # foreign code and compilers can fail in any way
            logger.info(
                "Paddle runs pictures of %d×%d, as OpenVINO cannot (%s)", *shape[:0:-1], _in_short(error)
            )
            difference = np.inf
        self._sound[shape] = difference <= TOLERANCES[self.name]
        if not self._sound[shape] and np.isfinite(difference):
            logger.warning(
                "Paddle runs pictures of %d×%d, as OpenVINO's values differ by %.1e of the largest",
                *(*shape[:0:-1], difference),
            )
        return self._sound[shape]

    def _compile(self, sides: tuple[int | None, int | None]) -> list[Any]:
        """Requests to run the program for pictures of these sides at once."""
        with tempfile.TemporaryDirectory(prefix="hubtune-") as folder:
            path = Path(folder) / "network"
            save_program(self._network, self._forward, path, sides, old=True)
            model = self._core.read_model(path.with_suffix(".pdmodel"))
            # Without the hint, OpenVINO takes bfloat16 by itself where the processor has it.
            hints = {"INFERENCE_PRECISION_HINT": self._precision, "PERFORMANCE_HINT": "THROUGHPUT"}
            program = self._core.compile_model(model, "CPU", hints)
        count = program.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        return [program.create_infer_request() for _ in range(count)]

    def _run(self, requests: list[Any], arrays: Sequence[np.ndarray]) -> list[np.ndarray]:
        """One picture a request, several at once: faster than batches, and no picture depends on others."""
        # No queue with callbacks: after the last of them, OpenVINO's thread still wants Python's lock, and a
        # program that is dropped just then waits for that thread, with the lock, for ever.
        count = len(requests)
        rows: list[np.ndarray] = []
        for index in range(len(arrays) + count):
            request = requests[index % count]
            if count <= index:
                request.wait()
                rows.append(request.get_output_tensor(0).data[0].copy())
            if index < len(arrays):
                # Not copied: the caller's arrays are there until their rows are.
                request.start_async({0: arrays[index][None]}, share_inputs=True)
        return rows


def _start_openvino(network: nn.Layer, forward: Forward, sample: Sequence[np.ndarray]) -> Engine:
    return _OpenVINO(network, forward, sample, precision="f32")


def _start_bf16(network: nn.Layer, forward: Forward, sample: Sequence[np.ndarray]) -> Engine:
    return _OpenVINO(network, forward, sample, precision="bf16")


def _start_amp(network: nn.Layer, forward: Forward, sample: Sequence[np.ndarray]) -> Engine:
    return _Paddle(forward, amp=True)


_STARTS: dict[str, Callable[[nn.Layer, Forward, Sequence[np.ndarray]], Engine]] = {
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


def _in_short(error: Exception) -> str:
    """The last line that says something; compilers say much."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200]
