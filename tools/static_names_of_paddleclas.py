"""What PaddleClas's networks call their parameters: ``PYTHON static_names_of_paddleclas.py FILE.json``.

The interpreter has paddleclas 2.6.0. Its folder ``model_zoo`` gives parameters the names that they have in
Paddle 1's static programs. The file gets, for each class, key in the state dict → name.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

from paddle.utils import unique_name

SIZES = [
    f"ResNeXt{layers}{vd}_{groups}x4d"
    for layers in (50, 101, 152)
    for vd in ("", "_vd")
    for groups in (32, 64)
]
CLASSES = {
    "alexnet": ["AlexNet"],
    "googlenet": ["GoogLeNet"],
    "inception_v4": ["InceptionV4"],
    "xception": ["Xception41", "Xception65", "Xception71"],
    "resnet_vc": ["ResNet50_vc"],
    "resnext": [name for name in SIZES if "_vd" not in name],
    "resnext_vd": [name for name in SIZES if "_vd" in name],
    "se_resnet_vd": [f"SE_ResNet{layers}_vd" for layers in (18, 34, 50)],
    "se_resnext": ["SE_ResNeXt50_32x4d", "SE_ResNeXt101_32x4d"],
    "se_resnext_vd": ["SE_ResNeXt50_vd_32x4d", "SENet154_vd"],
    "mobilenet_v2": [
        "MobileNetV2",
        *(f"MobileNetV2_x{scale}" for scale in ("0_25", "0_5", "0_75", "1_5", "2_0")),
    ],
    "shufflenet_v2": [
        "ShuffleNetV2_swish",
        *(f"ShuffleNetV2_x{scale}" for scale in ("0_25", "0_33", "0_5", "1_0", "1_5", "2_0")),
    ],
}


def names_of(file: str, name: str) -> dict[str, str]:
    network = getattr(import_module(f"paddleclas.ppcls.arch.backbone.model_zoo.{file}"), name)
    # A linear layer without a name gets the first number, as in a program of its own.
    with unique_name.guard():
        return {key: tensor.name for key, tensor in network().state_dict().items()}


if __name__ == "__main__":
    found = {name: names_of(file, name) for file, names in CLASSES.items() for name in names}
    Path(sys.argv[1]).write_text(json.dumps(found), encoding="utf-8")
