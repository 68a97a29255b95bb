"""Quantises networks for OpenVINO after training, by NNCF."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hubtune.export.network_parts import NetworkPart
from hubtune.export.quantizer import CalibrationImages, RunningProgram
from hubtune.inference.engine_interface import Engine
from hubtune.inference.openvino_program import compile_program, openvino_core
from hubtune.inference.program import save_layer


class OpenVINOQuantizer:
    """Writes, quantises and joins parts of networks as files of OpenVINO."""

    name, suffix = "openvino-int8", ".xml"

    def write(self, part: NetworkPart, file: Path) -> None:
        """Write a part in float32."""
        save_openvino(read_openvino(part), file)

    def quantize(self, source: Path, target: Path, images: CalibrationImages) -> None:
        """Quantise the network of a file, which has one input."""
        core = openvino_core()  # before the import of NNCF, which would report it to its maker otherwise
        with _silent():
            import nncf

            nncf.set_log_level(40)  # of errors
            model = core.read_model(source)
            has_attention = any(node.get_type_name() == "Softmax" for node in model.get_ops())
            quantized = nncf.quantize(
                model,
                nncf.Dataset(images),
                subset_size=len(images),
                model_type=nncf.ModelType.TRANSFORMER if has_attention else None,
            )
        save_openvino(quantized, target)

    def join(self, files: Sequence[Path], target: Path) -> None:
        """Write a network in which the outputs of each file are the inputs of the next, in order."""
        openvino, core = _openvino(), openvino_core()
        first, *others = (core.read_model(file) for file in files)
        joined = first
        for other in others:
            for entry in other.inputs:  # whose order is not that of the part
                source = joined.output(entry.any_name).get_node().input_value(0)
                for reader in entry.get_target_inputs():
                    reader.replace_source_output(source)
            joined = openvino.Model(other.get_results(), joined.get_parameters(), "network")
        save_openvino(joined, target)

    def start(self, file: Path) -> Engine:
        """Return an engine that runs the network of a file, with one output, on one image at a time."""
        return RunningProgram(self.name, compile_program(file, "f32").begin)

    def content(self, file: Path) -> bytes:
        """Return the bytes that the network of a file depends on."""
        return file.read_bytes() + file.with_suffix(".bin").read_bytes()


QUANTIZER = OpenVINOQuantizer()


def read_openvino(part: NetworkPart) -> Any:
    """Return a part in float32 as a model of OpenVINO, with the names of its outputs."""
    with tempfile.TemporaryDirectory(prefix="hubtune-") as temporary:
        path = Path(temporary) / "network"
        save_layer(part.layer, path, part.inputs, old=True)
        model = openvino_core().read_model(path.with_suffix(".pdmodel"))
    for output, name in zip(model.outputs, part.outputs, strict=True):
        output.tensor.set_names({name})
    return model


def _openvino() -> Any:
    openvino_core()  # switches its telemetry off
    import openvino

    return openvino


def save_openvino(model: Any, file: Path) -> None:
    """Write a model of OpenVINO, ``.xml`` and ``.bin``, without a change of its weights."""
    _openvino().save_model(model, file, compress_to_fp16=False)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep NNCF's progress bars off the terminal."""
    import rich

    console = rich.get_console()
    quiet, console.quiet = console.quiet, True
    try:
        yield
    finally:
        console.quiet = quiet
