"""The interface of engines, their names, and which of them this machine has; without Paddle."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Protocol

import numpy as np

from hubtune.errors import MachineError
from hubtune.extras import install_command
from hubtune.hardware.device import on_gpu
from hubtune.inference.openvino_program import PendingRows, openvino_core

TOLERANCES = {"openvino": 1e-4, "openvino-bf16": 0.02, "paddle-amp": 0.02}
"""Largest difference from Paddle's values in float32, as a share of an image's largest value."""

CHECKED_SHAPES = 4
"""A program for all shapes may be wrong at some of them: the first image of this many shapes is checked."""


INT8_ENGINE = "openvino-int8"
"""Runs models that were fine-tuned by it: their heads are solved on features of a network in int8."""


class Engine(Protocol):
    """Runs a network, in one thread at a time; its name is one of a recipe's ``train.engine``."""

    @property
    def name(self) -> str: ...

    def begin(self, arrays: Sequence[np.ndarray]) -> PendingRows:
        """Begin to run images, uint8 ``[h, w, channels]``, of any shapes.

        If further images are begun before these are waited for, the processor never idles.
        """
        ...


@dataclass(frozen=True)
class RunningProgram:
    """An engine: its name, and the function that begins images."""

    name: str
    begin: Callable[[Sequence[np.ndarray]], PendingRows]


def expected_engine(wanted: str) -> str:
    """Return the name of the engine that :func:`start_engine` tries first."""
    if wanted != "auto":
        return wanted
    if on_gpu():
        return "paddle-amp"
    return "openvino" if is_installed("openvino") else "paddle"


def check_engine(wanted: str) -> None:
    """Refuse an engine that this machine does not have, by a ``MachineError`` that names another one."""
    if wanted == INT8_ENGINE:
        _check_int8()
        return
    if wanted.startswith("openvino") and not is_installed("openvino"):
        raise MachineError(
            f"The engine openvino is not installed: {install_command('openvino')}, or use --engine paddle"
        )
    capabilities = "OPTIMIZATION_CAPABILITIES"
    if wanted == "openvino-bf16" and "BF16" not in openvino_core().get_property("CPU", capabilities):
        raise MachineError(
            "This processor has no bfloat16 arithmetic: use --engine openvino, as exact as Paddle"
        )
    if wanted == "paddle-amp" and not on_gpu():
        raise MachineError(
            "Mixed precision needs a GPU, on a CPU Paddle leaves it out: use --engine auto, or --device gpu"
        )


def _check_int8() -> None:
    missing = [package for package in ("openvino", "nncf") if not is_installed(package)]
    if missing:
        raise MachineError(
            f"The engine {INT8_ENGINE} needs {' and '.join(missing)}: {install_command('openvino', 'nncf')}, "
            "or use --engine auto"
        )
    if on_gpu():
        raise MachineError(
            f"The engine {INT8_ENGINE} computes on a CPU: add --device cpu, or use --engine auto"
        )


def is_installed(package: str) -> bool:
    """Whether a package can be imported, by the name of its module."""
    try:
        spec = find_spec(package)
    except ValueError:  # of a stand-in without a specification
        return False
    # A folder that happens to have the name has no file of its own.
    return spec is not None and spec.origin is not None


def engine_versions() -> dict[str, str]:
    """Return the versions of the installed packages that the values of engines depend on."""
    versions = {}
    for package in ("paddlepaddle", "paddlepaddle-gpu", "openvino"):
        with suppress(PackageNotFoundError):
            versions[package] = version(package)
    return versions
