"""Writes a model as a Paddle program that Paddle Inference runs, and PaddleX 3 loads by itself."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle.inference
import yaml
from PIL import Image

from hubtune.data.images.decode import decode
from hubtune.data.images.preprocessing import Preprocessing
from hubtune.errors import ModelError
from hubtune.evaluation.thresholds import DEFAULT_THRESHOLD
from hubtune.export.network import ExportNetwork
from hubtune.export.parity import TOLERANCE
from hubtune.export.readme import Facts
from hubtune.export.scripts import PREDICT_FILE, SCRIPT_FILES, Runtime, write_scripts
from hubtune.hub.model_card import ModelCard
from hubtune.inference.model import Model
from hubtune.inference.program import save_layer
from hubtune.log import logger
from hubtune.models.catalog import lookup
from hubtune.rng import rng_for

PROGRAM = "inference"
# PaddleX 3 knows networks by name. The name chooses code that is the same for all that classify; the network
# is that of the folder.
_NAMES = frozenset(
    """ConvNeXt_tiny MobileNetV1_x0_25 MobileNetV1_x0_5 MobileNetV1_x0_75 MobileNetV1_x1_0 MobileNetV2_x0_25
    MobileNetV2_x0_5 MobileNetV2_x1_0 MobileNetV2_x1_5 MobileNetV2_x2_0 MobileNetV3_large_x0_35
    MobileNetV3_large_x0_5 MobileNetV3_large_x0_75 MobileNetV3_large_x1_0 MobileNetV3_large_x1_25
    MobileNetV3_small_x0_35 MobileNetV3_small_x0_5 MobileNetV3_small_x0_75 MobileNetV3_small_x1_0
    MobileNetV3_small_x1_25 ResNet18 ResNet34 ResNet50 ResNet101 ResNet152 ResNet18_vd ResNet34_vd ResNet50_vd
    ResNet101_vd ResNet152_vd ResNet200_vd SwinTransformer_tiny_patch4_window7_224""".split()
)
_OTHER, _MULTI_LABEL = "ResNet50", "ResNet50_ML"
_ONEDNN_NOTE = (
    "With oneDNN, Paddle Inference fails on this network or computes wrong values: `predict.py` switches it "
    'off. In PaddleX, add `engine_config={"run_mode": "paddle"}` to the arguments below.'
)
_MULTI_LABEL_NOTE = (
    "PaddleX takes one threshold for all labels, 0.5, and does not crop pictures for multi-label models: its "
    "labels may differ from those of `predict.py`, which has a threshold for each."
)
_LIKELIEST = 5

_CONFIGURE = (
    'MEAN, STD = (np.array(SETTINGS[name], np.float32)[:, None, None] for name in ("mean", "std"))',
    'FILES = (str(HERE / f"inference.{suffix}") for suffix in ("json", "pdiparams"))',
    "CONFIG = paddle.inference.Config(*FILES)",
    "CONFIG.disable_glog_info()",
)
_WITHOUT_ONEDNN = "CONFIG.disable_mkldnn()  # with oneDNN, this network fails or computes wrong values"
_RUNTIME = Runtime(
    package="paddlepaddle",
    imported="paddle.inference",
    load=(*_CONFIGURE, "NETWORK = paddle.inference.create_predictor(CONFIG)"),
    run=(
        "images = pixels.transpose(0, 3, 1, 2) * (np.float32(1 / 255) / STD) - MEAN / STD",
        "outputs = [tensor.numpy() for tensor in NETWORK.run([paddle.to_tensor(images)])]",
        'return dict(zip(SETTINGS["outputs"], outputs, strict=True))',
    ),
    settings=True,
)


def paddle_facts(card: ModelCard, folder: Path) -> Facts:
    """Return what the README says of the folder."""
    name = _name_in_paddlex(card)
    with_onednn = _WITHOUT_ONEDNN not in (folder / PREDICT_FILE).read_text(encoding="utf-8")
    return Facts(
        files={
            "inference.json, inference.pdiparams": "the network, from normalised pixels to scores",
            "inference.yml": "the preprocessing and the class names, for PaddleX",
            **SCRIPT_FILES,
        },
        use=(
            "pip install paddlepaddle numpy pillow",
            "python predict.py photo.jpg",
        ),
        notes=(
            *([] if with_onednn else [_ONEDNN_NOTE]),
            "PaddleX 3 loads the folder by itself; `model_name` is that in `inference.yml`:",
            f"""```python
from paddlex import create_model

model = create_model(model_name="{name}", model_dir="FOLDER")
for result in model.predict(["photo.jpg"]):
    result.print()
```""",
            *([_MULTI_LABEL_NOTE] if card.multi_label else []),
            "PaddleX resizes pictures by itself, and drops the opacity of transparent ones, which hubtune "
            "and `predict.py` lay on white.",
        ),
    )


def check_paddle(model: Model) -> None:
    """Raise ``ModelError`` if PaddleX cannot prepare images as the model needs them."""
    channels = model.card.preprocessing.channels
    if channels != 3:
        raise ModelError(
            "PaddleX gives a network colours, and this one takes "
            f"{'grey' if channels == 1 else 'opacity as well'}: use --format onnx or openvino"
        )


def write_paddle(model: Model, folder: Path, name: str) -> None:
    """Write ``inference.json``, ``inference.pdiparams``, PaddleX's ``inference.yml``, and the scripts."""
    network = ExportNetwork(model, normalised=True)
    view = network.view
    save_layer(network, folder / PROGRAM, [network.input_spec])
    runtime = _RUNTIME
    if not _agrees_with_onednn(network, folder):
        runtime = replace(runtime, load=(*_CONFIGURE, _WITHOUT_ONEDNN, runtime.load[-1]))
    write_scripts(folder, model, network, runtime, "paddle")
    resize = {"backend": "pil", "interpolation": view.interpolation.upper()}
    steps: list[dict[str, Any]] = [
        {"ResizeImage": {"resize_short": None, "size": [view.size, view.size], **resize}}
        if view.fit == "stretch"
        else {"ResizeImage": {"resize_short": view.resize, "size": None, **resize}},
        {
            "NormalizeImage": {
                "channel_num": 3,
                "mean": list(view.mean),
                "std": list(view.std),
                "scale": 1 / 255,
                "order": "",
            }
        },
        {"ToCHWImage": None},
    ]
    if view.fit == "crop":
        steps.insert(1, {"CropImage": {"size": view.size}})
    description = {
        "Global": {"model_name": _name_in_paddlex(model.card)},
        "PreProcess": {"transform_ops": steps},
        "PostProcess": _post_process(model.card),
    }
    text = yaml.safe_dump(description, sort_keys=False, allow_unicode=True)
    (folder / "inference.yml").write_text(text, encoding="utf-8")


