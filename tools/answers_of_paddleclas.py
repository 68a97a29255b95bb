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
)
SWIN = "SwinTransformer_tiny_patch4_window7_224"
CLASSES = {
    **dict.fromkeys(CONVOLUTIONAL, (*ANY_SIZE, (160, 224))),
    SWIN: ANY_SIZE,
    "ViT_small_patch16_224": ANY_SIZE[:1],
    "ViT_base_patch16_224": ANY_SIZE[:1],
}


@paddle.no_grad()
def answers(name):
    network = getattr(backbone, name)()
    network.eval()
    source = f"paddleclas {version('paddleclas')}"
    if name == SWIN:
        # Up to 2.5.2, with which the weights were published, and in the paper's code, a stage that is one
        # window does not shift.
        network.layers[3].blocks[1].shift_size = 0
        source += " with layers[3].blocks[1].shift_size = 0"
    state = network.state_dict()
    types = {key: str(value.dtype).removeprefix("paddle.") for key, value in state.items()}
    shapes = {key: list(value.shape) for key, value in state.items()}
    found = {f"{name} keys": np.array(json.dumps({key: [types[key], *shapes[key]] for key in state}))}
    found |= {f"{name} buffer {key}": state[key].numpy() for key in state if types[key] == "int64"}
    urls = import_module(getattr(backbone, name).__module__).MODEL_URLS
    found |= {f"{name} url": np.array(urls[name]), f"{name} source": np.array(source)}
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
