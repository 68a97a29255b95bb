"""Writes a model as OpenVINO's intermediate representation."""

from pathlib import Path

from hubtune.export.network import ExportNetwork
from hubtune.export.quantized_model import QuantizedModel
from hubtune.export.readme import Facts
from hubtune.export.scripts import SCRIPT_FILES, Runtime, write_scripts
from hubtune.hub.model_card import ModelCard
from hubtune.inference.model import Model
from hubtune.inference.network_parts import NetworkPart
from hubtune.inference.openvino_quantizer import read_openvino, save_openvino

_RUNTIME = Runtime(
    package="openvino",
    imported="openvino",
    # Without the precision, OpenVINO takes bfloat16 by itself if the processor has it.
    load=(
        'PRECISION = {"INFERENCE_PRECISION_HINT": "f32"}',
        'NETWORK = openvino.Core().compile_model(HERE / "model.xml", "CPU", PRECISION)',
    ),
    run=("return {output.any_name: values for output, values in NETWORK([pixels]).items()}",),
)


def openvino_facts(card: ModelCard, folder: Path) -> Facts:
    """Return what the README says of the folder."""
    return Facts(
        files={
            "model.xml, model.bin": "the network, from arranged pixels to scores",
            **SCRIPT_FILES,
        },
        use=("pip install openvino numpy pillow", "python predict.py photo.jpg"),
        notes=(
            "`INFERENCE_PRECISION_HINT` is `f32`: without it, OpenVINO computes in bfloat16 on processors "
            "that have it, and scores differ in the third digit.",
        ),
    )


def write_openvino(model: Model, folder: Path, name: str) -> None:
    """Write ``model.xml`` and ``model.bin``, with the weights in float32 or quantised, and the scripts."""
    network, file = ExportNetwork(model), folder / "model.xml"
    if isinstance(model, QuantizedModel):
        model.write_network(file)
    else:
        save_openvino(read_openvino(NetworkPart(network, [network.input_spec], network.outputs)), file)
    write_scripts(folder, model, network, _RUNTIME, "openvino")