def _post_process(card: ModelCard) -> dict[str, Any]:
    """Return what PaddleX does with the scores."""
    if not card.multi_label:
        return {"Topk": {"topk": min(_LIKELIEST, len(card.labels)), "label_list": card.labels}}
    # One for all: with a list, PaddleX 3 takes the threshold of label i for picture i.
    return {"MultiLabelThreshOutput": {"threshold": DEFAULT_THRESHOLD, "label_list": card.labels}}


def _name_in_paddlex(card: ModelCard) -> str:
    return _MULTI_LABEL if card.multi_label else paddlex_name(card.architecture)


def _agrees_with_onednn(network: ExportNetwork, folder: Path) -> bool:
    """Whether Paddle Inference gives the network's scores with oneDNN, which it uses where it can.

    In Paddle 3.3, oneDNN is wrong or fails on some networks with attention in windows.
    """
    view = network.view
    images = rng_for(0, "onednn").standard_normal((2, view.channels, view.size, view.size)).astype(np.float32)
    network.eval()
    with paddle.no_grad():
        expected = network(paddle.to_tensor(images))[0].numpy()
    config = paddle.inference.Config(
        *(str(folder / f"{PROGRAM}.{suffix}") for suffix in ("json", "pdiparams"))
    )
    config.disable_glog_info()
    try:
        scores = paddle.inference.create_predictor(config).run([paddle.to_tensor(images)])[0].numpy()
    except Exception as error:  # noqa: BLE001  # foreign code can fail in any way
        logger.debug("Paddle Inference fails with oneDNN (%s)", error)
        return False
    return bool(np.abs(scores - expected).max() <= TOLERANCE)


def arrange_as_paddle(path: Path, view: Preprocessing) -> np.ndarray:
    """Return the pixels that PaddleX makes of an image: it resizes the whole image, and crops then."""
    image = decode(path, channels=view.channels, bits=view.bits)
    method = Image.Resampling[view.interpolation.upper()]
    if view.fit == "stretch":
        return np.asarray(image.resize((view.size, view.size), method))
    wide, high = view.target_sides(*image.size)
    left, top = (wide - view.size) // 2, (high - view.size) // 2
    resized = image.resize((wide, high), method)
    return np.asarray(resized.crop((left, top, left + view.size, top + view.size)))


def paddlex_name(architecture: str) -> str:
    """Return the name by which PaddleX loads a network: its own, or one whose code suits it."""
    entry = lookup(architecture)
    names = [] if entry is None else [architecture, *entry.backbone.aliases, *entry.aliases]
    names += [f"{name}_x1_0" for name in names]  # which PaddleClas leaves out
    return next((name for name in names if name in _NAMES), _OTHER)
