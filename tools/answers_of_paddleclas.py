"""What PaddleClas's own networks answer: ``PYTHON answers_of_paddleclas.py FILE.npz``.

The interpreter has paddleclas 2.6.0. The file gets, for each class ``C``, the keys, types and shapes of its
state dict (``C keys``, JSON), its scores for each size (``C 224x224``), each integer buffer
(``C buffer KEY``), the address of its weights (``C url``) and the version that answered (``C source``).
"""

import json
import sys
from importlib import import_module
from importlib.metadata import version

import numpy as np
import paddle
from deterministic import image, weights
from paddleclas.ppcls.arch import backbone

ANY_SIZE = ((224, 224), (193, 193), (256, 256))
CONVOLUTIONAL = (
    *(f"MobileNetV3_small_x{x}" for x in ("0_35", "0_5", "0_75", "1_0", "1_25")),
    *(f"MobileNetV3_large_x{x}" for x in ("0_35", "0_5", "0_75", "1_0", "1_25")),
    *(f"PPLCNet_x{x}" for x in ("0_25", "0_35", "0_5", "0_75", "1_0", "1_5", "2_0", "2_5")),
    *(f"PPHGNetV2_B{size}" for size in range(7)),
    "ConvNeXt_tiny",
    *(f"DenseNet{layers}" for layers in (121, 161, 169, 201, 264)),
    *(f"DPN{layers}" for layers in (68, 92, 98, 107, 131)),
    *(f"GhostNet_x{x}" for x in ("0_5", "1_0", "1_3")),
    *(f"Res2Net{form}" for form in ("50_26w_4s", "50_14w_8s", "50_vd_26w_4s")),
    *(f"Res2Net{layers}_vd_26w_4s" for layers in (101, 200)),
    *(f"ESNet_x{x}" for x in ("0_25", "0_5", "0_75", "1_0")),
    "DarkNet53",
    *(f"RepVGG_A{size}" for size in range(3)),
    *(f"RepVGG_B{size}" for size in ("0", "1", "1g2", "1g4", "2", "2g4", "3", "3g4")),
    *(f"ReXNet_{width}" for width in ("1_0", "1_3", "1_5", "2_0", "3_0")),
    *(f"ResNeXt101_32x{width}d_wsl" for width in (8, 16)),
    *(f"PPHGNet_{size}" for size in ("tiny", "small", "base")),
    *(f"ConvNeXt_{size}" for size in ("small", "base_224", "large_224")),
)
EFFICIENTNETS = (("B0_small", 224), ("B0", 224), ("B1", 240), ("B2", 260), ("B3", 300), ("B4", 380))
EFFICIENTNETS += (("B5", 456), ("B6", 528), ("B7", 600))
HRNETS = (*(f"HRNet_W{width}_C" for width in (18, 30, 32, 40, 44, 48, 64)), "SE_HRNet_W64_C")
SWINS = tuple(f"SwinTransformer_{size}_patch4_window7_224" for size in ("tiny", "small", "base", "large"))
VITS = ("small_patch16_224", *(f"base_patch{form}" for form in ("16_224", "16_384", "32_384")))
VITS += tuple(f"large_patch{form}" for form in ("16_224", "16_384", "32_384"))
CLASSES = {
    **dict.fromkeys(CONVOLUTIONAL, (*ANY_SIZE, (160, 224))),
    **{f"EfficientNet{name}": (*ANY_SIZE, (160, 224), (size, size)) for name, size in EFFICIENTNETS},
    **dict.fromkeys(HRNETS, ((224, 224), (256, 256), (160, 224))),
    **dict.fromkeys(SWINS, ANY_SIZE),
    "EfficientNetV2_S": (*ANY_SIZE, (160, 224), (384, 384)),
    **{f"ViT_{form}": ((int(form[-3:]),) * 2,) for form in VITS},
    **{f"LeViT_{size}": ANY_SIZE[:1] for size in ("128S", "128", "192", "256", "384")},
}


@paddle.no_grad()
def answers(name):
    urls = import_module(getattr(backbone, name).__module__).MODEL_URLS
    urls.setdefault(name, None)  # SE_HRNet_W64_C reads an address that the table lacks
    # The older networks name their parameters, and Paddle wants names only once.
    with paddle.utils.unique_name.guard():
        network = getattr(backbone, name)()
    network.eval()
    source = f"paddleclas {version('paddleclas')}"
    if name in SWINS:
        # Up to 2.5.2, with which the weights were published, and in the paper's code, a stage that is one
        # window does not shift.
        network.layers[3].blocks[1].shift_size = 0
        source += " with layers[3].blocks[1].shift_size = 0"
    state = network.state_dict()
    types = {key: str(value.dtype).removeprefix("paddle.") for key, value in state.items()}
    shapes = {key: list(value.shape) for key, value in state.items()}
    found = {f"{name} keys": np.array(json.dumps({key: [types[key], *shapes[key]] for key in state}))}
    found |= {f"{name} buffer {key}": state[key].numpy() for key in state if types[key] == "int64"}
    found[f"{name} source"] = np.array(source)
    if urls[name]:
        found[f"{name} url"] = np.array(urls[name])
    network.set_state_dict(weights({key: shapes[key] for key in state if types[key] == "float32"}))
    for height, width in CLASSES[name]:
        scores = network(paddle.to_tensor(image(height, width)))
        found[f"{name} {height}x{width}"] = scores.numpy()[0]
    return found


if __name__ == "__main__":
    everything = {}
    for class_name in CLASSES:
        everything |= answers(class_name)
    np.savez(sys.argv[1], **everything)
