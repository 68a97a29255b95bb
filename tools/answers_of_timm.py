"""What timm's networks answer: ``PYTHON answers_of_timm.py FOLDER``.

The interpreter has torch, timm and safetensors. ``FOLDER/NAME.safetensors`` is a file with the names of the
published ones, and ``FOLDER/answers.npz`` has the keys, types and shapes that it has in Paddle (``NAME
keys``, JSON), the scores for each size (``NAME 331x331``) and the version that answered (``NAME source``).
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import timm
import torch
from deterministic import image, weights
from safetensors.numpy import save_file

NAMES = {"nasnet_imagenet": "nasnetalarge", "pnasnet_imagenet": "pnasnet5large"}
SIZES = ((331, 331), (224, 224), (193, 193), (193, 160))
STATISTICS = {"running_mean": "_mean", "running_var": "_variance"}


def paddles(key):
    layer, _, last = key.rpartition(".")
    return f"{layer}.{STATISTICS.get(last, last)}"


@torch.no_grad()
def answers(hub_name, folder):
    network = timm.create_model(NAMES[hub_name], pretrained=False).eval()
    state = {key: list(value.shape) for key, value in network.state_dict().items()}
    shapes = {key: shape for key, shape in state.items() if not key.endswith("num_batches_tracked")}
    # PyTorch's linear layers are [out, in], Paddle's [in, out].
    keys = {paddles(key): shape[::-1] if len(shape) == 2 else shape for key, shape in shapes.items()}
    made = weights(keys)
    tensors = {key: np.zeros((), np.int64) for key in state.keys() - shapes.keys()}
    for key, shape in shapes.items():
        value = made[paddles(key)]
        tensors[key] = np.ascontiguousarray(value.T if len(shape) == 2 else value)
    save_file(tensors, folder / f"{hub_name}.safetensors")
    network.load_state_dict({key: torch.from_numpy(value) for key, value in tensors.items()})
    found = {f"{hub_name} source": np.array(f"timm {version('timm')}")}
    typed = {key: ["float32", *shape] for key, shape in keys.items()}
    found[f"{hub_name} keys"] = np.array(json.dumps(typed))
    for height, width in SIZES:
        found[f"{hub_name} {height}x{width}"] = network(torch.from_numpy(image(height, width)))[0].numpy()
    return found


def main(folder):
    everything = {}
    for hub_name in NAMES:
        everything |= answers(hub_name, folder)
    np.savez(folder / "answers.npz", **everything)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
