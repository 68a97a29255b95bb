"""Quantises networks for OpenVINO after training, by NNCF."""

import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hubtune.inference.engine_interface import INT8_ENGINE, Engine, RunningProgram
from hubtune.inference.network_parts import NetworkPart
from hubtune.inference.openvino_program import compile_program, openvino_core
from hubtune.inference.program import save_layer
from hubtune.inference.quantizer import CalibrationImages


class OpenVINOQuantizer:
    """Writes, quantises and joins parts of networks as files of OpenVINO."""

    name, suffix = INT8_ENGINE, ".xml"

    def write(self, part: NetworkPart, file: Path) -> None:
        """Write a part in float32."""
        save_openvino(read_openvino(part), file)

    def quantize(self, source: Path, target: Path, images: CalibrationImages) -> None:
        """Quantise the network of a file, which has one input."""
        core = openvino_core()  # before the import of NNCF, which would report it to its maker otherwise
        with _silent():
            nncf = _nncf()
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
        _number_layers(joined)
        save_openvino(joined, target)

    def start(self, file: Path) -> Engine:
        """Return an engine that runs the network of a file, with one output, on one image at a time."""
        return RunningProgram(self.name, compile_program(file, "f32").begin)

    def content(self, file: Path) -> bytes:
        """Return the bytes that the network of a file depends on."""
        return b"".join(part.read_bytes() for part in self.files(file))

    def files(self, file: Path) -> tuple[Path, Path]:
        """Return the files of a network: the network itself, and its values."""
        return file, file.with_suffix(".bin")


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


def _number_layers(model: Any) -> None:
    """Name layers by their numbers; their own names have counters of the process, so that files differ."""
    ends = {entry.get_node().get_friendly_name() for entry in [*model.inputs, *model.outputs]}
    named = {name for entry in [*model.inputs, *model.outputs] for name in entry.get_names()}
    for number, node in enumerate(model.get_ordered_ops()):
        if node.get_friendly_name() not in ends:
            node.set_friendly_name(f"{node.get_type_name()}_{number}")
        for output in node.outputs():
            output.get_tensor().set_names(output.get_names() & named)


def _openvino() -> Any:
    openvino_core()  # switches its telemetry off
    import openvino

    return openvino


def save_openvino(model: Any, file: Path) -> None:
    """Write a model of OpenVINO, ``.xml`` and ``.bin``, without a change of its weights."""
    _openvino().save_model(model, file, compress_to_fp16=False)


def _nncf() -> Any:
    kind = logging.getLoggerClass()
    try:
        import nncf
    finally:
        logging.setLoggerClass(kind)  # NNCF sets its own for all loggers that are made later
    # Not its own function, which changes the handlers of others, too.
    logging.getLogger("nncf").setLevel(logging.ERROR)
    return nncf


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
