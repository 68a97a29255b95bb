"""Make ``tests/models/golden/*.json`` from what other implementations answer.

The answers come from three scripts, each run by an interpreter that has the package:

    PYTHONPATH=tests/models PYTHON tools/answers_of_paddleclas.py paddleclas.npz
    PYTHONPATH=tests/models PYTHON tools/answers_of_transformers.py transformers
    PYTHONPATH=tests/models PYTHON tools/answers_of_timm.py timm
    python tools/make_golden_answers.py paddleclas.npz transformers/answers.npz timm/answers.npz
"""

import json
import sys
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parents[1] / "tests" / "models" / "golden"
SIZES = ("193x193", "224x224", "154x224")
KEPT = 12
# Of the others, the other implementation's answers are compared by the slow tests alone.
CLASSES = (
    "MobileNetV3_small_x1_0",
    "MobileNetV3_large_x1_0",
    "PPLCNet_x1_0",
    "PPHGNetV2_B0",
    "PPHGNetV2_B4",
    "ConvNeXt_tiny",
    "SwinTransformer_tiny_patch4_window7_224",
    "ViT_small_patch16_224",
    "ViT_base_patch16_224",
    "dinov2_vits14",
    "dinov2_vits14_reg",
    *("DarkNet53", "DenseNet121", "DPN68", "EfficientNetB0_small", "EfficientNetB1", "ESNet_x0_25"),
    *("GhostNet_x0_5", "HRNet_W18_C", "Res2Net50_14w_8s", "EfficientNetV2_S", "LeViT_128S", "PPHGNet_tiny"),
    *("RepVGG_A0", "ReXNet_1_0", "ResNeXt101_32x8d_wsl", "pnasnet_imagenet"),
)


def golden(name: str, answers: dict[str, np.ndarray]) -> dict[str, object]:
    scores = {}
    for size in SIZES:
        found = answers.get(f"{name} {size}")
        if found is not None:
            scores[size] = {
                "first": [float(f"{value:.7g}") for value in found[:KEPT]],
                "largest": float(f"{np.abs(found).max():.7g}"),
            }
    keys = json.loads(str(answers[f"{name} keys"]))
    return {"source": str(answers[f"{name} source"]), "keys": keys, "answers": scores}


def write(name: str, content: dict[str, object]) -> None:
    """One line a key, so that a difference can be read."""
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(what)}" for key, what in content["keys"].items())
    (FOLDER / f"{name}.json").write_text(
        f'{{"source": {json.dumps(content["source"])},\n'
        f'"answers": {json.dumps(content["answers"])},\n'
        f'"keys": {{\n{lines}\n}}}}\n',
        encoding="utf-8",
    )


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for file in sys.argv[1:]:
        answers = dict(np.load(file))
        for name in CLASSES:
            # Swin's scores are in both files, its keys in PaddleClas's alone.
            if f"{name} keys" in answers:
                write(name, golden(name, answers))


if __name__ == "__main__":
    main()
