"""Quantises networks for ONNX Runtime after training, by its own quantiser."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from hubtune.export.network import INPUT
from hubtune.export.onnx_program import onnx_program
from hubtune.inference.engine_interface import Engine, RunningProgram
from hubtune.inference.network_parts import VIEWS, NetworkPart
from hubtune.inference.openvino_program import PendingRows
from hubtune.inference.quantizer import CalibrationImages


class ONNXQuantizer:
    """Writes, quantises and joins parts of networks as ONNX files."""

    name, suffix = "onnxruntime-int8", ".onnx"

    def write(self, part: NetworkPart, file: Path) -> None:
        """Write a part in float32."""
        _save(onnx_program(part.layer, part.inputs, part.outputs), file)

    def quantize(self, source: Path, target: Path, images: CalibrationImages) -> None:
        """Quantise the network of a file, which has one input."""
        with tempfile.TemporaryDirectory(prefix="hubtune-") as temporary, _silent():
            # Quantised as it will run: with convolutions and batch normalisations as one.
            fused = Path(temporary) / "fused.onnx"
            quant_pre_process(source, fused, skip_symbolic_shape=True)
            quantize_static(
                fused,
                target,
                _Reader(images),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )

    def join(self, files: Sequence[Path], target: Path) -> None:
        """Write a network in which the outputs of each file are the inputs of the next, in order."""
        joined, *others = (
            onnx.compose.add_prefix(
                onnx.load(file), f"part{number}_", rename_inputs=False, rename_outputs=False
            )
            for number, file in enumerate(files)
        )
        for other in others:
            names = [(entry.name, entry.name) for entry in other.graph.input]
            joined = onnx.compose.merge_models(_at_version(joined, other), other, io_map=names)
        onnx.checker.check_model(joined)
        _save(joined, target)

    def start(self, file: Path) -> Engine:
        """Return an engine that runs the network of a file, with one output, on one image at a time."""
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])

        def begin(arrays: Sequence[np.ndarray]) -> PendingRows:
            rows = [session.run(None, {INPUT: array[None]})[0][0] for array in arrays]
            return lambda: rows

        return RunningProgram(self.name, begin)

    def content(self, file: Path) -> bytes:
        """Return the bytes that the network of a file depends on."""
        return file.read_bytes()


QUANTIZER = ONNXQuantizer()


class _Reader(CalibrationDataReader):
    def __init__(self, images: CalibrationImages) -> None:
        self._images = images
        self.rewind()

    def get_next(self) -> dict[str, np.ndarray] | None:
        array = next(self._left, None)
        return None if array is None else {VIEWS: array}

    def rewind(self) -> None:
        self._left = iter(self._images)


def _at_version(model: Any, other: Any) -> Any:
    """Give a model the version of the file format of another one; both have the same operators."""
    model.ir_version = other.ir_version
    return model


def _save(model: Any, file: Path) -> None:
    file.write_bytes(model.SerializeToString(deterministic=True))


@contextmanager
def _silent() -> Iterator[None]:
    """Keep the quantiser's advice out of the log."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
