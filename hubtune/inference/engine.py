"""Engines run a network without gradients, as fast as the machine can.

On a CPU, OpenVINO runs a network several times faster than Paddle, and it reads Paddle's own programs. Each
engine other than Paddle in float32 is compared with it on real images before it is used.
"""

import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import paddle

from hubtune.errors import MachineError
from hubtune.inference.engine_interface import (
    CHECKED_SHAPES,
    TOLERANCES,
    Engine,
    check_engine,
    expected_engine,
)
from hubtune.inference.int8_program import refuse_int8
from hubtune.inference.memory import BatchCheck
from hubtune.inference.openvino_program import PendingRows, RequestRing, compile_program
from hubtune.inference.program import Subnetwork, save_program
from hubtune.log import logger
from hubtune.models.classifier import by_shape

SAMPLE_SIZES = {"openvino-bf16": 8, "paddle-amp": 8}
"""Number of images that an engine is checked on, if not 1: in low precision, one image says little."""

# A network that needs one program a shape: further programs would fill the memory.
_MAX_PROGRAMS = 4
# Of the memory that Paddle takes for an image, at least.
_OPENVINO_SHARE = 0.5


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
        UsageError: it is that of models in int8.
    """
    refuse_int8(wanted)
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


class _OpenVINO:
    """OpenVINO on the CPU, with one program for all shapes if the network allows it, else one a shape."""

    def __init__(self, part: Subnetwork, sample: Sequence[np.ndarray], *, precision: str) -> None:
        self.name = "openvino" if precision == "f32" else f"openvino-{precision}"
        self._part, self._paddle, self._precision = part, _Paddle(part), precision
        self._programs: dict[tuple[int, ...], RequestRing] = {}
        self._any_shape: RequestRing | None = None
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

    @property
    def checked_shapes(self) -> dict[tuple[int, ...], bool] | None:
        """Shape → whether the values agree with Paddle's; ``None`` without one program for all shapes."""
        return None if self._any_shape is None else self._agrees

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

    def _begin_or_fall_back(self, program: "RequestRing", arrays: list[np.ndarray]) -> PendingRows:
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
        if self._any_shape is not None and (self._precision != "f32" or len(self._agrees) >= CHECKED_SHAPES):
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

    def _program(self, shape: tuple[int, ...]) -> "RequestRing":
        if self._any_shape is None and shape not in self._programs:
            self._programs[shape] = self._compile(*shape[:2])
        return self._any_shape or self._programs[shape]

    def _compile(self, height: int | None, width: int | None) -> "RequestRing":
        with tempfile.TemporaryDirectory(prefix="hubtune-") as folder:
            path = Path(folder) / "network"
            save_program(self._part, path, height, width, old=True)
            return compile_program(path.with_suffix(".pdmodel"), self._precision)


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
