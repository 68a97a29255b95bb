"""Compare hubtune's maps with pytorch-grad-cam's, for MobileNetV2 with the same weights.

    python benchmarks/judging_models.py PICTURES --weights FILE --part export --maps maps
    PYTHON-WITH-TORCH benchmarks/torch_grad_cam.py maps

The second needs torch, torchvision, grad-cam and safetensors, and not hubtune. It prints the largest
difference of the logits of both networks, relative to the largest logit, and the correlation of each map with
pytorch-grad-cam's, scaled by it to 0–1 and to the size of the input: of hubtune's ``heat`` of the mean's
part, and of its shares of the cells.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from safetensors.numpy import load_file
from torchvision.models import mobilenet_v2

folder = Path(sys.argv[1])
found = np.load(folder / "maps.npz")
network = mobilenet_v2(num_classes=found["weight"].shape[1]).eval()
# Both define the layers in the same order; Paddle calls BatchNorm's statistics _mean and _variance.
tensors = load_file(folder / "model.safetensors")
names = {"_mean": "running_mean", "_variance": "running_var"}
state = {
    ".".join(names.get(part, part) for part in name.removeprefix("backbone.").split(".")): torch.tensor(
        values
    )
    for name, values in tensors.items()
    if name.startswith("backbone.features.")
}
missing = network.load_state_dict(state, strict=False).missing_keys
assert all(name.startswith("classifier.") or name.endswith("num_batches_tracked") for name in missing), (
    missing
)
network.classifier = torch.nn.Linear(*found["weight"].shape)
network.classifier.weight.data = torch.tensor(found["weight"].T.copy())
network.classifier.bias.data = torch.tensor(found["bias"])

differences, heats, cells = [], [], []
for number in range(sum(name.startswith("image") for name in found.files)):
    images = torch.tensor(found[f"image{number}"][None])
    with torch.no_grad():
        logits = network(images)[0].numpy()
    expected = found[f"logits{number}"]
    differences.append(np.abs(logits - expected).max() / np.abs(expected).max())
    target = [ClassifierOutputTarget(int(found[f"label{number}"]))]
    with GradCAM(model=network, target_layers=[network.features[-1]]) as cam:
        [scaled] = cam(input_tensor=images, targets=target)
    heats.append(np.corrcoef(scaled.ravel(), found[f"heat{number}"].ravel())[0, 1])
    shares = np.maximum(found[f"cells{number}"], 0)
    height, width = scaled.shape
    own = cv2.resize((shares / max(shares.max(), 1e-12)).astype(np.float32), (width, height))
    cells.append(np.corrcoef(scaled.ravel(), own.ravel())[0, 1])
print(f"logits differ by up to {max(differences):.1e} of the largest")
print("heat: r " + " ".join(f"{value:.4f}" for value in heats) + f", least {min(heats):.4f}")
print("cells: r " + " ".join(f"{value:.4f}" for value in cells) + f", least {min(cells):.4f}")
