"""Writes a model as an ONNX file."""

from pathlib import Path

import numpy as np

from hubtune.data.images.decode import decode
from hubtune.data.images.preprocessing import Preprocessing, image_to_array
from hubtune.export.network import INPUT, ExportNetwork
from hubtune.export.onnx_graph import onnx_package
from hubtune.export.onnx_program import onnx_program
from hubtune.export.onnx_resize import can_resize, with_resize
from hubtune.export.quantized_model import QuantizedModel
from hubtune.export.readme import Facts
from hubtune.export.scripts import SCRIPT_FILES, Runtime, write_scripts
from hubtune.hub.model_card import ModelCard
from hubtune.inference.model import Model

RESIZING_FILE = "model_with_resize.onnx"

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
    """Write the network, in float32 or with a quantised backbone, also with resizing inside, and scripts.

    Raises:
        ModelError: the network has an operator that ONNX is not written for.
    """
    network = ExportNetwork(model)
    file = folder / "model.onnx"
    if isinstance(model, QuantizedModel):
        model.write_network(file)
        program = onnx_package().load(file)
    else:
        program = onnx_program(network, [network.input_spec], network.outputs)
        file.write_bytes(program.SerializeToString(deterministic=True))
    if can_resize(network.view):
        resizing = with_resize(program, network.view, INPUT)
        (folder / RESIZING_FILE).write_bytes(resizing.SerializeToString(deterministic=True))
    write_scripts(folder, model, network, _RUNTIME, "onnx")


def onnx_facts(card: ModelCard, folder: Path) -> Facts:
    """Return what the README says of the folder."""
    files = {"model.onnx": "the network, from arranged pixels to scores"}
    if not (folder / RESIZING_FILE).exists():
        notes = ["There is no file that resizes pictures by itself: its answers would differ from hubtune's."]
    else:
        files[RESIZING_FILE] = "the same, from the pixels of a whole picture: it resizes by itself"
        notes = [
            f"`{RESIZING_FILE}` is for programs that have a decoded picture, upright and on white, and no "
            "Pillow. Its input `pixels` is uint8 `[1, height, width, channels]`, of any size:",
            f"""```python
import numpy, onnxruntime
from PIL import Image

network = onnxruntime.InferenceSession("{RESIZING_FILE}")
pixels = numpy.asarray(Image.open("photo.jpg").convert("RGB"))[None]
scores = network.run(["scores"], {{"pixels": pixels}})[0][0]
```""",
        ]
    return Facts(
        files={**files, **SCRIPT_FILES},
        use=("pip install onnxruntime numpy pillow", "python predict.py photo.jpg"),
        notes=notes,
    )


def arrange_as_onnx(path: Path, view: Preprocessing) -> np.ndarray:
    """Return the pixels of a whole image, which the network with resizing takes."""
    return image_to_array(decode(path, channels=view.channels, bits=view.bits))
