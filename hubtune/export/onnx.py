"""Writes a model as an ONNX file."""

from pathlib import Path

from hubtune.export.network import ExportNetwork
from hubtune.export.onnx_program import onnx_program
from hubtune.export.quantized_model import QuantizedModel
from hubtune.export.readme import Facts
from hubtune.export.scripts import SCRIPT_FILES, Runtime, write_scripts
from hubtune.inference.model import Model
from hubtune.inference.model_card import ModelCard

_RUNTIME = Runtime(
    package="onnxruntime",
    imported="onnxruntime",
    load=(
        'NETWORK = onnxruntime.InferenceSession(HERE / "model.onnx", providers=["CPUExecutionProvider"])',
        "OUTPUTS = [output.name for output in NETWORK.get_outputs()]",
    ),
    run=('return dict(zip(OUTPUTS, NETWORK.run(OUTPUTS, {"images": pixels}), strict=True))',),
)


def write_onnx(model: Model, folder: Path, name: str) -> None:
    """Write ``model.onnx``, with the weights in float32 or quantised, and the scripts.

    Raises:
        ModelError: the network has an operator that ONNX is not written for.
    """
    network = ExportNetwork(model)
    if isinstance(model, QuantizedModel):
        model.write_network(folder / "model.onnx")
    else:
        program = onnx_program(network, [network.input_spec], network.outputs)
        (folder / "model.onnx").write_bytes(program.SerializeToString(deterministic=True))
    write_scripts(folder, model, network, _RUNTIME, "onnx")


def onnx_facts(_: ModelCard) -> Facts:
    """Return what the README says of the folder."""
    return Facts(
        files={"model.onnx": "the network, from arranged pixels to scores", **SCRIPT_FILES},
        use=("pip install onnxruntime numpy pillow", "python predict.py photo.jpg"),
    )
