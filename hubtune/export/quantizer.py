"""What a format needs for exports in int8: a quantiser, which works on files of parts of a network."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np

from hubtune.data.images.preprocessing import Preprocessing
from hubtune.export.network_parts import NetworkPart
from hubtune.inference.engine_interface import Engine
from hubtune.inference.openvino_program import PendingRows


@dataclass(frozen=True)
class CalibrationImages:
    """Images by whose activations the steps of int8 are chosen; can be iterated again.

    Attributes:
        pixels: arranged, uint8 ``[height, width, channels]`` each.
        view: normalises them.
    """

    pixels: Sequence[np.ndarray]
    view: Preprocessing

    def __len__(self) -> int:
        return len(self.pixels)

    def __iter__(self) -> Iterator[np.ndarray]:
        """Yield the images, float32 ``[1, channels, height, width]``."""
        return (self.view.normalise(pixels)[None] for pixels in self.pixels)


@dataclass(frozen=True)
class RunningProgram:
    """An engine: its name, and the function that begins images."""

    name: str
    begin: Callable[[Sequence[np.ndarray]], PendingRows]


class Quantizer(Protocol):
    """Writes, quantises and joins parts of networks. The suffix is that of its files.

    The errors of its methods are of any kind: foreign code can fail in any way.
    """

    name: str
    suffix: str

    def write(self, part: NetworkPart, file: Path) -> None:
        """Write a part in float32."""
        ...

    def quantize(self, source: Path, target: Path, images: CalibrationImages) -> None:
        """Quantise a network with one input."""
        ...

    def join(self, files: Sequence[Path], target: Path) -> None:
        """Write a network in which the outputs of each file are the inputs of the next."""
        ...

    def start(self, file: Path) -> Engine:
        """Run a network from pixels to one row an image."""
        ...

    def content(self, file: Path) -> bytes:
        """Return the bytes that the network of a file depends on."""
        ...


def quantizer_for(form: str) -> Quantizer:
    """Return the quantiser of a format that has one."""
    found: Quantizer = import_module(f"hubtune.export.{form}_int8").QUANTIZER
    return found
