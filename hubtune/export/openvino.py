"""Writes a model as OpenVINO's intermediate representation."""

import tempfile
from pathlib import Path

from hubtune.export.network import ExportNetwork
from hubtune.export.readme import Facts
from hubtune.export.scripts import SCRIPT_FILES, Runtime, write_scripts
from hubtune.inference.model import Model
from hubtune.inference.model_card import ModelCard
from hubtune.inference.openvino_program import openvino_core
from hubtune.inference.program import save_layer

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
            "model.xml, model.bin": "the network, from arranged pixels to scores, in float32",
            **SCRIPT_FILES,
        },
        use=("pip install openvino numpy pillow", "python predict.py photo.jpg"),
        notes=(
            "`INFERENCE_PRECISION_HINT` is `f32`: without it, OpenVINO computes in bfloat16 on processors "
            "that have it, and scores differ in the third digit.",
        ),
    )


def write_openvino(model: Model, folder: Path, name: str) -> None:
    """Write ``model.xml`` and ``model.bin``, with the weights in float32, and the scripts."""
    network = ExportNetwork(model)
    with tempfile.TemporaryDirectory(prefix="hubtune-") as temporary:
        path = Path(temporary) / "network"
        save_layer(network, path, [network.input_spec], old=True)
        program = openvino_core().read_model(path.with_suffix(".pdmodel"))
        for output, name in zip(program.outputs, network.outputs, strict=True):
            output.tensor.set_names({name})
        import openvino  # after openvino_core(), which switches its telemetry off

        openvino.save_model(program, folder / "model.xml", compress_to_fp16=False)
    write_scripts(folder, model, network, _RUNTIME, "openvino")
